"""The table of quantizations: closeness to float32, latency on one core, size, speed in batches."""

import gzip
import json
import random
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import onnxruntime  # type: ignore[import-untyped]
from tokenizers import Tokenizer

from training.embedder import graph, source
from training.embedder.graph import Plan
from training.embedder.source import Array

QUESTION = "how do i reset my password on the company laptop when travelling?"
SAMPLES = {
    "paws_qqp": 321, "mqp": 300, "qqp": 700, "banking77": 400, "clinc150": 400,
    "uqv100_variants": 300, "bing_queries": 300,
}  # fmt: skip
EVERY_LAST = tuple(f"layer.{layer}.output" for layer in range(graph.LAYERS))
PLANS = {
    "float32": Plan(),
    "float32, embeddings int8": Plan(embeddings_in_8_bits=True),
    "dynamic int8": Plan("dynamic", embeddings_in_8_bits=True),
    "dynamic int8, reduced range": Plan("dynamic", reduce_range=True, embeddings_in_8_bits=True),
    "dynamic uint8": Plan("dynamic", weight_type="uint8", embeddings_in_8_bits=True),
    "dynamic int8, FFN outputs float": Plan(
        "dynamic", float_products=EVERY_LAST, embeddings_in_8_bits=True
    ),
    "dynamic int8, last layer float": Plan(
        "dynamic",
        float_products=tuple(
            f"layer.5.{part}"
            for part in ("attention.self", "attention.output", "intermediate", "output")
        ),
        embeddings_in_8_bits=True,
    ),
    "rows": Plan("rows", embeddings_in_8_bits=True),
    "rows, reduced range": Plan("rows", reduce_range=True, embeddings_in_8_bits=True),
    "rows, query-key-value in blocks of 32": Plan(
        "rows", block_products=("attention.self",), embeddings_in_8_bits=True
    ),
    **{
        f"blocks of {block}": Plan("blocks", block, embeddings_in_8_bits=True)
        for block in (16, 32, 64, 128)
    },
}


def table(public: source.Source, data: Path) -> None:
    """Print one line for each plan."""
    tokenizer = Tokenizer.from_str(source.plain_tokenizer(public.tokenizer).decode())
    tokenizer.enable_truncation(256)
    texts = sample(data)
    reference: Array | None = None
    print(f"{len(texts)} texts; the question has {len(tokenizer.encode(QUESTION).ids)} tokens")
    print("| way | mean cosine | 1st percentile | least | p50 ms | MB | texts/s in batches |")
    print("|---|---|---|---|---|---|---|")
    for name, plan in PLANS.items():
        made = graph.build(public.tensors, plan)
        session = open_session(made)
        delay = latency(session, tokenizer)
        start = time.perf_counter()
        found = embed(session, tokenizer, texts)
        speed = len(texts) / (time.perf_counter() - start)
        reference = found if reference is None else reference
        near = np.sum(found * reference, axis=1)
        print(
            f"| {name} | {near.mean():.5f} | {np.quantile(near, 0.01):.5f} | {near.min():.5f} "
            f"| {delay * 1e3:.2f} | {len(made) / 1e6:.1f} | {speed:.0f} |",
            flush=True,
        )


def sample(data: Path) -> list[str]:
    """Return distinct texts of the development sets, the same ones every time."""
    texts: set[str] = set()
    for name, count in SAMPLES.items():
        with gzip.open(data / f"{name}.jsonl.gz", "rt", encoding="utf-8") as lines:
            rows = [json.loads(line) for line in lines]
        random.Random(5).shuffle(rows)
        for row in rows[:count]:
            texts.update(row[key] for key in ("a", "b", "text", "query") if key in row)
    return sorted(texts)


def open_session(made: bytes) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(made, options, providers=["CPUExecutionProvider"])


def latency(session: onnxruntime.InferenceSession, tokenizer: Tokenizer) -> float:
    """Return the seconds to tokenize and embed the question: the median of 400 after 100."""

    def once() -> None:
        ids = np.array([tokenizer.encode(QUESTION).ids], np.int64)
        session.run(None, {"input_ids": ids, "attention_mask": np.ones_like(ids)})

    return float(np.median([timed(once) for _ in range(500)][100:]))


def timed(call: Callable[[], None]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def embed(session: onnxruntime.InferenceSession, tokenizer: Tokenizer, texts: list[str]) -> Array:
    """Embed the texts, sorted by length, in batches of at most 1,024 tokens."""
    tokens = [encoding.ids for encoding in tokenizer.encode_batch(texts)]
    found = np.empty((len(texts), graph.WIDTH), np.float32)
    for rows in batches([len(ids) for ids in tokens]):
        length = max(len(tokens[row]) for row in rows)
        ids = np.zeros((len(rows), length), np.int64)
        mask = np.zeros_like(ids)
        for place, row in enumerate(rows):
            ids[place, : len(tokens[row])] = tokens[row]
            mask[place, : len(tokens[row])] = 1
        found[rows] = session.run(None, {"input_ids": ids, "attention_mask": mask})[0]
    return found


def batches(lengths: list[int], budget: int = 1024) -> Iterator[list[int]]:
    rows: list[int] = []
    for row in sorted(range(len(lengths)), key=lengths.__getitem__):
        if rows and (len(rows) + 1) * lengths[row] > budget:
            yield rows
            rows = []
        rows.append(row)
    if rows:
        yield rows
