"""Rules as a user declares them, by chained methods or a file, with all checks but the patterns'.

    rules = (
        Rules()
        .after(r"price|cost", "5m")
        .after(r"polic(y|ies)", "7d")
        .tag(r"order (?P<id>\\d+)", "order:{id}")
        .pack("time-sensitive")
        .on("product_updated", tags=["product:{product_id}"], pattern="product")
    )

`ruleset.Ruleset` compiles the patterns and decides.
"""

import re
from collections.abc import Iterable
from datetime import timedelta
from typing import Self

import msgspec

from askonce.core.errors import ConfigError
from askonce.core.models import MAY_ALSO_BE_STORED, Reason
from askonce.core.rules import tag_templates
from askonce.core.rules.packs import PACKS
from askonce.core.units import parse_duration

SAYS_NEVER = "a rule says so"

_EVENT = re.compile(r"[A-Za-z0-9._:-]{1,128}")


class Rule(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One rule: which questions it matches, and what it says about their answers.

    Of `match`, `model` and `route`, all that are given must match.

    Parameters:
        match: a pattern in RE2's syntax, found anywhere in the last user turn. Default: any.
        model: a shell pattern such as `gpt-4o*`. Default: any model.
        route: a shell pattern such as `/v1/*`, or the name of a wire format. Default: any.
        ttl: how long answers live at most, in seconds; a caller may only shorten it. Default: no
            limit.
        tags: templates of tags that answers carry; `{name}` is that named group, at every place
            where `match` is found.
        never: why answers are not stored, as a sentence. Default: they may be.
        pack: the name of a pack, whose patterns take the place of `match`.
        also_store: reasons (`length`, `refusal`, `hosted-tool`) that do not keep an answer out.
            Default: none but those of the cache.
    """

    match: str | None = None
    model: str | None = None
    route: str | None = None
    ttl: float | None = None
    tags: tuple[str, ...] = ()
    never: str | None = None
    pack: str | None = None
    also_store: tuple[Reason, ...] = ()


class EventRule(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What an event invalidates.

    Parameters:
        event: the event's name: up to 128 letters, digits and `. _ : -`.
        tags: templates of tags, in which `{name}` is a member of the event's data.
        match: a pattern; answers to questions that it matches are invalidated. Default: none.
    """

    event: str
    tags: tuple[str, ...] = ()
    match: str | None = None


class Rules:
    """An ordered set of rules. Each method returns a new set with one rule more at the end.

    Parameters:
        rules: the rules to begin with, in order. Default: none.

    Raises `ConfigError`, also from every method: one line that says which rule is wrong and how to
    mend it; the first is rule 1.
    """

    def __init__(self, rules: Iterable[Rule | EventRule] = ()) -> None:
        self.all = tuple(rules)
        for number, rule in enumerate(self.all, 1):
            where = f"rule {number}"
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
        """The rules about questions, each with its number."""
        return tuple((n, rule) for n, rule in enumerate(self.all, 1) if isinstance(rule, Rule))

    @property
    def events(self) -> tuple[EventRule, ...]:
        """The rules about events."""
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
        route: str | None = None, also_store: Iterable[Reason | str] = (),
    ) -> Self:  # fmt: skip
        """Limit the lifetime of answers to questions that match.

        Parameters:
            pattern: in RE2's syntax; None matches every question.
            ttl: how long answers live at most, as a timedelta or a text such as `5m`.
            model: a shell pattern such as `gpt-4o*`. Default: any model.
            route: a shell pattern such as `/v1/*`, or a wire format. Default: any.
            also_store: reasons that do not keep these answers out: `hosted-tool` keeps what the
                provider looked up, for this long; also `length` and `refusal`. Default: none.
        """
        return self._with(
            Rule(
                match=pattern,
                model=model,
                route=route,
                ttl=_seconds(ttl),
                also_store=_reasons(also_store),
            )
        )

    def tag(
        self, pattern: str | None, *tags: str, model: str | None = None, route: str | None = None
    ) -> Self:
        """Tag answers to questions that match.

        Parameters:
            pattern: in RE2's syntax; None matches every question.
            tags: templates such as `order:{id}`, filled from the pattern's named groups.
            model: a shell pattern such as `gpt-4o*`. Default: any model.
            route: a shell pattern such as `/v1/*`, or a wire format. Default: any.
        """
        return self._with(Rule(match=pattern, model=model, route=route, tags=tags))

    def never(
        self, pattern: str | None, *, because: str = SAYS_NEVER, model: str | None = None,
        route: str | None = None,
    ) -> Self:  # fmt: skip
        """Bypass the cache for questions that match: answers are neither stored nor read.

        Parameters:
            pattern: in RE2's syntax; None matches every question.
            because: the reason that `askonce rules` and logs show.
            model: a shell pattern such as `gpt-4o*`. Default: any model.
            route: a shell pattern such as `/v1/*`, or a wire format. Default: any.
        """
        return self._with(Rule(match=pattern, model=model, route=route, never=because))

    def pack(self, name: str, *, model: str | None = None, route: str | None = None) -> Self:
        """Bypass the cache for questions that match a ready-made pack of patterns.

        Parameters:
            name: `personal`, `time-sensitive` or `side-effects`.
            model: a shell pattern such as `gpt-4o*`. Default: any model.
            route: a shell pattern such as `/v1/*`, or a wire format. Default: any.
        """
        return self._with(Rule(pack=name, model=model, route=route))

    def on(self, event: str, *, tags: Iterable[str] = (), pattern: str | None = None) -> Self:
        """Invalidate answers when an event of this name arrives.

        Parameters:
            event: the event's name: up to 128 letters, digits and `. _ : -`.
            tags: templates such as `product:{product_id}`, filled from the event's data.
            pattern: in RE2's syntax; answers to questions that match are invalidated too.
        """
        every = (tags,) if isinstance(tags, str) else tuple(tags)
        return self._with(EventRule(event=event, tags=every, match=pattern))

    def _with(self, rule: Rule | EventRule) -> Self:
        return type(self)((*self.all, rule))


def _check_rule(rule: Rule, where: str) -> None:
    """Raise `ConfigError` if a rule makes no sense by itself."""
    _check_texts(rule, where)
    if rule.pack is not None:
        _check_pack(rule, rule.pack, where)
        return
    if rule.match is None and rule.model is None and rule.route is None:
        raise ConfigError(f"{where}: matches no question; give it match, model or route")
    if rule.ttl is None and not rule.tags and rule.never is None and not rule.also_store:
        raise ConfigError(f"{where}: says nothing; give it ttl, tags, never, also_store or pack")
    if rule.ttl is not None and rule.never is not None:
        raise ConfigError(f"{where}: has both ttl and never; leave one of them out")
    if rule.also_store and rule.never is not None:
        raise ConfigError(f"{where}: has both also_store and never; leave one of them out")
    _check_reasons(rule, where)
    if rule.match is None:
        tag_templates.check(rule.tags, (), where, "a named group, as there is no match")
    for template in rule.tags:
        _check_template(template, where)


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
    if rule != Rule(pack=pack, model=rule.model, route=rule.route):
        raise ConfigError(
            f"{where}: a pack has patterns of its own and says never; give it only model and route"
        )


def _check_reasons(rule: Rule, where: str) -> None:
    for reason in rule.also_store:
        if reason not in MAY_ALSO_BE_STORED:
            there = ", ".join(MAY_ALSO_BE_STORED)
            raise ConfigError(f"{where}: also_store cannot have {reason!r}; there are {there}")


def _check_event(rule: EventRule, where: str) -> None:
    """Raise `ConfigError` if the rule of an event makes no sense."""
    if not isinstance(rule.event, str) or not _EVENT.fullmatch(rule.event):
        raise ConfigError(
            f"{where}: {rule.event!r} cannot be an event's name; write letters, digits, . _ : -"
        )
    _check_texts(rule, where)
    if not rule.tags and rule.match is None:
        raise ConfigError(f"{where}: invalidates nothing; give it tags or a pattern")
    for template in rule.tags:
        _check_template(template, where)


def _check_template(template: str, where: str) -> None:
    try:
        tag_templates.fields(template)
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}") from None


def _shadowed(rules: Iterable[tuple[int, Rule]]) -> list[tuple[int, int]]:
    """Return pairs of numbers: the second rule's ttl can never win against the first one's."""
    timed = [(number, rule) for number, rule in rules if rule.ttl is not None]
    return [
        (number, later_number)
        for at, (number, earlier) in enumerate(timed)
        for later_number, later in timed[at + 1 :]
        if earlier.match in (None, later.match)
        and earlier.model in (None, later.model)
        and earlier.route in (None, later.route)
    ]


def _reasons(given: Iterable[Reason | str]) -> tuple[Reason, ...]:
    words = (given,) if isinstance(given, str) else tuple(given)
    if wrong := [word for word in words if word not in MAY_ALSO_BE_STORED]:
        there = ", ".join(MAY_ALSO_BE_STORED)
        raise ConfigError(f"also_store cannot have {wrong[0]!r}; there are {there}")
    return tuple(map(Reason, words))


def _seconds(ttl: timedelta | str) -> float:
    try:
        seconds = ttl.total_seconds() if isinstance(ttl, timedelta) else parse_duration(ttl)
    except (ValueError, AttributeError, TypeError):
        raise ConfigError(f"ttl is not a duration: {ttl!r}; write '5m' or a timedelta") from None
    if seconds < 0:
        raise ConfigError(f"ttl is negative: {ttl!r}; write a duration such as '5m'")
    return seconds
