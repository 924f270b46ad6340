"""Finish reasons: the roots of words that say for an answer that is not whole, and their page."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from askonce.core.models import Reason
from askonce.formats.finish_reasons import ROOTS, unfit
from tests.docs.pages import rows, words

WHOLE = [
    "stop", "STOP", "eos", "EOS_TOKEN", "eos_token", "end_turn", "endTurn", "stop_sequence",
    "STOP_SEQUENCE", "stop_word", "COMPLETE", "complete", "completed", "finished", "done", "normal",
    "tool_calls", "tool_use", "TOOL_CALL", "function_call", "end-of-turn", "endoftext", "success",
    "FINISH_REASON_STOP", "natural", "1", "完成",
]  # fmt: skip

NOT_WHOLE = {
    Reason.LENGTH: [
        "length", "max_tokens", "MAX_TOKENS", "maxTokens", "model_length", "max_new_tokens",
        "token_limit", "TokenLimitReached", "model_context_window_exceeded", "incomplete",
        "context_length_exceeded", "truncated", "FINISH_REASON_MAX_TOKENS",
    ],
    Reason.FILTERED: [
        "content_filter", "contentFilter", "content_filtered", "SAFETY", "RECITATION", "BLOCKLIST",
        "PROHIBITED_CONTENT", "SPII", "IMAGE_SAFETY", "LANGUAGE", "guardrail_intervened",
        "sensitive", "moderation", "model_armor", "blocked",
    ],
    Reason.REFUSAL: ["refusal", "refused", "declined"],
    Reason.PAUSED: ["pause_turn", "compaction", "CONTINUATION", "in_progress", "requires_action"],
    Reason.UNKNOWN_FINISH: [
        "error", "ERROR_TOXIC", "network_error", "abort", "aborted", "cancelled", "USER_CANCEL",
        "timeout", "time-out timed out", "insufficient_system_resource", "OTHER", "unknown",
        "FINISH_REASON_UNSPECIFIED", "MALFORMED_FUNCTION_CALL", "UNEXPECTED_TOOL_CALL", "failed",
        "engine_overloaded", "repetition", "interrupted", "exception",
    ],
    Reason.CUT_SHORT: ["", " ", "null", "None"],
}  # fmt: skip


@pytest.mark.parametrize("finish", WHOLE)
def test_other_words_for_a_whole_answer(finish: str) -> None:
    assert unfit(finish) is None


@pytest.mark.parametrize(
    ("finish", "reason"),
    [(finish, reason) for reason, known in NOT_WHOLE.items() for finish in known],
)
def test_words_for_an_answer_that_is_not_whole(finish: str, reason: Reason) -> None:
    assert unfit(finish) is reason


def test_none_is_no_finish() -> None:
    assert unfit(None) is Reason.CUT_SHORT


@given(
    st.sampled_from([(reason, root) for reason, roots in ROOTS for root in roots]),
    st.sampled_from(["{}", "finish_{}", "{}-reason", "FINISH_{}", "the {} ed"]),
    st.booleans(),
)
def test_a_root_counts_wherever_its_word_stands(
    known: tuple[Reason, str], form: str, capital: bool
) -> None:
    reason, root = known
    word = form.format(root)
    assert unfit(word.upper() if capital else word) is reason


def test_the_page_lists_the_roots() -> None:
    listed = {
        words(row[0])[0]: words(row[1])
        for row in rows("docs/reference/reasons.md", "not stored as")
    }
    assert listed == {str(reason): sorted(roots) for reason, roots in ROOTS}
