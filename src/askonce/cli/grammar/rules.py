"""The grammar of `askonce rules`."""

from askonce.cli.grammar.parts import Commands, Parser, add, add_json_option


def add_rules(commands: "Commands[Parser]") -> None:
    parser = add(
        commands,
        "rules",
        "try the rules out, without a cache and without a provider",
        """
Rules say how long answers live, which tags they carry and which are never
stored, by what is asked. `askonce rules VERB --help` explains a verb.
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
        "say what each question would get, and which rule won",
        """
FILE is TOML with [[rules]], such as askonce.toml; rules are counted from 1.
Standard input has a question a line. Of each: how long its answer would live,
the tags it would carry, or why it would never be stored; and the rules that
matched and lost. With --event, the tags and patterns that this event would
invalidate; standard input is not read then.
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
