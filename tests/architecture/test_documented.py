"""The documentation of the outside: every parameter and attribute of the exports and protocols."""

import ast
import importlib
import inspect
import re
from collections.abc import Callable, Iterator
from types import FunctionType

import askonce
from askonce.core import protocols

UNNAMED = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


def public_classes() -> list[type]:
    """Return the exported classes and the protocols, with their base classes from here."""
    exports = [getattr(askonce, name) for name in askonce.__all__]
    ours = [value for value in vars(protocols).values() if inspect.isclass(value)]
    classes = [value for value in exports if inspect.isclass(value)] + ours
    bases = [base for cls in classes for base in cls.__mro__]
    return [cls for cls in dict.fromkeys(bases) if cls.__module__.startswith("askonce.")]


def public_functions() -> list[FunctionType]:
    exports = [getattr(askonce, name) for name in askonce.__all__]
    return [value for value in exports if isinstance(value, FunctionType)]


def is_named(name: str, documentation: str) -> bool:
    return re.search(rf"^ *{name}: |`{name}`", documentation, re.MULTILINE) is not None


def undocumented_parameters(function: Callable[..., object], documentation: str) -> list[str]:
    """Return the parameters that the documentation neither lists (`name: …`) nor quotes."""
    names = [
        parameter.name
        for parameter in inspect.signature(function).parameters.values()
        if parameter.kind not in UNNAMED and parameter.name not in {"self", "cls"}
    ]
    return [
        f"{function.__module__}:{function.__qualname__}({name})"
        for name in names
        if not is_named(name, documentation)
    ]


def methods_of(cls: type) -> Iterator[tuple[FunctionType, str]]:
    """Yield the public methods of a class and its constructor, each with its documentation.

    A constructor is documented by a class that has it: its own, or one that inherits it.
    """
    for name, value in vars(cls).items():
        method = getattr(value, "__func__", value)
        if not isinstance(method, FunctionType) or method.__module__ != cls.__module__:
            continue
        if name == "__init__":
            users = [user for user in public_classes() if getattr(user, name) is method]
            yield method, "\n".join(inspect.getdoc(user) or "" for user in users)
        elif not name.startswith("_"):
            yield method, inspect.getdoc(getattr(cls, name)) or ""


def undocumented_members(cls: type) -> list[str]:
    """Return the public attributes, properties and methods of a class without a docstring.

    The source is read, since Python keeps no docstring of an attribute.
    """
    tree = ast.parse(inspect.getsource(importlib.import_module(cls.__module__)))
    return [
        f"{cls.__module__}:{cls.__qualname__}.{name}"
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef) and node.name == cls.__name__
        for name in bare_members(node)
    ]


def bare_members(node: ast.ClassDef) -> list[str]:
    """Return the public members of a class definition without a docstring.

    Of an overloaded method, one definition needs one; a field may stand in the class's docstring.
    """
    found: dict[str, bool] = {}
    for member, following in zip(node.body, [*node.body[1:], None], strict=True):
        if isinstance(member, ast.FunctionDef | ast.AsyncFunctionDef):
            name, documented = member.name, ast.get_docstring(member) is not None
        elif isinstance(member, ast.AnnAssign) and isinstance(member.target, ast.Name):
            name = member.target.id
            documented = is_text(following) or is_named(name, ast.get_docstring(node) or "")
        else:
            continue
        found[name] = found.get(name, False) or documented
    return [name for name, documented in found.items() if not (documented or name[0] == "_")]


def is_text(node: ast.stmt | None) -> bool:
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )


def test_every_parameter_is_documented() -> None:
    missing = [
        name
        for cls in public_classes()
        for method, documentation in methods_of(cls)
        for name in undocumented_parameters(method, documentation)
    ]
    for function in public_functions():
        missing += undocumented_parameters(function, function.__doc__ or "")
    assert missing == []


def test_every_attribute_is_documented() -> None:
    assert [name for cls in public_classes() for name in undocumented_members(cls)] == []


SAMPLE = '''
class Sample:
    """A class with a `quoted` field."""

    quoted: int
    described: int
    """A field."""
    bare: int

    def method(self): ...
'''


def test_the_rule_can_fail() -> None:
    def ask(self: object, quoted: int, listed: int, bare: int, **members: int) -> None:
        """Ask, with a bare mention of a word.

        `quoted` is one way, and the list is another.

            listed: a parameter.
        """

    missing = undocumented_parameters(ask, inspect.getdoc(ask) or "")
    assert [name.rpartition("(")[2] for name in missing] == ["bare)"]
    node = ast.parse(SAMPLE).body[0]
    assert isinstance(node, ast.ClassDef)
    assert bare_members(node) == ["bare", "method"]
