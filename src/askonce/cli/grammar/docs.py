"""The grammar of `askonce docs`."""

from askonce.cli.grammar.parts import Commands, Parser, add, add_config_option, add_json_option


def add_docs(commands: "Commands[Parser]") -> None:
    parser = add(
        commands,
        "docs",
        "invalidate the answers made from documents that changed",
        """
The tags doc:ID@VERSION of an answer name its source documents.
`askonce docs VERB --help` explains a verb.
""",
        """
  askonce docs sync manifest.json
""",
    )
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB", title="verbs")
    _add_sync(verbs)
    parser.commands = dict(verbs.choices)


def _add_sync(verbs: "Commands[Parser]") -> None:
    parser = add(
        verbs,
        "sync",
        "invalidate what depends on documents that changed or were removed",
        """
MANIFEST lists the present documents with their versions:

  {"documents": {"7": "v3", "terms.md": "2026-01-31"}}
  {"documents": [{"id": "7", "version": "v3"},
                 {"id": "terms.md", "path": "docs/terms.md"}]}

The version of a path, relative to the manifest, is the beginning of the file's
SHA-256. Answers made from a version that is not the manifest's, from a
document that it does not have, or from an unknown version of one that changed,
are invalidated in every running process. All others stay. Running it twice is
harmless; after an interruption, run it again.
""",
        """
  askonce docs sync manifest.json --dry-run
  askonce docs sync wiki.json --prefix wiki/
  make-manifest | askonce docs sync - --json
""",
    )
    parser.add_argument("manifest", metavar="MANIFEST", help="the documents; - is standard input")
    parser.add_argument(
        "--prefix", default="", metavar="P", help="only documents whose ids begin with P"
    )
    parser.add_argument("--dry-run", action="store_true", help="print it, invalidate nothing")
    add_config_option(parser)
    add_json_option(parser)
