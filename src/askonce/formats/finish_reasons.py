"""Finish reasons: the words that providers use for why an answer ended.

OpenAI and Anthropic document theirs; providers with a compatible API use dozens of others (`eos`,
`STOP`, `COMPLETE`, `stop_word`). So the rule is the other way round: a few roots of words say that
an answer was cut, filtered, refused, paused or failed, and an answer with any other word is whole.
"""

import functools
import re

from askonce.core.models import Reason

ROOTS: tuple[tuple[Reason, tuple[str, ...]], ...] = (
    (
        Reason.UNKNOWN_FINISH,
        (
            "abort", "cancel", "crash", "degenerat", "disconnect", "error", "evict", "except",
            "fail", "insufficient", "interrupt", "invalid", "kill", "loop", "malform", "missing",
            "other", "overload", "preempt", "repeat", "repetit", "timeout", "timed", "unavailable",
            "unexpected", "unknown", "unspecified",
        ),
    ),
    (
        Reason.FILTERED,
        (
            "armor", "blocked", "blocklist", "censor", "filter", "flag", "guardrail", "harmful",
            "language", "moderat", "policy", "prohibit", "recitation", "safety", "sensitive",
            "spii", "toxic", "unsafe", "violat",
        ),
    ),
    (Reason.REFUSAL, ("declin", "refus", "reject")),
    (
        Reason.LENGTH,
        (
            "budget", "cutoff", "exceed", "incomplete", "length", "limit", "max", "partial",
            "quota", "trunc", "window",
        ),
    ),
    (
        Reason.PAUSED,
        ("compact", "continu", "pause", "pending", "progress", "queue", "requires", "steer"),
    ),
)  # fmt: skip
"""Beginnings of words in a finish reason that say why an answer is not whole, in this order."""

_NOTHING = frozenset({"", "none", "null"})
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")


@functools.lru_cache(maxsize=256)
def unfit(finish: str | None) -> Reason | None:
    """Return why an answer that ended with this word must not be stored; None if it is whole.

    Parameters:
        finish: the provider's word; None, an empty text and `null` mean that it has not ended.
    """
    if finish is None or finish.strip().lower() in _NOTHING:
        return Reason.CUT_SHORT
    words = [word.lower() for word in _WORD.findall(finish)]
    for reason, roots in ROOTS:
        if any(word.startswith(roots) for word in words):
            return reason
    return None
