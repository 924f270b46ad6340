"""An extension of griffe: signatures of record classes (`msgspec.Struct`, `NamedTuple`).

griffe reads the source and imports nothing, so it does not see the `__init__` that these classes
make of their fields. This extension adds it, as griffe itself does for dataclasses.
"""

from typing import Any

from griffe import Class, Extension, Function, Parameter, ParameterKind, Parameters

RECORDS = {"Struct", "NamedTuple"}


class StructSignatures(Extension):  # type: ignore[misc]  # griffe comes with `make docs`
    """Add an `__init__` made of the annotated fields to each record class."""

    def on_class(self, *, cls: Class, **rest: Any) -> None:
        """Handle a class whose members have been read."""
        bases = {str(base).rpartition(".")[2] for base in cls.bases}
        if not bases & RECORDS or "__init__" in cls.members:
            return
        keyword_only = str(cls.keywords.get("kw_only", "")) == "True"
        made = Function("__init__", parameters=Parameters(*_parameters(cls, keyword_only)))
        made.parent = cls
        cls.set_member("__init__", made)


def _parameters(cls: Class, keyword_only: bool) -> list[Parameter]:
    kind = ParameterKind.keyword_only if keyword_only else ParameterKind.positional_or_keyword
    fields = [
        Parameter(field.name, annotation=field.annotation, kind=kind, default=field.value)
        for field in cls.attributes.values()
        if field.annotation
        and "property" not in field.labels
        and "ClassVar" not in str(field.annotation)
    ]
    return [Parameter("self", kind=ParameterKind.positional_or_keyword), *fields]
