"""What does it take to decide whether one of 100,000 entries may answer a question?

    python -m bench.decision

Embed a question of twelve words with the local embedder, look among 100,000 entries of one scope,
and let the guards judge the nearest few. The entries' questions are real customers' and made from
templates; each of these stands there many times over, a little beside its own vector. In a process
of its own, on one core.
"""

import argparse
import hashlib
import itertools
import json
import os
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

import numpy

from askonce.cli.demo.traffic import questions as practiced
from askonce.core.models import Key
from askonce.core.runtime.threads import run_sync
from askonce.semantic.embedders.local import LocalEmbedder
from askonce.semantic.guards import judge
from askonce.semantic.index.open_index import open_process_index
from askonce.semantic.lookup import PreparedTexts
from askonce.semantic.operating_point import CANDIDATES, THRESHOLD
from bench import figures
from bench.figures import Figure
from bench.vectors import DIMENSIONS, unit

ENTRIES = 100_000
_WORDS = 12
_PASSES = 5
_NEVER = 1e11
_STEPS = ("embed", "search", "guards")

_ASKS = (
    "How do I {verb} {thing} {where}?",
    "What does it cost to {verb} {thing} {where}?",
    "Can my partner {verb} {thing} {where} without me?",
    "How long will it take to {verb} {thing} {where}?",
    "Why was I not allowed to {verb} {thing} {where}?",
    "Is there a limit when I {verb} {thing} {where}?",
)
_VERBS = ("order", "cancel", "replace", "check", "share", "upgrade", "close", "activate")
_THINGS = (
    *("a debit card", "a savings account", "a standing order", "my mobile plan", "the insurance"),
    *("a parcel", "my subscription", "a hotel room", "the annual statement", "a gift voucher"),
)
_WHERES = ("in the app", "by telephone", "from abroad", "at a branch", "on the website")


def measure(entries: int = ENTRIES) -> list[Figure]:
    command = [sys.executable, "-m", "bench.decision", "--here", "--entries", str(entries)]
    one = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run(command, check=True, capture_output=True, env={**os.environ, **one})
    shares: dict[str, float] = json.loads(done.stdout)
    return [
        Figure(
            name=f"decision: embed {_WORDS} words, search {entries:,} entries, guards",
            value=shares.pop("p50"),
            unit="ms",
            at_most=6 if entries == ENTRIES else None,
            detail={f"{name}, ms" if name in _STEPS else name: shares[name] for name in shares},
        )
    ]


def here(entries: int) -> dict[str, float]:
    """Fill an index, and decide on every question of twelve words, several times over."""
    _stay_on_one_core()
    asked, held = _texts()
    held = held[:entries]
    embedder = LocalEmbedder(lock=threading.Lock())
    index = open_process_index("bench", DIMENSIONS, lock=threading.Lock(), clock=time.time)
    for number, vector in enumerate(_vectors(embedder, held, entries)):
        run_sync(index.add(b"scope", _key(number), vector.tobytes(), _NEVER))
    passes = []
    for _ in range(_PASSES):
        prepared = PreparedTexts()  # empty in each pass, as for entries that were not compared yet
        decided = [_decided(text, embedder, index, prepared, held) for text in asked]
        passes.append([steps for steps, _ in decided])
        served = sum(which for _, which in decided)
    quietest = min(passes, key=lambda one: statistics.median(map(sum, one)))
    whole = [sum(steps) for steps in quietest]
    shares = zip(_STEPS, zip(*quietest, strict=True), strict=True)
    return {
        "p50": statistics.median(whole),
        "p99 ms": figures.percentile(whole, 99),
        **{name: statistics.median(times) for name, times in shares},
        "questions": len(asked),
        "served": served / len(asked),
    }


def _decided(
    text: str, embedder: LocalEmbedder, index: Any, prepared: PreparedTexts, held: list[str]
) -> tuple[list[float], bool]:
    """What each step took, in ms, and whether an entry may answer."""
    times = [time.perf_counter()]
    (vector,) = run_sync(embedder.embed([text]))
    times.append(time.perf_counter())
    near = run_sync(index.nearest(b"scope", vector, CANDIDATES))
    times.append(time.perf_counter())
    question, served = prepared.read(text), False
    for one in near:
        # All of them, though the first that may answer would do: the most that it can take.
        other = held[int.from_bytes(one.key.digest[-8:]) % len(held)]
        served |= judge(question, prepared.read(other), one.similarity, THRESHOLD).yes
    times.append(time.perf_counter())
    return [(end - start) * 1e3 for start, end in itertools.pairwise(times)], served


def _texts() -> tuple[list[str], list[str]]:
    """Questions of twelve words, and those that entries have."""
    real = [question.text for question in practiced()]
    asked = [text for text in real if len(text.split()) == _WORDS]
    slots = itertools.product(_ASKS, _VERBS, _THINGS, _WHERES)
    made = [ask.format(verb=verb, thing=thing, where=where) for ask, verb, thing, where in slots]
    return asked, [text for text in real if len(text.split()) != _WORDS] + made


def _vectors(embedder: LocalEmbedder, held: list[str], entries: int) -> Iterator[Any]:
    """Entry n has the text n modulo the number of texts."""
    found = run_sync(embedder.embed(held))
    exact = numpy.stack([numpy.frombuffer(vector or b"", "<f4") for vector in found])
    yield from exact[:entries]
    for turn in range(1, entries // len(held) + 1):
        chance = numpy.random.default_rng(turn)
        beside = unit(chance.standard_normal(exact.shape, dtype="f4"))
        moved = unit(exact + chance.uniform(0.35, 0.9, (len(exact), 1)).astype("f4") * beside)
        yield from moved[: entries - turn * len(held)]


def _stay_on_one_core() -> None:
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})


def _key(number: int) -> Key:
    """A digest like any other, except that its end is the entry's number."""
    name = number.to_bytes(8)
    return Key("team", "chat", hashlib.sha256(name).digest()[:24] + name)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.decision")
    parser.add_argument("--entries", type=int, default=ENTRIES)
    parser.add_argument("--here", action="store_true", help="only decide, and print JSON")
    chosen = parser.parse_args()
    if chosen.here:
        print(json.dumps(here(chosen.entries)))
    else:
        figures.show(measure(chosen.entries))


if __name__ == "__main__":
    main()
