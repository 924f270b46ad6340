"""The grammar of `askonce prompts`."""

from askonce.cli.grammar.parts import (
    Commands,
    Parser,
    add,
    add_json_option,
    add_verbs,
    number_between,
    positive_count,
)


def add_prompts(commands: "Commands[Parser]") -> None:
    add_verbs(add(commands, "prompts"), _add_analyze, _add_check)


def _add_analyze(verbs: "Commands[Parser]") -> None:
    parser = add(verbs, "prompts analyze")
    _add_analyze_options(parser)
    add_json_option(parser)


def _add_analyze_options(parser: Parser) -> None:
    parser.add_argument("log", metavar="LOG", help="the log; - is standard input")
    parser.add_argument("--html", metavar="FILE", help="also write a page with pictures")
    parser.add_argument("--sarif", metavar="FILE", help="also write the findings as SARIF 2.1.0")
    parser.add_argument(
        "--fail-under",
        type=number_between(0, 1),
        metavar="P",
        help="exit 1 below this share of the achievable reads, such as 0.8",
    )
    parser.add_argument(
        "--hash-only",
        action="store_true",
        help="print no word of a prompt, only hashes under a key that is not kept",
    )
    parser.add_argument(
        "--rules", metavar="FILE", action="append", default=[], help="rules of your own, as TOML"
    )
    parser.add_argument(
        "--limit", type=positive_count, default=20, metavar="N", help="findings shown (default: 20)"
    )


def _add_check(verbs: "Commands[Parser]") -> None:
    parser = add(verbs, "prompts check")
    parser.add_argument("files", metavar="FILE", nargs="+", help="bodies of requests")
    parser.add_argument("--update", action="store_true", help="keep the prompts as they are now")
    parser.add_argument(
        "--snapshots",
        metavar="FILE",
        default="prompts.lock.json",
        help="where hashes are kept (default: prompts.lock.json)",
    )
    parser.add_argument(
        "--api",
        choices=("chat", "responses", "messages", "gemini"),
        help="the dialect of all files (default: guessed from their members)",
    )
    add_json_option(parser)
