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
A line for each: the first digits of its key, its namespace, format and model,
its age, the rest of its lifetime, the size of its answer and the start of its
question.
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
        "show one entry: its origin, its lifetime, its answer",
        """
KEY is namespace/format/digest. The first digits of the digest are enough, and
8 of them also without namespace and format, if they match one entry only.
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
        "remove entries, also from the memory of running gateways",
        """
Removes the entries of some keys, all of a namespace, or all; the last two ask
first.
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
    parser.add_argument("--dry-run", action="store_true", help="only print their number")
    add_config_option(parser)
    add_json_option(parser)
