"""A reading: one request on its way to segments, and what all dialects do with it alike."""

from collections.abc import Mapping
from typing import Any

from askonce.prompts.provider.rules import Tier
from askonce.prompts.requests.segments import Kind, SegmentWriter, pointed, taken_out

_ABSENT = object()


class PromptReading:
    """One request being read into a writer of segments."""

    def __init__(
        self,
        request: dict[str, Any],
        model: str,
        invalidators: Mapping[str, Tier],
        *,
        instructions_last: bool = False,
    ) -> None:
        self.request = request
        self.writer = SegmentWriter()
        self.instructions_last = instructions_last
        self.derived: dict[str, Any] = {"model": model}
        """Facts that invalidate without being a member of the request."""
        self._invalidators = invalidators

    def invalidates(self, name: str) -> bool:
        return name in self._invalidators

    def parameters(self, tier: Tier) -> None:
        """The parameters whose change loses this part of the prompt and what follows it."""
        found = {}
        for path, first_lost in self._invalidators.items():
            if first_lost == tier and (value := self._value(path)) is not None:
                found[path] = value
        self.writer.parameters(found, always=tier == "tools")

    def list_at(self, name: str) -> list[Any]:
        """A member that is a list, empty where it is absent or, in doubt, something else."""
        value = self.request.get(name)
        if value is None:
            return []
        if isinstance(value, list):
            return value
        self.writer.doubt(pointed(name), "not a list")
        return []

    def doubt_unknown_members(self, known: frozenset[str]) -> None:
        for name in self.request:
            if name not in known and not self.invalidates(name):
                self.writer.doubt(pointed(name), "not a known member")

    def tools(self, tools: list[Any], name: str = "tools", *, first: int = 0) -> None:
        for number, tool in enumerate(tools, first):
            self.tool(tool, pointed(name, number))

    def tool(self, tool: Any, pointer: str, *, markable: bool = False) -> None:
        if isinstance(tool, dict):
            self.writer.block(Kind.TOOL, pointer, tool, "tool", markable=markable)
        else:
            self.writer.doubt(pointer, "not an object")

    def text_or_block(
        self,
        kind: Kind,
        pointer: str,
        block: dict[str, Any],
        role: str,
        form: str,
        *,
        markable: bool = False,
    ) -> None:
        """A block; one that is nothing but a text is the same as the bare string."""
        marker, bare = taken_out(block, pointer)
        text = bare.get("text")
        if form == "text" and isinstance(text, str) and bare.keys() <= {"type", "text"}:
            self.writer.text(kind, pointer, text, role, markable=markable, marker=marker)
        else:
            self.writer.block(kind, pointer, block, form, role, markable=markable)

    def rest_of_message(
        self, kind: Kind, pointer: str, message: dict[str, Any], role: str, read: frozenset[str]
    ) -> None:
        """What a message says beside its content (a name, the call it answers)."""
        rest = {
            name: value for name, value in message.items() if name not in read and value is not None
        }
        if rest:
            self.writer.block(kind, pointer, rest, "fields", role)

    def _value(self, path: str) -> Any:
        if (value := self.derived.get(path, _ABSENT)) is not _ABSENT:
            return value
        value = self.request
        for part in path.split("."):
            if not isinstance(value, dict):
                return None
            value = value.get(part)
        return value
