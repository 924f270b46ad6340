"""The grammar of `askonce eval`."""

from askonce.cli.grammar.parts import (
    Commands,
    Parser,
    add,
    add_json_option,
    number_between,
    positive_count,
)


def add_eval(commands: "Commands[Parser]") -> None:
    parser = add(
        commands,
        "eval",
        "measure matching by meaning on your own questions",
        """
Reads sets of questions with known right answers, and reports the hits and the
wrong hits of matching by meaning, with 95 % intervals, beside thresholds
without guards, the scan of tutorials, and vCache:

  --pairs FILE   {"a": ..., "b": ..., "same": true}
                 would one answer serve both?
  --stream FILE  {"text": ..., "intent": ...}, in the order of time
                 a hit is right if the entry has the same "intent" (or
                 "need"); without one, no hit is right

One JSON object a line, plain or gzip. A wrong line is reported and skipped.
Without files: the sets that ship with AskOnce. Nothing leaves this machine
unless --embedder names an endpoint. Needs: pip install 'askonce[semantic]', and
'askonce[eval]' for --plots. Exit status 2: there is nothing to measure.
""",
        """
  askonce eval
  askonce eval --pairs pairs.jsonl --plots pictures
  askonce eval --stream log.jsonl.gz --threshold 0.93 --json | jq .hit_rate
""",
    )
    _add_sets(parser)
    _add_matcher(parser)
    parser.add_argument("--plots", metavar="DIR", help="also write a picture of each set, as PNG")
    add_json_option(parser)


def _add_sets(parser: Parser) -> None:
    parser.add_argument(
        "--pairs",
        metavar="FILE",
        action="append",
        default=[],
        help="a set of pairs; - is standard input; repeatable",
    )
    parser.add_argument(
        "--stream", metavar="FILE", action="append", default=[], help="a stream; repeatable"
    )
    parser.add_argument(
        "--limit", type=positive_count, metavar="N", help="only the first N lines of each set"
    )
    parser.add_argument(
        "--zipf",
        type=number_between(0, 10),
        metavar="S",
        help="draw the needs of each stream by Zipf's law with this exponent, instead of "
        "in the order of the file",
    )
    parser.add_argument(
        "--out-of-scope",
        metavar="FILE",
        help='mix the "text"s of this file into each stream, as questions that no answer serves',
    )
    parser.add_argument(
        "--out-of-scope-part",
        type=number_between(0, 0.9),
        default=0.05,
        metavar="P",
        help="their share of the stream (default: 0.05)",
    )


def _add_matcher(parser: Parser) -> None:
    parser.add_argument(
        "--threshold",
        type=number_between(-1, 1),
        metavar="T",
        help="the lowest cosine at which an entry may answer (default: that of serving)",
    )
    parser.add_argument(
        "--embedder",
        default="local",
        metavar="ADDRESS",
        help="the source of vectors (default: local); an endpoint gets OPENAI_API_KEY",
    )
