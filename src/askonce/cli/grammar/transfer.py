"""The grammar of `askonce export`, `askonce import` and `askonce copy`."""

from askonce.cli.grammar.parts import Commands, Parser, add, add_config_option, add_json_option


def _add_moving_options(parser: Parser) -> None:
    parser.add_argument(
        "--restart", action="store_true", help="start over instead of continuing where it stopped"
    )
    add_config_option(parser)
    add_json_option(parser)


def add_export(commands: "Commands[Parser]") -> None:
    parser = add(
        commands,
        "export",
        "write the entries of the shared store to a file",
        """
Expired and invalidated entries are left out. You can stop it at any time:
FILE.partial and FILE.progress keep its progress, and the same command
continues. A name that ends in .zst or .gz is compressed; - is standard output.
The file holds answers and the store's secret: keep it like the store.
""",
        """
  askonce export answers.askonce.zst
  askonce export --namespace team-a - | ssh host askonce import -
""",
    )
    parser.add_argument("file", metavar="FILE", help="the file to write; - is standard output")
    parser.add_argument("--namespace", metavar="N", help="only the entries of this namespace")
    _add_moving_options(parser)


def add_import(commands: "Commands[Parser]") -> None:
    parser = add(
        commands,
        "import",
        "read the entries of an exported file into the shared store",
        """
The whole file is checked first: a file that was cut, changed or made by another
program imports nothing. An entry replaces one with the same key. Running it
twice is harmless, and an import that was stopped continues where it was.
""",
        """
  askonce import answers.askonce.zst
  askonce import --config new.toml - < answers.askonce
""",
    )
    parser.add_argument("file", metavar="FILE", help="an exported file; - is standard input")
    _add_moving_options(parser)


def add_copy(commands: "Commands[Parser]") -> None:
    parser = add(
        commands,
        "copy",
        "copy the entries of the shared store into another store",
        """
The gateway may run meanwhile: an invalidation during the copy is repeated in
the other store at the end. If it is stopped, the same command in the same
folder continues where it was.
""",
        """
  askonce copy --to redis://cache.internal
  askonce copy --to postgresql://askonce@db/answers --namespace team-a
""",
    )
    parser.add_argument("--to", metavar="URL", required=True, help="the other store's address")
    parser.add_argument("--namespace", metavar="N", help="only the entries of this namespace")
    _add_moving_options(parser)
