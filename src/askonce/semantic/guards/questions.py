"""What each question of a text asks: who, when, where, why, how, how many, whether."""

from collections.abc import Sequence

from askonce.semantic.guards.tokens import Token
from askonce.semantic.guards.wordlists import words_of

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
_TIMES = words_of("time years months weeks days hours minutes")
_TELLING = words_of("tell explain know say show ask help understand guide find check assist let")
_BEFORE_WHEN = _TELLING | words_of("me us about since until by of and or")


def asking(tokens: Sequence[Token]) -> tuple[str, ...]:
    """What each question asks: who, when, where, why, how, how many, whether."""
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
    """Such as "when I pay, why ...": it says when, it does not ask it."""
    if at and tokens[at - 1].word in _BEFORE_WHEN:
        return False
    return at + 1 < len(tokens) and tokens[at + 1].word not in _AFTER_WHEN


def _is_polite(tokens: Sequence[Token], at: int) -> bool:
    """Such as "can you tell me why", "do you know where": the question comes after."""
    if at + 2 >= len(tokens) or tokens[at + 1].word not in (
        "you",
        "i",
        "someone",
        "anyone",
        "anybody",
    ):
        return False
    return any(token.word in _TELLING for token in tokens[at + 2 : at + 4])


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
    if following in ("many", "much") and after in _TIMES:
        return "how many of time"
    return f"how {following}" if following in _MEASURED else "how"
