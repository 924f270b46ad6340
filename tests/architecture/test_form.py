"""The form of the code: sizes, names, docstrings, and what no module may do."""

import ast
from pathlib import Path

from tests.architecture.source import MODULES, imports_of

FILE_LINES, FUNCTION_LINES = 400, 40

LONG_FILES: dict[str, str] = {}
"""Files over the limit, each with the reason."""

LONG_FUNCTIONS = {
    "library.facade:__init__": "the arguments of a cache, one a line",
    "pipeline.entry:build_entry": "the fields of an entry, one a line",
    "semantic.assembly:__init__": "the parts of the layer, made in the order of their needs",
    "semantic.evaluation.stream_reports:report_stream": "the fields of a report, one a line",
    "semantic.guards.text:prepare": "the fields of a prepared text, one a line",
}
"""Functions over the limit, as `module:function`, each with the reason."""

NO_NOUNS = {"common", "handler", "handlers", "helpers", "manager", "misc", "util", "utils"}


def test_a_file_has_a_readable_size() -> None:
    offenders = [
        f"{module.name} has {lines} lines"
        for module in MODULES
        if (lines := len(module.path.read_text(encoding="utf-8").splitlines())) > FILE_LINES
        and module.name not in LONG_FILES
    ]
    assert offenders == []


def function_lines(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Count a function's lines without its docstring: documentation makes no function long."""
    lines = (node.end_lineno or node.lineno) - node.lineno + 1
    first = node.body[0]
    if ast.get_docstring(node) is not None:
        lines -= (first.end_lineno or first.lineno) - first.lineno + 1
    return lines


def test_a_function_has_a_readable_size() -> None:
    sizes: dict[str, int] = {}
    for module in MODULES:
        for node in ast.walk(module.tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                name = f"{module.name}:{node.name}"
                sizes[name] = max(sizes.get(name, 0), function_lines(node))
    long = {name: lines for name, lines in sizes.items() if lines > FUNCTION_LINES}
    assert {name: lines for name, lines in long.items() if name not in LONG_FUNCTIONS} == {}
    assert long.keys() == LONG_FUNCTIONS.keys(), "an exception is not needed any more"


def test_a_file_is_named_by_its_noun() -> None:
    offenders = [
        module.name
        for module in MODULES
        if NO_NOUNS & set(module.name.replace("_", ".").split("."))
    ]
    assert offenders == []


def test_every_file_says_what_it_is() -> None:
    assert [module.name for module in MODULES if not ast.get_docstring(module.tree)] == []


def test_class_names_are_unique() -> None:
    places: dict[str, list[str]] = {}
    for module in MODULES:
        for node in ast.walk(module.tree):
            if isinstance(node, ast.ClassDef):
                places.setdefault(node.name, []).append(module.name)
    assert {name: where for name, where in places.items() if len(where) > 1} == {}


def swallows_everything(node: ast.AST) -> bool:
    """Find a handler of every exception that does not raise it again."""
    if isinstance(node, ast.ExceptHandler):
        caught = (
            {name.id for name in ast.walk(node.type) if isinstance(name, ast.Name)}
            if node.type
            else {"BaseException"}
        )
        again = isinstance(node.body[-1], ast.Raise) and node.body[-1].exc is None
        return bool(caught & {"Exception", "BaseException"}) and not again
    if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("suppress"):
        return bool({ast.unparse(argument) for argument in node.args} & {"Exception"})
    # What a context manager's `__exit__` would say.
    return ast.unparse(node).endswith("isinstance(error, Exception)") and isinstance(node, ast.Call)


def test_faults_are_forgiven_in_one_place() -> None:
    places = {
        module.name
        for module in MODULES
        if not module.name.startswith("cli.demo")
        for node in ast.walk(module.tree)
        if swallows_everything(node)
    }
    # The boundary forgives; a recording keeps a provider's error, to raise it to every reader.
    assert places == {"core.fail_open", "pipeline.single_flight"}


def test_nothing_stored_or_sent_can_become_code() -> None:
    forbidden = {"pickle", "marshal", "shelve", "dill", "cloudpickle"}
    offenders = [
        module.name
        for module in MODULES
        if {name.partition(".")[0] for name in imports_of(module)} & forbidden
    ]
    offenders += [
        f"{module.name}:{node.lineno} uses {node.id}"
        for module in MODULES
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Name) and node.id in {"eval", "exec", "compile", "__import__"}
    ]
    assert offenders == []


def test_the_tests_can_fail(tmp_path: Path) -> None:
    bad = ast.parse("try:\n    f()\nexcept Exception:\n    pass")
    assert any(swallows_everything(node) for node in ast.walk(bad))
    good = ast.parse("try:\n    f()\nexcept Exception:\n    g()\n    raise")
    assert not any(swallows_everything(node) for node in ast.walk(good))
