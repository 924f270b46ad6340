"""The prompt of a generateContent request: tools, system instruction, contents.

No source says in which order Gemini compares them; this is the order of the other providers.
"""

from typing import Any

from askonce.prompts.requests.reader import PromptReading
from askonce.prompts.requests.segments import Kind, pointed

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


def read(reading: PromptReading) -> None:
    reading.doubt_unknown_members(KNOWN)
    if any(reading.request.get(name) for name in ("cachedContent", "cached_content")):
        reading.writer.doubt("/cachedContent", "a part of the prompt lies at the provider")
    reading.parameters("tools")
    reading.tools(reading.list_at("tools"))
    reading.parameters("system")
    name = "systemInstruction" if "systemInstruction" in reading.request else "system_instruction"
    system = reading.request.get(name)
    if isinstance(system, str):
        reading.writer.text(Kind.SYSTEM, pointed(name), system, "system")
    elif system is not None:
        _content(reading, Kind.SYSTEM, pointed(name), system, "system")
    reading.parameters("messages")
    for number, content in enumerate(reading.list_at("contents")):
        _content(reading, Kind.MESSAGE, pointed("contents", number), content, None)


def _content(
    reading: PromptReading, kind: Kind, pointer: str, content: Any, role: str | None
) -> None:
    parts = content.get("parts") if isinstance(content, dict) else None
    if not isinstance(parts, list):
        reading.writer.doubt(pointer, "not a content with parts")
        return
    said = content.get("role")
    # A content without a role is the user's.
    role = role or (said if isinstance(said, str) else "user")
    if kind is Kind.MESSAGE and role not in ROLES:
        reading.writer.doubt(pointer, f"a content of an unknown role ({role})")
    reading.rest_of_message(kind, pointer, content, role, _READ)
    for at, part in enumerate(parts):
        where = f"{pointer}/parts/{at}"
        if not isinstance(part, dict):
            reading.writer.doubt(where, "not an object")
            continue
        form = next((FORMS[name] for name in part if name in FORMS), None)
        if form is None:
            reading.writer.doubt(where, "a part of an unknown type")
        elif form == "text" and part.get("thought") is True:
            form = "thinking"
        reading.text_or_block(kind, where, part, role, form or "unknown")
    reading.writer.end_message(is_endpoint=role == "user")
