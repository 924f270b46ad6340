"""An invalidation: which entries must not be served any more, in the user's terms.

Every field that is given must hold for an entry to be named; of several tags or keys, one is
enough. An invalidation by tags alone is a bump of their epochs and costs the same for any number of
entries. Every other one is a sweep: entries are looked at one by one, and it is announced by a
hidden tag that says what is swept, so that other processes sweep what is theirs (`sweeps.py`).
"""

import fnmatch
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import msgspec

from askonce.core.directives import is_tag, no_tag
from askonce.core.errors import ConfigError
from askonce.core.models import SUBDIVIDES, Entry, Key, Selection
from askonce.core.units import parse_duration

OWN_NAMESPACE = "~askonce"
"""What a store keeps of its own among the entries; never swept."""
GROUP = "group:"
"""How the tags of cache groups begin; an answer gets them when it arrives (`groups.py`)."""
HIDDEN = "~sw"
"""How the tags begin that no entry may carry: they tell of sweeps."""
SWEPT = f"{HIDDEN}ept"
"""The hidden tag whose epoch is the number of the last sweep."""
_ANNOUNCES = f"{HIDDEN}eep:"
_REMINDS = f"{HIDDEN}eep-on:"
_EVERYTHING = 1e11
"""Seconds since the Unix epoch: nothing was created later, whatever clocks say."""
_LONGEST_ANNOUNCEMENT = 1_500  # bytes: what a database can still index


class PatternText(Protocol):
    def search(self, text: str) -> object | None: ...


Compile = Callable[[str], PatternText]
Names = Callable[[Entry], bool]


class Invalidation(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Which entries an invalidation names.

    `model` and `route` are shell patterns such as `gpt-4o*`; a model is the one that answered or
    the one that was asked for, a route is the path asked, or the name of a format. `namespace` is
    one namespace exactly, `tenant` is one with all that its callers made of it. `created_before`
    is in seconds since the Unix epoch. `match` is an RE2 pattern over the question's text.
    `subject` is a person: the entries tagged with it, and those whose namespace it is or ends in.
    `asked_model` names entries asked for under this name that `answered_by` did not answer, and
    `origin` those of one upstream.
    """

    tags: tuple[str, ...] = ()
    keys: tuple[Key, ...] = ()
    namespace: str | None = None
    tenant: str | None = None
    model: str | None = None
    route: str | None = None
    created_before: float | None = None
    match: str | None = None
    subject: str | None = None
    asked_model: str | None = None
    answered_by: str | None = None
    origin: str | None = None

    @property
    def by_tags_alone(self) -> bool:
        return bool(self.tags) and self == Invalidation(tags=self.tags)

    @property
    def of_groups(self) -> bool:
        """Is it by tags alone that an answer may get only when it arrives?"""
        return self.by_tags_alone and any(tag.startswith(GROUP) for tag in self.tags)

    @property
    def empty(self) -> bool:
        """Does it say nothing, which would name everything?"""
        return self == Invalidation()

    @property
    def selection(self) -> Selection:
        """What a store can tell beforehand: all entries named here are among these."""
        return Selection(keys=self.keys or None, namespace=self.namespace)

    def matcher(self, compile_: Compile) -> Names:
        """A function that says whether an entry is named. Raises `ConfigError` (the pattern)."""
        pattern = None if self.match is None else compile_(self.match)
        wanted = self

        def names(entry: Entry) -> bool:
            return (
                entry.key.namespace != OWN_NAMESPACE
                and (not wanted.keys or entry.key in wanted.keys)
                and wanted._in_place(entry.key.namespace)
                and wanted._of_model(entry)
                and (not wanted.tags or any(tag in wanted.tags for tag, _ in entry.tags))
                and wanted.origin in (None, entry.origin)
                and (wanted.route is None or _goes(entry, wanted.route))
                and (wanted.subject is None or _is_about(entry, wanted.subject))
                and (wanted.created_before is None or entry.created < wanted.created_before)
                and (pattern is None or pattern.search(entry.question) is not None)
            )

        return names

    def _in_place(self, namespace: str) -> bool:
        if self.namespace is not None and namespace != self.namespace:
            return False
        tenant = self.tenant
        return tenant is None or namespace.partition(SUBDIVIDES)[0] == tenant

    def _of_model(self, entry: Entry) -> bool:
        if self.asked_model is not None and (
            entry.asked_model != self.asked_model or entry.model == self.answered_by
        ):
            return False
        models = (entry.model, entry.asked_model)
        return self.model is None or any(fnmatch.fnmatchcase(m, self.model) for m in models if m)

    @property
    def told(self) -> dict[str, Any]:
        """The fields that are given, for people."""
        found: dict[str, Any] = msgspec.structs.asdict(self)
        given = {name: value for name, value in found.items() if value not in (None, ())}
        return {**given, "keys": [str(key) for key in self.keys]} if self.keys else given

    @property
    def of_questions(self) -> "Invalidation":
        """The same without what only an answer tells: it names the questions of answers that may
        be named."""
        return msgspec.structs.replace(
            self, tags=(), model=None, created_before=None, subject=None, answered_by=None
        )

    # Announcing

    @property
    def parts(self) -> "tuple[Invalidation, ...]":
        """Invalidations that name the same together; each is short enough to be told, if it can."""
        longest = max(self.keys, self.tags, key=len)
        if len(longest) < 2 or self.announcement != _ANNOUNCES:
            return (self,)
        name = "keys" if longest is self.keys else "tags"
        half = len(longest) // 2
        halves = (
            msgspec.structs.replace(self, **{name: some})
            for some in (longest[:half], longest[half:])
        )
        return tuple(part for one in halves for part in one.parts)

    @property
    def announcement(self) -> str:
        """The hidden tag that tells other processes of it.

        One that is too long to be told, or cannot be, says that anything may be swept.
        """
        try:
            told = msgspec.json.encode(self)
        except UnicodeEncodeError:
            return _ANNOUNCES
        return _ANNOUNCES + told.decode() if len(told) <= _LONGEST_ANNOUNCEMENT else _ANNOUNCES

    @property
    def reminder(self) -> str:
        """The hidden tag that tells of it once more those who came later."""
        return _REMINDS + self.announcement[len(_ANNOUNCES) :]

    @staticmethod
    def reminded(tag: str) -> str | None:
        """The announcement that a hidden tag is the reminder of; None for other tags."""
        return _ANNOUNCES + tag[len(_REMINDS) :] if tag.startswith(_REMINDS) else None

    @staticmethod
    def announced(tag: str) -> "Invalidation | None":
        """What a hidden tag announces; an empty one may be anything. None for other tags."""
        if not tag.startswith(_ANNOUNCES):
            return None
        try:
            return msgspec.json.decode(tag[len(_ANNOUNCES) :], type=Invalidation)
        except msgspec.MsgspecError:
            return Invalidation()


def any_of(named: Sequence[Names]) -> Names:
    """Names what one of them names."""
    return lambda entry: any(names(entry) for names in named)


def plain(epochs: Mapping[str, int]) -> dict[str, int]:
    """The epochs of tags that entries may carry."""
    return {tag: epoch for tag, epoch in epochs.items() if not tag.startswith(HIDDEN)}


_FIELDS = "tags, keys, namespace, tenant, model, route, older_than, match"
_KNOWN = {
    "tag", "tags", "key", "keys", "namespace", "tenant", "model", "route", "older_than", "match",
    "subject",
}  # fmt: skip


def read(fields: Mapping[str, Any], now: float) -> Invalidation:
    """An invalidation out of a request's or a command's fields; `tag` and `key` may be one or many.

    `older_than` is a duration back from `now`, in seconds since the Unix epoch. Raises
    `ConfigError`, one line that says which field is wrong and how to mend it.
    """
    for name in fields:
        if name not in _KNOWN:
            raise ConfigError(f"{name!r} is not a field of an invalidation; there are {_FIELDS}")
    texts = {
        name: _text(name, fields[name])
        for name in ("namespace", "tenant", "model", "route", "match", "subject")
        if fields.get(name) is not None
    }
    age = _seconds(fields.get("older_than"))
    found = Invalidation(
        tags=tuple(map(_tag, dict.fromkeys(_texts("tag", fields) + _texts("tags", fields)))),
        keys=tuple(map(_key, dict.fromkeys(_texts("key", fields) + _texts("keys", fields)))),
        created_before=None if age is None else now - age if age else _EVERYTHING,
        **texts,
    )
    if found.empty:
        raise ConfigError(f"the invalidation names nothing; give at least one of {_FIELDS}")
    return found


def _goes(entry: Entry, route: str) -> bool:
    return entry.key.format == route or (
        bool(entry.route) and fnmatch.fnmatchcase(entry.route, route)
    )


def _is_about(entry: Entry, subject: str) -> bool:
    namespace = entry.key.namespace
    return (
        any(tag == subject for tag, _ in entry.tags)
        or namespace == subject
        or namespace.partition(SUBDIVIDES)[2] == subject
    )


def _tag(tag: str) -> str:
    if not is_tag(tag):
        raise ConfigError(no_tag(tag))  # it would end nothing, and nobody would notice
    return tag


def _texts(name: str, fields: Mapping[str, Any]) -> tuple[str, ...]:
    value = fields.get(name)
    if value is None:
        return ()
    many = [value] if isinstance(value, str) else value
    if not isinstance(many, (list, tuple)):
        raise ConfigError(f"{name} is not a text or a list of texts: {value!r}")
    return tuple(_text(name, one) for one in many)


def _text(name: str, value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise ConfigError(f"{name} is not a text: {value!r}; write a text in quotes")
    return value


def _key(text: str) -> Key:
    try:
        return Key.parse(text)
    except ValueError:
        what = "write namespace/format/digest, the digest with 64 hex digits"
        raise ConfigError(f"not a key: {text!r}; {what}") from None


def _seconds(value: Any) -> float | None:
    if value is None:
        return None
    try:
        return parse_duration(str(value))
    except ValueError as error:
        raise ConfigError(f"older_than is {error}") from None
