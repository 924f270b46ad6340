"""Guards on the request itself: question word, mood, quotation, code, language, output form."""

from askonce.semantic.guards.lexicon.english import STOP
from askonce.semantic.guards.lexicon.languages import FOREIGN
from askonce.semantic.guards.text import Text

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
    """Veto another question word: when, where, who, how many."""
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
    """Veto past against future, and "must" against "may" or "should"."""
    if a.moods == b.moods or not a.asks or not b.asks:
        return False
    left, right = a.moods - b.moods, b.moods - a.moods
    return any((one, two) in _MOODS for one in left for two in right)


def other_quotation(a: Text, b: Text) -> bool:
    """Veto if each quotes words that the other does not have."""
    mine, theirs = a.spans.quoted, b.spans.quoted
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
    """Veto other code, another address or path, another formula."""
    if a.spans == b.spans:
        return False
    code = a.spans.code != b.spans.code and bool(a.spans.code and b.spans.code)
    formulas = a.spans.formulas != b.spans.formulas and bool(a.spans.formulas and b.spans.formulas)
    return code or formulas


def other_language(a: Text, b: Text) -> bool:
    """Veto another language or script, and a request for another language."""
    if a.locale != b.locale:
        if a.locale.script and b.locale.script and a.locale.script != b.locale.script:
            return True
        if (a.locale.language == "en" and _is_foreign(b)) or (
            b.locale.language == "en" and _is_foreign(a)
        ):
            return True
        if a.locale.language and b.locale.language and a.locale.language != b.locale.language:
            return True
    return bool(a.languages_named - b.languages_named) and bool(
        b.languages_named - a.languages_named
    )


def _is_foreign(text: Text) -> bool:
    """Return whether the text has no little word of English, and some of another language."""
    return (
        not text.is_english
        and text.surfaces.isdisjoint(STOP)
        and not text.surfaces.isdisjoint(FOREIGN)
    )


def other_form(a: Text, b: Text) -> bool:
    """Veto another output form: as a table, as JSON, in one sentence, step by step."""
    other = a.spans.forms ^ b.spans.forms
    if not (a.spans.forms and b.spans.forms) or "list" in a.surfaces & b.surfaces:
        other -= {"list"}  # a question for several things gets a list anyway
    if "method" in a.bag and "method" in b.bag:
        other -= {"step by step"}
    return bool(other)


def other_tail(a: Text, b: Text) -> bool:
    """Veto another text beyond the words that are compared one by one."""
    return a.tail != b.tail
