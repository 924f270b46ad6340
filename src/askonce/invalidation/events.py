"""Events: reports of changes outside the cache, and the invalidations that they cause.

An event has a name, data and an optional id. Rules and functions decide what it invalidates. The
store remembers an id after the event took effect, never before: a process that is killed in between
repeats the invalidation, which is harmless, and no event is lost.
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
"""How long the store remembers an id."""

_NAME = re.compile(r"[A-Za-z0-9._:-]{1,128}")
_LONGEST_ID = 512

Effects = str | Invalidation | Iterable[str | Invalidation] | None
"""What an event invalidates: a tag, an invalidation, several of these, or nothing."""
Says = Callable[[dict[str, Any]], Effects]
"""A function that maps the data of an event to its effects."""


class EventResult(msgspec.Struct, frozen=True, kw_only=True):
    """What an event invalidated.

    Parameters:
        event: The name of the event.
        id: Its id, if it has one.
        tags: The tags that were invalidated.
        patterns: The patterns whose matching entries were removed.
        entries: How many entries patterns and other sweeps removed; None if there were only tags.
        repeated: An event with this id was handled before, and nothing was done.
    """

    event: str
    id: str | None = None
    tags: tuple[str, ...] = ()
    patterns: tuple[str, ...] = ()
    entries: int | None = None
    repeated: bool = False


class EventProcessor:
    """Carries out events; every method blocks.

    Parameters:
        ruleset: The compiled rules, if there are any.
        bump: Invalidates tags.
        sweep: Carries out every other invalidation.
        store: Remembers ids: the most shared store.
        now: The wall clock, in seconds since the Unix epoch.
        audit: Writes an audit line for each event.
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
        """Call `says` for every event of this name. Raises `ConfigError`."""
        _check_name(event)
        if inspect.iscoroutinefunction(says):
            raise ConfigError(
                f"the function for the event {event!r} is async; write it with `def`,"
                " because it runs in a thread"
            )
        self._functions.setdefault(event, []).append(says)

    async def process(
        self,
        event: str,
        data: Mapping[str, Any],
        *,
        id: str | None = None,  # noqa: A002 - the name in the message
        who: str,
        done: set[Invalidation] | None = None,
    ) -> EventResult:
        """Carry out the invalidations of an event.

        `done` holds sweeps that began after this event is known to have happened: they are not
        repeated, and the sweeps of this event are added.

        Raises ConfigError (the event is unknown, or a part of it is missing or wrong), StoreError
        (the event is not completely processed; process it again), and errors of functions.
        """
        plain = validated(event, data, id)
        key = None if id is None else _key(event, id)
        if key is not None and await self._was_processed(key):
            return EventResult(event=event, id=id, repeated=True)
        tags, sweeps = self._effects(event, plain)
        if tags:
            await self._bump(list(tags))
        done = set() if done is None else done
        counts = []
        for sweep in sweeps:
            if sweep not in done:
                counts.append((await self._sweep(sweep)).entries)
                done.add(sweep)
        entries = sum(count or 0 for count in counts) if counts else None
        self._audit(who, {"event": event, "id": id}, entries, tags=tags)
        if key is not None:
            until = self._now() + REMEMBERED_SECONDS
            body = event.encode()
            await self._store.write(Entry(key, body, 200, (), self._now(), until, until))
        patterns = tuple(sweep.match for sweep in sweeps if sweep.match is not None)
        return EventResult(event=event, id=id, tags=tuple(tags), patterns=patterns, entries=entries)

    async def _was_processed(self, key: Key) -> bool:
        found = await self._store.read(key)
        return found is not None and found.is_fresh(self._now())

    def _effects(
        self, event: str, data: dict[str, Any]
    ) -> tuple[dict[str, None], list[Invalidation]]:
        tags: dict[str, None] = {}
        sweeps: dict[Invalidation, None] = {}
        functions = self._functions.get(event, [])
        if self._ruleset is not None and event in self._ruled:
            ruled = self._ruleset.effect(event, data)
            tags |= dict.fromkeys(ruled.tags)
            sweeps |= dict.fromkeys(Invalidation(match=pattern) for pattern in ruled.patterns)
        elif not functions:
            names = sorted(self._ruled | self._functions.keys())
            known = f"known are {', '.join(names)}" if names else "no rule or function names any"
            raise ConfigError(f"the event {event!r} is unknown; {known}")
        for says in functions:
            for effect in _each(says(dict(data))):
                _add(event, effect, tags, sweeps)
        if grouped := tuple(tag for tag in tags if tag.startswith(GROUP)):
            # The groups of an answer are known when it arrives: a bump does not reach answers in
            # flight.
            sweeps[Invalidation(tags=grouped)] = None
        return tags, list(sweeps)


def validated(event: str, data: Mapping[str, Any], id_: str | None) -> dict[str, Any]:
    """Return the data as plain JSON values. Raises `ConfigError` for an invalid event."""
    _check_name(event)
    if id_ is not None and (not isinstance(id_, str) or not 0 < len(id_) <= _LONGEST_ID):
        raise ConfigError(
            f"the id of the event {event!r} is not a text of up to {_LONGEST_ID} characters"
        )
    if not isinstance(data, Mapping):
        raise ConfigError(f"the data of the event {event!r} are not an object; write {{}} for none")
    try:
        encoded = msgspec.json.encode(dict(data))
        plain: dict[str, Any] = msgspec.json.decode(encoded, type=dict[str, Any])
    except (TypeError, ValueError, RecursionError):
        # From None: the message may quote the data.
        raise ConfigError(f"the data of the event {event!r} cannot be written as JSON") from None
    if len(encoded) > LARGEST_BYTES:
        raise ConfigError(
            f"the data of the event {event!r} have {len(encoded)} bytes, more than {LARGEST_BYTES}"
        )
    return plain


def merged(data: Mapping[str, Any] | None, members: Mapping[str, Any]) -> dict[str, Any]:
    """Return the data of an event given as one object, as members, or both."""
    if data is not None and not isinstance(data, Mapping):
        raise ConfigError(
            f"the data of an event are not an object but {type(data).__name__}; write {{}} for none"
        )
    return {**(data or {}), **members}


def _check_name(event: str) -> None:
    if not isinstance(event, str) or not _NAME.fullmatch(event):
        raise ConfigError("an event's name has up to 128 letters, digits and any of . _ : -")


def _key(event: str, id_: str) -> Key:
    """Return where an id is remembered: by event name, as senders number each kind separately."""
    digest = hashlib.sha256(f"{event}\0{id_}".encode("utf-8", "surrogatepass")).digest()
    return Key(OWN_NAMESPACE, "event", digest)


def _each(effects: Effects) -> Iterable[str | Invalidation]:
    if effects is None:
        return ()
    if not isinstance(effects, str | Invalidation) and isinstance(effects, Iterable):
        return effects
    return (effects,)


def _add(
    event: str, effect: object, tags: dict[str, None], sweeps: dict[Invalidation, None]
) -> None:
    """Add an effect to the tags or the sweeps. Raises `ConfigError`."""
    where = f"a function for the event {event!r} returned"
    if isinstance(effect, Invalidation):
        if effect.empty:
            raise ConfigError(f"{where} an invalidation that names nothing")
        if wrong := [tag for tag in effect.tags if not is_tag(tag)]:
            raise ConfigError(f"{where} the invalid tag {wrong[0]!r}")
        if effect.by_tags_alone:
            tags |= dict.fromkeys(effect.tags)
        else:
            sweeps[effect] = None
    elif isinstance(effect, str) and is_tag(effect):
        tags[effect] = None
    else:
        raise ConfigError(f"{where} {effect!r}, which is not a tag")
