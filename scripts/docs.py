"""Regenerates docs/cli.md from the parsers, and checks that every relative link leads somewhere.

python scripts/docs.py             write, check
python scripts/docs.py --check     only check
"""

import argparse
import re
import sys
from pathlib import Path

from askonce.cli.grammar.parser import new_parser

ROOT = Path(__file__).resolve().parent.parent
CLI_PAGE = ROOT / "docs" / "cli.md"
LINK = re.compile(r"\]\(<?([^)\s>]+)>?(?:\s+\"[^\"]*\")?\)")


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="change nothing")
    page = cli_page()
    faults = []
    if not parser.parse_args().check:
        CLI_PAGE.write_text(page, encoding="utf-8")
    elif not CLI_PAGE.is_file() or CLI_PAGE.read_text(encoding="utf-8") != page:
        faults.append("docs/cli.md is not what the parsers say; run make docs")
    pages = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]
    faults += [fault for path in pages for fault in broken_links(path)]
    for fault in faults:
        print(fault, file=sys.stderr)
    return 1 if faults else 0


def cli_page() -> str:
    """The help of every command as one Markdown page."""
    parser = new_parser()
    parts = ["# The command line", "", "Made from the parsers by `make docs`; do not edit.", ""]
    parts += ["## askonce", "", "```text", parser.format_help().rstrip(), "```", ""]
    for name, command in parser.commands.items():
        parts += [f"## askonce {name}", "", "```text", command.format_help().rstrip(), "```", ""]
    return "\n".join(parts)


def broken_links(path: Path) -> list[str]:
    """The links of a Markdown page that lead to no file or no heading of this repository."""
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


def anchors(page: Path) -> set[str]:
    """The headings of a page as links name them."""
    headings = re.findall(r"^#+ +(.+?) *$", page.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


if __name__ == "__main__":
    sys.exit(main())
