"""The import rule, read off folder names: a package imports only what stands left of it.

Each rule is one test that lists all offenders.
"""

import ast
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from tests.architecture.source import MODULES, NAMES, SOURCE, Module, imports_of, own_imports_of

_CORE = {"core"}
_CACHE = {"core", "formats", "ledger", "invalidation", "stores", "semantic", "prompts"}
_LIBRARY = _CACHE | {"pipeline", "config", "library"}

MAY_IMPORT = {
    "core": _CORE,
    "formats": _CORE,
    "ledger": _CORE,
    "invalidation": _CORE | {"formats", "ledger"},
    "stores": _CORE | {"formats", "ledger", "invalidation"},
    "semantic": _CORE | {"formats", "ledger", "invalidation", "stores"},
    "prompts": _CORE | {"formats", "ledger"},
    "pipeline": _CACHE,
    "config": _CACHE - {"formats"},
    "library": _CACHE | {"pipeline", "config"},
    "gateway": _LIBRARY,
    "cli": _LIBRARY | {"gateway"},
    "": _LIBRARY,
}
"""What each package may import beside itself; the empty name is the root module."""

ENGINES = {"memory", "sqlite", "redis", "postgres"}

IMPURE_CORE = ("core.runtime", "core.rules.re2")
"""Parts of `core` that meet threads, clocks and a library; the rest is pure."""

OUTSIDE = {"asyncio", "anyio", "threading", "time"}
"""Only `core.runtime` knows threads, event loops and clocks."""

NEVER_IN_CORE = OUTSIDE | {
    "concurrent",
    "http",
    "io",
    "multiprocessing",
    "os",
    "pathlib",
    "random",
    "secrets",
    "select",
    "shutil",
    "signal",
    "socket",
    "sqlite3",
    "ssl",
    "subprocess",
    "sys",
    "tempfile",
    "urllib.request",
    "uuid",
}
CLOCK_CALLS = {"now", "utcnow", "today"}


def breaches(modules: Iterable[Module], names: set[str] = NAMES) -> list[str]:
    """List the imports that the rule forbids."""
    found = []
    for module in modules:
        allowed = MAY_IMPORT.get(module.package, set()) | {module.package}
        for imported in own_imports_of(module, names):
            package = "" if imported == "__init__" else imported.partition(".")[0]
            if package not in allowed:
                found.append(f"{module.name} imports {imported}")
    return found


def test_a_package_imports_only_what_stands_left_of_it() -> None:
    assert {module.package for module in MODULES} <= MAY_IMPORT.keys()
    assert breaches(MODULES) == []


def test_the_rule_can_fail() -> None:
    for name, text in (
        ("core.keys", "from askonce.pipeline import single_flight"),
        ("core.keys", "def f():\n    import askonce.stores.memory.store"),
        ("stores.memory.store", "from askonce.library.cache import Cache"),
        ("prompts.upstream", "from askonce.stores.open_store import open_store"),
    ):
        assert breaches([Module(name, Path(), ast.parse(text))]), text
    fine = Module("cli.x", Path(), ast.parse("from askonce.stores.open_store import open_store"))
    assert breaches([fine]) == []


def graph(modules: Iterable[Module], depth: int) -> dict[str, set[str]]:
    """Draw who imports whom, with names cut to `depth` folders; a root module is its own node."""
    edges: dict[str, set[str]] = {}
    for module in modules:
        here = _room(module.name, depth)
        for imported in own_imports_of(module):
            there = _room(imported, depth)
            if there != here and imported != "__init__":
                edges.setdefault(here, set()).add(there)
    return edges


def _room(name: str, depth: int) -> str:
    return ".".join(name.split(".")[:depth])


def circles(edges: dict[str, set[str]]) -> list[list[str]]:
    """List the strongly connected components of more than one node (Tarjan 1972)."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []

    def visit(node: str) -> None:
        index[node] = low[node] = len(index)
        stack.append(node)
        for other in edges.get(node, ()):
            if other not in index:
                visit(other)
                low[node] = min(low[node], low[other])
            elif other in stack:
                low[node] = min(low[node], index[other])
        if low[node] == index[node]:
            component = [stack.pop()]
            while component[-1] != node:
                component.append(stack.pop())
            if len(component) > 1:
                found.append(sorted(component))

    for node in list(edges):
        if node not in index:
            visit(node)
    return found


def test_no_import_circle_at_any_level() -> None:
    found = [circle for depth in range(1, 6) for circle in circles(graph(MODULES, depth))]
    assert found == []


def test_circles_are_found() -> None:
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}}) == [["a", "b", "c"]]


def test_the_tiers_know_no_engine() -> None:
    offenders = [
        f"{module.name} imports {imported}"
        for module in MODULES
        if module.name.startswith("stores.tiered.")
        for imported in own_imports_of(module)
        if imported.startswith("stores.") and imported.split(".")[1] in ENGINES
    ]
    assert offenders == []


def is_pure(module: Module) -> bool:
    return module.package == "core" and not module.name.startswith(IMPURE_CORE)


def impurities(module: Module) -> Iterator[str]:
    """Yield what a pure module must not do: foreign imports, clocks, files, printing."""
    harmful = NEVER_IN_CORE | ({"logging"} if module.name != "core.fail_open" else set())
    for name in imports_of(module):
        top = name.partition(".")[0]
        foreign = top not in sys.stdlib_module_names | {"msgspec", "askonce"}
        if foreign or {top, ".".join(name.split(".")[:2])} & harmful:
            yield f"{module.name} imports {name}"
    for node in ast.walk(module.tree):
        if not isinstance(node, ast.Call):
            continue
        function = node.func
        if isinstance(function, ast.Name) and function.id in {"open", "input", "print"}:
            yield f"{module.name}:{node.lineno} calls {function.id}"
        if isinstance(function, ast.Attribute) and function.attr in CLOCK_CALLS:
            yield f"{module.name}:{node.lineno} reads a clock"


def test_core_is_pure() -> None:
    offenders = [line for module in MODULES if is_pure(module) for line in impurities(module)]
    assert offenders == []


def test_only_the_runtime_knows_threads_loops_and_clocks() -> None:
    offenders = [
        module.name
        for module in MODULES
        if not module.name.startswith(("core.runtime", "cli.demo"))
        and {name.partition(".")[0] for name in imports_of(module)} & OUTSIDE
    ]
    assert offenders == []


def test_the_root_holds_few_entries() -> None:
    entries = [path.name for path in SOURCE.iterdir() if path.name != "__pycache__"]
    assert len(entries) <= 15, sorted(entries)


def test_importing_askonce_brings_nothing_but_msgspec() -> None:
    code = (
        "import sys; before = set(sys.modules); import askonce;"
        "print(*{name.partition('.')[0] for name in set(sys.modules) - before})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    brought = set(done.stdout.split()) - sys.stdlib_module_names - {"askonce"}
    assert brought <= {"msgspec", "typing_extensions"}
    assert not {"sqlite3", "http"} & set(done.stdout.split())
