"""What only the source says: loggers, words, variables, PostgreSQL's tables, what pip installs.

The source is searched as text, wherever a file lies, so moving a file changes nothing.
"""

import ast
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]


def lines() -> Iterator[str]:
    """Everything below, sorted, because the order of the files means nothing."""
    yield "# Loggers."
    yield from found(r"""getLogger\(\s*["']([\w.]+)["']""")
    yield ""
    yield "# Variables of the environment, beside those of the settings."
    yield from found(r"""environ(?:\.get\(|\[)\s*["']((?!ASKONCE_)\w+)["']""")
    yield ""
    yield "# Words of enumerations: outcomes, reasons, guards, causes."
    for words in sorted(_enumerations()):
        yield words[0]
        yield from (f"    {word}" for word in words[1:])
    yield ""
    yield "# Words that matching by meaning and the optimizer of prompts are counted under."
    yield from found(r"""\.(?:semantic|prompts)\(\s*f?["']([^"']+)["']""")
    yield ""
    yield "# Statements that make PostgreSQL's tables; a schema or a table is named in braces."
    pattern = r"""(CREATE [A-Z ]*(?:TABLE|INDEX|SEQUENCE|FUNCTION) [^;"]*\{[^;"]*)"""
    made = found(pattern, ".sql", ".py")
    yield from sorted({re.sub(r"\{+(\w+)\}+", r"{\1}", statement) for statement in made})
    yield ""
    yield "# Installed files and commands."
    yield from _installed()


def _sources(*endings: str) -> list[str]:
    paths = sorted((ROOT / "src").rglob("*"))
    return [path.read_text(encoding="utf-8") for path in paths if path.suffix in endings]


def found(pattern: str, *endings: str) -> list[str]:
    """Return what the pattern's group finds in files of the endings, with single spaces."""
    sources = _sources(*(endings or (".py",)))
    texts = {" ".join(one.split()) for source in sources for one in re.findall(pattern, source)}
    assert texts, f"nothing in the source looks like {pattern}"
    return sorted(texts)


def _enumerations() -> Iterator[list[str]]:
    for source in _sources(".py"):
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.ClassDef) and "StrEnum" in map(_last_name, node.bases):
                values = [one.value for one in node.body if isinstance(one, ast.Assign)]
                yield [str(ast.literal_eval(value)) for value in values]


def _last_name(base: ast.expr) -> str:
    return ast.unparse(base).rpartition(".")[2]


def _installed() -> Iterator[str]:
    with (ROOT / "pyproject.toml").open("rb") as file:
        project = tomllib.load(file)["project"]
    for program, entry_point in project["scripts"].items():
        yield f"the program {program} is {entry_point}"
    yield f"Python {project['requires-python']}"
    yield from (f"{project['name']}[{extra}]" for extra in project["optional-dependencies"])
