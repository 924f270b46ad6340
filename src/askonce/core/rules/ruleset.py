"""A ruleset: compiled rules that decide about a question or an event. Pure.

One rule that says never is enough; for a lifetime the first rule that matches wins; the tags of
all rules that match add up. A pattern may be found anywhere in the question's last user turn,
without regard to case.
"""

import fnmatch
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from askonce.core.directives import MAX_TAGS
from askonce.core.errors import ConfigError
from askonce.core.models import Reason
from askonce.core.rules import tag_templates
from askonce.core.rules.packs import PACKS, REASONS
from askonce.core.rules.patterns import Compile, Pattern
from askonce.core.rules.rules import EventRule, Rule, Rules
from askonce.core.rules.tag_templates import TagTooLong

LONGEST_QUESTION = 262_144
"""Characters of a question that patterns search. A longer question bypasses the cache if a pattern
would have to search it."""


class Ruling(NamedTuple):
    """What the rules say about one question.

    Parameters:
        ttl: how long its answers live at most, in seconds; None if no rule says.
        tags: the tags that its answers carry, sorted.
        never: why its answers are not stored, as a sentence; None if they may be.
        reason: the same as one word.
        tags_in_doubt: True if a tag may be missing, so the answer must not be stored.
        won: the rules that decided, as pairs of `ttl`, `tags` or `never` and a rule's number.
        matched: the numbers of all rules that match the question, the first being 1.
        also_store: reasons that do not keep its answers out.
    """

    ttl: float | None = None
    tags: tuple[str, ...] = ()
    never: str | None = None
    reason: Reason | None = None
    tags_in_doubt: bool = False
    won: tuple[tuple[str, int], ...] = ()
    matched: tuple[int, ...] = ()
    also_store: frozenset[Reason] = frozenset()


class RuleEffect(NamedTuple):
    """What an event invalidates: answers with one of the tags, and questions that match."""

    tags: tuple[str, ...]
    patterns: tuple[str, ...]


NO_RULING = Ruling()


class _CompiledRule(NamedTuple):
    """A rule with its patterns; a pack's pattern has its own reason for never."""

    number: int
    rule: Rule
    applies_to: Callable[[str, str, str], bool]
    patterns: tuple[tuple[Pattern, str | None], ...]


class Ruleset:
    """Rules with their patterns compiled, ready to decide.

    Parameters:
        rules: the declarations.
        compile_: compiles a pattern. Its `ConfigError` is raised with the rule's number.
    """

    def __init__(self, rules: Rules, compile_: Compile) -> None:
        self.rules = rules
        self._compiled = tuple(
            _compiled_rule(number, rule, compile_) for number, rule in rules.numbered
        )
        for number, event in enumerate(rules.all, 1):
            if isinstance(event, EventRule) and event.match is not None:
                _compiled(compile_, event.match, f"rule {number}")

    def ruling(
        self, question: str, *, model: str = "", route: str = "", format: str = ""  # noqa: A002
    ) -> Ruling:  # fmt: skip
        """Return what the rules say about a question; `NO_RULING` if none matches it.

        Parameters:
            question: the text of the last user turn.
            model: the model asked for. Default: none, which only a rule for any model matches.
            route: the path of the call; a rule's `route` matches it or `format`.
            format: the name of the wire format.
        """
        ttl: float | None = None
        never: tuple[str, Reason] | None = None
        tags: dict[str, None] = {}
        won: list[tuple[str, int]] = []
        matched: list[int] = []
        in_doubt, also_store = False, set[Reason]()
        for number, rule, applies_to, patterns in self._compiled:
            if not applies_to(model, route, format):
                continue
            if patterns and len(question) > LONGEST_QUESTION:
                why = f"longer than the {LONGEST_QUESTION:,} characters that patterns search"
                return Ruling(never=why, reason=Reason.TOO_LARGE)
            found, why_not = _search(patterns, question)
            if patterns and not found:
                continue
            matched.append(number)
            also_store.update(rule.also_store)
            why_not = why_not or rule.never
            if why_not is not None and never is None:
                never = (why_not, Reason.RULE if rule.pack is None else REASONS[rule.pack])
                won.append(("never", number))
            if rule.ttl is not None and ttl is None:
                ttl = rule.ttl
                won.append(("ttl", number))
            if rule.tags:
                filled, doubtful = _tags(rule.tags, patterns, question)
                tags |= filled
                in_doubt = in_doubt or doubtful
                won.append(("tags", number))
        if not matched:
            return NO_RULING
        sentence, reason = never or (None, None)
        in_doubt = in_doubt or len(tags) > MAX_TAGS
        kept = tuple(sorted(tags)[:MAX_TAGS])
        return Ruling(
            ttl, kept, sentence, reason, in_doubt, tuple(won), tuple(matched), frozenset(also_store)
        )

    def effect(self, event: str, data: Mapping[str, Any]) -> RuleEffect:
        """Return what an event invalidates.

        Parameters:
            event: the event's name.
            data: its members, which fill the tag templates of the rules.

        Raises `ConfigError` if no rule names the event or its data lacks a member that a rule
        needs.
        """
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


def _compiled_rule(number: int, rule: Rule, compile_: Compile) -> _CompiledRule:
    where = f"rule {number}"
    patterns: tuple[tuple[Pattern, str | None], ...] = ()
    if rule.pack is not None:
        packed = PACKS[rule.pack]
        patterns = tuple((_compiled(compile_, text, where), why) for text, why in packed)
    elif rule.match is not None:
        pattern = _compiled(compile_, rule.match, where)
        tag_templates.check(rule.tags, pattern.groupindex, where, "a named group of its pattern")
        patterns = ((pattern, None),)
    return _CompiledRule(number, rule, _applies_to(rule), patterns)


def _applies_to(rule: Rule) -> Callable[[str, str, str], bool]:
    """Return a function of model, route and format: whether the rule may match such a question."""
    any_model, any_route = rule.model is None, rule.route is None
    model_like = re.compile(fnmatch.translate(rule.model or "*")).match
    route_like = re.compile(fnmatch.translate(rule.route or "*")).match

    def applies_to(model: str, route: str, format_: str) -> bool:
        if not any_model and model_like(model) is None:
            return False
        return any_route or route == rule.route or format_ == rule.route or bool(route_like(route))

    return applies_to


def _search(
    patterns: tuple[tuple[Pattern, str | None], ...], question: str
) -> tuple[bool, str | None]:
    for pattern, why in patterns:
        if pattern.search(question) is not None:
            return True, why
    return False, None


def _tags(
    templates: tuple[str, ...], patterns: tuple[tuple[Pattern, str | None], ...], question: str
) -> tuple[dict[str, None], bool]:
    """Return the tags of every place where the pattern is found, and whether one may be missing.

    A question about two orders gets the tags of both.
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


def _member(event: str, data: Mapping[str, Any], name: str, template: str) -> str:
    """Return a member of an event's data as text; true and false as in JSON."""
    value = data.get(name)
    if value is None or value == "":
        raise ConfigError(
            f"the event {event!r} lacks {name!r} in its data; the tag {template!r} needs it"
        )
    if isinstance(value, bool):
        return str(value).lower()
    if not isinstance(value, (str, int, float)):
        raise ConfigError(
            f"the event {event!r} has a {name!r} that is neither a text nor a number, as the tag"
            f" {template!r} needs"
        )
    return str(value)
