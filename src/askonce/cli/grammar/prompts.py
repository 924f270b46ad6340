"""The grammar of `askonce prompts`."""

from askonce.cli.grammar.parts import (
    Commands,
    Parser,
    add,
    add_json_option,
    number_between,
    positive_count,
)


def add_prompts(commands: "Commands[Parser]") -> None:
    parser = add(
        commands,
        "prompts",
        "explain why a provider's own prompt cache is missed, and how to fix it",
        """
`askonce prompts VERB --help` explains a verb.
""",
        """
  askonce prompts analyze requests.jsonl
  askonce prompts check prompts/*.json
""",
    )
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB", title="verbs")
    for add_verb in (_add_analyze, _add_check):
        add_verb(verbs)
    parser.commands = dict(verbs.choices)


def _add_analyze(verbs: "Commands[Parser]") -> None:
    parser = add(
        verbs,
        "analyze",
        "report what a log of requests loses at the providers' prompt caches, and why",
        """
LOG has one JSON object a line, plain or gzip:

  {"ts": seconds, "provider": ..., "api": "chat|responses|messages|gemini",
   "request": {...}, "response": {"usage": ...}, "session": ..., "tenant": ...}

The last three may be missing. The gateway writes such a log: [log] requests.
For each route it prints what the provider reported, what its rules predict for
the requests as sent, and what markers and another layout could achieve; and for
each cause its place, its cost and its fix. A wrong line is reported and
skipped. Nothing leaves this machine.
Exit status 1: --fail-under was given and is not reached.
""",
        """
  askonce prompts analyze requests.jsonl
  askonce prompts analyze requests.jsonl.gz --html report.html
  askonce prompts analyze - --json --hash-only < requests.jsonl | jq .findings
""",
    )
    _add_analyze_options(parser)
    add_json_option(parser)


def _add_analyze_options(parser: Parser) -> None:
    parser.add_argument("log", metavar="LOG", help="the log; - is standard input")
    parser.add_argument("--html", metavar="FILE", help="also write a page with pictures")
    parser.add_argument("--sarif", metavar="FILE", help="also write the findings as SARIF 2.1.0")
    parser.add_argument(
        "--fail-under",
        type=number_between(0, 1),
        metavar="P",
        help="exit 1 below this share of the achievable reads, such as 0.8",
    )
    parser.add_argument(
        "--hash-only",
        action="store_true",
        help="print no word of a prompt, only hashes under a key that is not kept",
    )
    parser.add_argument(
        "--rules", metavar="FILE", action="append", default=[], help="rules of your own, as TOML"
    )
    parser.add_argument(
        "--limit", type=positive_count, default=20, metavar="N", help="findings shown (default: 20)"
    )


def _add_check(verbs: "Commands[Parser]") -> None:
    parser = add(
        verbs,
        "check",
        "check that the prompts of a repository have not changed",
        """
Each FILE is the JSON body of a request, for example written by a test. One file
of snapshots keeps hashes of the parts that providers' prompt caches compare; it
belongs into the repository. A changed prompt is reported with the place of its
first change: the provider bills everything after it again.
Exit status 0: nothing changed, or --update has renewed the snapshots; 1: some
prompts changed, are new or are gone.
""",
        """
  askonce prompts check --update tests/prompts/*.json
  askonce prompts check tests/prompts/*.json
""",
    )
    parser.add_argument("files", metavar="FILE", nargs="+", help="bodies of requests")
    parser.add_argument("--update", action="store_true", help="keep the prompts as they are now")
    parser.add_argument(
        "--snapshots",
        metavar="FILE",
        default="prompts.lock.json",
        help="where hashes are kept (default: prompts.lock.json)",
    )
    parser.add_argument(
        "--api",
        choices=("chat", "responses", "messages", "gemini"),
        help="the dialect of all files (default: guessed from their members)",
    )
    add_json_option(parser)
