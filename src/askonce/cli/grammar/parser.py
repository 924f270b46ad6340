"""The grammar of the command line, and its help pages."""

from askonce import __version__
from askonce.cli.grammar.docs import add_docs
from askonce.cli.grammar.entries import add_entries
from askonce.cli.grammar.eval import add_eval
from askonce.cli.grammar.invalidation import add_forget, add_invalidate
from askonce.cli.grammar.parts import (
    Commands,
    Parser,
    add,
    add_config_option,
    add_json_option,
    positive_count,
)
from askonce.cli.grammar.prompts import add_prompts
from askonce.cli.grammar.rules import add_rules
from askonce.cli.grammar.savings import add_savings
from askonce.cli.grammar.transfer import add_copy, add_export, add_import

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


def new_parser() -> Parser:
    """Return the parser of the whole command line."""
    parser = Parser(prog="askonce", description=DESCRIPTION, epilog=START)
    parser.add_argument("--version", action="version", version=f"askonce {__version__}")
    commands = parser.add_subparsers(
        dest="command", required=True, metavar="COMMAND", title="commands"
    )
    for add_command in (
        _add_serve,
        _add_demo,
        _add_stats,
        add_savings,
        _add_explain,
        _add_check,
        _add_migrate,
        add_export,
        add_import,
        add_copy,
        add_entries,
        _add_warm,
        add_invalidate,
        add_forget,
        add_docs,
        add_rules,
        add_eval,
        add_prompts,
        _add_config,
    ):
        add_command(commands)
    for name, command in commands.choices.items():
        parser.commands[name] = command
        parser.commands |= {f"{name} {verb}": below for verb, below in command.commands.items()}
    return parser


def _add_serve(commands: "Commands[Parser]") -> None:
    parser = add(commands, "serve")
    parser.add_argument("--host", help="the address to listen on (default: gateway.host)")
    parser.add_argument("--port", help="the port to listen on (default: gateway.port)")
    add_config_option(parser)


def _add_demo(commands: "Commands[Parser]") -> None:
    parser = add(commands, "demo")
    parser.add_argument(
        "--requests",
        type=positive_count,
        default=600,
        metavar="N",
        help="questions to ask (default: 600)",
    )
    parser.add_argument(
        "--concurrency",
        type=positive_count,
        default=16,
        metavar="N",
        help="questions at once (default: 16)",
    )
    parser.add_argument("--picture", metavar="FILE", help="also write the report there, as SVG")
    add_json_option(parser)


def _add_stats(commands: "Commands[Parser]") -> None:
    parser = add(commands, "stats")
    add_config_option(parser)
    add_json_option(parser)


def _add_explain(commands: "Commands[Parser]") -> None:
    parser = add(commands, "explain")
    parser.add_argument(
        "a", nargs="?", metavar="A.json", help="a request body; - is standard input"
    )
    parser.add_argument("b", nargs="?", metavar="B.json", help="another one")
    parser.add_argument("--near", metavar="QUESTION", help="list stored questions like this one")
    parser.add_argument("--namespace", metavar="NAME", help="with --near: only of this namespace")
    parser.add_argument(
        "--limit",
        type=positive_count,
        default=5,
        metavar="N",
        help="with --near: at most N (default: 5)",
    )
    parser.add_argument(
        "--format",
        choices=("openai_chat", "anthropic_messages"),
        help="the format of both (default: guessed from their fields)",
    )
    parser.add_argument(
        "--provider",
        metavar="NAME",
        help="the provider of both (default: the one of their format)",
    )
    add_config_option(parser)
    add_json_option(parser)


def _add_check(commands: "Commands[Parser]") -> None:
    parser = add(commands, "check")
    parser.add_argument("--fix", action="store_true", help="remove damaged entries")
    add_config_option(parser)
    add_json_option(parser)


def _add_migrate(commands: "Commands[Parser]") -> None:
    parser = add(commands, "migrate")
    add_config_option(parser)


def _add_warm(commands: "Commands[Parser]") -> None:
    parser = add(commands, "warm")
    parser.add_argument("file", metavar="FILE", help="JSON Lines; - is standard input")
    parser.add_argument("--via", metavar="URL", help="ask this gateway")
    parser.add_argument(
        "--concurrency",
        type=positive_count,
        default=4,
        metavar="N",
        help="questions at once (default: 4)",
    )
    add_config_option(parser)
    add_json_option(parser)


def _add_config(commands: "Commands[Parser]") -> None:
    parser = add(commands, "config")
    add_config_option(parser)
    add_json_option(parser)
