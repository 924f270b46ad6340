"""The grammar of the command line, and its help pages."""

import argparse
from typing import Any, NoReturn

from askonce import __version__

DESCRIPTION = """\
AskOnce answers a question that was already asked, instead of paying a model
to answer it again. Point an SDK's base URL at it, or use it as a library.
"""
START = """\
to begin with:
  askonce demo       watch real questions being answered, most of them once
  askonce serve      start the gateway on http://127.0.0.1:4040

`askonce COMMAND --help` explains a command.
"""


def _eighty_columns(prog: str) -> argparse.HelpFormatter:
    # A fixed width, so that the help is the same everywhere, the documentation included.
    return argparse.RawDescriptionHelpFormatter(prog, width=80)


class Parser(argparse.ArgumentParser):
    """An argument parser that complains in one line."""

    def __init__(self, **keywords: Any) -> None:
        super().__init__(**keywords, formatter_class=_eighty_columns, allow_abbrev=False)
        self.commands: dict[str, Parser] = {}

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"askonce: {message}; see `{self.prog} --help`\n")


def new_parser() -> Parser:
    """The parser of the whole command line."""
    parser = Parser(prog="askonce", description=DESCRIPTION, epilog=START)
    parser.add_argument("--version", action="version", version=f"askonce {__version__}")
    commands = parser.add_subparsers(
        dest="command", required=True, metavar="COMMAND", title="commands"
    )
    for add in (_add_serve, _add_demo, _add_stats, _add_explain, _add_check, _add_config):
        add(commands)
    parser.commands = dict(commands.choices)
    return parser


_Commands = argparse._SubParsersAction  # what `add_subparsers` returns has no public name


def _add(commands: "_Commands[Parser]", name: str, what: str, more: str, examples: str) -> Parser:
    description = f"{what[0].upper()}{what[1:]}.\n\n{more.strip()}\n"
    return commands.add_parser(
        name, help=what, description=description, epilog=f"examples:\n{examples.strip(chr(10))}\n"
    )


def _add_config_option(parser: Parser) -> None:
    parser.add_argument(
        "--config",
        metavar="FILE",
        help="the settings (default: askonce.toml if there is one); "
        "ASKONCE_<SECTION>__<KEY> in the environment overrides it",
    )


def _add_json_option(parser: Parser) -> None:
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def _add_serve(commands: "_Commands[Parser]") -> None:
    parser = _add(
        commands,
        "serve",
        "start the gateway",
        """
Serves the OpenAI API on /v1, Anthropic's on /v1/messages and every configured
provider on /PROVIDER/..., and answers what was asked before from its store.
Ctrl-C stops it; answers under way are finished first.
""",
        """
  askonce serve
  askonce serve --port 8080 --config /etc/askonce.toml
  OPENAI_BASE_URL=http://127.0.0.1:4040/v1 python your_program.py
""",
    )
    parser.add_argument("--host", help="the address to listen on (default: gateway.host)")
    parser.add_argument("--port", help="the port to listen on (default: gateway.port)")
    _add_config_option(parser)


def _add_demo(commands: "_Commands[Parser]") -> None:
    parser = _add(
        commands,
        "demo",
        "show what AskOnce saves, with real questions and no key",
        """
Starts a gateway and a practice provider on this machine, sends customers'
questions through the unmodified SDKs and reports what was saved. Nothing leaves
this machine and nothing is charged. Needs: pip install 'askonce[demo]'.
""",
        """
  askonce demo
  askonce demo --requests 2000 --concurrency 32
""",
    )
    parser.add_argument(
        "--requests", type=int, default=600, metavar="N", help="questions to ask (default: 600)"
    )
    parser.add_argument(
        "--concurrency", type=int, default=16, metavar="N", help="how many at once (default: 16)"
    )
    parser.add_argument("--picture", metavar="FILE", help="also write the report there, as SVG")
    _add_json_option(parser)


def _add_stats(commands: "_Commands[Parser]") -> None:
    parser = _add(
        commands,
        "stats",
        "print how many calls were answered from the cache, and what that saved",
        """
Asks the running gateway of the settings; if none answers, reads the counters
that its store has kept.
""",
        """
  askonce stats
  askonce stats --json | jq .saved_usd
""",
    )
    _add_config_option(parser)
    _add_json_option(parser)


def _add_explain(commands: "_Commands[Parser]") -> None:
    parser = _add(
        commands,
        "explain",
        "say whether two request bodies share a key, and what makes the difference",
        """
Both files hold the JSON body of a request. Fields that differ and matter are
listed with both values, so are fields that differ and do not matter, and why a
body would not be looked up at all. Exit status 0: one key; 1: two keys.
""",
        """
  askonce explain monday.json tuesday.json
  askonce explain --format anthropic_messages a.json - < b.json
""",
    )
    parser.add_argument("a", metavar="A.json", help="a request body; - is standard input")
    parser.add_argument("b", metavar="B.json", help="another one")
    parser.add_argument(
        "--format",
        choices=("openai_chat", "anthropic_messages"),
        help="the format of both (default: guessed from their fields)",
    )
    _add_config_option(parser)
    _add_json_option(parser)


def _add_check(commands: "_Commands[Parser]") -> None:
    parser = _add(
        commands,
        "check",
        "read the whole store and report every damaged entry",
        """
A damaged entry is never served, with or without this command. Exit status 0:
nothing is damaged, or everything that was has been removed; 1: damage remains.
""",
        """
  askonce check
  askonce check --fix
""",
    )
    parser.add_argument("--fix", action="store_true", help="remove what is damaged")
    _add_config_option(parser)
    _add_json_option(parser)


def _add_config(commands: "_Commands[Parser]") -> None:
    parser = _add(
        commands,
        "config",
        "print the effective settings and where they come from, secrets masked",
        """
Prints a complete askonce.toml: defaults, file and environment together.
""",
        """
  askonce config
  ASKONCE_CACHE__TTL=1h askonce config
""",
    )
    _add_config_option(parser)
    _add_json_option(parser)
