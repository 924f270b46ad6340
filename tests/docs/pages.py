"""The Markdown pages of the repository: their blocks, tables and links, for tests."""

import re
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]

_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_TABLE = re.compile(r"(?:^\|.*\n)+", re.MULTILINE)
_WORD = re.compile(r"`([^`\n]+)`")


class Block(NamedTuple):
    """A fenced block of a page."""

    page: str
    line: int
    language: str
    text: str

    @property
    def place(self) -> str:
        return f"{self.page}:{self.line}"


def page_id(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def read(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


def blocks(page: Path, language: str | None = None) -> list[Block]:
    """Return the blocks of a page, in one language or in all."""
    text = page.read_text(encoding="utf-8")
    return [
        Block(page_id(page), text[: found.start()].count("\n") + 1, found[1], found[2])
        for found in _BLOCK.finditer(text)
        if language in (None, found[1])
    ]


def all_blocks(language: str | None = None) -> list[Block]:
    return [block for page in PAGES for block in blocks(page, language)]


def commands(block: Block) -> list[str]:
    """Return the shell's lines without comments, continued ones in one piece."""
    joined = block.text.replace("\\\n", " ")
    lines = [re.sub(r"\s+#.*", "", line).strip() for line in joined.splitlines()]
    return [line for line in lines if line and not line.startswith("#")]


def rows(page: str, heading: str) -> list[list[str]]:
    """Return the cells of all tables of a page with this first heading."""
    found: list[list[str]] = []
    for table in _TABLE.findall(read(page)):
        titles, _, *body = [_cells(line) for line in table.splitlines()]
        if titles[0] == heading:
            found += body
    return found


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("| ").split(" | ")]


def words(text: str) -> list[str]:
    """Return the texts in backticks."""
    return _WORD.findall(text)
