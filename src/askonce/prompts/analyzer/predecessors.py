"""The predecessor of a prompt: the earlier one that it should have followed."""

from collections import deque
from typing import NamedTuple

from askonce.prompts.analyzer.families import MIXED
from askonce.prompts.analyzer.fingerprints import PromptFingerprint, first_change
from askonce.prompts.analyzer.offline_optimum import SeenPrefix
from askonce.prompts.analyzer.trie import TrieMatch

_RECENT = 6  # prompts of a session that are compared
_DISTINCTIVE = 24  # tokens; shorter messages occur in many conversations


class Predecessor(NamedTuple):
    """An earlier prompt, the first block that differs, and whether it is the previous turn."""

    prompt: PromptFingerprint
    block: int
    is_turn: bool


class PredecessorIndex:
    """Keeps the fingerprints of all prompts, and finds the one to compare another with."""

    def __init__(self) -> None:
        self._prompts: list[PromptFingerprint] = []
        self._sessions: dict[tuple[str, str, int], deque[int]] = {}
        self._by_message: dict[tuple[str, int], int] = {}
        self._families: dict[tuple[str, int], int] = {}

    @property
    def next_number(self) -> int:
        return len(self._prompts)

    def __getitem__(self, number: int) -> PromptFingerprint:
        return self._prompts[number]

    def add(self, prompt: PromptFingerprint, scope: str) -> None:
        family, number = prompt.family, len(self._prompts)
        self._prompts.append(prompt)
        self._families[scope, family] = number
        if prompt.session is not None:
            recent = self._sessions.setdefault(
                (scope, prompt.session, family), deque(maxlen=_RECENT)
            )
            recent.append(number)
            return
        for block in range(prompt.head, len(prompt)):
            if prompt.tokens_of(block) >= _DISTINCTIVE:
                self._by_message[scope, prompt.hashes[block]] = number

    def find(
        self,
        prompt: PromptFingerprint,
        scope: str,
        seen: SeenPrefix | None,
        match: TrieMatch | None,
    ) -> Predecessor | None:
        """Find the previous turn, else the prompt that shares most, else the family's last one."""
        family = prompt.family
        if prompt.session is not None:
            recent = self._sessions.get((scope, prompt.session, family), ())
            turns = [self._predecessor(number, prompt, is_turn=True) for number in reversed(recent)]
            if turns:
                return max(turns, key=lambda predecessor: predecessor.block)
        if seen is not None:
            predecessor = self._predecessor(seen.visitor, prompt, is_turn=True)
            if predecessor.block == len(predecessor.prompt):
                return predecessor  # it continues where the other ended
        if prompt.session is None:
            earlier = self._find_by_message(prompt, scope)
            if earlier is not None:
                return self._predecessor(earlier, prompt, is_turn=True)
        if seen is not None and seen.blocks >= prompt.head:
            return self._predecessor(seen.visitor, prompt, is_turn=False)
        last = None if family == MIXED else self._families.get((scope, family))
        if match is not None and self._prompts[match.prompt].family == family != MIXED:
            last = match.prompt
        return None if last is None else self._predecessor(last, prompt, is_turn=False)

    def _predecessor(self, number: int, prompt: PromptFingerprint, *, is_turn: bool) -> Predecessor:
        other = self._prompts[number]
        return Predecessor(other, first_change(other, prompt), is_turn)

    def _find_by_message(self, prompt: PromptFingerprint, scope: str) -> int | None:
        """Find a prompt of the same conversation by the messages of both."""
        for block in range(len(prompt) - 1, prompt.head - 1, -1):
            number = self._by_message.get((scope, prompt.hashes[block]))
            if number is not None:
                other = self._prompts[number]
                return (
                    number
                    if other.family == prompt.family and _is_same_conversation(other, prompt)
                    else None
                )
        return None


def _is_same_conversation(a: PromptFingerprint, b: PromptFingerprint) -> bool:
    """Return whether two prompts share most of one's conversation, in at least two messages."""
    sizes = {a.hashes[block]: a.tokens_of(block) for block in range(a.head, len(a))}
    shared = [sizes[one] for one in set(b.hashes[b.head :]) if one in sizes]
    whole = min(a.total - a.before(a.head), b.total - b.before(b.head))
    return len(shared) >= 2 and 2 * sum(shared) >= whole
