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
    parser = add(
        commands,
        "serve",
        "start the gateway",
        """
Serves the OpenAI API on /v1, Anthropic's on /v1/messages and every configured
provider on /PROVIDER/..., and answers repeated questions from its store.
Ctrl-C stops it after it has finished its current answers.
""",
        """
  askonce serve
  askonce serve --port 8080 --config /etc/askonce.toml
  OPENAI_BASE_URL=http://127.0.0.1:4040/v1 python your_program.py
""",
    )
    parser.add_argument("--host", help="the address to listen on (default: gateway.host)")
    parser.add_argument("--port", help="the port to listen on (default: gateway.port)")
    add_config_option(parser)


def _add_demo(commands: "Commands[Parser]") -> None:
    parser = add(
        commands,
        "demo",
        "show what AskOnce saves, with real questions and no key",
        """
Starts a gateway and a demo provider on this machine, sends customers'
questions through the unmodified SDKs and reports the savings. Nothing leaves
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
        "--concurrency", type=int, default=16, metavar="N", help="questions at once (default: 16)"
    )
    parser.add_argument("--picture", metavar="FILE", help="also write the report there, as SVG")
    add_json_option(parser)


def _add_stats(commands: "Commands[Parser]") -> None:
    parser = add(
        commands,
        "stats",
        "print how many calls the cache answered, and the savings",
        """
Asks the running gateway of the settings; if none answers, reads the counters
that its store has kept.
""",
        """
  askonce stats
  askonce stats --json | jq .saved_usd
""",
    )
    add_config_option(parser)
    add_json_option(parser)


def _add_explain(commands: "Commands[Parser]") -> None:
    parser = add(
        commands,
        "explain",
        "explain whether two requests share a key, or find questions like another",
        """
Both files hold the JSON body of a request. It lists the fields that differ,
those that matter with both values, and why a body would not be looked up at
all. Exit status 0: one key; 1: two keys.

With --near it lists the most similar stored questions: their similarity, the
verdict of each guard, and whether the answer would be served. Exit status 0: at
least one would be; 1: none. Needs: pip install 'askonce[semantic]'.
""",
        """
  askonce explain monday.json tuesday.json
  askonce explain --format anthropic_messages a.json - < b.json
  askonce explain --near 'How can I change my PIN?'
""",
    )
    parser.add_argument(
        "a", nargs="?", metavar="A.json", help="a request body; - is standard input"
    )
    parser.add_argument("b", nargs="?", metavar="B.json", help="another one")
    parser.add_argument("--near", metavar="QUESTION", help="list stored questions like this one")
    parser.add_argument("--namespace", metavar="NAME", help="with --near: only of this namespace")
    parser.add_argument(
        "--limit",
        type=int,
        default=5,
        metavar="N",
        help="with --near: at most N (default: 5)",
    )
    parser.add_argument(
        "--format",
        choices=("openai_chat", "anthropic_messages"),
        help="the format of both (default: guessed from their fields)",
    )
    add_config_option(parser)
    add_json_option(parser)


def _add_check(commands: "Commands[Parser]") -> None:
    parser = add(
        commands,
        "check",
        "read the whole store and report every damaged entry",
        """
A damaged entry is never served, with or without this command. Exit status 0:
no damage, or all of it has been removed; 1: damage remains.
""",
        """
  askonce check
  askonce check --fix
""",
    )
    parser.add_argument("--fix", action="store_true", help="remove damaged entries")
    add_config_option(parser)
    add_json_option(parser)


def _add_migrate(commands: "Commands[Parser]") -> None:
    parser = add(
        commands,
        "migrate",
        "create or update the schema of the shared store",
        """
PostgreSQL: creates the schema and its tables, or updates them to the format of
this version. SQLite: updates the format of the file. Redis needs nothing.
Entries stay. A store does this itself at its first use; run it beforehand if
only another role may create tables. Running it twice, or twice at once, is
harmless.
""",
        """
  askonce migrate
  ASKONCE_STORE__URL=postgresql://owner@db/answers askonce migrate
""",
    )
    add_config_option(parser)


def _add_warm(commands: "Commands[Parser]") -> None:
    parser = add(
        commands,
        "warm",
        "fill the cache with known answers, or with answers to questions in a file",
        """
FILE has one JSON object a line, of one of two kinds:

  {"question": ..., "answer": ...}   stored unchanged; may have "scope",
                                     "namespace", "ttl" (as "24h") and "tags"
  {"path": "/v1/...", "request": {}} asked through the gateway as any call;
                                     may have "headers"

It asks the gateway of the settings; if none runs, it starts one for its own
time. Stored questions are not asked again. A wrong line is reported and
skipped.
Exit status 0: every line is in the cache; 1: some are not.
""",
        """
  askonce warm questions.jsonl
  askonce warm --via https://askonce.internal questions.jsonl
""",
    )
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
    parser = add(
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
    add_config_option(parser)
    add_json_option(parser)
