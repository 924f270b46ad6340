"""The comparison of the optimizer with fixed strategies runs on a small trace."""

import gzip
import json
from pathlib import Path

from bench.prompt_trace import compare, read

from askonce.prompts.assembly import shipped_rules

CALLS = 12


def trace(folder: Path) -> Path:
    """Write one conversation that grows by a block of 512 tokens with every call."""
    path = folder / "trace.jsonl.gz"
    lines = [
        {"timestamp": 10_000 * at, "input_length": 512 * (at + 8), "hash_ids": [*range(at + 8)]}
        for at in range(CALLS)
    ]
    path.write_bytes(gzip.compress("\n".join(map(json.dumps, lines)).encode()))
    return path


def test_every_strategy_saves_something_on_a_conversation_that_grows(tmp_path: Path) -> None:
    rows = read(trace(tmp_path))
    book = shipped_rules()
    rules = [book.rule("anthropic", "claude-opus-5"), book.rule("openai", "gpt-5.6-sol")]

    compared = list(compare(rows, [rule for rule in rules if rule is not None]))

    assert len(rows) == CALLS
    assert len(compared) == 2
    for one in compared:
        assert one.fixed.keys() == {"system prompt", "every turn", "automatic"}
        assert 0 < one.chosen < 1
        assert one.fixed["every turn"] > one.fixed["system prompt"]
