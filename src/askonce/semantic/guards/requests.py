"""Guards on what is asked for, and in which form: question word, code, language, format."""

from askonce.semantic.guards.languages import FOREIGN
from askonce.semantic.guards.text import Text
from askonce.semantic.guards.words import STOP

_APART = (
    ("when", "where"), ("when", "why"), ("when", "how"), ("where", "why"), ("where", "how"),
    ("who", "when"), ("who", "why"), ("who", "how"), ("whether", "when"), ("whether", "who"),
    ("which", "why"),
    ("how many", "how long"), ("how many", "how old"), ("how long", "how often"),
    ("how long", "how far"), ("how old", "how tall"), ("how much", "how long"),
    ("how many", "why"), ("how much", "why"), ("how much", "where"), ("how long", "why"),
    ("how old", "where"), ("how old", "why"), ("how long", "where"), ("how often", "why"),
)  # fmt: skip
_SAME_MATTER = frozenset((("whether", "why"), ("why", "whether"), ("how", "why"), ("why", "how")))
_MEASURES = {
    f"how {word}": word
    for word in ("long", "old", "often", "tall", "big", "fast", "deep", "hard", "heavy", "far")
} | {"how large": "big", "how high": "tall"}
_QUESTIONS = frozenset(pair for one, two in _APART for pair in ((one, two), (two, one)))


def other_question(a: Text, b: Text) -> bool:
    """When, where, who, how many: not the same thing is asked of the same matter."""
    if not a.asks or not b.asks or a.asks == b.asks:
        return False
    if set(a.asks) & set(b.asks):
        return False
    pair = (a.asks[0], b.asks[0])
    if pair[0] in _MEASURES and pair[1] in _MEASURES:
        return _MEASURES[pair[0]] != _MEASURES[pair[1]]
    if set(pair) == {"how many", "what"}:
        return not (a.quantities or b.quantities) and _COUNTS.isdisjoint(a.surfaces | b.surfaces)
    if set(pair) == {"whether", "when"}:
        return "soon" not in a.surfaces | b.surfaces
    if set(pair) == {"who", "how"}:
        return not {"i", "we"} & a.surfaces & b.surfaces  # "who do I call to", "how do I"
    if set(pair) == {"where", "how"}:
        return _FINDING.isdisjoint(a.surfaces | b.surfaces)  # how to find is where to find
    if set(pair) == {"what", "why"}:
        return a.bag == b.bag and _PURPOSE.isdisjoint(a.surfaces | b.surfaces)
    return pair in _QUESTIONS or (pair in _SAME_MATTER and a.bag == b.bag)


_FINDING = frozenset(("find", "found", "locate", "located", "get", "see", "order", "ordered"))
_COUNTS = frozenset(
    ("number", "count", "total", "amount", "value", "content", "population", "size")
)
_PURPOSE = frozenset(("for", "reason", "reasons", "up"))


_MOODS = frozenset(
    pair
    for one, two in (("past", "future"), ("must", "should"), ("must", "may"))
    for pair in ((one, two), (two, one))
)


def other_mood(a: Text, b: Text) -> bool:
    """One asks of the past and one of the future; one what must be and one what may be."""
    if a.moods == b.moods or not a.asks or not b.asks:
        return False
    left, right = a.moods - b.moods, b.moods - a.moods
    return any((one, two) in _MOODS for one in left for two in right)


def other_quotation(a: Text, b: Text) -> bool:
    """Each quotes what the other does not say."""
    mine, theirs = a.marks.quoted, b.marks.quoted
    if mine == theirs:
        return False
    if mine and theirs and mine.isdisjoint(theirs):
        return not any(_within(one, two) or _within(two, one) for one in mine for two in theirs)
    return _says_not(mine - theirs, b) and _says_not(theirs - mine, a)


def _within(part: str, whole: str) -> bool:
    return f" {part} " in f" {whole} "


def _says_not(quotations: frozenset[str], other: Text) -> bool:
    return any(not _all_known(quotation.split(), other) for quotation in quotations)


def _all_known(words: list[str], other: Text) -> bool:
    return all(word in other.surfaces for word in words)


def other_code(a: Text, b: Text) -> bool:
    """Other code, another address or path, another formula."""
    if a.marks == b.marks:
        return False
    code = a.marks.code != b.marks.code and bool(a.marks.code and b.marks.code)
    formulas = a.marks.formulas != b.marks.formulas and bool(a.marks.formulas and b.marks.formulas)
    return code or formulas


def other_language(a: Text, b: Text) -> bool:
    """Written in another language or script, or asking for another language."""
    if a.tongue != b.tongue:
        if a.tongue.script and b.tongue.script and a.tongue.script != b.tongue.script:
            return True
        if (a.tongue.language == "en" and _is_foreign(b)) or (
            b.tongue.language == "en" and _is_foreign(a)
        ):
            return True
        if a.tongue.language and b.tongue.language and a.tongue.language != b.tongue.language:
            return True
    return bool(a.tongues - b.tongues) and bool(b.tongues - a.tongues)


def _is_foreign(text: Text) -> bool:
    """No word of English grammar, and some of another language."""
    return (
        not text.is_english
        and text.surfaces.isdisjoint(STOP)
        and not text.surfaces.isdisjoint(FOREIGN)
    )


def other_form(a: Text, b: Text) -> bool:
    """Another form of answer: as a table, as JSON, in one sentence, step by step."""
    other = a.marks.forms ^ b.marks.forms
    if not (a.marks.forms and b.marks.forms) or "list" in a.surfaces & b.surfaces:
        other -= {"list"}  # what asks for several things is answered by a list anyway
    if "method" in a.bag and "method" in b.bag:
        other -= {"step by step"}
    return bool(other)


def other_tail(a: Text, b: Text) -> bool:
    """Beyond the words that are looked at one by one, texts must be equal."""
    return a.tail != b.tail
