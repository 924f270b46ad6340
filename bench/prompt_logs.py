"""Logs of prompts: how fast the trie takes in text, and how long a large log takes.

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
    """Measure the trie here, and a log in a process of its own, whose memory is counted."""
    command = [sys.executable, "-m", "bench.prompt_logs", "--here", "--requests", str(requests)]
    run = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    return [
        _trie(_TRIE_BYTES * min(requests, 100_000) // 100_000),
        Figure(
            name="prompt logs: 100,000 requests of 10 KB, analyzed",
            value=run["seconds"] * 100_000 / requests,
            unit="s",
            at_most=120,
            detail={
                "requests": requests,
                "MB": run["bytes"] / 1e6,
                "MB a second": run["bytes"] / 1e6 / run["seconds"],
                "findings": run["findings"],
            },
        ),
        Figure(
            name="prompt logs: memory for 100,000 requests of 10 KB",
            value=run["memory"] / 2**30,
            unit="GiB",
            at_most=2 if requests >= 100_000 else None,
            detail={"requests": requests},
        ),
    ]


def _trie(size: int) -> Figure:
    """Measure with prompts that share only their first 8 KB."""
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
    """Analyze such a log in this process; making it is not timed."""
    analysis, seconds, size = Analysis(load_rules()), 0.0, 0
    for line in _lines(requests):
        size += len(line)
        began = time.perf_counter()
        analysis.add_line(line)
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


def _lines(count: int) -> Iterator[bytes]:
    """Yield interleaved conversations of 20 applications; a third begin with a date."""
    chance = random.Random(1)
    words = _Words(chance)
    heads = [words.text(5_000) for _ in range(_HEADS)]
    conversations: list[tuple[int, int, list[dict[str, str]]]] = []
    for number in range(count):
        if len(conversations) < 50:
            conversations.append((number, chance.randrange(_HEADS), []))
        place = chance.randrange(len(conversations))
        session, head, turns = conversations[place]
        turns.append({"role": "user", "content": words.text(1_000)})
        ts = 1_790_000_000 + number * 0.7
        system = heads[head]
        if head % 3 == 0:
            system = f"Now: {time.strftime('%Y-%m-%d %H:%M:%S', time.gmtime(ts))}. {system}"
        api = "messages" if head % 2 else "chat"
        requests: dict[str, dict[str, Any]] = {
            "chat": {"model": "gpt-5.4", "messages": [{"role": "system", "content": system}]},
            "messages": {
                "model": "claude-sonnet-4-5",
                "max_tokens": 900,
                "cache_control": {"type": "ephemeral"},
                "system": system,
                "messages": [],
            },
        }
        request = requests[api]
        request["messages"] = [*request["messages"], *turns]
        line = {
            "ts": ts,
            "provider": "openai" if api == "chat" else "anthropic",
            "api": api,
            "session": f"s{session}",
            "request": request,
        }
        yield json.dumps(line).encode()
        turns.append({"role": "assistant", "content": words.text(1_500)})
        if len(turns) >= 2 * _TURNS:
            del conversations[place]


class _Words:
    """Makes text of made-up words quickly."""

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
