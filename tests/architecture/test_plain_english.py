"""Plain English: the words that gave the old voice away are refused everywhere a reader looks.

A sentence says who does what, in the active voice, with its subject first. See CONTRIBUTING.md.
"""

import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

REFUSED = re.compile(
    r"(?<![a-z])(?:told|tells?|nobody|somebody|whoever|anew|thereof)(?![a-z])"
    r"|\bof which\b|\bwhat (?:is|was|are|were) [a-z]+ed\b",
    re.IGNORECASE,
)

READ = (
    "src/**/*.py",
    "tests/**/*.py",
    "bench/**/*.py",
    "examples/**/*.py",
    "scripts/*.py",
    "training/**/*.py",
    "packages/**/*.py",
    "docs/**/*.md",
    "packages/**/*.md",
    "deploy/*",
    "*.md",
    "*.example",
    ".github/**/*.md",
    ".github/**/*.yml",
    "src/**/*.toml",
    "src/**/*.txt",
    "src/**/*.lua",
    "src/**/*.sql",
)

QUOTATIONS = {
    "src/askonce/core/rules/packs.py": "patterns over questions of customers",
    "src/askonce/semantic/guards/*.py": "lists of English words that the guards know",
    "src/askonce/semantic/guards/lexicon/*.txt": "lists of words that the guards know",
    "tests/semantic/*.py": "questions of customers",
    "tests/semantic/probes/*": "questions of customers",
    "tests/architecture/test_plain_english.py": "the list itself",
    "src/askonce/semantic/evaluation/data/*.md": "titles of data sets",
}
"""Files that quote others, each with whom. Of them only docstrings and comments are read."""


def offenders(text: str) -> Iterator[tuple[int, str]]:
    """Yield the line number and the word of each refused expression."""
    for number, line in enumerate(text.splitlines(), 1):
        for found in REFUSED.finditer(line):
            yield number, found[0]


def files() -> Iterator[Path]:
    for pattern in READ:
        yield from (path for path in sorted(ROOT.glob(pattern)) if path.is_file())


def own_words(path: Path) -> str:
    """Read a file; of a file that quotes, leave only its own words, each on its line."""
    text = path.read_text(encoding="utf-8")
    if not any(path.match(pattern) for pattern in QUOTATIONS):
        return text
    if path.suffix == ".txt":
        return "\n".join(line if line.startswith("#") else "" for line in text.splitlines())
    lines = [""] * (text.count("\n") + 1)
    if path.suffix != ".py" or path == Path(__file__):
        return ""
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        starts_line = not token.line[: token.start[1]].strip()
        quoted = token.type == tokenize.STRING and not (starts_line and '"""' in token.string)
        if token.type in (tokenize.STRING, tokenize.COMMENT) and not quoted:
            for number, part in enumerate(token.string.splitlines(), token.start[0]):
                lines[number - 1] += part
    return "\n".join(lines)


def test_every_text_is_plain_english() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{number}: {word}"
        for path in files()
        for number, word in offenders(own_words(path))
    ]
    assert not found, f"{len(found)} refused expressions:\n" + "\n".join(found)


def test_the_rule_can_fail() -> None:
    assert list(offenders("fine\nIt tells nobody what is stored, two of which stay.")) == [
        (2, "tells"),
        (2, "nobody"),
        (2, "what is stored"),
        (2, "of which"),
    ]
    assert list(offenders("what is cached is told_again")) == [(1, "what is cached"), (1, "told")]
    assert list(offenders("a teller, storytelling, what is new, toldo, _retold")) == []
