"""The grammar of `askonce entries`."""

from askonce.cli.grammar.parts import (
    Commands,
    Parser,
    add,
    add_config_option,
    add_json_option,
    add_verbs,
    positive_count,
)


def add_entries(commands: "Commands[Parser]") -> None:
    add_verbs(add(commands, "entries"), _add_entries_list, _add_entries_show, _add_entries_remove)


def _add_entries_list(verbs: "Commands[Parser]") -> None:
    parser = add(verbs, "entries list")
    parser.add_argument("--namespace", metavar="N", help="only those of this namespace")
    parser.add_argument("--model", metavar="M", help="only those that this model answered")
    parser.add_argument("--tag", metavar="T", help="only those with this tag")
    parser.add_argument(
        "--limit",
        type=positive_count,
        default=50,
        metavar="N",
        help="at most so many (default: 50)",
    )
    add_config_option(parser)
    add_json_option(parser)


def _add_entries_show(verbs: "Commands[Parser]") -> None:
    parser = add(verbs, "entries show")
    parser.add_argument("key", metavar="KEY", help="which entry")
    add_config_option(parser)
    add_json_option(parser)


def _add_entries_remove(verbs: "Commands[Parser]") -> None:
    parser = add(verbs, "entries remove")
    parser.add_argument("keys", metavar="KEY", nargs="*", help="which entries, as in `show`")
    parser.add_argument("--namespace", metavar="N", help="all entries of this namespace")
    parser.add_argument("--all", action="store_true", help="all entries")
    parser.add_argument("--yes", action="store_true", help="do not ask")
    parser.add_argument("--dry-run", action="store_true", help="only print their number")
    add_config_option(parser)
    add_json_option(parser)
