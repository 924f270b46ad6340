"""Neighbors: which earlier prompt a prompt should have followed."""

from collections import deque
from typing import NamedTuple

from askonce.prompts.analyzer.families import MIXED
from askonce.prompts.analyzer.hindsight import SeenPrefix
from askonce.prompts.analyzer.prompt_shapes import PromptShape, first_change
from askonce.prompts.analyzer.trie import TrieMatch

_RECENT = 6  # prompts of a session that are looked through
_SAID = 24  # tokens; shorter messages are said in many conversations


class Predecessor(NamedTuple):
    """An earlier prompt, the first block that differs, and whether it is the previous turn."""

    number: int
    shape: PromptShape
    block: int
    is_turn: bool


class Predecessors:
    """Keeps the shapes of all prompts, and finds the one to compare another with."""

    def __init__(self) -> None:
        self._shapes: list[PromptShape] = []
        self._sessions: dict[tuple[str, str, int], deque[int]] = {}
        self._echoes: dict[tuple[str, int], int] = {}
        self._families: dict[tuple[str, int], int] = {}

    @property
    def next_number(self) -> int:
        return len(self._shapes)

    def __getitem__(self, number: int) -> PromptShape:
        return self._shapes[number]

    def add(self, shape: PromptShape, scope: str) -> None:
        family, number = shape.family, len(self._shapes)
        self._shapes.append(shape)
        self._families[scope, family] = number
        if shape.session is not None:
            recent = self._sessions.setdefault(
                (scope, shape.session, family), deque(maxlen=_RECENT)
            )
            recent.append(number)
            return
        for block in range(shape.head, len(shape)):
            if shape.tokens_of(block) >= _SAID:
                self._echoes[scope, shape.hashes[block]] = number

    def of(
        self, shape: PromptShape, scope: str, seen: SeenPrefix | None, match: TrieMatch | None
    ) -> Predecessor | None:
        """The previous turn if there is one, else what shares the most, else the family's last."""
        family = shape.family
        if shape.session is not None:
            recent = self._sessions.get((scope, shape.session, family), ())
            turns = [self._near(number, shape, is_turn=True) for number in reversed(recent)]
            if turns:
                return max(turns, key=lambda near: near.block)
        if seen is not None:
            near = self._near(seen.visitor, shape, is_turn=True)
            if near.block == len(near.shape):
                return near  # it goes on where the other ended
        if shape.session is None:
            echo = self._echo(shape, scope)
            if echo is not None:
                return self._near(echo, shape, is_turn=True)
        if seen is not None and seen.blocks >= shape.head:
            return self._near(seen.visitor, shape, is_turn=False)
        last = None if family == MIXED else self._families.get((scope, family))
        if match is not None and self._shapes[match.neighbor].family == family != MIXED:
            last = match.neighbor
        return None if last is None else self._near(last, shape, is_turn=False)

    def _near(self, number: int, shape: PromptShape, *, is_turn: bool) -> Predecessor:
        other = self._shapes[number]
        return Predecessor(number, other, first_change(other, shape), is_turn)

    def _echo(self, shape: PromptShape, scope: str) -> int | None:
        """A prompt of the same conversation, by what was said in both."""
        for block in range(len(shape) - 1, shape.head - 1, -1):
            number = self._echoes.get((scope, shape.hashes[block]))
            if number is not None:
                other = self._shapes[number]
                return number if other.family == shape.family and _is_told(other, shape) else None
        return None


def _is_told(a: PromptShape, b: PromptShape) -> bool:
    """Do two prompts share most of one's conversation, and more than one message of it?"""
    said = {a.hashes[block]: a.tokens_of(block) for block in range(a.head, len(a))}
    shared = [said[one] for one in set(b.hashes[b.head :]) if one in said]
    whole = min(a.total - a.before(a.head), b.total - b.before(b.head))
    return len(shared) >= 2 and 2 * sum(shared) >= whole
