"""Rules: what a question's text, model and route say about its answer's life, and what events do.

    rules = (
        Rules()
        .after(r"price|cost", "5m")
        .after(r"polic(y|ies)", "7d")
        .tag(r"order (?P<id>\\d+)", "order:{id}")
        .never(r"what time is it", because="time-sensitive")
        .on("product_updated", tags=["product:{product_id}"], pattern="product")
    )

For a lifetime the first rule that matches wins; tags of all rules that match add up; one rule that
says never is enough. Patterns are found anywhere in the question's last user turn, without regard
to case. Compiling them is the caller's: this file decides and imports nothing that could block.
"""

import fnmatch
import re
import string
from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from typing import Any, NamedTuple, Protocol, Self

import msgspec

from askonce.durations import parse_duration
from askonce.errors import ConfigError

_TAG = re.compile(r"[\x21-\x2b\x2d-\x7e]{1,256}")
_EVENT = re.compile(r"[A-Za-z0-9._:-]{1,128}")

PACKS: Mapping[str, tuple[tuple[str, str], ...]] = {
    "personal": (
        (r"\b(my|mine|our)\b.{0,40}\b(account|balance|order|orders|password|address|invoice)\b",
         "asks about the caller's own data"),
        (r"\b(who am i|do you remember me|my name)\b", "asks who the caller is"),
    ),
    "time-sensitive": (
        (r"\b(right now|just now|at the moment|currently|as of (now|today))\b", "says now"),
        (r"\b(today|tonight|yesterday|tomorrow|this (morning|week|month))\b", "names a day"),
        (r"\b(what time is it|latest|live score|breaking news|stock price|weather)\b",
         "changes by the hour"),
    ),
    "side-effects": (
        (r"^\s*(please )?(send|delete|cancel|book|buy|pay|transfer|refund|submit|create|update)\b",
         "asks for something to be done"),
    ),
}  # fmt: skip
"""Ready-made patterns for questions whose answers should not be stored, each with its why."""


class Found(Protocol):
    """Where a pattern was found."""

    def groupdict(self) -> Mapping[str, str | None]: ...


class Pattern(Protocol):
    def search(self, text: str) -> Found | None: ...


Compile = Callable[[str], Pattern]


class Rule(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One rule: which questions it is about, and what it says of their answers.

    `match` is a pattern over the question, `model` and `route` are shell patterns such as
    `gpt-4o*` and `/v1/*`; each one given must match. `ttl` is in seconds. In `tags`, `{name}` is
    the group of that name in the match. `never` is why the answer is not stored.
    """

    match: str | None = None
    model: str | None = None
    route: str | None = None
    ttl: float | None = None
    tags: tuple[str, ...] = ()
    never: str | None = None


class EventRule(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What an event invalidates: tags, in which `{name}` is a member of its data, and the answers
    to questions that match a pattern."""

    event: str
    tags: tuple[str, ...] = ()
    match: str | None = None


class Ruling(NamedTuple):
    """What the rules say of one question; `won` names the rule behind each part by its place."""

    ttl: float | None = None
    tags: tuple[str, ...] = ()
    never: str | None = None
    won: tuple[tuple[str, int], ...] = ()


class Effect(NamedTuple):
    """What an event invalidates."""

    tags: tuple[str, ...]
    patterns: tuple[str, ...]


NO_RULING = Ruling()


class Rules:
    """A set of rules. Each method returns a new set with one more rule at the end.

    Errors: `ConfigError`, one line that says which rule is wrong and how to mend it.
    """

    def __init__(self, rules: Iterable[Rule] = (), events: Iterable[EventRule] = ()) -> None:
        self.rules = tuple(rules)
        self.events = tuple(events)
        for place, rule in enumerate(self.rules, 1):
            _check(rule, f"rule {place}")
        for event in self.events:
            _check_event(event)

    def __bool__(self) -> bool:
        return bool(self.rules or self.events)

    def after(
        self, pattern: str, ttl: timedelta | str, *, model: str | None = None,
        route: str | None = None,
    ) -> Self:  # fmt: skip
        """Answers to questions that match live for `ttl`."""
        return self._with(Rule(match=pattern, model=model, route=route, ttl=_seconds(ttl)))

    def tag(
        self, pattern: str | None, *tags: str, model: str | None = None, route: str | None = None
    ) -> Self:
        """Answers to questions that match carry these tags."""
        return self._with(Rule(match=pattern, model=model, route=route, tags=tags))

    def never(self, pattern: str, *, because: str = "a rule says so") -> Self:
        """Answers to questions that match are not stored."""
        return self._with(Rule(match=pattern, never=because))

    def pack(self, name: str) -> Self:
        """The ready-made no-store rules of this name: `personal`, `time-sensitive` and so on."""
        if name not in PACKS:
            raise ConfigError(f"there is no pack {name!r}; there are {', '.join(PACKS)}")
        made = self
        for pattern, why in PACKS[name]:
            made = made.never(pattern, because=f"{name}: {why}")
        return made

    def on(self, event: str, *, tags: Iterable[str] = (), pattern: str | None = None) -> Self:
        """An event of this name invalidates these tags and what matches the pattern."""
        rule = EventRule(event=event, tags=tuple(tags), match=pattern)
        return type(self)(self.rules, (*self.events, rule))

    def _with(self, rule: Rule) -> Self:
        return type(self)((*self.rules, rule), self.events)


class Ruleset:
    """Rules with their patterns compiled, ready to decide. Raises `ConfigError` for a bad one."""

    def __init__(self, rules: Rules, compile_: Compile) -> None:
        self.rules = rules
        self._compiled: list[tuple[int, Rule, Pattern | None]] = []
        for place, rule in enumerate(rules.rules, 1):
            try:
                pattern = None if rule.match is None else compile_(rule.match)
                names = set() if rule.match is None else _groups(rule.match)
            except ConfigError as error:
                raise ConfigError(f"rule {place}: {error}") from None
            _check_fields(rule.tags, names, f"rule {place}", "a named group of its pattern")
            self._compiled.append((place, rule, pattern))
        for event in rules.events:
            if event.match is not None:
                try:
                    compile_(event.match)
                except ConfigError as error:
                    raise ConfigError(f"event {event.event}: {error}") from None

    def ruling(self, question: str, *, model: str = "", route: str = "") -> Ruling:
        """What the rules say of a question; nothing where none is about it."""
        ttl: float | None = None
        never: str | None = None
        tags: dict[str, None] = {}
        won: list[tuple[str, int]] = []
        for place, rule, pattern in self._compiled:
            if rule.model is not None and not fnmatch.fnmatchcase(model, rule.model):
                continue
            if rule.route is not None and not fnmatch.fnmatchcase(route, rule.route):
                continue
            found = None if pattern is None else pattern.search(question)
            if pattern is not None and found is None:
                continue
            if rule.ttl is not None and ttl is None:
                ttl = rule.ttl
                won.append(("ttl", place))
            if rule.never is not None and never is None:
                never = rule.never
                won.append(("never", place))
            if rule.tags:
                groups = {} if found is None else found.groupdict()
                made = [_filled(tag, groups) for tag in rule.tags]
                tags |= dict.fromkeys(tag for tag in made if tag is not None)
                won.append(("tags", place))
        return Ruling(ttl, tuple(tags), never, tuple(won)) if won else NO_RULING

    def effect(self, event: str, data: Mapping[str, Any]) -> Effect:
        """What an event invalidates. Raises `ConfigError` where no rule knows it, or where its
        data lack a member that a rule needs."""
        known = [rule for rule in self.rules.events if rule.event == event]
        if not known:
            names = sorted({rule.event for rule in self.rules.events})
            there = f"; there are {', '.join(names)}" if names else "; no rule names any event"
            raise ConfigError(f"no rule is about the event {event!r}{there}")
        tags: dict[str, None] = {}
        for rule in known:
            for template in rule.tags:
                missing = [name for name in _fields(template) if data.get(name) is None]
                if missing:
                    raise ConfigError(
                        f"the event {event!r} lacks {missing[0]!r} in its data, which the tag"
                        f" {template!r} is made of"
                    )
                tag = _filled(template, {name: str(data[name]) for name in _fields(template)})
                if tag is None:
                    raise ConfigError(f"the event {event!r} makes no usable tag of {template!r}")
                tags[tag] = None
        patterns = dict.fromkeys(rule.match for rule in known if rule.match is not None)
        return Effect(tuple(tags), tuple(patterns))


def _check(rule: Rule, where: str) -> None:
    if rule.match is None and rule.model is None and rule.route is None:
        raise ConfigError(f"{where} is about no question; give it match, model or route")
    if rule.ttl is None and not rule.tags and rule.never is None:
        raise ConfigError(f"{where} says nothing; give it ttl, tags or never")
    if rule.ttl is not None and rule.never is not None:
        raise ConfigError(f"{where} has both ttl and never; leave one of them out")


def _check_event(rule: EventRule) -> None:
    if not _EVENT.fullmatch(rule.event):
        raise ConfigError(f"event {rule.event!r} cannot be a name; write letters, digits, . _ : -")
    if not rule.tags and rule.match is None:
        raise ConfigError(f"event {rule.event} invalidates nothing; give it tags or a pattern")
    for tag in rule.tags:
        _fields(tag)


def _check_fields(tags: Iterable[str], names: set[str], where: str, what: str) -> None:
    for tag in tags:
        for field in _fields(tag):
            if field not in names:
                there = f"; it has {', '.join(sorted(names))}" if names else ""
                raise ConfigError(f"{where}: {field!r} in the tag {tag!r} is not {what}{there}")


def _fields(template: str) -> list[str]:
    try:
        parts = list(string.Formatter().parse(template))
    except ValueError as error:
        raise ConfigError(f"the tag {template!r} is not a template: {error}") from None
    names = [name for _, name, _, _ in parts if name is not None]
    for name in names:
        if not name.isidentifier():
            raise ConfigError(f"the tag {template!r} has {{{name}}}; write {{name}} with a name")
    return names


def _filled(template: str, values: Mapping[str, str | None]) -> str | None:
    """The tag; None if a value is missing or makes it something that cannot be a tag."""
    parts = []
    for text, name, _, _ in string.Formatter().parse(template):
        parts.append(text)
        if name is not None:
            value = values.get(name)
            if value is None:
                return None
            parts.append(value)
    tag = "".join(parts)
    return tag if _TAG.fullmatch(tag) else None


def _groups(pattern: str) -> set[str]:
    return set(re.findall(r"\(\?P?<([A-Za-z_]\w*)>", pattern))


def _seconds(ttl: timedelta | str) -> float:
    try:
        return ttl.total_seconds() if isinstance(ttl, timedelta) else parse_duration(ttl)
    except (ValueError, AttributeError, TypeError):
        raise ConfigError(f"ttl is not a duration: {ttl!r}; write '5m' or a timedelta") from None
