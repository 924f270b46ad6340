"""The grammar of `askonce invalidate` and `askonce forget`."""

from askonce.cli.grammar.parts import Commands, Parser, add, add_config_option, add_json_option


def add_invalidate(commands: "Commands[Parser]") -> None:
    parser = add(
        commands,
        "invalidate",
        "invalidate the answers that the options select, in every layer and process",
        """
An answer must match every kind of option; of several tags, or several keys, one
is enough. By tags alone it takes the same time for one answer and for a
million. Otherwise it reads every answer. An answer that arrives meanwhile is
not kept, whether or not a gateway runs. On a terminal it asks before it removes
answers that were not selected by tag or key.
Exit status 0, also if nothing matched; 2 for wrong options.
""",
        """
  askonce invalidate --tag product:42
  askonce invalidate --match 'return polic(y|ies)' --dry-run
  askonce invalidate --model 'gpt-4o*' --older-than 12h --yes
  askonce invalidate --older-than 0s
""",
    )
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
    parser.add_argument("--about", metavar="TEXT", help="whose question means about the same")


def add_forget(commands: "Commands[Parser]") -> None:
    parser = add(
        commands,
        "forget",
        "remove everything about a person, in every layer, and prove it",
        """
Removes the answers with the tag SUBJECT, and those whose namespace, or
subdivision of a namespace, is SUBJECT. An answer that arrives meanwhile is not
kept. Then it reads every layer again, rewrites the file of a SQLite store and
prints a receipt.
Exit status 0: nothing is left; 1: something is left or could not be read. A
running gateway is asked only if [admin] has a token; the receipt says whether
it was.
""",
        """
  askonce forget --subject user:42 --dry-run
  askonce forget --subject user:42 --json > receipt.json
""",
    )
    parser.add_argument("--subject", metavar="SUBJECT", required=True, help="such as user:42")
    parser.add_argument("--dry-run", action="store_true", help="remove nothing, only count")
    add_config_option(parser)
    add_json_option(parser)
