"""The grammar of `askonce rules`."""

from askonce.cli.grammar.parts import Commands, Parser, add, add_json_option


def add_rules(commands: "Commands[Parser]") -> None:
    parser = add(
        commands,
        "rules",
        "try the rules without a cache and without a provider",
        """
Rules decide by the question how long answers live, which tags they carry and
which are never stored. `askonce rules VERB --help` explains a verb.
""",
        """
  askonce rules test askonce.toml < questions.txt
""",
    )
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB", title="verbs")
    _add_test(verbs)
    parser.commands = dict(verbs.choices)


def _add_test(verbs: "Commands[Parser]") -> None:
    parser = add(
        verbs,
        "test",
        "print what each question would get, and which rule won",
        """
FILE is TOML with [[rules]], such as askonce.toml; rules are counted from 1.
Standard input has a question a line. For each it prints the lifetime and the
tags of its answer, or why it would never be stored, and the rules that matched
and lost. With --event it prints the tags and patterns that this event would
invalidate, and reads no standard input.
""",
        """
  askonce rules test askonce.toml < questions.txt
  askonce rules test --model gpt-5 --json askonce.toml < questions.txt
  askonce rules test askonce.toml --event product_updated product_id=123
""",
    )
    parser.add_argument("file", metavar="FILE", help="the file that has the rules")
    parser.add_argument("--model", metavar="M", default="", help="the model that is asked")
    parser.add_argument(
        "--route", metavar="R", default="", help="the path that is asked, or a format's name"
    )
    parser.add_argument(
        "--event",
        nargs="+",
        metavar=("NAME", "KEY=VALUE"),
        help="an event and its data, in place of questions",
    )
    add_json_option(parser)
