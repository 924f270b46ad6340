"""Regenerate docs/reference/cli.md from the parsers, and check the links of all pages.

python scripts/docs.py             write, check
python scripts/docs.py --check     only check

A link is a Markdown link of a page, or the name of a page in a source file, such as
`docs/guides/semantic.md` in a message.
"""

import argparse
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from askonce.cli.grammar.parser import new_parser

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
CLI_PAGE = DOCS / "reference" / "cli.md"
LINK = re.compile(r"\]\(<?([^)\s>]+)>?(?:\s+\"[^\"]*\")?\)")
MENTION = re.compile(r"\bdocs/[\w./-]+\.md\b")
EXAMPLE = "docs/terms.md"
"""A user's own file in an example of the help."""
MENTIONING = ("src", "packages", "bench", "examples", "deploy", "scripts")


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="change nothing")
    page = cli_page()
    faults = []
    if not parser.parse_args().check:
        CLI_PAGE.write_text(page, encoding="utf-8")
    elif not CLI_PAGE.is_file() or CLI_PAGE.read_text(encoding="utf-8") != page:
        faults.append("docs/reference/cli.md is not what the parsers say; run make docs")
    pages = [*sorted(ROOT.glob("*.md")), *sorted(DOCS.rglob("*.md"))]
    faults += [fault for path in pages for fault in broken_links(path)]
    faults += broken_mentions()
    for fault in faults:
        print(fault, file=sys.stderr)
    return 1 if faults else 0


def cli_page() -> str:
    """Return the help of every command as one Markdown page."""
    parser = new_parser()
    parts = ["# The command line", "", "Made from the parsers by `make docs`; do not edit.", ""]
    parts += ["## askonce", "", "```text", parser.format_help().rstrip(), "```", ""]
    for name, command in parser.commands.items():
        parts += [f"## askonce {name}", "", "```text", command.format_help().rstrip(), "```", ""]
    return "\n".join(parts)


def broken_links(path: Path) -> list[str]:
    """List the links of a Markdown page that lead to no file or no heading of this repository."""
    faults = []
    text = re.sub(r"```.*?```", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
    for target in LINK.findall(text):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = target.partition("#")
        page = (path.parent / name) if name else path
        if not page.exists():
            faults.append(f"{path.relative_to(ROOT)}: {target} leads nowhere")
        elif anchor and page.suffix == ".md" and anchor not in anchors(page):
            faults.append(f"{path.relative_to(ROOT)}: {target} names no heading")
    return faults


def broken_mentions() -> list[str]:
    """List the pages that source files name and that do not exist."""
    return [
        f"{path.relative_to(ROOT)}: {name} does not exist"
        for path in _sources()
        for name in MENTION.findall(path.read_text(encoding="utf-8"))
        if name != EXAMPLE and not (ROOT / name).exists()
    ]


def _sources() -> Iterator[Path]:
    yield ROOT / "askonce.toml.example"
    for folder in MENTIONING:
        for path in sorted((ROOT / folder).rglob("*")):
            if path.suffix in (".py", ".toml", ".yml", ".yaml", ".conf", ".service"):
                yield path


def anchors(page: Path) -> set[str]:
    """Return the headings of a page as links name them."""
    headings = re.findall(r"^#+ +(.+?) *$", page.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


if __name__ == "__main__":
    sys.exit(main())
