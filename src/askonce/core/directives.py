"""Directives: how one call wants to be cached, read from its request headers.

`Cache-Control` has the meaning of RFC 9111 for a request: `no-cache`, `no-store`, `max-age`,
`only-if-cached`. `AskOnce-TTL`, `AskOnce-Tags`, `AskOnce-Namespace`, `AskOnce-Semantic` and
`AskOnce-Similarity` are our own. A malformed value is ignored and reported, with two exceptions: a
malformed value about semantic matching turns matching off, and a malformed namespace puts the
caller's identity in doubt, so the call bypasses the cache.
"""

import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Literal

import msgspec

from askonce.core import document_tags
from askonce.core.models import Reason
from askonce.core.units import parse_duration

OWN_HEADERS = frozenset(
    {"askonce-ttl", "askonce-tags", "askonce-namespace", "askonce-semantic", "askonce-similarity"}
)
MAX_TAGS = 256
"""Tags of one answer, after document tags were expanded, which makes two of each."""

Mode = Literal["off", "shadow", "serve"]
"""How a call is matched by meaning: not at all, only measured, or served."""

_MEMOIZED = 1_024
_SHORT = 4_096  # characters; longer headers are not memoized, which bounds the memory

# Visible ASCII without the comma; the cache's own tags begin with `~`.
_TAG = re.compile(r"(?!~)[\x21-\x2b\x2d-\x7e]{1,256}")
_NAMESPACE = re.compile(r"[A-Za-z0-9._-]{1,128}")


class Directives(msgspec.Struct, frozen=True):
    """The directives of one call. Durations are in seconds.

    Parameters:
        no_cache: True does not read the cache.
        no_store: True bypasses the cache.
        only_if_cached: True never asks the provider.
        max_age: the oldest acceptable entry; None for any age.
        ttl: how long the answer is fresh; None for the default.
        tags: the tags that the answer carries, sorted.
        subdivision: the caller's own part of its namespace; "" for none.
        identity_in_doubt: True for a malformed namespace.
        tags_in_doubt: True if a tag was malformed, so the answer must not be stored.
        ignored: the names of malformed headers.
        lives: the rules' bound on an answer's lifetime; see `policy.ruled`.
        never: the rules' reason not to store the answer.
        also_store: the rules' reasons that do not keep the answer out.
        semantic: how this call is matched by meaning; None for the default.
        similarity: the lowest acceptable similarity, from 0 to 1.
    """

    no_cache: bool = False
    no_store: bool = False
    only_if_cached: bool = False
    max_age: float | None = None
    min_fresh: float = 0.0
    ttl: float | None = None
    tags: tuple[str, ...] = ()
    subdivision: str = ""
    identity_in_doubt: bool = False
    tags_in_doubt: bool = False
    ignored: tuple[str, ...] = ()
    lives: float | None = None
    never: Reason | None = None
    also_store: frozenset[Reason] = frozenset()
    semantic: Mode | None = None
    similarity: float = 0.0

    @property
    def restrict(self) -> tuple[object, ...]:
        """The directives that must be equal before two calls may share one flight."""
        return (
            self.no_cache, self.only_if_cached, self.max_age, self.min_fresh, self.ttl, self.tags,
            self.lives, self.semantic, self.similarity,
        )  # fmt: skip


NONE = Directives()


def is_tag(text: object) -> bool:
    """Whether `text` is a valid tag."""
    return isinstance(text, str) and _TAG.fullmatch(text) is not None


def no_tag(text: object) -> str:
    """Return what is wrong with an invalid tag, and how to mend it."""
    shown = repr(text if not isinstance(text, str) or len(text) <= 40 else f"{text[:40]}...")
    return (
        f"{shown} cannot be a tag; write up to 256 visible ASCII characters without space and"
        " comma that do not begin with '~', and several tags as a list"
    )


def parse(headers: Mapping[str, str]) -> Directives:
    """Read the directives of a call from its headers, which have lower-case names."""
    control = headers.get("cache-control")
    if control is None and "pragma" in headers:
        control = _of_pragma(headers["pragma"])
    ttl = headers.get("askonce-ttl")
    tags = headers.get("askonce-tags")
    namespace = headers.get("askonce-namespace")
    if "askonce-semantic" in headers or "askonce-similarity" in headers:
        return _with_semantic(_plain(control, ttl, tags, namespace), headers)
    return _plain(control, ttl, tags, namespace)


def _plain(
    control: str | None, ttl: str | None, tags: str | None, namespace: str | None
) -> Directives:
    if control is None and ttl is None and tags is None and namespace is None:
        return NONE
    if tags is not None and control is None and ttl is None and namespace is None:
        whole = tags  # the most frequent case
    else:
        whole = f"{control}{ttl}{tags}{namespace}"
    return (_parsed if len(whole) <= _SHORT else _read)(control, ttl, tags, namespace)


def _with_semantic(directives: Directives, headers: Mapping[str, str]) -> Directives:
    """Return the directives with those about semantic matching."""
    ignored = list(directives.ignored)
    mode: Mode | None = None
    wanted = headers.get("askonce-semantic")
    if wanted is not None:
        mode = _MODES.get(wanted.strip().lower())
        if mode is None:
            # A malformed value may have meant "off".
            mode = "off"
            ignored.append("askonce-semantic")
    similarity = 0.0
    near = headers.get("askonce-similarity")
    if near is not None:
        if _SIMILARITY.fullmatch(near.strip()):
            similarity = float(near)
        else:
            similarity = _UNREACHABLE
            ignored.append("askonce-similarity")
    return msgspec.structs.replace(
        directives, semantic=mode, similarity=similarity, ignored=tuple(ignored)
    )


_MODES: dict[str, Mode] = {"off": "off", "shadow": "shadow", "serve": "serve"}
_SIMILARITY = re.compile(r"0?\.[0-9]{1,6}|[01](\.0{1,6})?")
_UNREACHABLE = 2.0


def _read(
    control: str | None, ttl: str | None, tags: str | None, namespace: str | None
) -> Directives:
    ignored: list[str] = []
    directives = _control(control or "", ignored)
    seconds = None
    if ttl is not None:
        try:
            seconds = parse_duration(ttl)
        except ValueError:
            ignored.append("askonce-ttl")
    doubt = namespace is not None and _NAMESPACE.fullmatch(namespace) is None
    return Directives(
        no_cache="no-cache" in directives,
        no_store="no-store" in directives,
        only_if_cached="only-if-cached" in directives,
        max_age=directives.get("max-age"),
        min_fresh=directives.get("min-fresh", 0.0),
        ttl=seconds,
        tags=_tags(tags, ignored),
        tags_in_doubt="askonce-tags" in ignored,
        subdivision="" if namespace is None or doubt else namespace,
        identity_in_doubt=doubt,
        ignored=tuple(ignored),
    )


_parsed = lru_cache(_MEMOIZED)(_read)
"""Memoized, because callers repeat themselves and tags are costly to read."""


def _control(text: str, ignored: list[str]) -> dict[str, float]:
    """Read `Cache-Control`; what is not understood is listed in `ignored`.

    Of two values of one directive the one counts that allows less.
    """
    directives: dict[str, float] = {}
    for part in text.split(","):  # linear, whatever quotes a hostile caller leaves open
        name, _, value = part.strip().partition("=")
        name, value = name.strip().lower(), value.strip()
        if name in _WITHOUT_VALUE:
            directives[name] = 1.0  # with a value too: the caller asked for it all the same
        elif name in _STRICTER and _SECONDS.fullmatch(value):
            seconds = float(value.strip('"').lstrip("0")[:10] or 0)
            directives[name] = _STRICTER[name](seconds, directives.get(name, seconds))
        elif name and len(ignored) < _MOST_IGNORED:
            said = f"cache-control: {_NO_NAME.sub('?', name[:40])}"
            if said not in ignored:
                ignored.append(said)
    return directives


def _of_pragma(value: str) -> str | None:
    """Return the `Cache-Control` that a `Pragma` header means, where it stands alone."""
    asked = {part.strip().lower() for part in value.split(",")}
    return "no-cache" if "no-cache" in asked else None


_WITHOUT_VALUE = frozenset({"no-cache", "no-store", "only-if-cached"})
_STRICTER: dict[str, Callable[[float, float], float]] = {"max-age": min, "min-fresh": max}
_SECONDS = re.compile(r'[0-9]+|"[0-9]+"')
_MOST_IGNORED = 16  # directives that are reported: more would fill the answer's headers
_NO_NAME = re.compile(r"[^a-z0-9!#$%&'*+.^_`|~;= -]")


def _tags(text: str | None, ignored: list[str]) -> tuple[str, ...]:
    if text is None:
        return ()
    tags = {part.strip() for part in text.split(",")} - {""}
    fitting = {tag for tag in tags if _TAG.fullmatch(tag)}
    good = document_tags.expand(fitting)
    if len(fitting) < len(tags) or len(good) > MAX_TAGS:
        # The answer is not stored: without that tag it could outlive an invalidation.
        ignored.append("askonce-tags")
    return good[:MAX_TAGS]
