"""The grammar of `askonce rules`."""

from askonce.cli.grammar.parts import Commands, Parser, add, add_json_option, add_verbs


def add_rules(commands: "Commands[Parser]") -> None:
    add_verbs(add(commands, "rules"), _add_test)


def _add_test(verbs: "Commands[Parser]") -> None:
    parser = add(verbs, "rules test")
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
