"""The target of an invalidation: the entries that must no longer be served, in the user's terms.

An invalidation names an entry if every given field matches; of several tags or keys, one match is
enough. An invalidation by tags only raises their epochs and costs the same for any number of
entries. Every other one is a sweep: it looks at entries one by one. A hidden tag announces it, so
that other processes sweep their own memory (`recent_sweeps.py`).
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
"""The namespace of a store's internal entries; no invalidation names them."""
GROUP = "group:"
"""The prefix of the tags of cache groups; an answer gets them on arrival (`cache_groups.py`)."""
FOR_GOOD = 1e11
"""An expiry that no clock reaches, in seconds since the Unix epoch.

Entries created then are the last to go where a store evicts the oldest."""
HIDDEN = "~sw"
"""The prefix of the tags that announce sweeps; no entry may carry one."""
SWEPT = f"{HIDDEN}ept"
"""The hidden tag whose epoch is the number of the last sweep."""
_ANNOUNCES = f"{HIDDEN}eep:"
_REMINDS = f"{HIDDEN}eep-on:"
_LONGEST_ANNOUNCEMENT = 1_500  # bytes; a database cannot index more


class PatternText(Protocol):
    """A compiled pattern."""

    def search(self, text: str) -> object | None:
        """Return a match anywhere in the text, or None."""


Compile = Callable[[str], PatternText]
Matcher = Callable[[Entry], bool]
"""Says whether an invalidation names an entry."""


class Invalidation(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The entries to invalidate: those that match every given field.

    Parameters:
        tags: Tags; an entry matches if it carries one of them.
        keys: Keys; an entry matches if it has one of them.
        namespace: One namespace, exactly.
        tenant: A namespace, including all namespaces that callers derived from it.
        model: A shell pattern such as `gpt-4o*` for the model that answered or was requested.
        route: A shell pattern for the path of the request, or the name of a wire format.
        created_before: Seconds since the Unix epoch.
        match: An RE2 pattern to find in the text of the question.
        subject: A person: matches entries tagged with it and those whose namespace is it or ends
            in it.
        asked_model: The requested model of entries that `answered_by` did not answer.
        answered_by: The model that answers for `asked_model` now.
        origin: The origin of one upstream.
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
        """Are tags the only given field?"""
        return bool(self.tags) and self == Invalidation(tags=self.tags)

    @property
    def of_groups(self) -> bool:
        """Is it by tags only, and is one of them a cache group, which an answer gets on arrival?"""
        return self.by_tags_alone and any(tag.startswith(GROUP) for tag in self.tags)

    @property
    def empty(self) -> bool:
        """Is no field given, which would name every entry?"""
        return self == Invalidation()

    @property
    def selection(self) -> Selection:
        """A selection for the store to scan, which contains every named entry."""
        return Selection(keys=self.keys or None, namespace=self.namespace)

    def matcher(self, compile_: Compile) -> Matcher:
        """Return a function that says whether an entry is named.

        Parameters:
            compile_: compiles the RE2 pattern of `match`. Its `ConfigError` for an invalid pattern
                passes through; it is not called if there is no pattern.
        """
        pattern = None if self.match is None else compile_(self.match)
        wanted = self

        def names(entry: Entry) -> bool:
            return (
                entry.key.namespace != OWN_NAMESPACE
                and (not wanted.keys or entry.key in wanted.keys)
                and wanted._has_namespace(entry.key.namespace)
                and wanted._has_model(entry)
                and (not wanted.tags or any(tag in wanted.tags for tag, _ in entry.tags))
                and wanted.origin in (None, entry.origin)
                and (wanted.route is None or _has_route(entry, wanted.route))
                and (wanted.subject is None or _is_about(entry, wanted.subject))
                and (wanted.created_before is None or entry.created < wanted.created_before)
                and (pattern is None or pattern.search(entry.question) is not None)
            )

        return names

    def _has_namespace(self, namespace: str) -> bool:
        if self.namespace is not None and namespace != self.namespace:
            return False
        tenant = self.tenant
        return tenant is None or namespace.partition(SUBDIVIDES)[0] == tenant

    def _has_model(self, entry: Entry) -> bool:
        if self.asked_model is not None and (
            entry.asked_model != self.asked_model or entry.model == self.answered_by
        ):
            return False
        models = (entry.model, entry.asked_model)
        return self.model is None or any(fnmatch.fnmatchcase(m, self.model) for m in models if m)

    @property
    def as_dict(self) -> dict[str, Any]:
        """The given fields, with keys as text."""
        found: dict[str, Any] = msgspec.structs.asdict(self)
        given = {name: value for name, value in found.items() if value not in (None, ())}
        return {**given, "keys": [str(key) for key in self.keys]} if self.keys else given

    @property
    def of_questions(self) -> "Invalidation":
        """The same without the fields that depend on the answer.

        It matches every question whose answer may be named.
        """
        return msgspec.structs.replace(
            self, tags=(), model=None, created_before=None, subject=None, answered_by=None
        )

    # Announcing

    @property
    def parts(self) -> "tuple[Invalidation, ...]":
        """Invalidations that together name the same, each short enough to announce if possible."""
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
        """The hidden tag that announces it to other processes.

        If it is too long or cannot be encoded, the tag announces a sweep of everything.
        """
        try:
            encoded = msgspec.json.encode(self)
        except UnicodeEncodeError:
            return _ANNOUNCES
        fits = len(encoded) <= _LONGEST_ANNOUNCEMENT
        return _ANNOUNCES + encoded.decode() if fits else _ANNOUNCES

    @property
    def reminder(self) -> str:
        """The hidden tag that repeats the announcement for processes that started later."""
        return _REMINDS + self.announcement[len(_ANNOUNCES) :]

    @staticmethod
    def reminded(tag: str) -> str | None:
        """Return the announcement that a reminder repeats; None for other tags.

        Parameters:
            tag: any tag, such as one from a store's change feed.
        """
        return _ANNOUNCES + tag[len(_REMINDS) :] if tag.startswith(_REMINDS) else None

    @staticmethod
    def announced(tag: str) -> "Invalidation | None":
        """Return the invalidation that a tag announces; None for other tags.

        An empty invalidation stands for a sweep of everything.

        Parameters:
            tag: any tag, such as one from a store's change feed.
        """
        if not tag.startswith(_ANNOUNCES):
            return None
        try:
            return msgspec.json.decode(tag[len(_ANNOUNCES) :], type=Invalidation)
        except msgspec.MsgspecError:
            return Invalidation()


def any_of(matchers: Sequence[Matcher]) -> Matcher:
    """Return a matcher of the entries that one of these matches."""
    return lambda entry: any(matches(entry) for matches in matchers)


def plain(epochs: Mapping[str, int]) -> dict[str, int]:
    """Return the epochs of the tags that entries may carry."""
    return {tag: epoch for tag, epoch in epochs.items() if not tag.startswith(HIDDEN)}


_FIELDS = "tags, keys, namespace, tenant, model, route, older_than, match"
_KNOWN = {
    "tag", "tags", "key", "keys", "namespace", "tenant", "model", "route", "older_than", "match",
    "subject",
}  # fmt: skip


def read(fields: Mapping[str, Any], now: float) -> Invalidation:
    """Return the invalidation that the fields of a request or a command describe.

    `tag` and `key` may be one or many; `older_than` is a duration before `now`, which is in seconds
    since the Unix epoch. Raises `ConfigError`, one line that says which field is wrong and how to
    mend it.
    """
    for name in fields:
        if name not in _KNOWN:
            raise ConfigError(
                f"{name!r} is not a field of an invalidation; the fields are {_FIELDS}"
            )
    texts = {
        name: _text(name, fields[name])
        for name in ("namespace", "tenant", "model", "route", "match", "subject")
        if fields.get(name) is not None
    }
    age = _seconds(fields.get("older_than"))
    found = Invalidation(
        tags=tuple(map(_tag, dict.fromkeys(_texts("tag", fields) + _texts("tags", fields)))),
        keys=tuple(map(_key, dict.fromkeys(_texts("key", fields) + _texts("keys", fields)))),
        created_before=None if age is None else now - age if age else FOR_GOOD,
        **texts,
    )
    if found.empty:
        raise ConfigError(f"the invalidation names nothing; give at least one of {_FIELDS}")
    return found


def _has_route(entry: Entry, route: str) -> bool:
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
        raise ConfigError(no_tag(tag))  # it would silently match no entry
    return tag


def _texts(name: str, fields: Mapping[str, Any]) -> tuple[str, ...]:
    value = fields.get(name)
    if value is None:
        return ()
    many = [value] if isinstance(value, str) else value
    if not isinstance(many, (list, tuple)):
        raise ConfigError(f"{name} is neither a text nor a list of texts: {value!r}")
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
