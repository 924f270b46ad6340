"""The guards: may two questions that look alike share an answer?

Similarity only proposes; a guard can only veto. `prepare` reads a question once, into a `Text` that
is kept with its entry; `verdict` compares two of them in some microseconds, and `judge` puts the
similarity before it. Start in `verdicts`, which lists every guard under its reason word. The guards
lie in the files `*_guards`, what they compare is read by `text` and the files that it imports, and
the words that they know are in `lexicon`. Only `semantic`, `cli` and the benchmarks import this
package, by the names below.
"""

from askonce.semantic.guards.text import Text, prepare
from askonce.semantic.guards.verdicts import (
    GUARDS,
    GuardVerdict,
    Veto,
    judge,
    may_match,
    verdict,
    verdicts,
)

__all__ = [
    "GUARDS",
    "GuardVerdict",
    "Text",
    "Veto",
    "judge",
    "may_match",
    "prepare",
    "verdict",
    "verdicts",
]
