"""The grammar of a question: what it asks, its tense and modality, and what it negates."""

from collections.abc import Sequence

from askonce.semantic.guards.lexicon.english import NEGATIONS, STOP
from askonce.semantic.guards.lexicon.word_list import words_of
from askonce.semantic.guards.tokens import Token

_INTERROGATIVES = words_of("what which who whom whose when where why how")
_AUXILIARIES = words_of("""
    is are was were am do does did can could will would shall should may might must has have had
    isnt arent doesnt dont didnt cant wont
    """)
_MEASURED = words_of("""
    many much long old far often tall big fast high deep hard good bad large heavy likely well
    """)
_AFTER_WHEN = _AUXILIARIES | frozenset(("and", "or", "&", "/", ",", "?"))
_PEOPLE = words_of("to i we you one")
_WHOM = words_of("someone anyone people person those one man woman friend everyone")
_TIME_UNITS = words_of("time years months weeks days hours minutes")
_EXPLAINING = words_of("tell explain know say show ask help understand guide find check assist let")
_ASKING_WHEN = _EXPLAINING | words_of("me us about since until by of and or")


def asks_of(tokens: Sequence[Token]) -> tuple[str, ...]:
    """Return the question word of each question: who, when, where, how many, whether ..."""
    asks: list[str] = []
    for at, token in enumerate(tokens):
        word = token.word
        before = tokens[at - 1].word if at else "."
        opens = token.starts or before in (",", "and", "or", "/", "&")
        if word == "when" and _is_clause(tokens, at):
            continue
        if word == "who" and not opens and before in _WHOM:
            continue  # "anyone who can"
        if word in _INTERROGATIVES and (opens or not asks):
            asks.append(_full(word, tokens, at))
        elif token.starts and word in _AUXILIARIES and not _is_polite(tokens, at):
            asks.append("whether")
    return tuple(asks)


def _is_clause(tokens: Sequence[Token], at: int) -> bool:
    """Recognize "when I pay, why ...", which states a time and does not ask for one."""
    if at and tokens[at - 1].word in _ASKING_WHEN:
        return False
    return at + 1 < len(tokens) and tokens[at + 1].word not in _AFTER_WHEN


def _is_polite(tokens: Sequence[Token], at: int) -> bool:
    """Recognize "do you know where": the question comes after."""
    if at + 2 >= len(tokens) or tokens[at + 1].word not in (
        "you",
        "i",
        "someone",
        "anyone",
        "anybody",
    ):
        return False
    return any(token.word in _EXPLAINING for token in tokens[at + 2 : at + 4])


def _full(word: str, tokens: Sequence[Token], at: int) -> str:
    following = tokens[at + 1].word if at + 1 < len(tokens) else ""
    after = tokens[at + 2].word if at + 2 < len(tokens) else ""
    if word == "where" and not _PEOPLE.isdisjoint((following, after)):
        return "where to"
    if word == "how" and following == "soon":
        return "when"
    if word == "how" and following == "much" and after == "longer":
        return "how long"
    if word != "how":
        return "who" if word == "whom" else word
    if following in ("many", "much") and after in _TIME_UNITS:
        return "how many of time"
    return f"how {following}" if following in _MEASURED else "how"


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
    """Return the tense (past, present or future) and an opening modal (must, should or may)."""
    moods = set()
    if words and words[0].word in _MODALS:
        moods.add(_MODALS[words[0].word])
    for at, token in enumerate(words):
        word = token.word
        ahead = words[at + 1].word if at + 1 < len(words) else ""
        # The first one is the tense of the question; later ones belong to its subject.
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


_UNABLE = frozenset(("cant", "cannot", "couldnt"))
_UNSURE = words_of("""
    know understand see remember sure find get seem recognize recognise certain able
    """)
_OTHERS = frozenset(("you", "he", "she", "they", "people", "who", "that", "which"))
_IDLE = frozenset(("why", "or", "if", "whether", "and"))


def negations_of(words: Sequence[Token], stems: Sequence[str]) -> tuple[int, frozenset[str]]:
    """Count the negations of a text, and return the words that they stand before.

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
    """Recognize "or not", "why not"; and "I can't find", which only asks how."""
    word, before = words[at].word, words[at - 1].word
    following = words[at + 1].word if at + 1 < len(words) else ""
    if before in _IDLE:
        return before != "why" or word == "not"
    if word == "no" and following in ("idea", "clue"):
        return True
    if following in ("know", "understand") and before not in _OTHERS:
        return True
    if words[0].word == "why":
        return False  # the question is why something is not so
    if before == "m" or before in ("i", "we", "am", "im", "do", "can", "could"):
        return word in _UNABLE or before in ("can", "could") or following in _UNSURE
    return False
