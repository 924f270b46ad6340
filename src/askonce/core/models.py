"""The values that every package shares: keys, entries, calls, outcomes and their reasons."""

import enum
from collections.abc import Mapping
from decimal import Decimal
from types import MappingProxyType
from typing import Any, NamedTuple

import msgspec

KEY_VERSION = 2
"""The version of the keys that this AskOnce makes; see `core.keys`."""

CLOCK_SKEW_S = 5.0
"""Seconds by which the clocks of one store's processes may differ.

An entry from further ahead was stored by a clock that has been set back since. It counts as
expired, because nothing says how old it really is."""

SUBDIVIDES = "~"
"""Separates a namespace from the caller's subdivision of it; no namespace contains it."""


class Outcome(enum.StrEnum):
    """How a call was answered; the value is the word used in headers, metrics, logs and docs."""

    HIT_MEMORY = "memory"
    HIT_SHARED = "shared"
    HIT_SEMANTIC = "semantic"
    JOINED = "joined"
    STALE = "stale"
    MISS = "miss"
    BYPASS = "bypass"


class Reason(enum.StrEnum):
    """Why a call was bypassed, missed or not stored; one word, the same everywhere."""

    OK = "ok"
    # A bypass.
    UNKNOWN_ROUTE = "unknown-route"
    MALFORMED = "malformed"
    TOO_LARGE = "too-large"
    UNKNOWN_ENCODING = "unknown-encoding"
    NO_IDENTITY = "no-identity"
    SIGNED = "signed"
    NO_CACHE = "no-cache"
    NO_STORE = "no-store"
    SAMPLING = "sampling"
    HOSTED_TOOL = "hosted-tool"
    AUDIO = "audio"
    SERVER_STATE = "server-state"
    RULE = "rule"
    PERSONAL = "personal"
    TIME_SENSITIVE = "time-sensitive"
    SIDE_EFFECT = "side-effect"
    # A miss.
    NOT_FOUND = "not-found"
    EXPIRED = "expired"
    TOO_OLD = "too-old"
    INVALIDATED = "invalidated"
    OTHER_TAGS = "other-tags"
    ONLY_IF_CACHED = "only-if-cached"
    UPSTREAM_FAILED = "upstream-failed"
    # An answer that is not stored.
    STATUS = "status"
    CUT_SHORT = "cut-short"
    STREAM_ERROR = "stream-error"
    GARBAGE = "garbage"
    EMPTY = "empty"
    FILTERED = "filtered"
    REFUSAL = "refusal"
    LENGTH = "length"
    PAUSED = "paused"
    UNKNOWN_FINISH = "unknown-finish"
    NOT_JSON = "not-json"
    BAD_SCHEMA = "bad-schema"
    BAD_TOOL_CALL = "bad-tool-call"
    OVER_SIZE = "over-size"
    TTL_ZERO = "ttl-zero"
    BAD_TAGS = "bad-tags"
    VARY = "vary"
    STORE_FAILED = "store-failed"


MAY_ALSO_BE_STORED = (Reason.LENGTH, Reason.REFUSAL, Reason.HOSTED_TOOL)
"""Reasons against storing an answer that a setting or a rule may overrule."""


class Verdict(NamedTuple):
    """A decision and its reason: `(yes, reason)`."""

    yes: bool
    reason: Reason


class Key(NamedTuple):
    """The address of an entry: a namespace, a format and a SHA-256 of the question.

    Its text form is `namespace/format/` and 64 hexadecimal digits.

    Parameters:
        namespace: whose entries these are; may hold `/`.
        format: the name of the wire format, such as `openai_chat`.
        digest: 32 bytes, see `core.keys`.
    """

    namespace: str
    format: str
    digest: bytes

    def __str__(self) -> str:
        return f"{self.namespace}/{self.format}/{self.digest.hex()}"

    @classmethod
    def parse(cls, text: str) -> "Key":
        """Read a key in its text form.

        Parameters:
            text: `namespace/format/` and 64 hexadecimal digits. Raises ValueError if it is not.
        """
        rest, _, digest = text.rpartition("/")
        namespace, _, format_ = rest.rpartition("/")
        raw = bytes.fromhex(digest)
        if not namespace or not format_ or len(raw) != 32:
            raise ValueError(f"not a key: {text!r} (expected namespace/format/64 hex digits)")
        return cls(namespace, format_, raw)


class Usage(msgspec.Struct, frozen=True, omit_defaults=True):
    """Tokens of one answer, with the same names for every provider.

    Parameters:
        input_tokens: the whole prompt, including tokens read from the provider's own cache.
        output_tokens: the whole answer, including reasoning.
        cache_read_tokens: the part of the prompt read from the provider's cache.
        cache_write_tokens: the part of the prompt written to it, for any lifetime.
        reasoning_tokens: the part of the answer that is hidden reasoning.
        cache_write_1h_tokens: the part of `cache_write_tokens` kept for an hour; it costs more.
        cache_write_12h_tokens: the part of `cache_write_tokens` kept for twelve hours.
    """

    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    reasoning_tokens: int = 0
    cache_write_1h_tokens: int = 0
    cache_write_12h_tokens: int = 0

    @property
    def total_tokens(self) -> int:
        """The tokens of the prompt and of the answer together."""
        return self.input_tokens + self.output_tokens


class Shape(msgspec.Struct, frozen=True):
    """How a caller wants an answer presented; never part of the question.

    Parameters:
        stream: as server-sent events. Default: one JSON body.
        usage: with a usage event at the end of the stream (Chat Completions:
            `stream_options.include_usage`). Default: without.
    """

    stream: bool = False
    usage: bool = False


class Entry(msgspec.Struct, frozen=True):
    """A whole answer with its provenance.

    Parameters:
        key: the address it is stored under.
        body: the provider's non-streamed response, the normal form of every answer.
        status: the HTTP status; 400 or above for a refusal kept for a short while.
        headers: the kept response headers, with lower-case names.
        created: when the provider answered. All times are seconds since the Unix epoch.
        expires: until when the entry is fresh.
        stale_until: until when it may be served although it has expired.
        model: the model that answered.
        origin: the upstream's address, such as `https://api.openai.com`.
        question: the text of the last user turn.
        usage: the tokens of the original answer; None if unknown.
        cost_usd: the price of the original answer; None if unknown, which is not zero.
        latency_ms: how long the provider took, in milliseconds.
        tags: each tag with the epoch it had when the question was asked.
        route: the path that the question was sent to.
        asked_model: the model that the caller asked for.
        swept: the number of the last sweep before the question was asked.
        scope: the scope within which questions are compared by meaning; empty if they must not be.
        key_version: the version of the key; no question finds an entry of an older one.
    """

    key: Key
    body: bytes
    status: int
    headers: tuple[tuple[str, str], ...]
    created: float
    expires: float
    stale_until: float
    model: str = ""
    origin: str = ""
    question: str = ""
    usage: Usage | None = None
    cost_usd: Decimal | None = None
    latency_ms: float = 0.0
    tags: tuple[tuple[str, int], ...] = ()
    route: str = ""
    asked_model: str = ""
    swept: int = 0
    scope: bytes = b""
    key_version: int = KEY_VERSION

    @property
    def is_findable(self) -> bool:
        """Whether the key is of the present version, so that a question can find the entry."""
        return self.key_version == KEY_VERSION

    @property
    def is_refusal(self) -> bool:
        """Whether this is a provider's error answer, kept for a short while."""
        return self.status >= 400

    def is_fresh(self, now: float) -> bool:
        """Whether the entry has not expired.

        Parameters:
            now: the time, in seconds since the Unix epoch.
        """
        return now < self.expires and not self.is_ahead(now)

    def is_usable(self, now: float) -> bool:
        """Whether the entry may be served, fresh or stale.

        Parameters:
            now: the time, in seconds since the Unix epoch.
        """
        return now < max(self.stale_until, self.expires) and not self.is_ahead(now)

    def is_ahead(self, now: float) -> bool:
        """Whether a clock that was ahead stored the entry, see `CLOCK_SKEW_S`.

        Parameters:
            now: the time, in seconds since the Unix epoch.
        """
        # What AskOnce keeps for itself for good is created when it expires.
        return self.created - now > CLOCK_SKEW_S and self.created < self.expires

    def age(self, now: float) -> float:
        """Return seconds since the provider answered; 0 if a clock jumped back.

        Parameters:
            now: the time, in seconds since the Unix epoch.
        """
        return max(0.0, now - self.created)


class Call(msgspec.Struct, frozen=True):
    """One question as received.

    Parameters:
        method: the HTTP method.
        origin: the upstream's authority and path prefix, such as `https://api.openai.com`.
        path: the path after `origin`, with its query.
        headers: request headers with lower-case names.
        body: the request body.
        namespace: the server's view of who asks; None if unknown, which bypasses the cache.
        patience: seconds that this caller waits for the next bytes of a call that it joined. Its
            own upstream call follows its client's timeouts. Default: None, without a limit.
    """

    method: str
    origin: str
    path: str
    headers: Mapping[str, str]
    body: bytes
    namespace: str | None
    patience: float | None = None


class Selection(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The entries that an operation is about; every field that is given must match.

    Parameters:
        keys: only entries under these keys. Default: any key.
        namespace: only entries of this namespace. Default: any namespace.
        expired_before: only entries that expired before this time (seconds since the Unix epoch).
            Default: any expiry.
    """

    keys: tuple[Key, ...] | None = None
    namespace: str | None = None
    expired_before: float | None = None


class Lease(NamedTuple):
    """The temporary right of one process to ask the provider a key's question.

    Parameters:
        key: the key of the question.
        fence: a number that grows with every lease of the key; a lower one has been lost.
    """

    key: Key
    fence: int


class ChangeBatch(msgspec.Struct, frozen=True):
    """A part of a store's change feed: what other processes changed since a cursor.

    Parameters:
        cursor: where the next batch begins.
        epochs: the raised epochs of tags. Default: none.
        removed: the selections that were removed. Default: none.
        lost: True if the store no longer knows all changes: anything may have changed.
    """

    cursor: str
    epochs: dict[str, int] = {}
    removed: tuple[Selection, ...] = ()
    lost: bool = False

    @property
    def empty(self) -> bool:
        """Whether nothing changed."""
        return not (self.epochs or self.removed or self.lost)


class EventMessage(NamedTuple):
    """An event as read from a source.

    Parameters:
        cursor: where to go on reading once the event is applied; None leaves the cursor in place.
        id: the event's identity; an event without one may be applied more than once.
        event: its name.
        data: its members.
        error: why it cannot be applied; None for a valid event.
    """

    cursor: str | None
    id: str | None = None
    event: str = ""
    data: Mapping[str, Any] = MappingProxyType({})
    error: str | None = None


class NearestKey(NamedTuple):
    """A key whose question is similar to another one.

    Parameters:
        key: the key of the similar entry.
        similarity: the cosine of the two vectors, from -1 to 1.
    """

    key: Key
    similarity: float


class Damage(msgspec.Struct, frozen=True):
    """A fault that `check` found.

    Parameters:
        what: what is wrong, in a few words.
        where: the key, the row or the file that is damaged.
    """

    what: str
    where: str
