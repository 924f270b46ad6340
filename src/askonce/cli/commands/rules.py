"""`askonce rules test`: print the effect of rules on questions and events."""

import argparse
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from askonce.cli.output.terminal import plain, show_json
from askonce.config.load import load
from askonce.config.rule_tables import plain_tables, show_ttl
from askonce.config.settings import Settings
from askonce.core.errors import ConfigError
from askonce.core.rules.re2 import compiled_rules
from askonce.core.rules.rules import Rules
from askonce.core.rules.ruleset import RuleEffect, Ruleset, Ruling
from askonce.formats import recognize

_BOLD, _DIM, _PLAIN = "\x1b[1m", "\x1b[2m", "\x1b[0m"


def run(options: argparse.Namespace) -> int:
    settings = _settings(options.file)
    if not settings.rules:
        raise ConfigError(f"{options.file}: has no [[rules]]; write at least one")
    try:
        ruleset = compiled_rules(settings.rules)
    except ConfigError as error:
        raise ConfigError(f"{options.file}: {error}") from None
    if options.event:
        _show_event(ruleset, options)
        return 0
    known = recognize(options.route)
    asked = {"model": options.model, "route": options.route, "format": known.name if known else ""}
    found = ((question, ruleset.ruling(question, **asked)) for question in _questions())
    if options.json:
        rulings = [_as_dict(question, ruling, settings) for question, ruling in found]
        print(show_json({"questions": rulings}))
        return 0
    styled = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
    for question, ruling in found:
        print("\n".join(_lines(question, ruling, settings, styled=styled)))
    return 0


def _settings(name: str) -> Settings:
    try:
        text = Path(name).read_text(encoding="utf-8-sig")
    except OSError as error:
        raise ConfigError(f"{name}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{name}: is not UTF-8 text; save it as UTF-8") from None
    return load(text, {}, name)


def _questions() -> Iterator[str]:
    if sys.stdin.isatty():
        print("Type questions, one a line; Ctrl-D ends.", file=sys.stderr)
    for line in sys.stdin.buffer:
        question = line.decode("utf-8", "replace").lstrip("\ufeff").strip()
        if question:
            yield question


# Questions


def losers(ruling: Ruling, rules: Rules) -> list[tuple[int, str]]:
    """List the rules that matched but lost, each with the reason."""
    won = {part: place for part, place in ruling.won if part != "tags"}
    lost = []
    for place in ruling.matched:
        rule = rules.all[place - 1]
        if getattr(rule, "ttl", None) is not None and won.get("ttl") != place:
            lost.append((place, f"its ttl lost: rule {won['ttl']} comes first"))
        elif "never" in won and won["never"] != place:
            what = "says never too" if _says_never(rule) else "has nothing to say"
            lost.append((place, f"{what}: rule {won['never']} says never"))
    return lost


def _says_never(rule: Any) -> bool:
    return rule.never is not None or rule.pack is not None


def _as_dict(question: str, ruling: Ruling, settings: Settings) -> dict[str, Any]:
    stored = ruling.reason is None and not ruling.tags_in_doubt
    ttl = settings.cache.limits.ttl if ruling.ttl is None else ruling.ttl
    reason = ruling.reason or ("bad-tags" if ruling.tags_in_doubt else None)
    return {
        "question": question,
        "stored": stored and ttl > 0,
        "ttl": ttl if stored else None,
        "tags": list(ruling.tags) if stored else [],
        "because": reason if reason is not None or ttl > 0 else "ttl-zero",
        "never": ruling.never,
        "won": {
            "never": _places(ruling, "never"),
            "ttl": _places(ruling, "ttl"),
            "tags": _places(ruling, "tags"),
        },
        "lost": [place for place, _ in losers(ruling, settings.rules)],
    }


def _places(ruling: Ruling, part: str) -> list[int]:
    return [place for name, place in ruling.won if name == part]


def _lines(question: str, ruling: Ruling, settings: Settings, *, styled: bool) -> Iterator[str]:
    bold, dim, normal = (_BOLD, _DIM, _PLAIN) if styled else ("", "", "")
    yield f"{bold}{plain(question)}{normal}"
    rules = settings.rules
    if ruling.reason is not None:
        by = f"  {_named(rules, _places(ruling, 'never'))}" if ruling.won else ""
        yield f"  never stored ({ruling.reason}): {ruling.never}{dim}{by}{normal}"
    elif ruling.tags_in_doubt:
        by = _named(rules, _places(ruling, "tags"))
        yield f"  not stored (bad-tags): too many tags, or one too long{dim}  {by}{normal}"
    else:
        if ruling.ttl is None:
            default = show_ttl(settings.cache.limits.ttl)
            yield f"  lives {default}{dim}  cache.ttl{normal}"
        else:
            by = _named(rules, _places(ruling, "ttl"))
            yield f"  lives {show_ttl(ruling.ttl)}{dim}  {by}{normal}"
        if ruling.tags:
            by = _named(rules, _places(ruling, "tags"))
            yield f"  tags {', '.join(ruling.tags)}{dim}  {by}{normal}"
    for place, why in losers(ruling, rules):
        yield f"  {dim}also matched: {_named(rules, [place])}; {why}{normal}"


def _named(rules: Rules, places: list[int]) -> str:
    """`rule 2 (order (?P<id>\\d+))`, and more of them."""
    tables = plain_tables(rules)
    shown = []
    for place in places:
        table = tables[place - 1]
        about = next(table[key] for key in ("match", "pack", "model", "route") if key in table)
        shown.append(f"rule {place} ({plain(about)})")
    return ", ".join(shown)


# Events


def _show_event(ruleset: Ruleset, options: argparse.Namespace) -> None:
    name, *members = options.event
    data = {}
    for member in members:
        key, equals, value = member.partition("=")
        if not equals or not key:
            raise ConfigError(f"{member!r} is not a member of an event's data; write KEY=VALUE")
        data[key] = value
    effect: RuleEffect = ruleset.effect(name, data)
    if options.json:
        facts = {"event": name, "data": data}
        print(json.dumps({**facts, "tags": effect.tags, "patterns": effect.patterns}, indent=2))
        return
    print(f"{plain(name)} would invalidate")
    for tag in effect.tags:
        print(f"  answers with the tag {tag}")
    for pattern in effect.patterns:
        print(f"  answers to questions that match {plain(pattern)}")
    if not effect.tags and not effect.patterns:
        print("  nothing")
