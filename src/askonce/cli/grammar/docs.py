"""The grammar of `askonce docs`."""

from askonce.cli.grammar.parts import Commands, Parser, add, add_config_option, add_json_option


def add_docs(commands: "Commands[Parser]") -> None:
    parser = add(
        commands,
        "docs",
        "invalidate the answers made from documents that changed",
        """
Answers say which documents they were made from with tags: doc:ID@VERSION.
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
MANIFEST says which documents there are now, in which version:

  {"documents": {"7": "v3", "terms.md": "2026-01-31"}}
  {"documents": [{"id": "7", "version": "v3"},
                 {"id": "terms.md", "path": "docs/terms.md"}]}

The version of a path, relative to the manifest, is the beginning of the file's
SHA-256. Answers made from a version that is not the manifest's, from a
document that it does not have, or from nobody knows which version of one that
changed, are invalidated in every running process. All others stay. Doing it
twice is harmless; one that was stopped is done by the next.
""",
        """
  askonce docs sync manifest.json --dry-run
  askonce docs sync wiki.json --prefix wiki/
  make-manifest | askonce docs sync - --json
""",
    )
    parser.add_argument("manifest", metavar="MANIFEST", help="the documents; - is standard input")
    parser.add_argument(
        "--prefix", default="", metavar="P", help="leave documents alone whose ids do not begin so"
    )
    parser.add_argument("--dry-run", action="store_true", help="only say what would go")
    add_config_option(parser)
    add_json_option(parser)
