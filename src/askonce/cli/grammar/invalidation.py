"""The grammar of `askonce invalidate` and `askonce forget`."""

from askonce.cli.grammar.parts import Commands, Parser, add, add_config_option, add_json_option


def add_invalidate(commands: "Commands[Parser]") -> None:
    parser = add(commands, "invalidate")
    add_names(parser)
    parser.add_argument("--dry-run", action="store_true", help="only count them, and show some")
    parser.add_argument("--yes", action="store_true", help="do not ask")
    add_config_option(parser)
    add_json_option(parser)


def add_names(parser: Parser) -> None:
    """Add the options that select answers."""
    again = "; may be repeated"
    parser.add_argument(
        "--tag", metavar="T", action="append", default=[], help=f"those with this tag{again}"
    )
    parser.add_argument(
        "--key",
        metavar="K",
        action="append",
        default=[],
        help=f"the one of this key, as in `entries show`{again}",
    )
    parser.add_argument(
        "--model", metavar="M", help="asked of or answered by these, such as 'gpt-4o*'"
    )
    parser.add_argument("--namespace", metavar="N", help="of exactly this namespace")
    parser.add_argument("--tenant", metavar="T", help="of this namespace and its subdivisions")
    parser.add_argument(
        "--route", metavar="R", help="asked on these paths, such as '/v1/chat*', or of a format"
    )
    parser.add_argument("--older-than", metavar="AGE", help="given longer ago than, say, 12h")
    parser.add_argument("--match", metavar="RE2", help="whose question has this pattern in it")


def add_forget(commands: "Commands[Parser]") -> None:
    parser = add(commands, "forget")
    parser.add_argument("--subject", metavar="SUBJECT", required=True, help="such as user:42")
    parser.add_argument("--dry-run", action="store_true", help="remove nothing, only count")
    add_config_option(parser)
    add_json_option(parser)
