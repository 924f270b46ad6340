"""The benchmark of prompt plans, on a small trace made here."""

import gzip
import json
import random
from pathlib import Path

import pytest
from bench import prompt_plans


def write_trace(path: Path) -> None:
    """Conversations of one to eight turns behind one system prompt of two blocks."""
    draws, rows, names = random.Random(7), [], iter(range(10, 100_000))
    for _ in range(300):
        at, blocks = draws.uniform(0, 1_800_000), [0, 1]
        for _ in range(draws.choice([1, 2, 8])):
            blocks = [*blocks, *(next(names) for _ in range(draws.randint(1, 4)))]
            length = 512 * len(blocks) + draws.randint(0, 511)
            rest = [next(names)] if length % 512 else []
            rows.append({"timestamp": at, "input_length": length, "hash_ids": [*blocks, *rest]})
            at += draws.expovariate(1 / 60_000)
    rows.sort(key=lambda row: row["timestamp"])
    with gzip.open(path, "wt", encoding="utf-8") as lines:
        lines.writelines(json.dumps(row) + "\n" for row in rows)


def test_the_chosen_plan_is_as_good_but_for_what_learning_costs(
    tmp_path: Path,
) -> None:
    write_trace(tmp_path / prompt_plans.TRACE)

    told = prompt_plans.measured(tmp_path)

    assert len(told) == len(prompt_plans.MODELS)
    assert len(prompt_plans.as_figures(told)) == len(told)
    for _, model, saved in told:
        # Marking every turn is the best there is for such traffic; that has to be learned first.
        assert saved["chosen"] > 0.99 * max(saved.values()), model
    table = list(prompt_plans.as_markdown(told))
    assert len(table) == len(told) + 2
    assert all(line.count("|") == 7 for line in table)


def test_without_the_trace_it_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert prompt_plans.measured(tmp_path) == []
    assert "skipped" in capsys.readouterr().err
