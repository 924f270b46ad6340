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
        "measure how well matching by meaning would do, on your own questions",
        """
Reads sets of questions for which the right answer is known, and reports what
matching by meaning would find and what it would get wrong, with 95 %
intervals, beside thresholds without guards, tutorials' scan and vCache:

  --pairs FILE   {"a": ..., "b": ..., "same": true}
                 would one answer serve both?
  --stream FILE  {"text": ..., "intent": ...}, in the order of time
                 a hit is right if the entry has the same "intent" (or
                 "need"); without one, no hit is right

One JSON object a line, plain or gzip. A line that is wrong is told and
skipped. Without files: the sets that ship with AskOnce. Nothing leaves this
machine unless --embedder says so. Needs: pip install 'askonce[semantic]', and
'askonce[eval]' for --plots. Exit status 2: nothing was left to measure.
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
        help="let the needs of each stream come as often as Zipf's law says, with this "
        "exponent, instead of in the order of the file",
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
        help="which part of the stream they are (default: 0.05)",
    )


def _add_matcher(parser: Parser) -> None:
    parser.add_argument(
        "--threshold",
        type=number_between(-1, 1),
        metavar="T",
        help="the cosine from which on an entry may answer (default: the one that serves)",
    )
    parser.add_argument(
        "--embedder",
        default="local",
        metavar="ADDRESS",
        help="what makes vectors (default: local); an endpoint gets OPENAI_API_KEY",
    )
