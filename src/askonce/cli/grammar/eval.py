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
    parser = add(commands, "eval")
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
