"""Recognition of a call: its wire format, its question and its key (steps 1 to 3 of the pipeline).

All of it follows from the call's bytes, so the result for one call is remembered for the next call
with the same bytes.
"""

import hashlib
from typing import Any

import msgspec

from askonce.core import document_tags, keys, policy
from askonce.core.bounded import BoundedMap
from askonce.core.directives import NONE, Directives
from askonce.core.errors import CallMalformed, ConfigError
from askonce.core.identity import without_credentials
from askonce.core.models import Call, Key, Reason
from askonce.core.origins import Origins
from askonce.core.request_headers import STANDARD, HeaderKinds, HeaderSelector, normalized
from askonce.core.request_signature import SIGNATURE_HEADERS, signer
from askonce.core.rules.ruleset import NO_RULING, Ruleset, Ruling
from askonce.core.scopes import Incomparable, Scoped, Scoping, scoped
from askonce.core.wire_format import ParsedQuestion, WireFormat
from askonce.formats import recognize
from askonce.pipeline.question_reader import QuestionReader
from askonce.pipeline.restless_members import RestlessMembers

_GENERATION_BYTES = 4 << 20
"""The size of each of the two generations of remembered calls."""
_LARGEST_REMEMBERED = 65_536  # bytes; a longer body is parsed each time, which is cheap for it
_RECORD_BYTES = 1_024  # memory for a question beside its body, roughly
_KEY_CONTEXTS = 1_024
_LONGEST_CONTEXT = 8_192  # characters; longer ones are not remembered, which bounds the memory


class Recognized(msgspec.Struct, frozen=True):
    """A call that one of the formats understands, and the rules that apply to its question.

    `plain` are the directives under these rules of a caller who gives none.
    """

    format: WireFormat
    question: ParsedQuestion
    key: Key
    ruling: Ruling = NO_RULING
    plain: Directives = NONE
    _last: list[tuple[Directives, Directives]] = []

    def under_rules(self, directives: Directives) -> Directives:
        """Apply the rules to a caller's directives; the last result is remembered."""
        if self.ruling is NO_RULING:
            return directives
        if directives is NONE:
            return self.plain
        for given, found in self._last:  # one at most; another thread may replace it meanwhile
            if given is directives:
                return found
        made = policy.ruled(directives, self.ruling)
        self._last[:] = [(directives, made)]
        return made


class Recognition:
    """Recognizes calls, and remembers the last ones; both modes share it.

    Args:
        limits: The largest question, and the members that name documents.
        rules: The user's rules; None if there are none.
        origins: Says which addresses are the providers' own; None for the standard table.
        restless: Finds headers and members that never repeat; None to look for none.
        kinds: Which headers are part of the question.
    """

    def __init__(
        self,
        limits: policy.Limits,
        rules: Ruleset | None = None,
        *,
        origins: Origins | None = None,
        restless: RestlessMembers | None = None,
        kinds: HeaderKinds = STANDARD,
    ) -> None:
        self._kinds = kinds
        self._headers = HeaderSelector[str](kinds.is_question)
        self._restless = restless
        self._limits = limits
        self._reader = QuestionReader(limits.max_question, origins or Origins())
        self._document_fields = limits.document_fields
        self._rules = rules
        self._contexts: BoundedMap[tuple[object, ...], keys.KeyContext] = BoundedMap(_KEY_CONTEXTS)
        # Two generations instead of a `BoundedMap`: a hit then costs one look into a dictionary.
        self._young: dict[tuple[object, ...], Recognized] = {}
        self._young_bytes = 0
        self._old: dict[tuple[object, ...], Recognized] = {}

    def recognize(self, call: Call, namespace: str) -> Recognized | Reason:
        """Return a call's format, question and key, or the reason why it has none."""
        small = len(call.body) <= _LARGEST_REMEMBERED
        if small:
            coding = call.headers.get("content-encoding")
            names = tuple(call.headers)
            kept, read = self._headers.known(names) or self._headers.learn(names)
            where = (namespace, call.origin, call.path, call.method)
            seen = (call.body, *where, kept, read(call.headers), coding)
            known = self._young.get(seen) or self._old.get(seen)
            if known is not None:
                return known
        found = self._parse(call, namespace, self._question_headers(call))
        if small and isinstance(found, Recognized):
            if self._young_bytes >= _GENERATION_BYTES:
                self._old, self._young = self._young, {}
                self._young_bytes = 0
            self._young_bytes += len(call.body) + len(call.path) + _RECORD_BYTES
            self._young_bytes += sum([len(call.headers[name]) for name in kept])
            self._young[seen] = found
        return found

    def scope(
        self, call: Call, known: WireFormat, namespace: str, scoping: Scoping
    ) -> Scoped | Incomparable:
        """Return the scope within which a recognized call's question may be compared by meaning.

        This reads the body once more: few calls come this far.
        """
        context = self._key_context(call, namespace, known, self._question_headers(call))
        read = self._reader.read(call, known)
        if isinstance(read, Reason):  # it was read before, so this does not happen
            raise CallMalformed(f"the body has no question: {read}")
        return scoped(context, read.question.asked, scoping)

    def _parse(
        self, call: Call, namespace: str, headers: tuple[tuple[str, str], ...]
    ) -> Recognized | Reason:
        path = call.path.partition("?")[0]
        known = recognize(path) if call.method == "POST" else None
        if known is None:
            return Reason.UNKNOWN_ROUTE
        read = self._reader.read(call, known)
        if isinstance(read, Reason):
            return read
        body, question = read
        try:
            key = self._key_context(call, namespace, known, headers).key(question.asked)
        except (ValueError, CallMalformed, RecursionError):
            return Reason.MALFORMED
        if self._restless is not None and policy.may_ask(question, NONE, self._limits).yes:
            self._restless.observe((call.origin, path), question.text, headers, question.asked)
        ruling = NO_RULING
        if self._rules is not None:
            ruling = self._rules.ruling(
                question.text, model=question.model, route=path, format=known.name
            )
        if self._document_fields:
            ruling = self._with_documents(ruling, body)
        # The parsed tree was only needed for the key.
        question = msgspec.structs.replace(question, asked={})
        return Recognized(known, question, key, ruling, policy.ruled(NONE, ruling))

    def _with_documents(self, ruling: Ruling, body: Any) -> Ruling:
        """Add the tags of the documents that the request names."""
        try:
            tags = document_tags.tags_in(body, self._document_fields)
        except ConfigError:
            # The documents behind the answer are unknown, so it is not kept.
            return ruling._replace(tags_in_doubt=True)
        return ruling._replace(tags=(*ruling.tags, *tags)) if tags else ruling

    def _question_headers(self, call: Call) -> tuple[tuple[str, str], ...]:
        """Return the headers that are part of the question, sorted, in one spelling."""
        is_signed = signer(call.headers) is not None
        found = []
        for name, value in zip(*self._headers.select(call.headers), strict=True):
            said = normalized(name, value)
            if said is not None and not (is_signed and name in SIGNATURE_HEADERS):
                found.append((name, said))
        return tuple(found)

    def _key_context(
        self,
        call: Call,
        namespace: str,
        known: WireFormat,
        headers: tuple[tuple[str, str], ...],
    ) -> keys.KeyContext:
        named = (namespace, known.name, call.origin, call.path, headers)
        context = self._contexts.get(named)
        if context is None:
            context = keys.KeyContext(
                namespace,
                known.name,
                origin=call.origin,
                path=without_credentials(call.path, self._kinds),
                headers=headers,
            )
            size = len(call.path) + sum([len(value) for _, value in headers])
            if size <= _LONGEST_CONTEXT:
                self._contexts[named] = context
        return context


def sampled_key(key: Key, sample: int) -> Key:
    """Return the key of the n-th sample of a question; the first one's is the question's own."""
    if sample == 0:
        return key
    salted = hashlib.sha256(b"askonce-sample-1:%d:" % sample + key.digest).digest()
    return Key(key.namespace, key.format, salted)
