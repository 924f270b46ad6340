"""The grammar of `askonce entries`."""

from askonce.cli.grammar.parts import (
    Commands,
    Parser,
    add,
    add_config_option,
    add_json_option,
    positive_count,
)


def add_entries(commands: "Commands[Parser]") -> None:
    parser = add(
        commands,
        "entries",
        "list, show and remove the entries of the shared store",
        """
`askonce entries VERB --help` explains a verb.
""",
        """
  askonce entries list
  askonce entries show 3f9c51aa
  askonce entries remove 3f9c51aa
""",
    )
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB", title="verbs")
    for add_verb in (_add_entries_list, _add_entries_show, _add_entries_remove):
        add_verb(verbs)
    parser.commands = dict(verbs.choices)


def _add_entries_list(verbs: "Commands[Parser]") -> None:
    parser = add(
        verbs,
        "list",
        "list entries",
        """
Of each: the first digits of its key, its namespace, format and model, how old
it is, how long it still lives, how large its answer is and how the question
begins.
""",
        """
  askonce entries list
  askonce entries list --namespace team-a --model gpt-5 --limit 100
  askonce entries list --tag product:42 --json
""",
    )
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
    parser = add(
        verbs,
        "show",
        "show one entry whole: where it comes from, how long it lives, its answer",
        """
KEY is namespace/format/digest. Of the digest the first digits are enough, and
at least 8 of them also without namespace and format, if they name one entry.
""",
        """
  askonce entries show 3f9c51aa
  askonce entries show team-a/openai_chat/3f9c --json
""",
    )
    parser.add_argument("key", metavar="KEY", help="which entry")
    add_config_option(parser)
    add_json_option(parser)


def _add_entries_remove(verbs: "Commands[Parser]") -> None:
    parser = add(
        verbs,
        "remove",
        "remove entries, also out of the memory of running gateways",
        """
The entries of some keys, or all of a namespace, or all there are; the last two
ask first.
""",
        """
  askonce entries remove 3f9c51aa 77d01b2e
  askonce entries remove --namespace team-a --dry-run
  askonce entries remove --all --yes
""",
    )
    parser.add_argument("keys", metavar="KEY", nargs="*", help="which entries, as in `show`")
    parser.add_argument("--namespace", metavar="N", help="all entries of this namespace")
    parser.add_argument("--all", action="store_true", help="all entries")
    parser.add_argument("--yes", action="store_true", help="do not ask")
    parser.add_argument("--dry-run", action="store_true", help="only say how many would go")
    add_config_option(parser)
    add_json_option(parser)
