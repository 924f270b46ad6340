"""Cache groups: which answers a provider says belong together (RFC 9875).

`Cache-Groups` on an answer names its groups; `Cache-Group-Invalidation` on the answer to an unsafe
request names groups of the same origin whose answers are worthless now. Both are lists of strings
in the sense of Structured Fields (RFC 9651), which are read strictly: a field that is not one says
nothing at all. A group is a tag, `group:HOST:NAME`, so everything that holds for tags holds for it.
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
    """The strings of a list, each once, without their parameters; None if it is no such list."""
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
    """The names as a list of strings."""
    return ", ".join('"' + re.sub(r'(["\\])', r"\\\1", name) + '"' for name in names)


def named(headers: Headers, field: str) -> tuple[str, ...]:
    """The groups that a response names in this field, of however many lines."""
    lines = [value for name, value in headers if name.lower() == field]
    return (parse(", ".join(lines)) or ()) if lines else ()


def tags(origin: str, names: Sequence[str]) -> tuple[str, ...] | None:
    """The tags of groups of an origin. None if there are too many, or one is too long: an answer
    that lacked one of its groups could outlive an invalidation."""
    found = tuple(_tag(origin, name) for name in names)
    fits = len(found) <= MAX_GROUPS and all(len(tag) <= _LONGEST_TAG for tag in found)
    return found if fits else None


def name_of(tag: str) -> str | None:
    """The name of the group whose tag this is; None for other tags."""
    found = _GROUP_TAG.fullmatch(tag)
    return None if found is None else unquote(found[1])


def invalidated(origin: str, method: str, headers: Headers) -> Invalidation | None:
    """What the response to such a request makes worthless, if anything."""
    if method in SAFE_METHODS:
        return None
    found = tuple(_tag(origin, name) for name in named(headers, INVALIDATION))
    # No answer is kept with a longer tag.
    found = tuple(tag for tag in found if len(tag) <= _LONGEST_TAG)
    return Invalidation(tags=found) if found else None


def host_of(origin: str) -> str:
    """The host of an origin, with its port where it has one of its own."""
    return urlsplit(origin).netloc.rpartition("@")[2].lower()


def is_of(tag: str, origin: str) -> bool:
    """Is this tag a group of this origin?"""
    return tag.startswith(_tag(origin, ""))


def _tag(origin: str, name: str) -> str:
    # What no tag can have: a comma and a space.
    return f"{PREFIX}{host_of(origin)}:{quote(name, safe=_IN_TAGS)}"


_IN_TAGS = "".join(map(chr, range(0x21, 0x7F))).replace(",", "").replace("%", "")
