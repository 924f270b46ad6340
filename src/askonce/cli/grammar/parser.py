"""The grammar of the command line, and its help pages."""

from askonce import __version__
from askonce.cli.grammar.docs import add_docs
from askonce.cli.grammar.eval import add_eval
from askonce.cli.grammar.invalidation import add_forget, add_invalidate
from askonce.cli.grammar.page import Commands as _Commands
from askonce.cli.grammar.page import Parser
from askonce.cli.grammar.page import add as _add
from askonce.cli.grammar.page import add_config_option as _add_config_option
from askonce.cli.grammar.page import add_json_option as _add_json_option
from askonce.cli.grammar.prompts import add_prompts
from askonce.cli.grammar.rules import add_rules
from askonce.cli.grammar.savings import add_savings

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
    """The parser of the whole command line."""
    parser = Parser(prog="askonce", description=DESCRIPTION, epilog=START)
    parser.add_argument("--version", action="version", version=f"askonce {__version__}")
    commands = parser.add_subparsers(
        dest="command", required=True, metavar="COMMAND", title="commands"
    )
    for add in (
        _add_serve,
        _add_demo,
        _add_stats,
        add_savings,
        _add_explain,
        _add_check,
        _add_migrate,
        _add_export,
        _add_import,
        _add_copy,
        _add_entries,
        _add_warm,
        add_invalidate,
        add_forget,
        add_docs,
        add_rules,
        add_eval,
        add_prompts,
        _add_config,
    ):
        add(commands)
    for name, command in commands.choices.items():
        parser.commands[name] = command
        parser.commands |= {f"{name} {verb}": below for verb, below in command.commands.items()}
    return parser


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
        "say whether two request bodies share a key, or what lies near a question",
        """
Both files hold the JSON body of a request. Fields that differ and matter are
listed with both values, so are fields that differ and do not matter, and why a
body would not be looked up at all. Exit status 0: one key; 1: two keys.

With --near it looks for stored questions that ask nearly the same: how similar
they are, what each guard says, and whether an answer would be served. Exit
status 0: one would be; 1: none. Needs: pip install 'askonce[semantic]'.
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
    parser.add_argument("--near", metavar="QUESTION", help="what lies near this question")
    parser.add_argument("--namespace", metavar="NAME", help="with --near: only of this namespace")
    parser.add_argument(
        "--limit", type=int, default=5, metavar="N", help="with --near: how many (default: 5)"
    )
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


def _add_migrate(commands: "_Commands[Parser]") -> None:
    parser = _add(
        commands,
        "migrate",
        "make or renew what the shared store needs",
        """
PostgreSQL: makes the schema and its tables, or brings them to this version's
format. SQLite: renews the file's format. Redis needs nothing. Entries stay. A
store does this by itself when it is first used; run it beforehand where only
another role may make tables. Doing it twice, or twice at once, is harmless.
""",
        """
  askonce migrate
  ASKONCE_STORE__URL=postgresql://owner@db/answers askonce migrate
""",
    )
    _add_config_option(parser)


def _add_moving_options(parser: Parser) -> None:
    parser.add_argument(
        "--restart", action="store_true", help="begin anew instead of going on where it stopped"
    )
    _add_config_option(parser)
    _add_json_option(parser)


def _add_export(commands: "_Commands[Parser]") -> None:
    parser = _add(
        commands,
        "export",
        "write the entries of the shared store to a file",
        """
Entries that expired or were invalidated are left out. It can be stopped at
any time: FILE.partial and FILE.progress keep what there is, and the same
command goes on. A name that ends in .zst or .gz is compressed; - is standard
output. The file holds answers and the store's secret: keep it like the store.
""",
        """
  askonce export answers.askonce.zst
  askonce export --namespace team-a - | ssh host askonce import -
""",
    )
    parser.add_argument("file", metavar="FILE", help="where to; - is standard output")
    parser.add_argument("--namespace", metavar="N", help="only the entries of this namespace")
    _add_moving_options(parser)


def _add_import(commands: "_Commands[Parser]") -> None:
    parser = _add(
        commands,
        "import",
        "read the entries of an exported file into the shared store",
        """
The whole file is checked first: nothing is imported of one that was cut,
changed or made by another program. An entry replaces one with the same key.
Doing it twice is harmless, and an import that was stopped goes on where it was.
""",
        """
  askonce import answers.askonce.zst
  askonce import --config new.toml - < answers.askonce
""",
    )
    parser.add_argument("file", metavar="FILE", help="what `askonce export` wrote; - is stdin")
    _add_moving_options(parser)


def _add_copy(commands: "_Commands[Parser]") -> None:
    parser = _add(
        commands,
        "copy",
        "copy the entries of the shared store into another store",
        """
The gateway may go on meanwhile: what is invalidated while it copies is
invalidated in the other store too, at the end. If it is stopped, the same
command in the same folder goes on where it was.
""",
        """
  askonce copy --to redis://cache.internal
  askonce copy --to postgresql://askonce@db/answers --namespace team-a
""",
    )
    parser.add_argument("--to", metavar="URL", required=True, help="the other store's address")
    parser.add_argument("--namespace", metavar="N", help="only the entries of this namespace")
    _add_moving_options(parser)


def _add_entries(commands: "_Commands[Parser]") -> None:
    parser = _add(
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
    for add in (_add_entries_list, _add_entries_show, _add_entries_remove):
        add(verbs)
    parser.commands = dict(verbs.choices)


def _add_entries_list(verbs: "_Commands[Parser]") -> None:
    parser = _add(
        verbs,
        "list",
        "list entries",
        """
Of each: the first digits of its key, its namespace, format and model, how old
it is, how long it still lives, how large its answer is and how the question
begins.
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
        "--limit", type=_above_zero, default=50, metavar="N", help="at most so many (default: 50)"
    )
    _add_config_option(parser)
    _add_json_option(parser)


def _add_entries_show(verbs: "_Commands[Parser]") -> None:
    parser = _add(
        verbs,
        "show",
        "show one entry whole: where it comes from, how long it lives, its answer",
        """
KEY is namespace/format/digest. Of the digest the first digits are enough, and
at least 8 of them also without namespace and format, if they name one entry.
""",
        """
  askonce entries show 3f9c51aa
  askonce entries show team-a/openai_chat/3f9c --json
""",
    )
    parser.add_argument("key", metavar="KEY", help="which entry")
    _add_config_option(parser)
    _add_json_option(parser)


def _add_entries_remove(verbs: "_Commands[Parser]") -> None:
    parser = _add(
        verbs,
        "remove",
        "remove entries, also out of the memory of running gateways",
        """
The entries of some keys, or all of a namespace, or all there are; the last two
ask first.
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
    parser.add_argument("--dry-run", action="store_true", help="only say how many would go")
    _add_config_option(parser)
    _add_json_option(parser)


def _above_zero(text: str) -> int:
    number = int(text)
    if number < 1:
        raise ValueError
    return number


def _add_warm(commands: "_Commands[Parser]") -> None:
    parser = _add(
        commands,
        "warm",
        "fill the cache with known answers, or by asking questions beforehand",
        """
FILE has one JSON object a line, of one of two kinds:

  {"question": ..., "answer": ...}   stored as it is; may have "scope",
                                     "namespace", "ttl" (as "24h") and "tags"
  {"path": "/v1/...", "request": {}} asked through the gateway, as any program
                                     would; may have "headers"

The gateway of the settings is asked; if none runs, one is started for the
while. What is stored already is not asked again. A bad line is reported and
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
        type=_above_zero,
        default=4,
        metavar="N",
        help="how many questions at once (default: 4)",
    )
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
