"""Recognizing a call: which format it is, what was asked, and under which key.

Steps 1 to 3 of the request path, for one cache. All of it depends on the call's bytes alone, so
what was worked out for one call is remembered for the next call with the same bytes.
"""

import hashlib
from collections.abc import Mapping
from typing import Any

import msgspec

from askonce.core import document_tags, keys, policy
from askonce.core.directives import NONE, Directives
from askonce.core.errors import CallMalformed, ConfigError
from askonce.core.models import Call, Key, Reason
from askonce.core.rules.ruleset import NO_RULING, Ruleset, Ruling
from askonce.core.scopes import Incomparable, Scoped, Scoping, scoped
from askonce.core.wire_format import ParsedQuestion, WireFormat
from askonce.formats import recognize

_decode = msgspec.json.Decoder().decode
_REMEMBERED_BYTES = 4 << 20  # of bodies, in each of two generations
_SMALL = 65_536  # a longer body is worked out anew; it costs its caller little
_RECORD_BYTES = 1_024  # what is remembered of a question beside its body, roughly
_PLACES = 1_024
_Scope = Scoped | Incomparable


class Recognized(msgspec.Struct, frozen=True):
    """A call that one of the formats understands, and what the rules say of its question.

    `plain` are the wishes of a caller who says nothing, under these rules.
    """

    format: WireFormat
    question: ParsedQuestion
    key: Key
    ruling: Ruling = NO_RULING
    plain: Directives = NONE
    _last: list[tuple[Directives, Directives]] = []

    def under_rules(self, directives: Directives) -> Directives:
        """A caller's wishes under the rules; what the last caller wished is remembered."""
        if self.ruling is NO_RULING:
            return directives
        if directives is NONE:
            return self.plain
        for said, found in self._last:  # one at most; another thread may replace it meanwhile
            if said is directives:
                return found
        made = policy.ruled(directives, self.ruling)
        self._last[:] = [(directives, made)]
        return made


class Recognition:
    """Recognizes calls, and remembers those it saw last."""

    def __init__(self, limits: policy.Limits, rules: Ruleset | None = None) -> None:
        self._max_question = limits.max_question
        self._document_fields = limits.document_fields
        self._rules = rules
        self._places: dict[tuple[object, ...], keys.KeyContext] = {}
        self._young: dict[tuple[object, ...], Recognized] = {}
        self._young_bytes = 0
        self._old: dict[tuple[object, ...], Recognized] = {}

    def recognize(self, call: Call, namespace: str) -> Recognized | Reason:
        """The call's format, question and key, or why it has none."""
        matter = headers_that_matter(call.headers)
        small = len(call.body) <= _SMALL
        if small:
            seen = (call.body, namespace, call.origin, call.path, call.method, matter)
            known = self._young.get(seen) or self._old.get(seen)
            if known is not None:
                return known
        found = self._work_out(call, namespace, matter)
        if small and isinstance(found, Recognized):
            if self._young_bytes >= _REMEMBERED_BYTES:
                self._old, self._young = self._young, {}
                self._young_bytes = 0
            self._young_bytes += len(call.body) + _RECORD_BYTES
            self._young[seen] = found
        return found

    def scope(self, call: Call, known: WireFormat, namespace: str, scoping: Scoping) -> _Scope:
        """Within what a recognized call's question may be compared by meaning.

        The body is read once more: only calls that nobody has asked before come this far.
        """
        place = self._place(call, namespace, known, headers_that_matter(call.headers))
        return scoped(place, known.read(_decode(call.body)).asked, scoping)

    def _work_out(
        self, call: Call, namespace: str, matter: tuple[tuple[str, str], ...]
    ) -> Recognized | Reason:
        path = call.path.partition("?")[0]
        known = recognize(path) if call.method == "POST" else None
        if known is None:
            return Reason.UNKNOWN_ROUTE
        if len(call.body) > self._max_question:
            return Reason.TOO_LARGE
        try:
            body = _decode(call.body)
            question = known.read(body)
            key = self._place(call, namespace, known, matter).key(question.asked)
        except (msgspec.MsgspecError, ValueError, CallMalformed, RecursionError):
            return Reason.MALFORMED
        ruling = NO_RULING
        if self._rules is not None:
            ruling = self._rules.ruling(
                question.text, model=question.model, route=path, format=known.name
            )
        if self._document_fields:
            ruling = self._with_documents(ruling, body)
        # The tree was only needed for the key.
        question = msgspec.structs.replace(question, asked={})
        return Recognized(known, question, key, ruling, policy.ruled(NONE, ruling))

    def _with_documents(self, ruling: Ruling, body: Any) -> Ruling:
        """The ruling, with the tags of the documents that the request names."""
        try:
            tags = document_tags.tags_in(body, self._document_fields)
        except ConfigError:
            # Nobody knows what the answer is made from: it is not kept.
            return ruling._replace(tags_in_doubt=True)
        return ruling._replace(tags=(*ruling.tags, *tags)) if tags else ruling

    def _place(
        self, call: Call, namespace: str, known: WireFormat, matter: tuple[tuple[str, str], ...]
    ) -> keys.KeyContext:
        named = (namespace, known.name, call.origin, call.path, matter)
        place = self._places.get(named)
        if place is None:
            if len(self._places) >= _PLACES:
                self._places.clear()
            place = keys.KeyContext(
                namespace, known.name, origin=call.origin, path=call.path, headers=matter
            )
            self._places[named] = place
        return place


def headers_that_matter(headers: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """The headers that can change an answer, in a fixed order."""
    return tuple([(name, headers[name]) for name in keys.HEADERS_THAT_MATTER if name in headers])


def sampled_key(key: Key, sample: int) -> Key:
    """The key of the n-th sample of a question; the first one's is the question's own."""
    if sample == 0:
        return key
    salted = hashlib.sha256(b"askonce-sample-1:%d:" % sample + key.digest).digest()
    return Key(key.namespace, key.format, salted)
