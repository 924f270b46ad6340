"""The small sets that ship with AskOnce; `data/README.md` has their sources."""

import gzip
import importlib.resources

from askonce.semantic.evaluation.pairs import read_pairs
from askonce.semantic.evaluation.question_sets import PairSet, QuestionSet, StreamSet
from askonce.semantic.evaluation.streams import StreamQuestion, mixed_in, read_stream, zipf_arrivals

ARRIVALS = 2_400
EXPONENT = 0.8
OUT_OF_SCOPE = 0.05
SEED = 1


def shipped_sets() -> list[QuestionSet]:
    """Return hand-written pairs, pairs of two public sets, and a stream of bank customers."""
    return [
        PairSet("handwritten", read_pairs(_lines("handwritten.jsonl"))[0]),
        PairSet("intents", read_pairs(_lines("intents.jsonl.gz"))[0]),
        StreamSet("customers", customers()),
    ]


def customers() -> list[StreamQuestion]:
    """Return customers' questions by Zipf's law, with some out of scope."""
    # The demo's customers ask the same questions.
    asked, _ = read_stream(_lines("banking77.jsonl.gz"))
    strange, _ = read_stream(_lines("out_of_scope.jsonl.gz"))
    arrived = zipf_arrivals(asked, count=ARRIVALS, exponent=EXPONENT, seed=SEED)
    texts = [question.text for question in strange]
    return mixed_in(arrived, texts, part=OUT_OF_SCOPE, seed=SEED)


def _lines(*path: str) -> list[bytes]:
    data = (
        importlib.resources.files("askonce.semantic.evaluation")
        .joinpath("data", *path)
        .read_bytes()
    )
    return (gzip.decompress(data) if path[-1].endswith(".gz") else data).splitlines()
