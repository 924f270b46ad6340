"""The modules of the package as syntax trees, for the tests of the architecture."""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

SOURCE = Path(__file__).resolve().parents[2] / "src" / "askonce"


class Module(NamedTuple):
    """A source file, its dotted name below `askonce` and its syntax tree."""

    name: str
    path: Path
    tree: ast.Module

    @property
    def package(self) -> str:
        """The folder below `askonce` that the module is in; empty for the root module."""
        return "" if self.name == "__init__" else self.name.partition(".")[0]


def read_modules(source: Path = SOURCE) -> list[Module]:
    """Read and parse every module below a folder."""
    modules = []
    for path in sorted(source.rglob("*.py")):
        name = ".".join(path.relative_to(source).with_suffix("").parts)
        modules.append(Module(name, path, ast.parse(path.read_text(encoding="utf-8"))))
    return modules


MODULES = read_modules()
NAMES = {module.name for module in MODULES}


def imports_of(module: Module) -> Iterator[str]:
    """Yield every dotted name that a module imports anywhere, functions included."""
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module.name}:{node.lineno}: a relative import"
            for alias in node.names:
                yield f"{node.module}.{alias.name}"


def own_imports_of(module: Module, names: set[str] = NAMES) -> Iterator[str]:
    """Yield the package's modules that a module imports, as names below `askonce`."""
    for name in imports_of(module):
        if name == "askonce.__version__" or name.partition(".")[0] != "askonce":
            continue
        parts = name.split(".")[1:]
        while parts and ".".join(parts) not in names:
            if ".".join([*parts, "__init__"]) in names:
                parts.append("__init__")
                break
            parts.pop()
        yield ".".join(parts) or "__init__"
