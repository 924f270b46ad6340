"""When a question asks it of: past or future; and whether it asks what may, should or must be."""

from collections.abc import Sequence

from askonce.semantic.guards.tokens import Token
from askonce.semantic.guards.wordlists import words_of

_WHO = words_of("who what which whose team party")
_PAST = words_of("did was were had didnt wasnt werent hadnt")
_FUTURE = words_of("will shall")  # not "won't", which may say that a thing refuses to
_MODALS = {
    "must": "must", "should": "should", "shouldnt": "should", "can": "may", "could": "may",
    "may": "may", "cant": "may", "cannot": "may", "mustnt": "must",
}  # fmt: skip
_SUPPOSING = words_of("if would could suppose imagine")
_PRESENT = words_of("is are am do does has have can isnt arent dont doesnt hasnt havent cant")
_TIMES = frozenset(("past", "present", "future"))
_OBLIGED = words_of("have required obliged")
_PAST_FORMS = words_of("""
    won lost got became came went began wrote made said took found gave sang led ran built bought
    sold sent spent taught told thought wore broke chose drew drove fell flew grew held kept knew
    left met paid rose saw shot spoke stole stood swam threw understood woke beat cost hit
    """)


def moods_of(words: Sequence[Token]) -> frozenset[str]:
    """One of past, present, future; and of an opening must, should, may."""
    moods = set()
    if words and words[0].word in _MODALS:
        moods.add(_MODALS[words[0].word])
    for at, token in enumerate(words):
        word = token.word
        ahead = words[at + 1].word if at + 1 < len(words) else ""
        # The first one is the question's own; those after it belong to what it speaks of.
        if word in _PAST or (at == 1 and words[0].word in _WHO and _is_past(word)):
            moods.update(("past",) if moods.isdisjoint(_TIMES) else ())
        elif word in _FUTURE or (word == "going" and ahead == "to"):
            moods.update(("future",) if moods.isdisjoint(_TIMES) else ())
        elif word in _PRESENT and ahead != "going":
            moods.update(("present",) if moods.isdisjoint(_TIMES) else ())
        if word in _OBLIGED and ahead == "to" and at <= 2 and words[0].word in ("do", "does"):
            moods.add("must")
    if any(token.word in _SUPPOSING for token in words):
        moods.discard("past")  # "what would happen if it was"
    return frozenset(moods)


def _is_past(word: str) -> bool:
    return word in _PAST_FORMS or (len(word) > 4 and word.endswith("ed"))
