"""The grammar of `askonce export`, `askonce import` and `askonce copy`."""

from askonce.cli.grammar.parts import Commands, Parser, add, add_config_option, add_json_option


def _add_moving_options(parser: Parser) -> None:
    parser.add_argument(
        "--restart", action="store_true", help="start over instead of continuing where it stopped"
    )
    add_config_option(parser)
    add_json_option(parser)


def add_export(commands: "Commands[Parser]") -> None:
    parser = add(commands, "export")
    parser.add_argument("file", metavar="FILE", help="the file to write; - is standard output")
    parser.add_argument("--namespace", metavar="N", help="only the entries of this namespace")
    _add_moving_options(parser)


def add_import(commands: "Commands[Parser]") -> None:
    parser = add(commands, "import")
    parser.add_argument("file", metavar="FILE", help="an exported file; - is standard input")
    parser.add_argument("--overwrite", action="store_true", help="replace newer answers too")
    parser.add_argument(
        "--foreign", action="store_true", help="take an archive of another store's secret too"
    )
    _add_moving_options(parser)


def add_copy(commands: "Commands[Parser]") -> None:
    parser = add(commands, "copy")
    parser.add_argument("--to", metavar="URL", required=True, help="the other store's address")
    parser.add_argument("--namespace", metavar="N", help="only the entries of this namespace")
    _add_moving_options(parser)
