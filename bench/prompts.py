"""The time that the optimizer of prompts adds to a request of 20,000 tokens.

    python -m bench.prompts

All requests have different bytes: conversations that grow, with the same tools and system prompt,
and questions after one long prompt. The time covers everything that happens to the body: it is
taken apart, its prefixes are looked up, markers are chosen and set, and it is encoded again.
Parsing the same body with msgspec in the same run is the lower bound.
"""

import gc
import json
import statistics
import time
from collections.abc import Sequence
from typing import Any

import msgspec

from askonce.prompts.assembly import shipped_rules
from askonce.prompts.optimizer.optimizer import Optimizer, OutgoingRequest
from askonce.prompts.requests.dialects import Dialect
from bench import figures
from bench.figures import Figure, percentile

_BYTES = 72_000  # 20,000 tokens of 3.6 bytes
_TURN = "What does it cost to send money abroad, and how long does it take? "
_TOOLS = [
    {"name": f"tool_{at}", "description": _TURN, "input_schema": {"type": "object"}}
    for at in range(20)
]


def measure(calls: int = 1_000) -> list[Figure]:
    return [
        _figure(
            "a conversation at Anthropic", _conversations("messages", "claude-sonnet-5-5", calls)
        ),
        _figure("a conversation at OpenAI", _conversations("chat", "gpt-5.6-sol", calls)),
        _figure("one long prompt at Anthropic", _questions("claude-sonnet-5-5", calls)),
    ]


def _figure(name: str, calls: Sequence[OutgoingRequest]) -> Figure:
    made = Optimizer(shipped_rules(), "mark")
    took, busy, marked = [], [], 0
    gc.collect()
    for at, call in enumerate(calls):
        began, working = time.perf_counter(), time.thread_time()
        plan = made.plan(call, 1_000.0 + at)
        busy.append((time.thread_time() - working) * 1000)
        took.append((time.perf_counter() - began) * 1000)
        marked += "marked" in plan.report.did
    bare = []
    for call in calls:
        began = time.perf_counter()
        msgspec.json.decode(call.body)
        bare.append((time.perf_counter() - began) * 1000)
    return Figure(
        name=f"prompts: added to 20,000 tokens, {name}",
        value=statistics.median(took),
        unit="ms",
        at_most=1,
        detail={
            "p99 of processor time, ms": percentile(busy, 99),
            "bare parse ms": statistics.median(bare),
            "marked": f"{marked} of {len(calls)}",
        },
    )


def _conversations(dialect: Dialect, model: str, calls: int) -> list[OutgoingRequest]:
    """Return the last ten calls of as many conversations as needed."""
    made = []
    for number in range(-(-calls // 10)):
        turns: list[Any] = []
        while len(turns) * (len(_TURN) * 6 + 35) < _BYTES - 6_000:
            role = ("user", "assistant")[len(turns) % 2]
            turns.append({"role": role, "content": f"{number} {len(turns)} {_TURN * 6}"})
        turns = turns[: len(turns) - (len(turns) + 1) % 2]
        ends = range(len(turns) - 18, len(turns) + 1, 2)
        made += [_outgoing(dialect, model, _TURN * 10, turns[:end]) for end in ends]
    return made[:calls]


def _questions(model: str, calls: int) -> list[OutgoingRequest]:
    system = _TURN * (_BYTES // len(_TURN))
    turns = ([{"role": "user", "content": f"{at} {_TURN}"}] for at in range(calls))
    return [_outgoing("messages", model, system, turn) for turn in turns]


def _outgoing(dialect: Dialect, model: str, system: str, turns: list[Any]) -> OutgoingRequest:
    body: dict[str, Any] = {"model": model, "max_tokens": 900, "tools": _TOOLS}
    if dialect == "messages":
        body |= {"system": system, "messages": turns}
    else:
        body["tools"] = [{"type": "function", "function": tool} for tool in _TOOLS]
        body["messages"] = [{"role": "system", "content": system}, *turns]
    raw = json.dumps(body, separators=(",", ":")).encode()
    return OutgoingRequest(dialect, "", "/v1/x", "bench", raw)


if __name__ == "__main__":
    figures.show(measure())
