"""Splitting: what was declared volatile leaves the front of a prompt, for its end.

Declared is what stands between `<<volatile>>` and `<</volatile>>`, and what one of the user's
patterns finds. Only instructions are looked at (system and developer text), never what a user or
a tool said. The text stays the same and its place changes, so it is for the user to choose.
"""

import re
from collections.abc import Iterator, Sequence
from typing import Protocol

from askonce.prompts.requests.members import NotUnderstood

OPEN, CLOSE = "<<volatile>>", "<</volatile>>"

_TAGS = re.compile(f"{re.escape(OPEN)}|{re.escape(CLOSE)}")


class Span(Protocol):
    """Where a pattern was found."""

    def span(self) -> tuple[int, int]: ...


class Finder(Protocol):
    """A compiled pattern."""

    def finditer(self, text: str) -> Iterator[Span]: ...


class Cut:
    """Takes declared spans out of texts, one text after the other, and keeps them in order."""

    def __init__(self, finders: Sequence[Finder]) -> None:
        self._finders = finders
        self.spans: list[str] = []

    def out_of(self, text: str) -> str:
        """The text without its volatile spans. Raises NotUnderstood if the tags do not match."""
        if OPEN in text or CLOSE in text:
            text = self._out_of_tags(text)
        for finder in self._finders:
            kept, at = [], 0
            for found in finder.finditer(text):
                start, end = found.span()
                if start < at or end == start:
                    continue
                kept.append(text[at:start])
                self.spans.append(text[start:end])
                at = end
            text = "".join([*kept, text[at:]])
        return text

    def _out_of_tags(self, text: str) -> str:
        kept, at, opened = [], 0, -1
        for tag in _TAGS.finditer(text):
            if (tag[0] == OPEN) is not (opened < 0):
                raise NotUnderstood("unmatched-tags")
            if opened < 0:
                kept.append(text[at : tag.start()])
                opened = tag.end()
            else:
                self.spans.append(text[opened : tag.start()])
                at, opened = tag.end(), -1
        if opened >= 0:
            raise NotUnderstood("unmatched-tags")
        return "".join([*kept, text[at:]])

    @property
    def tail(self) -> str:
        """Everything that was taken out, to be said at the end."""
        return "\n".join(span.strip() for span in self.spans if span.strip())


def section(tail: str) -> str:
    """The same, to stand inside a user's turn."""
    return f"<context>\n{tail}\n</context>"
