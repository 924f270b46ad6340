"""What `import askonce` offers: each exported name with its signature, members and fields.

Annotations are written as plain names without their modules, so moving a module changes nothing.
Records that the exported signatures mention (a result, a field's type) are listed as well: a user
holds them too.
"""

import collections.abc
import enum
import inspect
import types
import typing
from collections.abc import Callable, Iterator
from typing import Any

import askonce

WIDTH = 100
_PROTOCOL_METHODS = {"__call__", "__enter__", "__exit__", "__aenter__", "__aexit__", "__str__"}
"""Methods with special names that users rely on."""


def lines() -> Iterator[str]:
    """The exports, then the records that only their signatures mention."""
    listing = _Listing()
    for name in sorted(askonce.__all__):
        yield from listing.definition(name, getattr(askonce, name))
    yield ""
    yield "# Records that the signatures above mention."
    while waiting := sorted(listing.mentioned - listing.listed, key=lambda kind: kind.__name__):
        for kind in waiting:
            yield from listing.definition(kind.__name__, kind)


class _Listing:
    """Writes definitions, and remembers which records they mentioned."""

    def __init__(self) -> None:
        self.listed: set[type] = set()
        self.mentioned: set[type] = set()

    def definition(self, name: str, thing: Any) -> Iterator[str]:
        """The lines of one class or function."""
        if not isinstance(thing, type):
            yield from self._callable(f"def {name}", thing, skip_first=False)
            return
        self.listed.add(thing)
        bases = ", ".join(base.__name__ for base in thing.__bases__ if _is_known(base))
        kind = f"class {name}" + (f" of {bases}" if bases else "")
        if issubclass(thing, enum.Enum):
            yield kind
            yield from (f"    {member.name} = {member.value!r}" for member in thing)
        elif issubclass(thing, BaseException) and "__init__" not in vars(thing):
            yield kind
        else:
            yield from self._callable(kind, thing, skip_first=False)
        yield from self._members(thing)

    def _members(self, kind: type) -> Iterator[str]:
        for name in sorted(dir(kind)):
            if name.startswith("_") and name not in _PROTOCOL_METHODS:
                continue
            owner = next(base for base in kind.__mro__ if name in vars(base))
            member = inspect.getattr_static(kind, name)
            if not owner.__module__.startswith("askonce") or isinstance(member, kind):
                continue
            if isinstance(member, property):
                result = self._returned(member.fget)
                yield f"    {name}{result} (property)"
            elif isinstance(member, classmethod | staticmethod):
                yield from self._callable(
                    f"    {type(member).__name__} {name}", getattr(kind, name), skip_first=False
                )
            elif inspect.isfunction(member):
                word = "async def" if inspect.iscoroutinefunction(member) else "def"
                yield from self._callable(f"    {word} {name}", member, skip_first=True)

    def _callable(self, start: str, called: Callable[..., Any], *, skip_first: bool) -> list[str]:
        """One line, or one line a parameter where one line would be too long."""
        signature = _signature(called)
        parameters = [self._parameter(one) for one in _with_marks(signature, skip_first)]
        result = self._arrow(signature.return_annotation)
        line = f"{start}({', '.join(parameters)}){result}"
        if len(line) <= WIDTH:
            return [line]
        indent = " " * (len(start) - len(start.lstrip()))
        return [
            f"{start}(",
            *(f"{indent}        {one}," for one in parameters),
            f"{indent}    ){result}",
        ]

    def _parameter(self, parameter: inspect.Parameter | str) -> str:
        if isinstance(parameter, str):
            return parameter
        stars = {parameter.VAR_POSITIONAL: "*", parameter.VAR_KEYWORD: "**"}
        text = next((star for kind, star in stars.items() if kind is parameter.kind), "")
        text += parameter.name
        if parameter.annotation is not parameter.empty:
            text += f": {self.annotation(parameter.annotation)}"
        if parameter.default is not parameter.empty:
            text += f" = {_default(parameter.default)}"
        return text

    def _returned(self, function: Callable[..., Any] | None) -> str:
        assert function is not None
        return self._arrow(_signature(function).return_annotation)

    def _arrow(self, annotation: Any) -> str:
        none = annotation is inspect.Signature.empty
        return "" if none else f" -> {self.annotation(annotation)}"

    def annotation(self, given: Any) -> str:
        """An annotation in plain names."""
        if given is None or given is type(None):
            return "None"
        if given is Ellipsis:
            return "..."
        if isinstance(given, str):
            return given
        if isinstance(given, typing.ForwardRef):
            return str(given.__forward_arg__)
        if isinstance(given, list):
            return f"[{', '.join(map(self.annotation, given))}]"
        origin, arguments = typing.get_origin(given), typing.get_args(given)
        if origin is typing.Annotated:
            return self.annotation(arguments[0])
        if origin in (typing.Union, types.UnionType):
            return " | ".join(map(self.annotation, arguments))
        if origin is typing.Literal:
            return f"Literal[{', '.join(map(repr, arguments))}]"
        if origin is not None:
            inner = ", ".join(map(self.annotation, arguments))
            name = "Callable" if origin is collections.abc.Callable else origin.__name__
            return f"{name}[{inner}]"
        if isinstance(given, type) and _is_record(given):
            self.mentioned.add(given)
        return str(getattr(given, "__name__", given))


def _signature(called: Callable[..., Any]) -> inspect.Signature:
    try:
        return inspect.signature(called, eval_str=True)
    except NameError:  # a name that only a type checker imports
        return inspect.signature(called)


def _with_marks(
    signature: inspect.Signature, skip_first: bool
) -> Iterator[inspect.Parameter | str]:
    """The parameters, with the `/` and the `*` that stand between their kinds."""
    parameters = list(signature.parameters.values())[int(skip_first) :]
    before = None
    for parameter in parameters:
        if before is parameter.POSITIONAL_ONLY and parameter.kind is not before:
            yield "/"
        if parameter.kind is parameter.KEYWORD_ONLY and before not in (
            parameter.KEYWORD_ONLY,
            parameter.VAR_POSITIONAL,
        ):
            yield "*"
        before = parameter.kind
        yield parameter
    if parameters and before is inspect.Parameter.POSITIONAL_ONLY:
        yield "/"


def _is_known(base: type) -> bool:
    """Does a user know this base class? One of the package's own counts only if it is exported."""
    own = base.__module__.startswith("askonce")
    return base is not object and (not own or base.__name__ in askonce.__all__)


def _default(value: Any) -> str:
    """A default as one would write it; the fields of a record have a listing of their own."""
    return f"{type(value).__name__}(...)" if _is_record(type(value)) else repr(value)


def _is_record(kind: type) -> bool:
    """Is it a value that this package hands to its users?"""
    record = hasattr(kind, "__struct_fields__") or hasattr(kind, "_fields")
    return kind.__module__.startswith("askonce") and (record or issubclass(kind, enum.Enum))
