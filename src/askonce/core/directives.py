"""What one caller asks of the cache, read from its request headers.

`Cache-Control` has the meaning of RFC 9111 where it has one for a request: `no-cache`,
`no-store`, `max-age`, `only-if-cached`. `AskOnce-TTL`, `AskOnce-Tags`, `AskOnce-Namespace`,
`AskOnce-Semantic` and `AskOnce-Similarity` are ours. What cannot be understood is ignored and
reported. Whoever says something about matching that cannot be understood is not matched, and for
a namespace doubt is doubt about identity, and the call bypasses the cache.
"""

import re
from collections.abc import Mapping
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
"""After what the tags of documents imply was added to them, which makes two of each."""

Mode = Literal["off", "shadow", "serve"]
"""How a call is matched by meaning: not at all, only to be measured, or served."""

_REMEMBERED = 1_024
_SHORT = 4_096  # characters; longer headers are read anew, so that few callers fill no memory

# Visible ASCII without the comma; the cache's own tags begin with `~`.
_TAG = re.compile(r"(?!~)[\x21-\x2b\x2d-\x7e]{1,256}")
_NAMESPACE = re.compile(r"[A-Za-z0-9._-]{1,128}")


class Directives(msgspec.Struct, frozen=True):
    """The caller's wishes; durations in seconds, `ignored` says what was not understood.

    `lives` and `never` are the rules', not the caller's (`policy.ruled`): how long an answer lives
    at most, whenever it was stored, and why it is never stored. `semantic` is how this one call
    wants to be matched by meaning, and `similarity` how near at least.
    """

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
    lives: float | None = None
    never: Reason | None = None
    semantic: Mode | None = None
    similarity: float = 0.0

    @property
    def restrict(self) -> tuple[object, ...]:
        """What must be equal before two calls may share one flight."""
        return (
            self.no_cache, self.only_if_cached, self.max_age, self.ttl, self.tags, self.lives,
            self.semantic, self.similarity,
        )  # fmt: skip


NONE = Directives()


def is_tag(text: object) -> bool:
    """Can an answer carry it?"""
    return isinstance(text, str) and _TAG.fullmatch(text) is not None


def no_tag(text: object) -> str:
    """What is wrong with a tag that no answer can carry, and how to mend it."""
    shown = repr(text if not isinstance(text, str) or len(text) <= 40 else f"{text[:40]}...")
    return (
        f"{shown} cannot be a tag; write up to 256 visible ASCII characters without space and"
        " comma that do not begin with '~', and several tags as a list"
    )


def parse(headers: Mapping[str, str]) -> Directives:
    """Read the directives of a call; header names are lower-case."""
    control = headers.get("cache-control")
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
        whole = tags  # as most tagged calls are
    else:
        whole = f"{control}{ttl}{tags}{namespace}"
    return (_parsed if len(whole) <= _SHORT else _read)(control, ttl, tags, namespace)


def _with_semantic(directives: Directives, headers: Mapping[str, str]) -> Directives:
    """The wishes, with how this call wants to be matched by meaning."""
    ignored = list(directives.ignored)
    mode: Mode | None = None
    said = headers.get("askonce-semantic")
    if said is not None:
        mode = _MODES.get(said.strip().lower())
        if mode is None:
            # Whoever says something about it that nobody understands may have meant "no".
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
        ttl=seconds,
        tags=_tags(tags, ignored),
        tags_in_doubt="askonce-tags" in ignored,
        subdivision="" if namespace is None or doubt else namespace,
        identity_in_doubt=doubt,
        ignored=tuple(ignored),
    )


_parsed = lru_cache(_REMEMBERED)(_read)
"""Callers say the same again and again, and a tag costs something to read."""


def _control(text: str, ignored: list[str]) -> dict[str, float]:
    directives: dict[str, float] = {}
    for part in text.split(","):
        name, _, value = part.strip().partition("=")
        name = name.lower()
        if name in ("no-cache", "no-store", "only-if-cached"):
            directives[name] = 1.0
        elif name == "max-age":
            digits = value.strip().strip('"')
            if digits.isascii() and digits.isdigit():
                directives[name] = float(digits[:10])
            else:
                ignored.append("cache-control: max-age")
    return directives


def _tags(text: str | None, ignored: list[str]) -> tuple[str, ...]:
    if text is None:
        return ()
    tags = {part.strip() for part in text.split(",")} - {""}
    fitting = {tag for tag in tags if _TAG.fullmatch(tag)}
    good = document_tags.expand(fitting)
    if len(fitting) < len(tags) or len(good) > MAX_TAGS:
        # The answer will not be stored: without that tag it could outlive an invalidation.
        ignored.append("askonce-tags")
    return good[:MAX_TAGS]
