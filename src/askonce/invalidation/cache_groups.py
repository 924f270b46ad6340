"""Cache groups: answers that a provider groups by response headers (RFC 9875).

`Cache-Groups` names the groups of an answer. `Cache-Group-Invalidation`, on the response to an
unsafe request, names groups of the same origin whose answers are no longer valid. Both are lists of
strings as in Structured Fields (RFC 9651) and are parsed strictly: a malformed field is ignored. A
group is a tag, `group:HOST:NAME`, and behaves like any other tag.
"""

import re
from collections.abc import Iterable, Sequence
from urllib.parse import quote, unquote, urlsplit

from askonce.invalidation.target import GROUP as PREFIX
from askonce.invalidation.target import Invalidation

GROUPS = "cache-groups"
INVALIDATION = "cache-group-invalidation"
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})
MAX_GROUPS = 64
_LONGEST_TAG = 256

_STRING = re.compile(r'"((?:[\x20\x21\x23-\x5b\x5d-\x7e]|\\["\\])*)"')
_GROUP_TAG = re.compile(r"group:(?:\[[^\]]*\]|[^:]*)(?::[0-9]+(?=:))?:(.*)")
_BETWEEN = re.compile(r"[ \t]*,[ \t]*")
_BARE = (
    r"-?[0-9]{1,12}\.[0-9]{1,3}"  # decimal
    r"|-?[0-9]{1,15}"
    r'|"(?:[\x20\x21\x23-\x5b\x5d-\x7e]|\\["\\])*"'
    r"|[A-Za-z*][!#$%&'*+.^_`|~0-9A-Za-z:/-]*"
    r"|:[A-Za-z0-9+/=]*:"
    r"|\?[01]"
    r"|@-?[0-9]{1,15}"
    r'|%"(?:[\x20\x21\x23\x24\x26-\x7e]|%[0-9a-f]{2})*"'
)
_PARAMETERS = re.compile(rf"(?:; *[a-z*][a-z0-9_.*-]*(?:=(?:{_BARE}))?)*")

Headers = Iterable[tuple[str, str]]


def parse(field: str) -> tuple[str, ...] | None:
    """Parse a list of strings: each string once, without parameters; None if it is malformed."""
    rest = field.strip(" ")
    names: dict[str, None] = {}
    at = 0
    while at < len(rest):
        found = _STRING.match(rest, at)
        if found is None:
            return None
        names[re.sub(r"\\(.)", r"\1", found[1])] = None
        parameters = _PARAMETERS.match(rest, found.end())
        at = found.end() if parameters is None else parameters.end()
        if at == len(rest):
            break
        between = _BETWEEN.match(rest, at)
        if between is None or between.end() == len(rest):
            return None
        at = between.end()
    return tuple(names)


def serialize(names: Sequence[str]) -> str:
    """Format names as a list of strings, the reverse of `parse`."""
    return ", ".join('"' + re.sub(r'(["\\])', r"\\\1", name) + '"' for name in names)


def named(headers: Headers, field: str) -> tuple[str, ...]:
    """Return the groups that a response names in this field, on one or several lines."""
    lines = [value for name, value in headers if name.lower() == field]
    return (parse(", ".join(lines)) or ()) if lines else ()


def tags(origin: str, names: Sequence[str]) -> tuple[str, ...] | None:
    """Return the tags of groups of an origin; None if there are too many or one is too long.

    An answer must carry all of its groups: without one of them it could outlive an invalidation.
    """
    found = tuple(_tag(origin, name) for name in names)
    fits = len(found) <= MAX_GROUPS and all(len(tag) <= _LONGEST_TAG for tag in found)
    return found if fits else None


def name_of(tag: str) -> str | None:
    """Return the name of the group that a tag stands for; None for other tags."""
    found = _GROUP_TAG.fullmatch(tag)
    return None if found is None else unquote(found[1])


def invalidated(origin: str, method: str, headers: Headers) -> Invalidation | None:
    """Return the invalidation that the response to a request asks for, if any."""
    if method in SAFE_METHODS:
        return None
    found = tuple(_tag(origin, name) for name in named(headers, INVALIDATION))
    # No stored answer has a longer tag.
    found = tuple(tag for tag in found if len(tag) <= _LONGEST_TAG)
    return Invalidation(tags=found) if found else None


def host_of(origin: str) -> str:
    """Return the host of an origin, with its port unless that is the default."""
    return urlsplit(origin).netloc.rpartition("@")[2].lower()


def is_of(tag: str, origin: str) -> bool:
    """Is this tag a group of this origin?"""
    return tag.startswith(_tag(origin, ""))


def _tag(origin: str, name: str) -> str:
    # A tag has no comma and no space.
    return f"{PREFIX}{host_of(origin)}:{quote(name, safe=_IN_TAGS)}"


_IN_TAGS = "".join(map(chr, range(0x21, 0x7F))).replace(",", "").replace("%", "")
