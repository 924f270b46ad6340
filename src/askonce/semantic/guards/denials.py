"""Which words of a text stand under a negation."""

from collections.abc import Sequence

from askonce.semantic.guards.tokens import Token
from askonce.semantic.guards.wordlists import words_of
from askonce.semantic.guards.words import NEGATIONS, STOP

_UNABLE = frozenset(("cant", "cannot", "couldnt"))
_UNSURE = words_of("""
    know understand see remember sure find get seem recognize recognise certain able
    """)
_OTHERS = frozenset(("you", "he", "she", "they", "people", "who", "that", "which"))
_IDLE = frozenset(("why", "or", "if", "whether", "and"))


def denied(words: Sequence[Token], stems: Sequence[str]) -> tuple[int, frozenset[str]]:
    """How often a text denies, and the words that a negation stands before.

    "Or not", "why not" and an opening "isn't it" deny nothing.
    """
    found: set[str] = set()
    count = 0
    for at, token in enumerate(words):
        if token.word not in NEGATIONS:
            continue
        if token.starts or (at and _denies_nothing(words, at)):
            continue
        count += 1
        scope = [
            stem
            for stem, word in zip(stems[at + 1 : at + 6], words[at + 1 : at + 6], strict=True)
            if word.word not in STOP or word.word in ("like", "want", "know", "get", "have")
        ]
        found.update(scope[:2])
    return count, frozenset(found)


def _denies_nothing(words: Sequence[Token], at: int) -> bool:
    """Such as "or not", "why not"; and "I can't find", which only asks how."""
    word, before = words[at].word, words[at - 1].word
    following = words[at + 1].word if at + 1 < len(words) else ""
    if before in _IDLE:
        return before != "why" or word == "not"
    if word == "no" and following in ("idea", "clue"):
        return True
    if following in ("know", "understand") and before not in _OTHERS:
        return True
    if words[0].word == "why":
        return False  # it asks for the reason of the denial
    if before == "m" or before in ("i", "we", "am", "im", "do", "can", "could"):
        return word in _UNABLE or before in ("can", "could") or following in _UNSURE
    return False
