"""The small sets that ship with AskOnce; `evaluating/data/README.md` says where they come from."""

import gzip
import importlib.resources

from askonce.evaluating.pairs import read_pairs
from askonce.evaluating.streams import Question, mixed_in, read_stream, zipf_arrivals
from askonce.measuring import PairSet, Set, StreamSet

ARRIVALS = 2_400
EXPONENT = 0.8
OUT_OF_SCOPE = 0.05
SEED = 1


def shipped_sets() -> list[Set]:
    """Hand-written pairs, pairs of two public sets of intents, and a stream of bank customers."""
    return [
        PairSet("handwritten", read_pairs(_lines("evaluating", "data", "handwritten.jsonl"))[0]),
        PairSet("intents", read_pairs(_lines("evaluating", "data", "intents.jsonl.gz"))[0]),
        StreamSet("customers", customers()),
    ]


def customers() -> list[Question]:
    """Customers' questions as often as Zipf's law says, with some that no answer serves."""
    # The practice provider's customers ask the same questions.
    asked, _ = read_stream(_lines("practice", "banking77.jsonl.gz"))
    strange, _ = read_stream(_lines("evaluating", "data", "out_of_scope.jsonl.gz"))
    arrived = zipf_arrivals(asked, count=ARRIVALS, exponent=EXPONENT, seed=SEED)
    texts = [question.text for question in strange]
    return mixed_in(arrived, texts, part=OUT_OF_SCOPE, seed=SEED)


def _lines(*path: str) -> list[bytes]:
    data = importlib.resources.files("askonce").joinpath(*path).read_bytes()
    return (gzip.decompress(data) if path[-1].endswith(".gz") else data).splitlines()
