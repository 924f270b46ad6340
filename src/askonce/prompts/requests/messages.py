"""The prompt of an Anthropic Messages request: tools, system, messages, with parameters between."""

from collections.abc import Callable
from typing import Any

from askonce.prompts.requests.reader import SERVER_STATE, PromptReader
from askonce.prompts.requests.segments import SegmentKind, pointer_to

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
_READ = frozenset({"role", "content"})


def read(reader: PromptReader) -> None:
    reader.doubt_unknown_members(KNOWN)
    for name in ("container", "mcp_servers"):
        if reader.request.get(name):
            reader.doubt(pointer_to(name), SERVER_STATE)
    tools, messages = reader.list_at("tools"), reader.list_at("messages")
    if _any_block(messages, _is_image):
        reader.derived["images"] = True
    if _any_block(messages, _is_cited):
        reader.derived["citations"] = True
    # Turning the web search on or off keeps the entries of the other tools: it comes after them.
    searches = reader.invalidates("web_search")
    late = [number for number, tool in enumerate(tools) if searches and _is_search(tool)]
    reader.add_parameters("tools")
    for number, tool in enumerate(tools):
        if number not in late:
            reader.add_tool(tool, pointer_to("tools", number))
    reader.add_parameters("system")
    for number in late:
        reader.add_tool(tools[number], pointer_to("tools", number))
    if (system := reader.request.get("system")) is not None:
        reader.add_blocks(SegmentKind.SYSTEM, "/system", system, "system", _read_block)
    reader.add_parameters("messages")
    for number, message in enumerate(messages):
        _message(reader, pointer_to("messages", number), message)


def _message(reader: PromptReader, pointer: str, message: Any) -> None:
    role = message.get("role") if isinstance(message, dict) else None
    if not isinstance(role, str):
        reader.doubt(pointer, "not a message with a role")
        return
    reader.check_role(pointer, role, ROLES)
    reader.add_fields(SegmentKind.MESSAGE, pointer, message, role, _READ)
    content = message.get("content")
    reader.add_blocks(SegmentKind.MESSAGE, f"{pointer}/content", content, role, _read_block)
    if role == "user":
        reader.end_message()


def _read_block(block: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    form = block.get("type")
    return (form if isinstance(form, str) and form in FORMS else ""), block


def _is_search(tool: Any) -> bool:
    named = tool.get("type") if isinstance(tool, dict) else None
    return isinstance(named, str) and named.startswith("web_search")


def _is_image(block: dict[str, Any]) -> bool:
    return block.get("type") == "image"


def _is_cited(block: dict[str, Any]) -> bool:
    citations = block.get("citations")
    return isinstance(citations, dict) and citations.get("enabled") is True


def _any_block(messages: list[Any], matches: Callable[[dict[str, Any]], bool]) -> bool:
    """Look for such a block in the messages, and in the results of tools."""
    for message in messages:
        content = message.get("content") if isinstance(message, dict) else None
        for block in content if isinstance(content, list) else ():
            if not isinstance(block, dict):
                continue
            within = block.get("content")
            inner = within if isinstance(within, list) else ()
            if matches(block) or any(isinstance(one, dict) and matches(one) for one in inner):
                return True
    return False
