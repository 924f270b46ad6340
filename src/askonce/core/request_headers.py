"""Request headers: what each header of a request means to the cache.

A header is one of four kinds. A credential names the caller: it makes the namespace and is never
in the key. A harmless header changes no answer: it is neither. A dropped header is not
for the provider: it is neither, and is not forwarded. Every other header may change the answer, so it
is part of the question, as an unknown member of a body is.

The tables below are the whole specification; `docs/how-it-works/keys.md` lists the same names. A
name ending in `*` is a prefix, a name beginning with `*` is a suffix. The first table that names a
header decides: the user's own names, `COUNTED`, `DROPPED`, `HARMLESS`, `CREDENTIALS`.
"""

import enum
from collections.abc import Iterable, Mapping

from askonce.core.bounded import BoundedMap
from askonce.core.errors import ConfigError

_MEMOIZED = 4_096  # names


class HeaderKind(enum.Enum):
    """What a request header means to the cache."""

    QUESTION = "question"
    CREDENTIAL = "credential"
    HARMLESS = "harmless"
    DROPPED = "dropped"


COUNTED = (
    # Cloudflare routes and admits by these.
    "cf-aig-*",
    "cf-access-*",
)
"""Headers that a table below would match and that may change the answer.

A credential among them (`cf-aig-authorization`) stays a credential."""

DROPPED = (
    # Assertions of access proxies about the person behind them, made for us and not for the
    # provider. They differ in each call.
    "cf-access-jwt-assertion", "x-goog-iap-*", "x-amzn-oidc-*", "x-ms-token-*",
    # Tokens against forged forms: made for the site that shows the form.
    "*csrf-token", "*csrftoken", "*xsrf-token", "requestverificationtoken",
)  # fmt: skip
"""Headers that are not forwarded, and count neither as credential nor as question."""

HARMLESS = (
    # The client program.
    "user-agent", "x-user-agent", "x-ms-useragent", "accept", "accept-charset", "accept-encoding",
    # Telemetry of SDKs.
    "x-stainless-*", "x-goog-api-client", "x-fern-*", "amz-sdk-*",
    "anthropic-dangerous-direct-browser-access",
    # Tracing and request ids.
    "traceparent", "tracestate", "baggage", "b3", "x-b3-*", "uber-trace-id", "sentry-trace",
    "x-cloud-trace-context", "x-datadog-*", "x-instana-*", "newrelic", "elastic-apm-traceparent",
    "langsmith-trace", "grpc-trace-bin", "*request-id", "*correlation-id", "*trace-id", "*span-id",
    # Idempotency keys.
    "idempotency-key", "x-idempotency-key", "x-stainless-idempotency-key",
    # Attribution.
    "http-referer", "referer", "origin", "x-title", "x-openrouter-title",
    # Connection, length and integrity of the body.
    "connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade",
    "expect", "content-length", "content-encoding", "content-md5", "content-digest", "date",
    "host", "http2-settings", "upgrade-insecure-requests",
    # Browsers and proxies on the way.
    "sec-*", "dnt", "priority", "x-*-timeout", "forwarded", "x-forwarded-*", "x-real-ip", "via",
    "x-envoy-*", "cf-*",
    # Our own, and what every cache reads.
    "askonce-*", "cache-control", "pragma",
)  # fmt: skip
"""Headers that change no answer."""

CREDENTIALS = (
    "authorization", "*-authorization", "cookie", "apikey", "*-apikey", "api-key", "*-key", "key",
    "token", "*-token", "auth", "*-auth", "*-secret", "*-password", "cf-access-client-id",
)  # fmt: skip
"""Headers that may authenticate the caller."""

INFRASTRUCTURE_COOKIES = (
    "__cf_bm", "_cfuvid", "__cfruid", "__cflb", "cf_clearance", "cf_*", "__cfwaitingroom",
    "awsalb*", "awselb*", "gclb", "arraffinity*", "tipmix", "x-ms-routing-name", "ak_bmsc", "bm_*",
    "_abck", "incap_ses_*", "visid_incap_*", "nlbi_*", "bigipserver*", "serverid", "_fly_*",
)  # fmt: skip
"""Cookies that load balancers and bot shields set, and HTTP clients send back; lower case."""


class _Names:
    """A table of names, with prefixes and suffixes.

    Parameters:
        patterns: names in lower case, with at most one `*`.
    """

    def __init__(self, patterns: Iterable[str]) -> None:
        self._exact = frozenset(name for name in patterns if "*" not in name)
        self._open = tuple([tuple(name.split("*", 1)) for name in patterns if "*" in name])

    def __contains__(self, name: str) -> bool:
        return name in self._exact or any(
            name.startswith(begin) and name.endswith(end) and len(name) >= len(begin) + len(end)
            for begin, end in self._open
        )


_COUNTED, _DROPPED = _Names(COUNTED), _Names(DROPPED)
_HARMLESS, _CREDENTIALS = _Names(HARMLESS), _Names(CREDENTIALS)
_COOKIES = _Names(INFRASTRUCTURE_COOKIES)


class HeaderKinds:
    """The kinds of all request headers; safe from several threads.

    Parameters:
        ignored: the user's own harmless headers (`[keys] ignore_headers`), in any case, perhaps
            with one `*`. Default: none.
        credentials: the user's own credentials (`[keys] credentials`), in the same form. Default:
            none.

    Raises `ConfigError` for a name in both.
    """

    def __init__(self, ignored: Iterable[str] = (), credentials: Iterable[str] = ()) -> None:
        own = [name.strip().lower() for name in ignored]
        shown = [name.strip().lower() for name in credentials]
        if both := sorted({*own} & {*shown}):
            raise ConfigError(f"{both[0]!r} cannot be both ignored and a credential")
        self._ignored = _Names(own)
        self._shown = _Names(shown)
        self._known: BoundedMap[str, HeaderKind] = BoundedMap(_MEMOIZED)

    def kind(self, name: str) -> HeaderKind:
        """Return the kind of a header, by its name in lower case."""
        kind = self._known.get(name)
        if kind is None:
            kind = self._known[name] = self._classify(name)
        return kind

    def is_credential(self, name: str) -> bool:
        """Whether a header, by its name in lower case, may authenticate the caller."""
        return self.kind(name) is HeaderKind.CREDENTIAL

    def _classify(self, name: str) -> HeaderKind:
        if name in self._shown:
            return HeaderKind.CREDENTIAL
        if name in self._ignored:
            return HeaderKind.HARMLESS
        if name in _DROPPED:
            return HeaderKind.DROPPED
        counted = name in _COUNTED
        if name in _HARMLESS and not counted:
            return HeaderKind.HARMLESS
        return HeaderKind.CREDENTIAL if name in _CREDENTIALS else HeaderKind.QUESTION


STANDARD = HeaderKinds()
"""The kinds of headers without any setting."""


def caller_cookies(value: str) -> str:
    """Return a `Cookie` header without the cookies of infrastructure; "" if no other is left."""
    kept = []
    for cookie in value.split(";"):
        name = cookie.partition("=")[0].strip().lower()
        if name and name not in _COOKIES:
            kept.append(cookie.strip())
    return "; ".join(kept)


def forwards(name: str) -> bool:
    """Whether a header, by its name in lower case, may go to the provider."""
    return name not in _DROPPED


def without_connection_headers(headers: Mapping[str, str]) -> Mapping[str, str]:
    """Return the headers without those that `Connection` names: they end at this hop.

    Parameters:
        headers: headers with lower-case names.
    """
    named = headers.get("connection", "").lower()
    if named in _USUAL_CONNECTIONS:
        return headers
    dropped = {name.strip() for name in named.split(",")} - FRAMING
    return {name: value for name, value in headers.items() if name not in dropped}


_USUAL_CONNECTIONS = frozenset({"", "keep-alive", "close"})
FRAMING = frozenset({"host", "content-length", "transfer-encoding", "connection", "upgrade"})
"""Headers that say where a message goes and ends; `Connection` cannot take them away."""
