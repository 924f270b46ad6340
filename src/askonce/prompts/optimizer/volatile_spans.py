"""Volatile spans: text that changes with every call, removed from the front of a prompt.

A span is declared volatile by `<<volatile>>` and `<</volatile>>` around it, or by one of the user's
patterns. Only instructions are searched (system and developer text), never the text of users or
tools. The text stays the same but moves to the end, so the user has to choose this.
"""

import re
from collections.abc import Sequence

from askonce.core.rules.patterns import Pattern
from askonce.prompts.requests.raw_json import NotUnderstood

OPEN, CLOSE = "<<volatile>>", "<</volatile>>"

_TAGS = re.compile(f"{re.escape(OPEN)}|{re.escape(CLOSE)}")


class VolatileSpans:
    """Removes declared spans from one text after the other, and keeps them in order.

    Parameters:
        patterns: what is volatile beside the text between tags.
    """

    def __init__(self, patterns: Sequence[Pattern]) -> None:
        self._patterns = patterns
        self.spans: list[str] = []

    def remove_from(self, text: str) -> str:
        """Return the text without its volatile spans. Raises NotUnderstood for unmatched tags."""
        if OPEN in text or CLOSE in text:
            text = self._remove_tagged(text)
        for pattern in self._patterns:
            kept, at = [], 0
            for found in pattern.finditer(text):
                start, end = found.span()
                if start < at or end == start:
                    continue
                kept.append(text[at:start])
                self.spans.append(text[start:end])
                at = end
            text = "".join([*kept, text[at:]])
        return text

    def _remove_tagged(self, text: str) -> str:
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
        """All removed spans, as one text for the end of the prompt."""
        return "\n".join(span.strip() for span in self.spans if span.strip())
