"""Rules: what a question's text, model and route say about its answer's life, and what events do.

    rules = (
        Rules()
        .after(r"price|cost", "5m")
        .after(r"polic(y|ies)", "7d")
        .tag(r"order (?P<id>\\d+)", "order:{id}")
        .pack("time-sensitive")
        .on("product_updated", tags=["product:{product_id}"], pattern="product")
    )

In this order: one rule that says never is enough; for a lifetime the first rule that matches wins;
tags of all rules that match add up. Patterns are found anywhere in the question's last user turn,
without regard to case. Compiling them is the caller's: this file decides and imports nothing that
could block.
"""

import fnmatch
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import timedelta
from typing import Any, NamedTuple, Protocol, Self

import msgspec

from askonce.core.directives import MAX_TAGS
from askonce.core.errors import ConfigError
from askonce.core.models import Reason
from askonce.core.rules import tag_templates
from askonce.core.rules.packs import PACKS, REASONS
from askonce.core.rules.tag_templates import TagTooLong
from askonce.core.units import parse_duration

LONGEST_QUESTION = 262_144
"""Characters of a question that patterns look at. What follows they would not have seen, so a
longer question is not asked of the cache where a pattern would have to be found in it."""
SAYS_NEVER = "a rule says so"

_EVENT = re.compile(r"[A-Za-z0-9._:-]{1,128}")


class RuleMatch(Protocol):
    """Where a pattern was found."""

    def groupdict(self) -> Mapping[str, str | None]: ...


class Pattern(Protocol):
    @property
    def groupindex(self) -> Mapping[str, int]: ...

    def search(self, text: str) -> RuleMatch | None: ...

    def finditer(self, text: str) -> Iterator[RuleMatch]: ...


Compile = Callable[[str], Pattern]


class Rule(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One rule: which questions it is about, and what it says of their answers.

    `match` is a pattern over the question, `model` and `route` are shell patterns such as
    `gpt-4o*` and `/v1/*`; each one given must match. `pack` brings patterns of its own in the
    place of `match`. `ttl` is in seconds: a bound, which a caller can only shorten. In `tags`,
    `{name}` is the group of that name, in every place where `match` is found. `never` is why the
    answer is not stored.
    """

    match: str | None = None
    model: str | None = None
    route: str | None = None
    ttl: float | None = None
    tags: tuple[str, ...] = ()
    never: str | None = None
    pack: str | None = None


class EventRule(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What an event invalidates: tags, in which `{name}` is a member of its data, and the answers
    to questions that match a pattern."""

    event: str
    tags: tuple[str, ...] = ()
    match: str | None = None


class Ruling(NamedTuple):
    """What the rules say of one question.

    `reason` is the word for an answer that is never stored, and `never` says why in a sentence.
    `won` names the rules behind each part by their places, `matched` all that are about it.
    """

    ttl: float | None = None
    tags: tuple[str, ...] = ()
    never: str | None = None
    reason: Reason | None = None
    tags_in_doubt: bool = False
    won: tuple[tuple[str, int], ...] = ()
    matched: tuple[int, ...] = ()


class RuleEffect(NamedTuple):
    """What an event invalidates."""

    tags: tuple[str, ...]
    patterns: tuple[str, ...]


NO_RULING = Ruling()


class Rules:
    """A set of rules, in their order. Each method returns a new set with one more at the end.

    Errors: `ConfigError`, one line that says which rule is wrong and how to mend it; the first is
    rule 1.
    """

    def __init__(self, rules: Iterable[Rule | EventRule] = ()) -> None:
        self.all = tuple(rules)
        for place, rule in enumerate(self.all, 1):
            where = f"rule {place}"
            if isinstance(rule, EventRule):
                _check_event(rule, where)
            else:
                _check_rule(rule, where)
        for earlier, later in _shadowed(self.numbered):
            raise ConfigError(
                f"rule {later}: its ttl can never win, as rule {earlier} matches the same questions"
                " and comes first; leave one of them out"
            )

    @property
    def numbered(self) -> tuple[tuple[int, Rule], ...]:
        """The rules about questions, each with its place."""
        return tuple((n, rule) for n, rule in enumerate(self.all, 1) if isinstance(rule, Rule))

    @property
    def events(self) -> tuple[EventRule, ...]:
        return tuple(rule for rule in self.all if isinstance(rule, EventRule))

    def __bool__(self) -> bool:
        return bool(self.all)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Rules):
            return NotImplemented
        return self.all == other.all

    def __hash__(self) -> int:
        return hash(self.all)

    def __repr__(self) -> str:
        return f"Rules({list(self.all)!r})"

    def after(
        self, pattern: str | None, ttl: timedelta | str, *, model: str | None = None,
        route: str | None = None,
    ) -> Self:  # fmt: skip
        """Answers to questions that match live for `ttl`; None matches every question."""
        return self._with(Rule(match=pattern, model=model, route=route, ttl=_seconds(ttl)))

    def tag(
        self, pattern: str | None, *tags: str, model: str | None = None, route: str | None = None
    ) -> Self:
        """Answers to questions that match carry these tags."""
        return self._with(Rule(match=pattern, model=model, route=route, tags=tags))

    def never(
        self, pattern: str | None, *, because: str = SAYS_NEVER, model: str | None = None,
        route: str | None = None,
    ) -> Self:  # fmt: skip
        """Answers to questions that match are neither stored nor read."""
        return self._with(Rule(match=pattern, model=model, route=route, never=because))

    def pack(self, name: str, *, model: str | None = None, route: str | None = None) -> Self:
        """The ready-made no-store patterns of this name: `personal`, `time-sensitive` or
        `side-effects`."""
        return self._with(Rule(pack=name, model=model, route=route))

    def on(self, event: str, *, tags: Iterable[str] = (), pattern: str | None = None) -> Self:
        """An event of this name invalidates these tags and what matches the pattern."""
        every = (tags,) if isinstance(tags, str) else tuple(tags)
        return self._with(EventRule(event=event, tags=every, match=pattern))

    def _with(self, rule: Rule | EventRule) -> Self:
        return type(self)((*self.all, rule))


class _Ready(NamedTuple):
    """A rule with what it takes to decide: its patterns, each with its why, if it is a never."""

    place: int
    rule: Rule
    is_of: Callable[[str, str, str], bool]
    patterns: tuple[tuple[Pattern, str | None], ...]


class Ruleset:
    """Rules with their patterns compiled, ready to decide. Raises `ConfigError` for a bad one."""

    def __init__(self, rules: Rules, compile_: Compile) -> None:
        self.rules = rules
        self._ready = tuple(_ready(place, rule, compile_) for place, rule in rules.numbered)
        for place, event in enumerate(rules.all, 1):
            if isinstance(event, EventRule) and event.match is not None:
                _compiled(compile_, event.match, f"rule {place}")

    def ruling(
        self, question: str, *, model: str = "", route: str = "", format: str = ""  # noqa: A002
    ) -> Ruling:  # fmt: skip
        """What the rules say of a question; nothing where none is about it.

        A rule's `route` may be the path asked or the name of the format.
        """
        ttl: float | None = None
        never: tuple[str, Reason] | None = None
        tags: dict[str, None] = {}
        won: list[tuple[str, int]] = []
        matched: list[int] = []
        in_doubt = False
        for place, rule, is_of, patterns in self._ready:
            if not is_of(model, route, format):
                continue
            if patterns and len(question) > LONGEST_QUESTION:
                why = f"longer than the {LONGEST_QUESTION:,} characters that patterns look at"
                return Ruling(never=why, reason=Reason.TOO_LARGE)
            found, why_not = _found(patterns, question)
            if patterns and not found:
                continue
            matched.append(place)
            why_not = why_not or rule.never
            if why_not is not None and never is None:
                never = (why_not, Reason.RULE if rule.pack is None else REASONS[rule.pack])
                won.append(("never", place))
            if rule.ttl is not None and ttl is None:
                ttl = rule.ttl
                won.append(("ttl", place))
            if rule.tags:
                made, doubtful = _tags(rule.tags, patterns, question)
                tags |= made
                in_doubt = in_doubt or doubtful
                won.append(("tags", place))
        if not matched:
            return NO_RULING
        in_doubt = in_doubt or len(tags) > MAX_TAGS
        named = tuple(sorted(tags)[:MAX_TAGS])
        said, reason = never or (None, None)
        return Ruling(ttl, named, said, reason, in_doubt, tuple(won), tuple(matched))

    def effect(self, event: str, data: Mapping[str, Any]) -> RuleEffect:
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
                values = {
                    name: _member(event, data, name, template)
                    for name in tag_templates.fields(template)
                }
                try:
                    tags |= dict.fromkeys(tag_templates.filled(template, values))
                except TagTooLong as error:
                    raise ConfigError(f"the event {event!r}: the tag {error}") from None
        patterns = dict.fromkeys(rule.match for rule in known if rule.match is not None)
        return RuleEffect(tuple(tags), tuple(patterns))


def _check_rule(rule: Rule, where: str) -> None:
    """Raises `ConfigError` where a rule alone makes no sense."""
    _check_texts(rule, where)
    if rule.pack is not None:
        _check_pack(rule, rule.pack, where)
        return
    if rule.match is None and rule.model is None and rule.route is None:
        raise ConfigError(f"{where}: is about no question; give it match, model or route")
    if rule.ttl is None and not rule.tags and rule.never is None:
        raise ConfigError(f"{where}: says nothing; give it ttl, tags, never or pack")
    if rule.ttl is not None and rule.never is not None:
        raise ConfigError(f"{where}: has both ttl and never; leave one of them out")
    if rule.match is None:
        tag_templates.check(rule.tags, (), where, "a named group, as there is no match")
    for template in rule.tags:
        _fields(template, where)


def _check_texts(rule: Rule | EventRule, where: str) -> None:
    for name in ("match", "model", "route", "pack"):
        value = getattr(rule, name, None)
        if value is not None and (not isinstance(value, str) or not value.strip()):
            raise ConfigError(f"{where}: {name} is not a text: {value!r}")
    if isinstance(rule.tags, str) or not all(isinstance(tag, str) for tag in rule.tags):
        raise ConfigError(f"{where}: tags are not texts: {rule.tags!r}")


def _check_pack(rule: Rule, pack: str, where: str) -> None:
    if pack not in PACKS:
        raise ConfigError(f"{where}: there is no pack {pack!r}; there are {', '.join(PACKS)}")
    if rule.match is not None or rule.ttl is not None or rule.tags or rule.never is not None:
        raise ConfigError(
            f"{where}: a pack has patterns of its own and says never; beside it, only model and"
            " route may be given"
        )


def _check_event(rule: EventRule, where: str) -> None:
    """Raises `ConfigError` where the rule of an event makes no sense."""
    if not isinstance(rule.event, str) or not _EVENT.fullmatch(rule.event):
        raise ConfigError(
            f"{where}: {rule.event!r} cannot be an event's name; write letters, digits, . _ : -"
        )
    _check_texts(rule, where)
    if not rule.tags and rule.match is None:
        raise ConfigError(f"{where}: invalidates nothing; give it tags or a pattern")
    for template in rule.tags:
        _fields(template, where)


def _shadowed(rules: Iterable[tuple[int, Rule]]) -> list[tuple[int, int]]:
    """Pairs of places: the ttl of the second rule can never win against the first one's."""
    timed = [(place, rule) for place, rule in rules if rule.ttl is not None]
    return [
        (place, later_place)
        for number, (place, earlier) in enumerate(timed)
        for later_place, later in timed[number + 1 :]
        if earlier.match in (None, later.match)
        and earlier.model in (None, later.model)
        and earlier.route in (None, later.route)
    ]


def _ready(place: int, rule: Rule, compile_: Compile) -> _Ready:
    where = f"rule {place}"
    patterns: tuple[tuple[Pattern, str | None], ...] = ()
    if rule.pack is not None:
        packed = PACKS[rule.pack]
        patterns = tuple((_compiled(compile_, text, where), why) for text, why in packed)
    elif rule.match is not None:
        pattern = _compiled(compile_, rule.match, where)
        tag_templates.check(rule.tags, pattern.groupindex, where, "a named group of its pattern")
        patterns = ((pattern, None),)
    return _Ready(place, rule, _is_of(rule), patterns)


def _is_of(rule: Rule) -> Callable[[str, str, str], bool]:
    """Is a question of this model and route, or format, one that the rule may be about?"""
    any_model, any_route = rule.model is None, rule.route is None
    model_like = re.compile(fnmatch.translate(rule.model or "*")).match
    route_like = re.compile(fnmatch.translate(rule.route or "*")).match

    def is_of(model: str, route: str, format_: str) -> bool:
        if not any_model and model_like(model) is None:
            return False
        return any_route or route == rule.route or format_ == rule.route or bool(route_like(route))

    return is_of


def _found(
    patterns: tuple[tuple[Pattern, str | None], ...], question: str
) -> tuple[bool, str | None]:
    for pattern, why in patterns:
        if pattern.search(question) is not None:
            return True, why
    return False, None


def _tags(
    templates: tuple[str, ...], patterns: tuple[tuple[Pattern, str | None], ...], question: str
) -> tuple[dict[str, None], bool]:
    """The tags of every place where the pattern is found: a question about two orders has both.

    True with them if there may be more, or one cannot be.
    """
    tags: dict[str, None] = {}
    in_doubt = False
    every: Iterable[Mapping[str, str | None]] = ({},)
    if patterns and any(map(tag_templates.fields, templates)):
        pattern = patterns[0][0]
        every = (found.groupdict() for found in pattern.finditer(question))
    for number, groups in enumerate(every):
        if number >= MAX_TAGS:  # so that a long question takes no longer than a short one
            return tags, True
        for template in templates:
            try:
                tags |= dict.fromkeys(tag_templates.filled(template, groups))
            except TagTooLong:
                in_doubt = True
    return tags, in_doubt


def _compiled(compile_: Compile, pattern: str, where: str) -> Pattern:
    try:
        return compile_(pattern)
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}") from None


def _fields(template: str, where: str) -> None:
    try:
        tag_templates.fields(template)
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}") from None


def _member(event: str, data: Mapping[str, Any], name: str, template: str) -> str:
    """A member of an event's data as text; true and false as JSON has them."""
    value = data.get(name)
    if value is None or value == "":
        raise ConfigError(
            f"the event {event!r} lacks {name!r} in its data, which the tag {template!r} is made of"
        )
    if isinstance(value, bool):
        return str(value).lower()
    if not isinstance(value, (str, int, float)):
        raise ConfigError(
            f"the event {event!r} has a {name!r} that is neither a text nor a number, so the tag"
            f" {template!r} cannot be made of it"
        )
    return str(value)


def _seconds(ttl: timedelta | str) -> float:
    try:
        seconds = ttl.total_seconds() if isinstance(ttl, timedelta) else parse_duration(ttl)
    except (ValueError, AttributeError, TypeError):
        raise ConfigError(f"ttl is not a duration: {ttl!r}; write '5m' or a timedelta") from None
    if seconds < 0:
        raise ConfigError(f"ttl is negative: {ttl!r}; write a duration such as '5m'")
    return seconds
