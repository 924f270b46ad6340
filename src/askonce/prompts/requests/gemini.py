"""The prompt of a generateContent request: tools, system instruction, contents.

No source says in which order Gemini compares them; this is the order of the other providers.
"""

from typing import Any

from askonce.prompts.requests.reader import SERVER_STATE, PromptReader
from askonce.prompts.requests.segments import SegmentKind, pointer_to

_MEMBERS = """
    cachedContent cached_content contents generationConfig generation_config labels model
    modelArmorConfig safetySettings safety_settings serviceTier store systemInstruction
    system_instruction toolConfig tool_config tools
    """
KNOWN = frozenset(_MEMBERS.split())
FORMS = {
    "text": "text",
    "inlineData": "image",
    "inline_data": "image",
    "fileData": "file",
    "file_data": "file",
    "functionCall": "tool_use",
    "function_call": "tool_use",
    "functionResponse": "tool_result",
    "function_response": "tool_result",
    "executableCode": "tool_use",
    "codeExecutionResult": "tool_result",
}
ROLES = frozenset({"user", "model", "function"})
_READ = frozenset({"role", "parts"})


def read(reader: PromptReader) -> None:
    reader.doubt_unknown_members(KNOWN)
    if any(reader.request.get(name) for name in ("cachedContent", "cached_content")):
        reader.doubt("/cachedContent", SERVER_STATE)
    reader.add_parameters("tools")
    reader.add_tools()
    reader.add_parameters("system")
    name = "systemInstruction" if "systemInstruction" in reader.request else "system_instruction"
    system = reader.request.get(name)
    if isinstance(system, str):
        reader.add_text(SegmentKind.SYSTEM, pointer_to(name), system, "system")
    elif system is not None:
        _content(reader, SegmentKind.SYSTEM, pointer_to(name), system, "system")
    reader.add_parameters("messages")
    for number, content in enumerate(reader.list_at("contents")):
        _content(reader, SegmentKind.MESSAGE, pointer_to("contents", number), content, None)


def _content(
    reader: PromptReader, kind: SegmentKind, pointer: str, content: Any, role: str | None
) -> None:
    parts = content.get("parts") if isinstance(content, dict) else None
    if not isinstance(parts, list):
        reader.doubt(pointer, "not a content with parts")
        return
    own_role = content.get("role")
    # A content without a role is the user's.
    role = role or (own_role if isinstance(own_role, str) else "user")
    if kind is SegmentKind.MESSAGE:
        reader.check_role(pointer, role, ROLES)
    reader.add_fields(kind, pointer, content, role, _READ)
    for at, part in enumerate(parts):
        where = f"{pointer}/parts/{at}"
        if not isinstance(part, dict):
            reader.doubt(where, "not an object")
            continue
        form = next((FORMS[name] for name in part if name in FORMS), None)
        if form is None:
            reader.doubt(where, "a part of an unknown type")
        elif form == "text" and part.get("thought") is True:
            form = "thinking"
        reader.add_content(kind, where, part, role, form or "unknown")
    if role == "user":
        reader.end_message()
