"""Damaged lines of a log are reported and do not end the analysis."""

import copy
import json
import random
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest

from askonce.prompts.analyzer.analyzer import Analysis
from askonce.prompts.analyzer.report import Redactor, build_report
from askonce.prompts.provider.rule_files import load_rules
from tests.prompts.seeds import seeds

BOOK = load_rules()
SEEDS = seeds()
ODD: list[Any] = [
    None, True, 0, -1, 1.5, 1e308, "", "x", "\ud800", "\x00", [], {}, [[]], [None], {"a": None},
    "\u00e9" * 3, [1, 2], {"type": 5}, {"type": "text"}, {"type": []}, {"role": {}}, 10**30,
]  # fmt: skip


def paths(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if path:
        yield path
    members = value.items() if isinstance(value, dict) else ()
    for name, below in enumerate(value) if isinstance(value, list) else members:
        yield from paths(below, (*path, name))


def damaged(line: dict[str, Any], chance: random.Random) -> bytes:
    changed = copy.deepcopy(line)
    for _ in range(chance.randint(1, 3)):
        path = chance.choice(list(paths(changed)))
        holder: Any = changed
        for name in path[:-1]:
            holder = holder[name]
        if chance.random() < 0.3:
            del holder[path[-1]]
        else:
            holder[path[-1]] = copy.deepcopy(chance.choice(ODD))
    data = json.dumps(changed).encode()
    return data[: chance.randrange(len(data))] if chance.random() < 0.1 else data


@pytest.mark.parametrize("seed", range(20))
def test_damaged_lines_never_end_the_analysis(seed: int) -> None:
    chance = random.Random(seed)
    analysis, taken = Analysis(BOOK), 0
    for one in chance.sample(SEEDS, 8):
        for line in one.lines:
            usage = {"prompt_tokens": chance.choice([100, 5000, "x", -1])}
            whole = {**line, "response": {"usage": usage}}
            for data in (damaged(whole, chance), json.dumps(whole).encode()):
                analysis.add_line(data)
                taken += 1
    analysis.finish()
    report = build_report(analysis, lambda provider, model: Decimal("0.000002"), Redactor())

    assert analysis.lines == taken
    assert analysis.requests >= taken // 2
    unused = [bad for bad in analysis.bad if not bad.used]
    assert len({bad.line for bad in unused}) + analysis.requests == taken
    assert json.loads(json.dumps(report)) == report
    for route in analysis.routes.all:
        for tokens in (route.simulated, route.markers, route.layout):
            assert min(tokens.read, tokens.written, tokens.plain) >= 0
