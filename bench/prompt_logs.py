"""Logs of prompts: how fast the trie takes text in, and how long a large log takes as a whole.

python -m bench.prompt_logs [--requests 100000] [--here]
"""

import argparse
import json
import random
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

from askonce.prompts.analyzer.analyzer import Analysis
from askonce.prompts.analyzer.trie import PrefixTrie
from askonce.prompts.provider.rule_files import load_rules
from bench import figures
from bench.figures import Figure

_TURNS = 5  # of a conversation; each is one request
_HEADS = 20
_TRIE_BYTES = 200_000_000


def measure(requests: int = 100_000) -> list[Figure]:
    """The trie here; the whole log in a process of its own, whose memory is counted."""
    command = [sys.executable, "-m", "bench.prompt_logs", "--here", "--requests", str(requests)]
    told = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    return [
        _trie(_TRIE_BYTES * min(requests, 100_000) // 100_000),
        Figure(
            name="prompt logs: 100,000 requests of 10 KB, analyzed",
            value=told["seconds"] * 100_000 / requests,
            unit="s",
            at_most=120,
            detail={
                "requests": requests,
                "MB": told["bytes"] / 1e6,
                "MB a second": told["bytes"] / 1e6 / told["seconds"],
                "findings": told["findings"],
            },
        ),
        Figure(
            name="prompt logs: memory for 100,000 requests of 10 KB",
            value=told["memory"] / 2**30,
            unit="GiB",
            at_most=2 if requests >= 100_000 else None,
            detail={"requests": requests},
        ),
    ]


def _trie(size: int) -> Figure:
    """Prompts that share their first 8 KB, and go on each in their own way."""
    chance = random.Random(1)
    heads = [chance.randbytes(8_000) for _ in range(_HEADS)]
    texts = [chance.choice(heads) + chance.randbytes(32_000) for _ in range(size // 40_000)]
    trie = PrefixTrie()
    began = time.perf_counter()
    for number, text in enumerate(texts):
        trie.add("scope", text, number)
    seconds = time.perf_counter() - began
    return Figure(
        name="prompt logs: text into the trie",
        value=sum(map(len, texts)) / 1e6 / seconds,
        unit="MB/s",
        at_least=100,
        detail={"nodes": len(trie), "MB": sum(map(len, texts)) / 1e6},
    )


def here(requests: int) -> dict[str, float]:
    """Analyze such a log in this process; it is made while it is read, outside of the time."""
    analysis, seconds, size = Analysis(load_rules()), 0.0, 0
    for line in _lines(requests):
        size += len(line)
        began = time.perf_counter()
        analysis.take(line)
        seconds += time.perf_counter() - began
    began = time.perf_counter()
    analysis.finish()
    seconds += time.perf_counter() - began
    return {
        "seconds": seconds,
        "bytes": size,
        "memory": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        "findings": len(analysis.findings),
    }


def _lines(requests: int) -> Iterator[bytes]:
    """Conversations that interleave, of some applications; a third has a date at its beginning."""
    chance = random.Random(1)
    said = _Talk(chance)
    heads = [said.text(5_000) for _ in range(_HEADS)]
    talks: list[tuple[int, int, list[dict[str, str]]]] = []
    for number in range(requests):
        if len(talks) < 50:
            talks.append((number, chance.randrange(_HEADS), []))
        place = chance.randrange(len(talks))
        session, head, turns = talks[place]
        turns.append({"role": "user", "content": said.text(1_000)})
        ts = 1_790_000_000 + number * 0.7
        system = heads[head]
        if head % 3 == 0:
            system = f"Now: {time.strftime('%Y-%m-%d %H:%M:%S', time.gmtime(ts))}. {system}"
        api = "messages" if head % 2 else "chat"
        shapes: dict[str, dict[str, Any]] = {
            "chat": {"model": "gpt-5.4", "messages": [{"role": "system", "content": system}]},
            "messages": {
                "model": "claude-sonnet-4-5",
                "max_tokens": 900,
                "cache_control": {"type": "ephemeral"},
                "system": system,
                "messages": [],
            },
        }
        request = shapes[api]
        request["messages"] = [*request["messages"], *turns]
        line = {
            "ts": ts,
            "provider": "openai" if api == "chat" else "anthropic",
            "api": api,
            "session": f"s{session}",
            "request": request,
        }
        yield json.dumps(line).encode()
        turns.append({"role": "assistant", "content": said.text(1_500)})
        if len(turns) >= 2 * _TURNS:
            del talks[place]


class _Talk:
    """Text of made-up words that is quickly made."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        letters = "etaoinshrdlucm"
        self._words = [
            "".join(chance.choices(letters, k=chance.randint(2, 9))) for _ in range(5000)
        ]

    def text(self, size: int) -> str:
        return " ".join(self._chance.choices(self._words, k=size // 6))


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.prompt_logs")
    parser.add_argument("--requests", type=int, default=100_000)
    parser.add_argument("--here", action="store_true", help="only analyze, and print JSON")
    chosen = parser.parse_args()
    if chosen.here:
        print(json.dumps(here(chosen.requests)))
    else:
        figures.show(measure(chosen.requests))


if __name__ == "__main__":
    main()
