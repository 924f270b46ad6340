"""The architecture as tests: who may import whom, who may touch the outside world, and form.

faces   what people touch           may import everything but a concrete store
roots   put the parts together      may import everything
story   the one request path        imports pure and story
edges   I/O behind protocols        import records, errors, protocols and their own package
pure    decisions                   import pure, msgspec and a harmless standard library
"""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

SOURCE = Path(__file__).resolve().parents[2] / "src" / "askonce"

PURE = {
    "accounting",
    "admin",
    "agreeing",
    "arguments",
    "bookkeeping",
    "breaker",
    "cache_status",
    "daybook",
    "directives",
    "documents",
    "durations",
    "errors",
    "evaluating",
    "explaining",
    "formats",
    "groups",
    "identity",
    "invalidation",
    "keys",
    "layers",
    "matching",
    "operating_point",
    "packs",
    "policy",
    "pricing",
    "prompts",
    "protocols",
    "recognizing",
    "records",
    "request",
    "rule_tables",
    "rules",
    "savings",
    "scopes",
    "semantic",
    "setting_tables",
    "setting_values",
    "settings",
    "sharing",
    "showing",
    "signatures",
    "sources",
    "sse",
    "sweeps",
    "tag_templates",
}
EDGES = {"embedders", "patterns", "prices", "stores", "vectors"}
STORY = {
    "aliases",
    "answering",
    "asking",
    "auditing",
    "books",
    "boundary",
    "checkpoints",
    "coherence",
    "context",
    "embedding",
    "engine",
    "entering",
    "events",
    "flavors",
    "flights",
    "following",
    "identifying",
    "indexing",
    "leasing",
    "neighbors",
    "presenting",
    "prompting",
    "recording",
    "remembering",
    "reply",
    "running",
    "runtimes",
    "shadowing",
    "shelf",
    "sweeping",
    "syncing",
    "texts",
    "tiers",
    "warming",
    "writing",
}
ROOTS = {
    "cache",
    "cache_settings",
    "gateway.__init__",
    "layouts",
    "measuring",
    "moving",
    "prompt_rack",
    "prompt_rules",
    "rack",
    "ruleset",
    "semantic_rack",
    "token_prices",
    "works",
}
FACES = {"__init__", "cli", "gateway", "integrations", "transport"}
PRACTICE = {"practice"}  # a provider to practice with: not the product's core

MAY_IMPORT = {
    "pure": {"pure"},
    "edges": {"own", "records", "errors", "protocols", "stores.ground"},
    "story": {"pure", "story"},
    "roots": {"pure", "edges", "story", "roots", "faces"},
    "faces": {
        "pure",
        "story",
        "roots",
        "faces",
        "embedders.open_embedder",
        "stores.open_store",
        "stores.ground",
        "stores.event_source",
        "practice",
    },
    "practice": {"pure", "edges", "practice", "roots", "faces", "story"},
}

OUTSIDE = {"asyncio", "anyio", "threading", "time"}
"""Only `runtimes` knows threads, event loops and clocks."""

NEVER_IN_PURE = OUTSIDE | {
    "concurrent",
    "http",
    "io",
    "logging",
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
FILE_LINES, FUNCTION_LINES = 451, 60
NO_NOUNS = {"base", "common", "handler", "handlers", "helpers", "manager", "misc", "util", "utils"}


class Module(NamedTuple):
    """A source file, its dotted name below `askonce` and its syntax tree."""

    name: str
    path: Path
    tree: ast.Module

    @property
    def ring(self) -> str:
        return ring_of(self.name)


def ring_of(name: str) -> str:
    if name in ROOTS:
        return "roots"
    top = name.partition(".")[0]
    rings = {"pure": PURE, "edges": EDGES, "story": STORY, "roots": ROOTS, "faces": FACES}
    rings["practice"] = PRACTICE
    found = [ring for ring, members in rings.items() if top in members]
    assert len(found) == 1, f"{name} is in no ring; add it to one in {Path(__file__).name}"
    return found[0]


def read_modules() -> list[Module]:
    modules = []
    for path in sorted(SOURCE.rglob("*.py")):
        name = ".".join(path.relative_to(SOURCE).with_suffix("").parts)
        modules.append(Module(name, path, ast.parse(path.read_text(encoding="utf-8"))))
    return modules


MODULES = read_modules()
NAMES = {module.name for module in MODULES}
CORE = [module for module in MODULES if module.ring != "practice"]


def named(modules: list[Module]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("module", modules, ids=[module.name for module in modules])


def imports_of(module: Module) -> Iterator[str]:
    """Every dotted name that a module imports anywhere, functions included."""
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module.name}:{node.lineno}: a relative import"
            for alias in node.names:
                yield f"{node.module}.{alias.name}"


def own_imports_of(module: Module) -> Iterator[str]:
    """The modules of the product that a module imports, as names below `askonce`."""
    for name in imports_of(module):
        if name == "askonce.__version__" or name.partition(".")[0] != "askonce":
            continue
        parts = name.split(".")[1:]
        while parts and ".".join(parts) not in NAMES:
            if ".".join([*parts, "__init__"]) in NAMES:
                parts.append("__init__")
                break
            parts.pop()
        yield ".".join(parts) or "__init__"


def is_allowed(importer: Module, imported: str) -> bool:
    allowed = MAY_IMPORT[importer.ring]
    top = importer.name.partition(".")[0]
    own = "own" in allowed and imported.partition(".")[0] == top
    return own or imported in allowed or ring_of(imported) in allowed


@named(MODULES)
def test_imports_point_inward(module: Module) -> None:
    wrong = [name for name in own_imports_of(module) if not is_allowed(module, name)]
    assert wrong == []


def test_the_rule_can_fail() -> None:
    def module(name: str, text: str) -> Module:
        return Module(name, Path(), ast.parse(text))

    for importer, text in (
        ("keys", "from askonce import flights"),
        ("keys", "def f():\n    import askonce.stores.memory"),
        ("answering", "from askonce.stores.open_store import open_store"),
        ("answering", "from askonce.cache import Cache"),
        ("stores.memory", "from askonce.policy import Limits"),
        ("cli.stats", "from askonce.stores.memory import MemoryStore"),
    ):
        found = module(importer, text)
        assert not all(is_allowed(found, name) for name in own_imports_of(found)), text
    allowed = module("cli.stats", "from askonce.stores.open_store import open_store")
    assert all(is_allowed(allowed, name) for name in own_imports_of(allowed))


@named([module for module in MODULES if module.ring == "pure"])
def test_pure_imports_only_msgspec_and_a_harmless_standard_library(module: Module) -> None:
    for name in imports_of(module):
        top = name.partition(".")[0]
        assert top in sys.stdlib_module_names | {"msgspec", "askonce"}, name
        harmful = {top, ".".join(name.split(".")[:2])} & NEVER_IN_PURE
        assert not harmful, name


@named([module for module in MODULES if module.ring == "pure"])
def test_pure_reads_no_clock_and_no_file(module: Module) -> None:
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Call):
            function = node.func
            if isinstance(function, ast.Name):
                assert function.id not in {"open", "input", "print"}, f"line {node.lineno}"
            elif isinstance(function, ast.Attribute):
                assert function.attr not in CLOCK_CALLS, f"line {node.lineno}"


@named([module for module in CORE if module.name != "runtimes"])
def test_only_runtimes_knows_threads_loops_and_clocks(module: Module) -> None:
    assert not {name.partition(".")[0] for name in imports_of(module)} & OUTSIDE


@named(CORE)
def test_a_file_is_one_noun_of_a_readable_size(module: Module) -> None:
    assert len(module.path.read_text(encoding="utf-8").splitlines()) <= FILE_LINES
    assert not NO_NOUNS & set(module.name.replace("_", ".").split("."))


@named(MODULES)
def test_a_function_is_one_verb_of_a_readable_size(module: Module) -> None:
    for node in ast.walk(module.tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            assert lines <= FUNCTION_LINES, f"{node.name} has {lines} lines"


def swallows_everything(node: ast.AST) -> bool:
    """Is this a handler of every exception that does not raise it again?"""
    if isinstance(node, ast.ExceptHandler):
        caught = (
            {name.id for name in ast.walk(node.type) if isinstance(name, ast.Name)}
            if (node.type)
            else {"BaseException"}
        )
        again = isinstance(node.body[-1], ast.Raise) and node.body[-1].exc is None
        return bool(caught & {"Exception", "BaseException"}) and not again
    if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("suppress"):
        return bool({ast.unparse(argument) for argument in node.args} & {"Exception"})
    # What a context manager's `__exit__` would say.
    return ast.unparse(node).endswith("isinstance(error, Exception)") and isinstance(node, ast.Call)


def test_faults_are_forgiven_in_one_place() -> None:
    places = [
        module.name
        for module in CORE
        for node in ast.walk(module.tree)
        if swallows_everything(node)
    ]
    # The boundary forgives; a recording keeps a provider's error, to raise it to every reader.
    assert set(places) == {"boundary", "recording"}


@named(MODULES)
def test_nothing_stored_or_sent_can_become_code(module: Module) -> None:
    forbidden = {"pickle", "marshal", "shelve", "dill", "cloudpickle"}
    assert not {name.partition(".")[0] for name in imports_of(module)} & forbidden
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            assert node.func.id not in {"eval", "exec", "compile", "__import__"}


@named(MODULES)
def test_every_file_says_what_it_is(module: Module) -> None:
    assert ast.get_docstring(module.tree)


def test_importing_askonce_brings_nothing_but_msgspec() -> None:
    code = (
        "import sys; before = set(sys.modules); import askonce;"
        "print(*{name.partition('.')[0] for name in set(sys.modules) - before})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    brought = set(done.stdout.split()) - sys.stdlib_module_names - {"askonce"}
    assert brought <= {"msgspec", "typing_extensions"}
    assert not {"sqlite3", "http"} & set(done.stdout.split())
