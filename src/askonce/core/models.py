"""The precise values that every part shares: keys, entries, outcomes and the reasons for them."""

import enum
from collections.abc import Mapping
from decimal import Decimal
from types import MappingProxyType
from typing import Any, NamedTuple

import msgspec

SUBDIVIDES = "~"
"""Separates a namespace from the caller's own subdivision of it; no namespace contains it."""


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
    # Not asked of the cache at all.
    UNKNOWN_ROUTE = "unknown-route"
    MALFORMED = "malformed"
    TOO_LARGE = "too-large"
    NO_IDENTITY = "no-identity"
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
    # A miss, and why.
    NOT_FOUND = "not-found"
    EXPIRED = "expired"
    TOO_OLD = "too-old"
    INVALIDATED = "invalidated"
    OTHER_TAGS = "other-tags"
    ONLY_IF_CACHED = "only-if-cached"
    UPSTREAM_FAILED = "upstream-failed"
    # An answer that must not be stored.
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
    BAD_TOOL_CALL = "bad-tool-call"
    OVER_SIZE = "over-size"
    TTL_ZERO = "ttl-zero"
    BAD_TAGS = "bad-tags"
    STORE_FAILED = "store-failed"


class Verdict(NamedTuple):
    """A decision and the word for it: `(yes, reason)`."""

    yes: bool
    reason: Reason


class Key(NamedTuple):
    """The only way to address an entry: a namespace, a format and a SHA-256 of the question."""

    namespace: str
    format: str
    digest: bytes

    def __str__(self) -> str:
        return f"{self.namespace}/{self.format}/{self.digest.hex()}"

    @classmethod
    def parse(cls, text: str) -> "Key":
        """Read a printed key. Raises ValueError where the text is not one."""
        rest, _, digest = text.rpartition("/")
        namespace, _, format_ = rest.rpartition("/")
        raw = bytes.fromhex(digest)
        if not namespace or not format_ or len(raw) != 32:
            raise ValueError(f"not a key: {text!r} (expected namespace/format/64 hex digits)")
        return cls(namespace, format_, raw)


class Usage(msgspec.Struct, frozen=True, omit_defaults=True):
    """Tokens of one answer, in the same words for every provider.

    `input_tokens` counts the whole prompt, read from a provider's own cache or not. Of the tokens
    written to that cache, some may be for one of its longer lifetimes, which cost more.
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
        return self.input_tokens + self.output_tokens


class Shape(msgspec.Struct, frozen=True):
    """How a caller wants an answer shown; presentation, never part of the question."""

    stream: bool = False
    usage: bool = False  # Chat Completions: `stream_options.include_usage`


class Entry(msgspec.Struct, frozen=True):
    """A whole answer with its provenance.

    `body` is the provider's non-streamed response (its normal form). Times are seconds since the
    Unix epoch; `tags` pairs each tag with the epoch it had when the question was asked, and
    `swept` is the number of the last sweep before that. `model` is the one that answered,
    `asked_model` the one that was asked for; `route` is the path that the question went to.
    `scope` is within what the question may be compared by meaning; empty where it may not be.
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

    @property
    def is_refusal(self) -> bool:
        """Is it the provider's "no" to this question, kept for a short while?"""
        return self.status >= 400

    def is_fresh(self, now: float) -> bool:
        return now < self.expires

    def is_usable(self, now: float) -> bool:
        return now < self.stale_until or now < self.expires

    def age(self, now: float) -> float:
        """Seconds since the provider answered; never negative, even if a clock jumped back."""
        return max(0.0, now - self.created)


class Call(msgspec.Struct, frozen=True):
    """One question as received.

    `origin` is the upstream's authority and path prefix (`https://api.openai.com`), `path` what
    follows it with its query, `headers` have lower-case names. `namespace` is the server's view
    of who asks; `None` means that it is not known, which bypasses the cache.
    """

    method: str
    origin: str
    path: str
    headers: Mapping[str, str]
    body: bytes
    namespace: str | None
    patience: float | None = None
    """Seconds that this caller waits for news of a call that it joined; None for as long as it
    takes. How long its own upstream call may take is its client's question."""


class Selection(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Which entries an operation names; every field given must match."""

    keys: tuple[Key, ...] | None = None
    namespace: str | None = None
    expired_before: float | None = None


class Lease(NamedTuple):
    """The right to ask the provider a key's question, for a while, before all other processes.

    `fence` grows with every lease given out for the key: whoever holds an older one is late.
    """

    key: Key
    fence: int


class ChangeBatch(msgspec.Struct, frozen=True):
    """What other processes changed in a store since a mark; `mark` is where the next news begin.

    `epochs` are the raised epochs of tags, `removed` the selections that were removed. With
    `lost` the store does not know any more what happened since: anything may have changed.
    """

    cursor: str
    epochs: dict[str, int] = {}
    removed: tuple[Selection, ...] = ()
    lost: bool = False

    @property
    def empty(self) -> bool:
        return not (self.epochs or self.removed or self.lost)


class EventMessage(NamedTuple):
    """An event as it arrived from a source; `error` says why it cannot be one.

    `mark` is where to go on reading once it was taken; None where it moves no mark. An event
    without an `id` may be taken more than once.
    """

    cursor: str | None
    id: str | None = None
    event: str = ""
    data: Mapping[str, Any] = MappingProxyType({})
    error: str | None = None


class NearestKey(NamedTuple):
    """An entry whose question lies near another one; `similarity` is the cosine."""

    key: Key
    similarity: float


class Damage(msgspec.Struct, frozen=True):
    """What `check` found wrong with one stored thing."""

    what: str
    where: str
