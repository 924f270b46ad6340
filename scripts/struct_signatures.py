"""An extension of griffe: signatures of record classes (`msgspec.Struct`, `NamedTuple`).

griffe reads the source and imports nothing, so it does not see the `__init__` that these classes
make of their fields. This extension adds it, as griffe itself does for dataclasses. A field's type
is shown as its user writes it: without the readers and the documentation of a setting, which
`Annotated` adds, and without the names that the package gives to such types.
"""

import dataclasses
from collections.abc import Iterator
from typing import Any

from griffe import (
    Attribute,
    Class,
    ExprBinOp,
    ExprName,
    ExprSubscript,
    ExprTuple,
    Extension,
    Function,
    GriffeLoader,
    Module,
    Parameter,
    ParameterKind,
    Parameters,
)

RECORDS = {"Struct", "NamedTuple"}
NAMED_TYPES = {"typing.Annotated", "typing.Literal"}


class StructSignatures(Extension):  # type: ignore[misc]  # griffe comes with `make docs`
    """Add an `__init__` made of the annotated fields to each record class."""

    def on_package(self, *, pkg: Module, loader: GriffeLoader, **rest: Any) -> None:
        """Handle a package whose modules have all been read."""
        types = _Types(loader)
        for cls in _classes(pkg):
            bases = {str(base).rpartition(".")[2] for base in cls.bases}
            if bases & RECORDS and "__init__" not in cls.members:
                made = Function("__init__", parameters=Parameters(*_parameters(cls, types)))
                made.parent = cls
                cls.set_member("__init__", made)


def _classes(scope: Any) -> Iterator[Class]:
    for member in scope.members.values():
        if not member.is_alias and (member.is_module or member.is_class):
            if member.is_class:
                yield member
            yield from _classes(member)


def _parameters(cls: Class, types: "_Types") -> list[Parameter]:
    keyword_only = str(cls.keywords.get("kw_only", "")) == "True"
    kind = ParameterKind.keyword_only if keyword_only else ParameterKind.positional_or_keyword
    fields = [field for field in cls.attributes.values() if _is_field(field)]
    for field in fields:
        field.annotation = types.plain(field.annotation)
    return [
        Parameter("self", kind=ParameterKind.positional_or_keyword),
        *(
            Parameter(field.name, annotation=field.annotation, kind=kind, default=field.value)
            for field in fields
        ),
    ]


def _is_field(attribute: Attribute) -> bool:
    return (
        attribute.annotation is not None
        and "property" not in attribute.labels
        and "ClassVar" not in str(attribute.annotation)
    )


class _Types:
    """Writes annotations as the users of a package do.

    Parameters:
        loader: has the modules in which the package names types.
    """

    def __init__(self, loader: GriffeLoader) -> None:
        self._modules = loader.modules_collection

    def plain(self, given: Any) -> Any:
        """Return an annotation without `Annotated` and without names for annotated types."""
        match given:
            case ExprSubscript() if given.canonical_path == "typing.Annotated":
                return self.plain(given.slice.elements[0])
            case ExprSubscript():
                return dataclasses.replace(given, slice=self.plain(given.slice))
            case ExprBinOp():
                return dataclasses.replace(
                    given, left=self.plain(given.left), right=self.plain(given.right)
                )
            case ExprTuple():
                return dataclasses.replace(given, elements=[*map(self.plain, given.elements)])
            case ExprName():
                named = self._named(given.canonical_path)
                return given if named is None else self.plain(named)
        return given

    def _named(self, path: str) -> ExprSubscript | None:
        """Return the type that a module gives this name to, or None."""
        try:
            value = self._modules[path].value
        except (AttributeError, KeyError):  # a class, or a name of another package
            return None
        is_type = isinstance(value, ExprSubscript) and value.canonical_path in NAMED_TYPES
        return value if is_type else None
