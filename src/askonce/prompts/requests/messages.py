"""The prompt of an Anthropic Messages request: tools, system, messages, with parameters between."""

from typing import Any

from askonce.prompts.requests.reader import PromptReading
from askonce.prompts.requests.segments import Kind, pointed

_MEMBERS = """
    anthropic_beta anthropic_version cache_control container context_management diagnostics
    inference_geo max_tokens mcp_servers messages metadata model output_config service_tier speed
    stop_sequences stream system temperature thinking tool_choice tools top_k top_p user_profile_id
    """
KNOWN = frozenset(_MEMBERS.split())
ROLES = frozenset({"user", "assistant", "system"})
_TYPES = """
    text image document search_result thinking redacted_thinking tool_use tool_result
    server_tool_use web_search_tool_result web_fetch_tool_result code_execution_tool_result
    bash_code_execution_tool_result text_editor_code_execution_tool_result mcp_tool_use
    mcp_tool_result container_upload tool_addition tool_removal
    """
FORMS = frozenset(_TYPES.split())
_MARKABLE = frozenset({"text", "image", "document", "search_result", "tool_use", "tool_result"})
_READ = frozenset({"role", "content"})


def read(reading: PromptReading) -> None:
    reading.doubt_unknown_members(KNOWN)
    for name in ("container", "mcp_servers"):
        if reading.request.get(name):
            reading.writer.doubt(pointed(name), "a part of the prompt lies at the provider")
    tools, messages = reading.list_at("tools"), reading.list_at("messages")
    if _any_block(messages, _is_image):
        reading.derived["images"] = True
    if _any_block(messages, _is_cited):
        reading.derived["citations"] = True
    # Turning the web search on or off leaves what the other tools wrote: it stands behind them.
    searches = reading.invalidates("web_search")
    late = [number for number, tool in enumerate(tools) if searches and _is_search(tool)]
    reading.parameters("tools")
    for number, tool in enumerate(tools):
        if number not in late:
            reading.tool(tool, pointed("tools", number), markable=True)
    reading.parameters("system")
    for number in late:
        reading.tool(tools[number], pointed("tools", number), markable=True)
    _system(reading)
    reading.parameters("messages")
    for number, message in enumerate(messages):
        _message(reading, number, message)


def _system(reading: PromptReading) -> None:
    system = reading.request.get("system")
    if isinstance(system, str):
        reading.writer.text(Kind.SYSTEM, "/system", system, "system", markable=bool(system))
    elif isinstance(system, list):
        for number, block in enumerate(system):
            _block(reading, Kind.SYSTEM, pointed("system", number), block, "system")
    elif system is not None:
        reading.writer.doubt("/system", "neither a string nor a list")


def _message(reading: PromptReading, number: int, message: Any) -> None:
    pointer = pointed("messages", number)
    role = message.get("role") if isinstance(message, dict) else None
    if not isinstance(role, str):
        reading.writer.doubt(pointer, "not a message with a role")
        return
    if role not in ROLES:
        reading.writer.doubt(pointer, f"a message of an unknown role ({role})")
    reading.rest_of_message(Kind.MESSAGE, pointer, message, role, _READ)
    content = message.get("content")
    if isinstance(content, str):
        where = f"{pointer}/content"
        reading.writer.text(Kind.MESSAGE, where, content, role, markable=bool(content))
    elif isinstance(content, list):
        for at, block in enumerate(content):
            _block(reading, Kind.MESSAGE, f"{pointer}/content/{at}", block, role)
    else:
        reading.writer.doubt(f"{pointer}/content", "neither a string nor a list")
    reading.writer.end_message(is_endpoint=role == "user")


def _block(reading: PromptReading, kind: Kind, pointer: str, block: Any, role: str) -> None:
    if not isinstance(block, dict):
        reading.writer.doubt(pointer, "not an object")
        return
    form = block.get("type")
    if not isinstance(form, str) or form not in FORMS:
        reading.writer.doubt(pointer, f"a block of an unknown type ({form})")
        form = "unknown"
    # An empty text cannot be marked.
    markable = form in _MARKABLE and block.get("text") != ""
    reading.text_or_block(kind, pointer, block, role, form, markable=markable)


def _is_search(tool: Any) -> bool:
    named = tool.get("type") if isinstance(tool, dict) else None
    return isinstance(named, str) and named.startswith("web_search")


def _is_image(block: dict[str, Any]) -> bool:
    return block.get("type") == "image"


def _is_cited(block: dict[str, Any]) -> bool:
    citations = block.get("citations")
    return isinstance(citations, dict) and citations.get("enabled") is True


def _any_block(messages: list[Any], holds: Any) -> bool:
    """Is there such a block in any message, or in the result of a tool?"""
    for message in messages:
        content = message.get("content") if isinstance(message, dict) else None
        for block in content if isinstance(content, list) else ():
            if not isinstance(block, dict):
                continue
            within = block.get("content")
            inner = within if isinstance(within, list) else ()
            if holds(block) or any(isinstance(one, dict) and holds(one) for one in inner):
                return True
    return False
