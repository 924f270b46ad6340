"""The reader of one request into segments: what all dialects do with it alike."""

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from askonce.prompts.provider.rules import Section
from askonce.prompts.requests.dialects import INSTRUCTION_ROLES
from askonce.prompts.requests.segments import (
    Segment,
    SegmentKind,
    json_bytes,
    pointer_to,
    split_marker,
)

SERVER_STATE = "a part of the prompt lies at the provider"
"""The doubt about a request that refers to something the provider keeps."""

_ABSENT = object()


class PromptReader:
    """Collects a prompt's segments: removes markers, counts positions, notes doubts.

    Parameters:
        request: the decoded request.
        model: the model's name; empty if it is not known.
        invalidators: each parameter that the prompt depends on, and the first section that its
            change loses; `a.b` is `b` within `a`.
        instructions_last: whether the provider reads `instructions` after everything else.
    """

    def __init__(
        self,
        request: dict[str, Any],
        model: str,
        invalidators: Mapping[str, Section],
        *,
        instructions_last: bool = False,
    ) -> None:
        self.request = request
        self.instructions_last = instructions_last
        self.derived: dict[str, Any] = {"model": model}
        """Facts that invalidate without being a member of the request."""
        self.segments: list[Segment] = []
        self.doubts: list[str] = []
        self._invalidators = invalidators
        self._position = 0
        self._run = ""

    def doubt(self, pointer: str, why: str) -> None:
        self.doubts.append(f"{pointer or '/'}: {why}")

    def doubt_unknown_members(self, known: frozenset[str]) -> None:
        for name in self.request:
            if name not in known and not self.invalidates(name):
                self.doubt(pointer_to(name), "not a known member")

    def invalidates(self, name: str) -> bool:
        return name in self._invalidators

    def list_at(self, name: str) -> list[Any]:
        """Return a member that is a list; an empty list if it is absent or, in doubt, not one."""
        value = self.request.get(name)
        if value is None:
            return []
        if isinstance(value, list):
            return value
        self.doubt(pointer_to(name), "not a list")
        return []

    # Adding to the stream

    def add_parameters(self, section: Section) -> None:
        """Add the parameters whose change loses this section and everything after it."""
        found = {}
        for path, first_lost in self._invalidators.items():
            if first_lost == section and (value := self._parameter(path)) is not None:
                found[path] = value
        if found or section == "tools":
            self.segments.append(Segment(SegmentKind.PARAMETERS, "", json_bytes(found)))

    def add_tools(self, name: str = "tools") -> None:
        for number, tool in enumerate(self.list_at(name)):
            self.add_tool(tool, pointer_to(name, number))

    def add_tool(self, tool: Any, pointer: str) -> None:
        if isinstance(tool, dict):
            self.add_block(SegmentKind.TOOL, pointer, tool, "tool")
        else:
            self.doubt(pointer, "not an object")

    def add_text(
        self,
        kind: SegmentKind,
        pointer: str,
        text: str,
        role: str = "",
        *,
        marker: str | None = None,
    ) -> None:
        """Add a text, whether it was sent as a string or as a block with nothing else in it."""
        data = text.encode(errors="surrogatepass")
        self._add(Segment(kind, pointer, data, role, "text", marker))

    def add_block(
        self, kind: SegmentKind, pointer: str, block: dict[str, Any], form: str, role: str = ""
    ) -> None:
        """Add a block of any other form, without its marker."""
        marker, bare = split_marker(block)
        self._add(Segment(kind, pointer, json_bytes(bare), role, form, marker))

    def add_content(
        self, kind: SegmentKind, pointer: str, block: dict[str, Any], role: str, form: str
    ) -> None:
        """Add a block; one that is only a text is the same as the bare string."""
        marker, bare = split_marker(block)
        text = bare.get("text")
        if form == "text" and isinstance(text, str) and bare.keys() <= {"type", "text"}:
            self.add_text(kind, pointer, text, role, marker=marker)
        else:
            self.add_block(kind, pointer, block, form, role)

    def add_blocks(
        self,
        kind: SegmentKind,
        pointer: str,
        content: Any,
        role: str,
        read_block: Callable[[dict[str, Any]], tuple[str, dict[str, Any]]],
        *,
        form: str = "",
    ) -> None:
        """Add a message's content, a text or a list of blocks.

        `read_block` returns a block's form, "" for an unknown one, and the block as it is compared.
        `form` is the form of all blocks in place of their own.
        """
        if isinstance(content, str):
            self.add_text(kind, pointer, content, role)
            return
        if not isinstance(content, list):
            self.doubt(pointer, "neither a string nor a list")
            return
        for at, block in enumerate(content):
            where = f"{pointer}/{at}"
            if not isinstance(block, dict):
                self.doubt(where, "not an object")
                continue
            own_form, bare = read_block(block)
            if not own_form:
                self.doubt(where, f"a block of an unknown type ({block.get('type')})")
            self.add_content(kind, where, bare, role, form or own_form or "unknown")

    def check_role(self, pointer: str, role: str, known: frozenset[str]) -> None:
        if role not in known:
            self.doubt(pointer, f"a message of an unknown role ({role})")

    def add_fields(
        self,
        kind: SegmentKind,
        pointer: str,
        message: dict[str, Any],
        role: str,
        read: frozenset[str],
    ) -> None:
        """Add a message's members beside its content, such as a name or the call it answers."""
        rest = {
            name: value for name, value in message.items() if name not in read and value is not None
        }
        if rest:
            self.add_block(kind, pointer, rest, "fields", role)

    def add_conversation(
        self,
        name: str,
        add_turn: Callable[[SegmentKind, str, dict[str, Any]], None],
        result_of: Callable[[dict[str, Any]], str],
    ) -> None:
        """Add turns that begin with instructions, and the ends at which entries may end.

        `result_of` returns the same word for tool results that form one run, "" for other turns.
        """
        turns = self.list_at(name)
        in_instructions = True
        for number, turn in enumerate(turns):
            if not isinstance(turn, dict):
                self.doubt(pointer_to(name, number), "not an object")
                continue
            role = _role(turn)
            if in_instructions and role not in INSTRUCTION_ROLES:
                in_instructions = False
                self.add_parameters("messages")
            kind = SegmentKind.SYSTEM if in_instructions else SegmentKind.MESSAGE
            add_turn(kind, pointer_to(name, number), turn)
            following = turns[number + 1] if number + 1 < len(turns) else None
            after = following if isinstance(following, dict) else {}
            ends_instructions = in_instructions and _role(after) not in INSTRUCTION_ROLES
            result = result_of(turn)
            ends_results = bool(result) and result_of(after) != result
            if role == "user" or ends_results or ends_instructions:
                self.end_message()
        if in_instructions:
            self.add_parameters("messages")

    def mark_last(self, marker: str) -> None:
        """Move a message's marker to its last block, unless that has one."""
        if self.segments and self.segments[-1].marker is None:
            self.segments[-1] = msgspec.structs.replace(self.segments[-1], marker=marker)

    def end_message(self) -> None:
        """Note that a provider which caches by endpoints may end an entry here."""
        if self.segments:
            self.segments[-1] = msgspec.structs.replace(self.segments[-1], endpoint=True)

    def _add(self, segment: Segment) -> None:
        if segment.form == "fields":
            self.segments.append(msgspec.structs.replace(segment, position=self._position))
            return
        # A run of calls or of results is one position; any other block is one by itself.
        run = segment.form if segment.form in ("tool_use", "tool_result") else ""
        if self._run and run == self._run:
            self._position -= 1
        self._run = run
        self.segments.append(msgspec.structs.replace(segment, position=self._position))
        self._position += 1

    def _parameter(self, path: str) -> Any:
        if (value := self.derived.get(path, _ABSENT)) is not _ABSENT:
            return value
        value = self.request
        for part in path.split("."):
            if not isinstance(value, dict):
                return None
            value = value.get(part)
        return value


def _role(turn: dict[str, Any]) -> str:
    role = turn.get("role")
    return role if isinstance(role, str) else ""
