"""Builds the sets in src/askonce/semantic/evaluation/data that come from public data.

    python -m training.evaluation DATA            build them
    python -m training.evaluation DATA --check    build them again and compare, without writing

DATA is a folder with CLINC150 as clinc150.jsonl.gz and clinc150_out_of_scope.jsonl.gz. The
questions of BANKING77 are those of the demo provider. Hand-written sets are left alone.
"""

import argparse
import gzip
import json
import sys
from collections.abc import Iterator
from pathlib import Path

from askonce.cli.demo.traffic import questions
from askonce.semantic.evaluation.draws import Draws

DATA = Path(__file__).resolve().parents[2] / "src" / "askonce" / "semantic" / "evaluation" / "data"
SEED = 1
BANKING_PAIRS, CLINC_PAIRS, OUT_OF_SCOPE = 4, 8, 200

NO_SLOTS = (
    "credit_score",
    "direct_deposit",
    "find_phone",
    "improve_credit_score",
    "income",
    "lost_luggage",
    "next_holiday",
    "payday",
    "pto_balance",
    "pto_used",
    "report_fraud",
    "rewards_balance",
    "share_location",
    "w2",
)
"""Intents of CLINC150 whose answer depends on nothing in the question but the intent."""

Texts = dict[str, list[str]]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m training.evaluation")
    parser.add_argument("data", type=Path, help="the folder of the public sets")
    parser.add_argument("--check", action="store_true", help="compare with the existing files")
    options = parser.parse_args()
    made = {
        "intents.jsonl.gz": packed(intents(options.data)),
        "out_of_scope.jsonl.gz": packed(out_of_scope(options.data)),
    }
    changed = [name for name, data in made.items() if not _has(DATA / name, data)]
    for name in changed:
        print(f"{name}: {'differs' if options.check else 'written'}", file=sys.stderr)
        if not options.check:
            (DATA / name).write_bytes(made[name])
    return 1 if changed and options.check else 0


def intents(data: Path) -> Iterator[dict[str, object]]:
    """Yield pairs of one intent, and pairs of two intents that share the most words."""
    banking: Texts = {}
    for question in questions():
        banking.setdefault(question.intent, []).append(question.text)
    clinc: Texts = {}
    for row in _rows(data / "clinc150.jsonl.gz"):
        if row["intent"] in NO_SLOTS:
            clinc.setdefault(row["intent"], []).append(row["text"])
    yield from pairs(banking, BANKING_PAIRS, "banking77")
    yield from pairs(clinc, CLINC_PAIRS, "clinc150")


def pairs(texts: Texts, each: int, source: str) -> Iterator[dict[str, object]]:
    """Yield equally many pairs that are the same and that are different for each intent."""
    draws = Draws(SEED)
    for intent in sorted(texts):
        drawn = draws.shuffled(sorted(set(texts[intent])))[: 3 * each]
        for a, b in zip(drawn[:each], drawn[each : 2 * each], strict=True):
            yield {"a": a, "b": b, "same": True, "kind": source}
        others = [text for other in sorted(texts) if other != intent for text in texts[other]]
        for a in drawn[2 * each :]:
            b = max(others, key=lambda text: (overlap(a, text), text))
            yield {"a": a, "b": b, "same": False, "kind": source}


def overlap(a: str, b: str) -> float:
    """Return the share of words that both have (Jaccard)."""
    one, two = set(a.lower().split()), set(b.lower().split())
    return len(one & two) / len(one | two)


def out_of_scope(data: Path) -> Iterator[dict[str, object]]:
    texts = sorted({row["text"] for row in _rows(data / "clinc150_out_of_scope.jsonl.gz")})
    for text in Draws(SEED).shuffled(texts)[:OUT_OF_SCOPE]:
        yield {"text": text, "intent": "oos"}


def packed(rows: Iterator[dict[str, object]]) -> bytes:
    lines = [json.dumps(row, ensure_ascii=False) for row in rows]
    return gzip.compress(("\n".join(lines) + "\n").encode(), 9, mtime=0)


def _has(path: Path, data: bytes) -> bool:
    # Two versions of zlib may pack the same lines in different bytes.
    return path.is_file() and gzip.decompress(path.read_bytes()) == gzip.decompress(data)


def _rows(path: Path) -> Iterator[dict[str, str]]:
    with gzip.open(path, "rt", encoding="utf-8") as file:
        yield from map(json.loads, file)


if __name__ == "__main__":
    sys.exit(main())
