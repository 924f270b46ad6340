"""Request headers: what each header of a request means to the cache.

A header is one of four kinds. A credential names the caller: it makes the namespace and is never
in the key. A harmless header changes no answer: it is neither. A dropped header is not for the
provider: it is neither, and is not forwarded. Every other header may change the answer, so it is
part of the question, as an unknown member of a body is.

The tables below are the whole specification; `docs/how-it-works/keys.md` lists the same names. A
`*` stands for any characters. The user's own names decide first, then `DROPPED`, `COUNTED`,
`HARMLESS` and `CREDENTIALS`.
"""

import enum
import re
from collections.abc import Callable, Iterable, Mapping
from operator import itemgetter, methodcaller
from typing import Any, Generic, TypeVar

from askonce.core import values
from askonce.core.bounded import BoundedMap

N = TypeVar("N", str, bytes)

_MEMOIZED = 4_096  # names
_SELECTIONS = 512
_LONGEST_SELECTION = (
    4_096  # characters of names; the headers of a longer request are read each time
)


class HeaderKind(enum.Enum):
    """What a request header means to the cache."""

    QUESTION = "question"
    CREDENTIAL = "credential"
    HARMLESS = "harmless"
    DROPPED = "dropped"


COUNTED = (
    # Cloudflare routes by the former and admits by the latter.
    "cf-aig-*", "cf-access-*",
    # A proxy moved the caller's credential here.
    "x-forwarded-authorization", "x-forwarded-access-token",
)  # fmt: skip
"""Headers that count although `HARMLESS` matches them, as credential or as question."""

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
    "user-agent", "*-user-agent", "x-ms-useragent", "accept", "accept-charset", "accept-encoding",
    # Telemetry of SDKs.
    "x-stainless-*", "x-goog-api-client", "x-fern-*", "amz-sdk-*",
    "anthropic-dangerous-direct-browser-access",
    # Tracing and request ids.
    "traceparent", "tracestate", "baggage", "b3", "x-b3-*", "uber-trace-id", "sentry-trace",
    "x-cloud-trace-context", "x-datadog-*", "x-instana-*", "newrelic", "x-newrelic-*",
    "elastic-apm-traceparent",
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
    # Cloudflare.
    "__cf_bm", "_cfuvid", "__cfruid", "__cflb", "__cfduid", "__cfwaitingroom", "cf_clearance",
    "cf_chl_*", "cf_ob_info", "cf_use_ob",
    # Load balancers of AWS, Google, Azure, F5, HAProxy, Citrix and nginx.
    "awsalb*", "awselb*", "gclb", "gcilb", "arraffinity*", "tipmix", "x-ms-routing-name",
    "bigipserver*", "ts01*", "serverid", "citrix_ns_id", "ingresscookie",
    # Shields of Akamai, Imperva and DataDome.
    "ak_bmsc", "bm_sz", "bm_sv", "bm_mi", "bm_so", "bm_ss", "bm_lso", "_abck", "incap_ses_*",
    "visid_incap_*", "nlbi_*", "datadome",
)  # fmt: skip
"""Cookies that load balancers and bot shields set, and HTTP clients send back; lower case."""


class _Names:
    """A table of names, with prefixes and suffixes.

    Parameters:
        patterns: names in lower case, with at most one `*`.
    """

    def __init__(self, patterns: Iterable[str]) -> None:
        patterns = tuple(patterns)
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


ALWAYS_CREDENTIALS = ("authorization", "x-api-key", "api-key", "x-goog-api-key")
"""The providers' own credential headers, which no setting can ignore."""


def header_names(value: Any) -> tuple[str, ...]:
    """Read names of headers as lower case; a name may have one `*`."""
    names = tuple([name.strip().lower() for name in values.texts(value)])
    for name in names:
        if not _NAME.fullmatch(name) or name.count("*") > 1 or name == "*":
            raise ValueError(
                f'cannot have {values.short(name)}; write names of headers such as "x-my-trace",'
                ' perhaps with one "*"'
            )
    return names


def ignored_names(value: Any) -> tuple[str, ...]:
    """Read names of harmless headers; the providers' own credentials cannot be among them."""
    names = header_names(value)
    for name in names:
        if name in ALWAYS_CREDENTIALS:
            raise ValueError(
                f'cannot have "{name}": it says who calls; give callers who share their answers'
                " one tenant or namespace"
            )
    return names


_NAME = re.compile(r"[a-z0-9!#$%&'*+.^_`|~-]{1,256}")


class HeaderKinds:
    """The kinds of all request headers under the user's settings; safe from several threads.

    Parameters:
        ignored: the user's own harmless headers (`[keys] ignore_headers`), perhaps with one `*`.
            Default: none.
        credentials: the user's own credentials (`[keys] credentials`), in the same form; they
            decide first. Default: none.
    """

    def __init__(self, ignored: Iterable[str] = (), credentials: Iterable[str] = ()) -> None:
        self._ignored = _Names(name.lower() for name in ignored)
        own = [name.lower() for name in credentials]
        self._shown = _Names((*ALWAYS_CREDENTIALS, *own))
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

    def is_question(self, name: str) -> bool:
        """Whether a header, by its name in lower case, is part of the question."""
        return self.kind(name) is HeaderKind.QUESTION

    def _classify(self, name: str) -> HeaderKind:
        if name in self._shown:
            return HeaderKind.CREDENTIAL
        if name in self._ignored:
            return HeaderKind.HARMLESS
        if name in _DROPPED:
            return HeaderKind.DROPPED
        if name in _HARMLESS and name not in _COUNTED:
            return HeaderKind.HARMLESS
        return HeaderKind.CREDENTIAL if name in _CREDENTIALS else HeaderKind.QUESTION


STANDARD = HeaderKinds()
"""The kinds of headers without any setting."""


_Selection = tuple[tuple[N, ...], Callable[[Mapping[N, N]], Any]]


class HeaderSelector(Generic[N]):
    """Selects some headers of each request; memoized by the names of all its headers.

    Programs send the same names with each request. So a selection is one look-up, `known(names)`,
    which returns the selected names, sorted, and a function that reads their values.

    Parameters:
        keeps: whether to select a header, by its name in lower case.
    """

    def __init__(self, keeps: Callable[[N], bool]) -> None:
        self._keeps: Callable[[N], bool] = keeps
        self._selections: BoundedMap[tuple[N, ...], _Selection[N]] = BoundedMap(_SELECTIONS)
        self.known: Callable[[tuple[N, ...]], _Selection[N] | None] = self._selections.peek
        """Returns the selection of these names; None if it is not known."""

    def select(self, headers: Mapping[N, N]) -> tuple[tuple[N, ...], tuple[N, ...]]:
        """Return the names of the selected headers, sorted, and their values in that order."""
        names = tuple(headers)
        kept, _ = self.known(names) or self.learn(names)
        return kept, tuple([headers[name] for name in kept])

    def learn(self, names: tuple[N, ...]) -> "_Selection[N]":
        """Return the selection of these names, and remember it."""
        kept = tuple(sorted(filter(self._keeps, names)))
        read: Any = itemgetter(*kept) if kept else methodcaller("get", "")
        selection = (kept, read)
        if sum(map(len, names)) <= _LONGEST_SELECTION:
            self._selections[names] = selection
        return selection


def normalized(name: str, value: str) -> str | None:
    """Return the value of a header as it enters the key; None for one that says nothing.

    Parameters:
        name: the header's name in lower case.
        value: its value. All spellings of one media type give one result.
    """
    if name == "content-type":
        kind = _media_type(value)
        return None if kind == "application/json" else kind  # the body says as much
    value = value.strip()
    return None if name == "accept-language" and value == "*" else value


def _media_type(value: str) -> str:
    """Write a media type in one way: `Application/JSON; Charset="UTF-8"` is `application/json`."""
    kind, *rest = [part.strip() for part in value.split(";")]
    kind = kind.lower()
    parameters = []
    for parameter in rest:
        name, _, given = parameter.partition("=")
        name, given = name.strip().lower(), given.strip().strip('"')
        if name == "charset":
            given = given.lower()
            if given in ("utf-8", "utf8") and _JSON.fullmatch(kind):
                continue  # JSON has no other encoding
        if name:
            parameters.append(f"{name}={given}")
    return "; ".join([kind, *sorted(parameters)])


_JSON = re.compile(r"application/(.+\+)?json")


def caller_cookies(value: str) -> str:
    """Return a `Cookie` header without the cookies of infrastructure; "" if no other is left."""
    kept = []
    for cookie in _COOKIE_BORDER.split(value):
        name = cookie.partition("=")[0].strip().lower()
        if name and name not in _COOKIES:
            kept.append(cookie.strip())
    return "; ".join(kept)


# Lines of one header are joined with a comma.
_COOKIE_BORDER = re.compile(r";|, (?=[^\s;,=]+=)")


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
