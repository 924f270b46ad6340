"""The check of an answer's form before it is stored: its JSON, and its tool calls.

A short check is made at once, so the miss itself can say what was found. A long one is made in
the background, after the caller has the answer, so it delays no caller and blocks no event loop.
"""

from typing import Any

import msgspec

from askonce.core.content_encoding import codings_of
from askonce.core.fail_open import FailOpen
from askonce.core.models import Call, Reason
from askonce.core.policy import Limits
from askonce.core.request import CacheRequest
from askonce.core.runtime.interface import Runtime
from askonce.core.wire_format import AnswerParts, ExpectedAnswer
from askonce.formats import json_schema
from askonce.formats.answer_check import violation
from askonce.formats.content_decoding import decoded
from askonce.formats.expected_answer import may_expect

_STEPS_AT_ONCE = 2_000  # some milliseconds
_STEPS = 100_000  # some tenths of a second
_MOST_WAITING = 32  # long checks; beyond them, an answer is stored unchecked

_decode = msgspec.json.Decoder().decode


class FormCheck:
    """Checks the answers of one mode (sync or async).

    Args:
        runtime: The mode's runtime.
        boundary: The fail-open boundary: a fault of a check is not the answer's.
        limits: Say whether JSON must fit its schema and calls their tools, or JSON only has to be
            well-formed.
    """

    def __init__(self, runtime: Runtime, boundary: FailOpen, limits: Limits) -> None:
        self._runtime = runtime
        self._boundary = boundary
        self._whole = limits.validate == "schema"
        self._max_question = limits.max_question
        self._loaded = False
        self._waiting = 0

    async def check(self, request: CacheRequest, answer: Any) -> "FormVerdict":
        """Return why the form of an answer keeps it out; None if nothing does.

        A `LongCheck` if that takes too long to be found at once.
        """
        with self._boundary.around("validate"):
            parts, body = request.format.parts(answer), self._body(request.call)
            if isinstance(body, Reason) or (not parts.calls and not may_expect(body)):
                return None
            expected = request.format.expected(_decode(body))
            if expected.schema is None and not parts.calls:
                return None
            if not self._whole:
                return violation(expected, parts, None)
            if not self._loaded:
                await self._runtime.compute(json_schema.load)
                self._loaded = True
            try:
                return violation(expected, parts, _STEPS_AT_ONCE)
            except json_schema.StepsSpent:
                return LongCheck(self, expected, parts) if self._waiting < _MOST_WAITING else None
        return None

    def _body(self, call: Call) -> bytes | Reason:
        """Return the body of a call without its content encoding."""
        codings = codings_of(call.headers)
        return decoded(call.body, codings, self._max_question) if codings else call.body

    async def finish(self, expected: ExpectedAnswer, parts: AnswerParts) -> Reason | None:
        """Make a long check; None also if it takes too long even so."""
        self._waiting += 1
        try:
            with self._boundary.around("validate"):
                return await self._runtime.compute(lambda: _bounded(expected, parts))
        finally:
            self._waiting -= 1
        return None


def _bounded(expected: ExpectedAnswer, parts: AnswerParts) -> Reason | None:
    try:
        return violation(expected, parts, _STEPS)
    except json_schema.StepsSpent:
        return None


class LongCheck:
    """A check that is left for the background."""

    def __init__(self, checks: FormCheck, expected: ExpectedAnswer, parts: AnswerParts) -> None:
        self._checks = checks
        self._expected = expected
        self._parts = parts

    async def run(self) -> Reason | None:
        """Return why the form of the answer keeps it out; None if nothing does."""
        return await self._checks.finish(self._expected, self._parts)


FormVerdict = Reason | LongCheck | None
"""Why an answer is not stored, None for a right one, or the check that is still to be made."""
