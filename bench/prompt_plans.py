"""What choosing breakpoints saves on a trace of real conversations, beside fixed ways to set them.

    python -m bench.prompt_plans [--data FOLDER] [--limit N] [--markdown]

The trace has arrivals, lengths, and the input as blocks of 512 tokens that are named alike where
two prompts are the same up to their end. It does not have the boundaries of messages: a request
ends behind its last whole block, what it has beyond that nobody shares, and blocks that came
first in the same request count as one block of a look-back. Nothing is sent to anybody: costs are
what each provider's rules make of the trace, in tokens at the full input price. Output is not in
it, and neither is an answer's beginning; one second after the request stands for it.
"""

import argparse
import gzip
import sys
from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from pathlib import Path
from typing import NamedTuple

import msgspec

from askonce.prompt_rules import load_rules
from askonce.prompts.choosing import Chooser
from askonce.prompts.provider_rules import Rule
from askonce.prompts.simulating import Ask, Block, Fate, Mark, Simulator
from bench import figures
from bench.figures import Figure

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
TRACE = "kimi_conversation_trace.jsonl.gz"
BLOCK = 512

MODELS = (
    ("anthropic", "claude-opus-5"),
    ("anthropic", "claude-sonnet-5"),
    ("anthropic", "claude-haiku-4-5"),
    ("anthropic", "claude-fable-5-1"),
    ("bedrock", "us.anthropic.claude-opus-4-7"),
    ("vertex", "claude-opus-5-5"),
    ("openai", "gpt-5.6-sol"),
    ("openai", "gpt-6.1-sol"),
    ("azure", "gpt-5.6-sol"),
    ("openrouter", "anthropic/claude-sonnet-5"),
    ("openai", "gpt-5.5"),
    ("openai", "gpt-5.4"),
    ("azure", "gpt-4.1"),
    ("gemini", "gemini-3-pro"),
    ("vertex", "gemini-2.5-pro"),
    ("deepseek", "deepseek-v4-pro"),
    ("xai", "grok-4.7"),
    ("mistral", "mistral-large-4"),
    ("groq", "openai/gpt-oss-120b"),
    ("vllm", "any"),
    ("sglang", "any"),
)
"""A model for each kind of rule."""


class Row(msgspec.Struct, frozen=True):
    """One request of the trace; milliseconds, tokens and the names of its blocks."""

    timestamp: float
    input_length: int
    hash_ids: list[int]


class Turn(NamedTuple):
    """A request of the trace with what a fixed strategy would know of it: block numbers or -1."""

    ask: Ask
    last: int
    earlier: int


class Measured(NamedTuple):
    """What one rule makes of the trace under each strategy; shares of the input's full price."""

    provider: str
    model: str
    saved: dict[str, float]


Strategy = Callable[[Turn], Ask]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.prompt_plans")
    parser.add_argument("--data", type=Path, default=DATA, metavar="FOLDER")
    parser.add_argument("--limit", type=int, metavar="N", help="only the first N requests")
    parser.add_argument("--markdown", action="store_true", help="print the table of the docs")
    chosen = parser.parse_args()
    told = measured(chosen.data, chosen.limit)
    if chosen.markdown:
        print("\n".join(as_markdown(told)))
    else:
        figures.show(as_figures(told))
    return 0


def measure(quick: bool) -> list[Figure]:
    """A figure for each kind of rule; none where there is no trace."""
    return as_figures(measured(DATA, 1000 if quick else None))


def measured(folder: Path, limit: int | None = None) -> list[Measured]:
    path = folder / TRACE
    if not path.is_file():
        print(f"prompt plans: skipped, there is no {TRACE}", file=sys.stderr)
        return []
    turns = list(as_turns(read(path)))[:limit]
    book, told = load_rules(), []
    for provider, model in MODELS:
        rule = book.rule(provider, model)
        assert rule is not None, model
        print(f"measuring: {provider} {model} ...", file=sys.stderr, flush=True)
        told.append(Measured(provider, model, compare(turns, rule)))
    return told


def read(path: Path) -> Iterator[Row]:
    decode = msgspec.json.Decoder(Row).decode
    with gzip.open(path, "rb") as lines:
        for line in lines:
            yield decode(line)


def as_turns(rows: Iterator[Row]) -> Iterator[Turn]:
    first: dict[int, int] = {}
    for number, row in enumerate(rows):
        names = row.hash_ids[: row.input_length // BLOCK]
        earlier = -1
        for at, name in enumerate(names):
            if first.setdefault(name, number) < number:
                earlier = at
        last = len(names) - 1
        blocks, position, before = [], -1, -1
        for at, name in enumerate(names):
            position += first[name] != before
            before = first[name]
            blocks.append(Block(name, BLOCK * (at + 1), position, at in (earlier, last)))
        if row.input_length % BLOCK:
            blocks.append(Block(("rest", number), row.input_length, position + 1))
        yield Turn(Ask(row.timestamp / 1000, blocks), last, earlier)


def compare(turns: Sequence[Turn], rule: Rule) -> dict[str, float]:
    """The share of the input's price that each strategy saves; it is less than 0 at a loss."""
    whole = Decimal(sum(turn.ask.blocks[-1].tokens for turn in turns))
    fixed = {"automatic": automatic(rule)}
    if rule.max_writes:
        fixed["system prompt"] = lambda turn: marked(turn, {0})
        fixed["every turn"] = lambda turn: marked(turn, {0, turn.earlier, turn.last})
    costs = {name: fate_of(turns, rule, strategy).cost(rule) for name, strategy in fixed.items()}
    costs["chosen"] = chosen(turns, rule).cost(rule) if rule.max_writes else costs["automatic"]
    return {name: float(1 - cost / whole) for name, cost in costs.items()}


def automatic(rule: Rule) -> Strategy:
    """What a provider does by itself, or when it is asked to choose the end of a request."""
    if rule.automatic in ("always", "default"):
        return lambda turn: turn.ask
    return lambda turn: marked(turn, {turn.last})


def marked(turn: Turn, numbers: set[int]) -> Ask:
    marks = tuple(Mark(number) for number in sorted(numbers) if 0 <= number <= turn.last)
    return msgspec.structs.replace(turn.ask, marks=marks, implicit=False)


def fate_of(turns: Sequence[Turn], rule: Rule, strategy: Strategy) -> Fate:
    simulator = Simulator(rule)
    return sum((simulator.ask(strategy(turn)) for turn in turns), Fate())


def chosen(turns: Sequence[Turn], rule: Rule) -> Fate:
    """Breakpoints as the chooser sets them, which knows of no request but the earlier ones."""
    chooser, total = Chooser(rule), Fate()
    for turn in turns:
        ask = turn.ask
        plan = chooser.choose(ask.blocks, ask.at, candidates=range(turn.last + 1))
        total += chooser.sent(msgspec.structs.replace(ask, marks=plan.marks, implicit=False))
    return total


def as_figures(told: Sequence[Measured]) -> list[Figure]:
    return [
        Figure(
            name=f"prompt plans: {one.provider} {one.model}, saved of the input's price",
            value=100 * one.saved["chosen"],
            unit="%",
            at_least=100 * max(share for name, share in one.saved.items() if name != "chosen"),
            detail={name: f"{share:.1%}" for name, share in one.saved.items() if name != "chosen"},
        )
        for one in told
    ]


def as_markdown(told: Sequence[Measured]) -> Iterator[str]:
    names = ("system prompt", "every turn", "automatic", "chosen")
    yield "| provider | model | " + " | ".join(names) + " |"
    yield "|---|---|" + "--:|" * len(names)
    for one in told:
        shares = (f"{one.saved[name]:.1%}" if name in one.saved else "" for name in names)
        yield f"| {one.provider} | `{one.model}` | " + " | ".join(shares) + " |"


if __name__ == "__main__":
    sys.exit(main())
