"""Events: what happened outside, and what that invalidates.

An event has a name, data and, if its sender gave it one, an id. Rules and functions say what it
invalidates. An id is remembered after the effect, never before: whoever is killed in between does
the same again, which harms nobody, and no event is lost.
"""

import hashlib
import inspect
import re
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any

import msgspec

from askonce.core.directives import is_tag
from askonce.core.errors import ConfigError
from askonce.core.models import Entry, Key
from askonce.core.protocols import Store
from askonce.core.rules.ruleset import Ruleset
from askonce.invalidation.audit import Audit
from askonce.invalidation.sweep import InvalidationResult
from askonce.invalidation.target import GROUP, OWN_NAMESPACE, Invalidation

LARGEST_BYTES = 64 << 10
REMEMBERED_SECONDS = 7 * 86_400.0
"""How long an id is remembered."""

_NAME = re.compile(r"[A-Za-z0-9._:-]{1,128}")
_LONGEST_ID = 512

Said = str | Invalidation | Iterable[str | Invalidation] | None
"""What a function says of an event: a tag, an invalidation, several of them, or nothing."""
Says = Callable[[dict[str, Any]], Said]


class EventResult(msgspec.Struct, frozen=True, kw_only=True):
    """What an event invalidated.

    `entries` counts what patterns and other sweeps found; None where there were only tags. With
    `repeated`, an event of this id was handled before and nothing was done now.
    """

    event: str
    id: str | None = None
    tags: tuple[str, ...] = ()
    patterns: tuple[str, ...] = ()
    entries: int | None = None
    repeated: bool = False


class EventHandler:
    """Takes events, in the blocking flavor.

    `bump` invalidates tags and `sweep` everything else; `store` is where ids are remembered, the
    most shared one there is.
    """

    def __init__(
        self,
        ruleset: Ruleset | None,
        *,
        bump: Callable[[list[str]], Awaitable[None]],
        sweep: Callable[[Invalidation], Awaitable[InvalidationResult]],
        store: Store,
        now: Callable[[], float],
        audit: Audit,
    ) -> None:
        self._ruleset = ruleset
        self._bump = bump
        self._sweep = sweep
        self._store = store
        self._now = now
        self._audit = audit
        self._ruled = {rule.event for rule in ruleset.rules.events} if ruleset else set()
        self._functions: dict[str, list[Says]] = {}

    def on(self, event: str, says: Says) -> None:
        """Ask this function about every event of this name. Raises `ConfigError`."""
        _check_name(event)
        if inspect.iscoroutinefunction(says):
            raise ConfigError(
                f"the function for the event {event!r} is async; write it with `def`, it runs in a"
                " thread"
            )
        self._functions.setdefault(event, []).append(says)

    async def take(
        self,
        event: str,
        data: Mapping[str, Any],
        *,
        id: str | None = None,  # noqa: A002 - what its sender calls it
        who: str,
        swept: set[Invalidation] | None = None,
    ) -> EventResult:
        """Carry out what an event invalidates.

        `swept` are the sweeps that were begun since it is known that this event happened: what
        they did is not done again. Those of this event are added.

        Raises ConfigError (the event is not known, or something of it is missing or wrong),
        StoreError (not everything was done; taking it again is right), and what functions raise.
        """
        plain = checked(event, data, id)
        key = None if id is None else _key(event, id)
        if key is not None and await self._was_taken(key):
            return EventResult(event=event, id=id, repeated=True)
        tags, sweeps = self._effect(event, plain)
        if tags:
            await self._bump(list(tags))
        done = set() if swept is None else swept
        counts = []
        for one in sweeps:
            if one not in done:
                counts.append((await self._sweep(one)).entries)
                done.add(one)
        entries = sum(count or 0 for count in counts) if counts else None
        self._audit(who, {"event": event, "id": id}, entries, tags=tags)
        if key is not None:
            until = self._now() + REMEMBERED_SECONDS
            body = event.encode()
            await self._store.write(Entry(key, body, 200, (), self._now(), until, until))
        patterns = tuple(one.match for one in sweeps if one.match is not None)
        return EventResult(event=event, id=id, tags=tuple(tags), patterns=patterns, entries=entries)

    async def _was_taken(self, key: Key) -> bool:
        found = await self._store.read(key)
        return found is not None and found.is_fresh(self._now())

    def _effect(
        self, event: str, data: dict[str, Any]
    ) -> tuple[dict[str, None], list[Invalidation]]:
        tags: dict[str, None] = {}
        sweeps: dict[Invalidation, None] = {}
        functions = self._functions.get(event, [])
        if self._ruleset is not None and event in self._ruled:
            effect = self._ruleset.effect(event, data)
            tags |= dict.fromkeys(effect.tags)
            sweeps |= dict.fromkeys(Invalidation(match=pattern) for pattern in effect.patterns)
        elif not functions:
            names = sorted(self._ruled | self._functions.keys())
            there = f"there are {', '.join(names)}" if names else "no rule or function names any"
            raise ConfigError(f"nothing is known of the event {event!r}; {there}")
        for says in functions:
            for said in _each(says(dict(data))):
                _sort(event, said, tags, sweeps)
        if grouped := tuple(tag for tag in tags if tag.startswith(GROUP)):
            # Which groups an answer has is known when it arrives: a bump does not reach those
            # that are under way.
            sweeps[Invalidation(tags=grouped)] = None
        return tags, list(sweeps)


def checked(event: str, data: Mapping[str, Any], id_: str | None) -> dict[str, Any]:
    """The data as plain JSON values. Raises `ConfigError` where an event cannot be one."""
    _check_name(event)
    if id_ is not None and (not isinstance(id_, str) or not 0 < len(id_) <= _LONGEST_ID):
        raise ConfigError(f"the id of the event {event!r} is not a text of up to {_LONGEST_ID}")
    if not isinstance(data, Mapping):
        raise ConfigError(f"the data of the event {event!r} are not an object; write {{}} for none")
    try:
        told = msgspec.json.encode(dict(data))
        plain: dict[str, Any] = msgspec.json.decode(told, type=dict[str, Any])
    except (TypeError, ValueError, RecursionError):
        # From None: the message may quote the data.
        raise ConfigError(f"the data of the event {event!r} are not what JSON can say") from None
    if len(told) > LARGEST_BYTES:
        raise ConfigError(
            f"the data of the event {event!r} have {len(told)} bytes; {LARGEST_BYTES} may be"
        )
    return plain


def merged(data: Mapping[str, Any] | None, members: Mapping[str, Any]) -> dict[str, Any]:
    """The data of an event that is given as one object, as members, or both."""
    if data is not None and not isinstance(data, Mapping):
        raise ConfigError(
            f"the data of an event are not an object but {type(data).__name__}; write {{}} for none"
        )
    return {**(data or {}), **members}


def _check_name(event: str) -> None:
    if not isinstance(event, str) or not _NAME.fullmatch(event):
        raise ConfigError("an event's name has up to 128 letters, digits and any of . _ : -")


def _key(event: str, id_: str) -> Key:
    """Another event of the same id is another event: senders number each kind for itself."""
    told = f"{event}\0{id_}".encode("utf-8", "surrogatepass")
    digest = hashlib.sha256(told).digest()
    return Key(OWN_NAMESPACE, "event", digest)


def _each(said: Said) -> Iterable[str | Invalidation]:
    if said is None:
        return ()
    if not isinstance(said, str | Invalidation) and isinstance(said, Iterable):
        return said
    return (said,)


def _sort(
    event: str, said: object, tags: dict[str, None], sweeps: dict[Invalidation, None]
) -> None:
    """Put one thing that a function said where it belongs. Raises `ConfigError`."""
    if isinstance(said, Invalidation):
        if said.empty:
            raise ConfigError(f"a function for the event {event!r} gave an invalidation of nothing")
        if wrong := [tag for tag in said.tags if not is_tag(tag)]:
            raise ConfigError(f"a function for the event {event!r} gave {wrong[0]!r} as a tag")
        if said.by_tags_alone:
            tags |= dict.fromkeys(said.tags)
        else:
            sweeps[said] = None
    elif isinstance(said, str) and is_tag(said):
        tags[said] = None
    else:
        raise ConfigError(f"a function for the event {event!r} gave {said!r}, which is no tag")
