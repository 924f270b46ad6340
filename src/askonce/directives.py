"""What one caller asks of the cache, read from its request headers.

`Cache-Control` has the meaning of RFC 9111 where it has one for a request: `no-cache`,
`no-store`, `max-age`, `only-if-cached`. `AskOnce-TTL`, `AskOnce-Tags` and `AskOnce-Namespace`
are ours. What cannot be understood is ignored and reported, except for a namespace: there, doubt
is doubt about identity, and the call bypasses the cache.
"""

import re
from collections.abc import Mapping

import msgspec

from askonce.durations import parse_duration

OWN_HEADERS = frozenset({"askonce-ttl", "askonce-tags", "askonce-namespace"})
MAX_TAGS = 64

_TAG = re.compile(r"[\x21-\x2b\x2d-\x7e]{1,256}")  # visible ASCII without the comma
_NAMESPACE = re.compile(r"[A-Za-z0-9._-]{1,128}")


class Directives(msgspec.Struct, frozen=True):
    """The caller's wishes; durations in seconds, `ignored` says what was not understood."""

    no_cache: bool = False
    no_store: bool = False
    only_if_cached: bool = False
    max_age: float | None = None
    ttl: float | None = None
    tags: tuple[str, ...] = ()
    subdivision: str = ""
    identity_in_doubt: bool = False
    tags_in_doubt: bool = False
    ignored: tuple[str, ...] = ()

    @property
    def restrict(self) -> tuple[object, ...]:
        """What must be equal before two calls may share one flight."""
        return (self.no_cache, self.only_if_cached, self.max_age, self.ttl, self.tags)


NONE = Directives()


def parse(headers: Mapping[str, str]) -> Directives:
    """Read the directives of a call; header names are lower-case."""
    control = headers.get("cache-control")
    ttl = headers.get("askonce-ttl")
    tags = headers.get("askonce-tags")
    namespace = headers.get("askonce-namespace")
    if control is None and ttl is None and tags is None and namespace is None:
        return NONE
    ignored: list[str] = []
    wishes = _control(control or "", ignored)
    seconds = None
    if ttl is not None:
        try:
            seconds = parse_duration(ttl)
        except ValueError:
            ignored.append("askonce-ttl")
    doubt = namespace is not None and _NAMESPACE.fullmatch(namespace) is None
    return Directives(
        no_cache="no-cache" in wishes,
        no_store="no-store" in wishes,
        only_if_cached="only-if-cached" in wishes,
        max_age=wishes.get("max-age"),
        ttl=seconds,
        tags=_tags(tags, ignored),
        tags_in_doubt="askonce-tags" in ignored,
        subdivision="" if namespace is None or doubt else namespace,
        identity_in_doubt=doubt,
        ignored=tuple(ignored),
    )


def _control(text: str, ignored: list[str]) -> dict[str, float]:
    wishes: dict[str, float] = {}
    for part in text.split(","):
        name, _, value = part.strip().partition("=")
        name = name.lower()
        if name in ("no-cache", "no-store", "only-if-cached"):
            wishes[name] = 1.0
        elif name == "max-age":
            digits = value.strip().strip('"')
            if digits.isascii() and digits.isdigit():
                wishes[name] = float(digits[:10])
            else:
                ignored.append("cache-control: max-age")
    return wishes


def _tags(text: str | None, ignored: list[str]) -> tuple[str, ...]:
    if text is None:
        return ()
    tags = {part.strip() for part in text.split(",")} - {""}
    good = sorted(tag for tag in tags if _TAG.fullmatch(tag))[:MAX_TAGS]
    if len(good) < len(tags):
        # The answer will not be stored: without that tag it could outlive an invalidation.
        ignored.append("askonce-tags")
    return tuple(good)
