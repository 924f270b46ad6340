"""The grammar of `askonce docs`."""

from askonce.cli.grammar.parts import (
    Commands,
    Parser,
    add,
    add_config_option,
    add_json_option,
    add_verbs,
)


def add_docs(commands: "Commands[Parser]") -> None:
    add_verbs(add(commands, "docs"), _add_sync)


def _add_sync(verbs: "Commands[Parser]") -> None:
    parser = add(verbs, "docs sync")
    parser.add_argument("manifest", metavar="MANIFEST", help="the documents; - is standard input")
    parser.add_argument(
        "--prefix", default="", metavar="P", help="only documents whose ids begin with P"
    )
    parser.add_argument("--dry-run", action="store_true", help="print it, invalidate nothing")
    add_config_option(parser)
    add_json_option(parser)
