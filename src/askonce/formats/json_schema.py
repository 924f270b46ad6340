"""JSON Schema: whether a document fits a schema, decided within a number of steps.

The library `jsonschema` knows the rules of the keywords. Here they get bounds, because callers send
the schemas: each keyword that is applied costs steps, patterns are searched by RE2, no reference
leaves the schema, and `format` is an annotation only. A schema beyond these bounds cannot be
checked, which is no verdict on the document.
"""

import functools
from collections.abc import Callable, Iterable, Iterator
from contextvars import ContextVar
from decimal import Decimal
from typing import Any, Literal, NamedTuple, Union

import msgspec

from askonce.core.bounded import BoundedMap
from askonce.formats.schema_patterns import MOST_PATTERNS, SchemaUncheckable, search_of

MAX_SCHEMA_BYTES = 256 * 1024
_KNOWN_BYTES = 4 * 1024 * 1024  # of schemas whose validators are kept
_BYTES_PER_NODE = 14  # of a schema; the library takes a step to look at each
_BYTES_PER_STEP = 256  # of a value that a failed keyword quotes

_DIALECTS = {
    "http://json-schema.org/draft-04/schema": "Draft4Validator",
    "http://json-schema.org/draft-06/schema": "Draft6Validator",
    "http://json-schema.org/draft-07/schema": "Draft7Validator",
    "https://json-schema.org/draft/2019-09/schema": "Draft201909Validator",
}
"""The validators of older dialects; any other schema is of 2020-12."""

_VALUES = frozenset({"enum", "const", "default", "examples"})
"""Keywords that hold values, in which no schema stands."""

_QUOTES_NOTHING = frozenset(
    {
        "$ref", "additionalProperties", "allOf", "items", "pattern", "patternProperties",
        "prefixItems", "properties", "required", "type", "uniqueItems",
    }
)  # fmt: skip
"""Keywords whose failure does not quote the value, which would take time with its size."""

_REFERENCES = frozenset({"$ref", "$dynamicRef", "$recursiveRef"})

_Check = Callable[[Any, Any, Any, Any], Iterable[Any] | None]
_Type = Literal["array", "boolean", "integer", "null", "number", "object", "string"]
_Schema = Union[bool, "_Keywords"]
_Schemas = dict[str, _Schema]


class StepsSpent(Exception):
    """A check took more steps than it was given."""


class _Keywords(msgspec.Struct, rename="camel"):
    """The types that keywords must have; only decoded, which checks them."""

    ref: str | None = msgspec.field(name="$ref", default=None)
    id: str | None = msgspec.field(name="$id", default=None)
    defs: _Schemas | None = msgspec.field(name="$defs", default=None)
    definitions: _Schemas | None = None
    type: _Type | list[_Type] | None = None
    enum: list[Any] | None = None
    properties: _Schemas | None = None
    pattern_properties: _Schemas | None = None
    additional_properties: _Schema | None = None
    unevaluated_properties: _Schema | None = None
    property_names: _Schema | None = None
    required: list[str] | None = None
    min_properties: int | None = None
    max_properties: int | None = None
    items: _Schema | list[_Schema] | None = None
    prefix_items: list[_Schema] | None = None
    contains: _Schema | None = None
    min_items: int | None = None
    max_items: int | None = None
    unique_items: bool | None = None
    min_length: int | None = None
    max_length: int | None = None
    pattern: str | None = None
    minimum: float | None = None
    maximum: float | None = None
    exclusive_minimum: float | bool | None = None
    exclusive_maximum: float | bool | None = None
    multiple_of: float | None = None
    all_of: list[_Schema] | None = None
    any_of: list[_Schema] | None = None
    one_of: list[_Schema] | None = None
    negated: _Schema | None = msgspec.field(name="not", default=None)


class _CompiledSchema(NamedTuple):
    """A schema's validator, and the steps that a reference takes: by name, and by pointer.

    The library looks for a name, and for a schema with an `$id`, in the whole schema each time.
    """

    validator: Any
    by_name: int
    by_pointer: int


class _Steps:
    """The steps that are left to one check, and what a failed keyword and a reference cost."""

    __slots__ = ("_left", "failure", "schema")

    def __init__(self, most: int, size: int, schema: _CompiledSchema) -> None:
        self._left = most
        self.failure = 1 + size // _BYTES_PER_STEP
        self.schema = schema

    def spend(self, steps: int) -> None:
        self._left -= steps
        if self._left < 0:
            raise StepsSpent


_steps: ContextVar[_Steps] = ContextVar("askonce_schema_steps")
_UNCHECKABLE = _CompiledSchema(None, 0, 0)
_known: BoundedMap[bytes, _CompiledSchema] = BoundedMap(
    _KNOWN_BYTES, lambda schema, _: len(schema) + 1_024
)
_encode = msgspec.json.Encoder().encode


def load() -> None:
    """Import the validators ahead of the first check: it takes a twentieth of a second."""
    _validator_class("Draft202012Validator")


def fits(schema: Any, document: Any, size: int, steps: int) -> bool:
    """Decide whether a document fits a schema.

    Parameters:
        schema: the parsed schema.
        document: the parsed document.
        size: how long the document is as text, in bytes.
        steps: how many keywords may be applied; one takes some microseconds.

    Raises `SchemaUncheckable` if the schema is wrong or cannot be checked within its bounds, and
    `StepsSpent` if `steps` were too few.
    """
    compiled = _compiled(schema)
    from jsonschema.exceptions import UnknownType
    from referencing.exceptions import Unresolvable

    token = _steps.set(_Steps(steps, size, compiled))
    try:
        return next(compiled.validator.iter_errors(document), None) is None
    except (UnknownType, Unresolvable, LookupError, AttributeError, TypeError, ValueError) as error:
        raise SchemaUncheckable(type(error).__name__) from None
    except (ArithmeticError, RecursionError) as error:
        raise SchemaUncheckable(type(error).__name__) from None
    finally:
        _steps.reset(token)


def _compiled(schema: Any) -> _CompiledSchema:
    """Return the validator of a schema, perhaps a known one."""
    try:
        encoded = _encode(schema)
    except (ValueError, TypeError, RecursionError):
        raise SchemaUncheckable("the schema is no JSON") from None
    found = _known.get(encoded)
    if found is None:
        try:
            found = _compile(encoded)
        except (SchemaUncheckable, msgspec.MsgspecError, RecursionError):
            found = _UNCHECKABLE
        _known[encoded] = found
    if found is _UNCHECKABLE:
        raise SchemaUncheckable("the schema is wrong, or larger than its bounds")
    return found


def _compile(encoded: bytes) -> _CompiledSchema:
    if len(encoded) > MAX_SCHEMA_BYTES:
        raise SchemaUncheckable("the schema is too large")
    _decoder().decode(encoded)
    schema = msgspec.json.decode(encoded)
    dialect = schema.get("$schema") if isinstance(schema, dict) else None
    name = _DIALECTS.get(str(dialect).rstrip("#"), "Draft202012Validator")
    _prepare(schema)
    from referencing import Registry

    validator = _validator_class(name)(schema, registry=Registry())
    by_name = len(encoded) // _BYTES_PER_NODE
    word = b'"id"' if name == "Draft4Validator" else b'"$id"'
    return _CompiledSchema(validator, by_name, by_name if encoded.count(word) else 0)


@functools.cache
def _decoder() -> "msgspec.json.Decoder[bool | _Keywords]":
    return msgspec.json.Decoder(bool | _Keywords)


def _prepare(schema: Any) -> None:
    """Compile the patterns of a schema, and remove `$schema`, which would change the validator.

    Raises `SchemaUncheckable` for a pattern that cannot be searched, or keywords that would search
    one in another way.
    """
    words: set[str] = set()
    patterns: set[str] = set()
    waiting = [schema]
    while waiting:
        node = waiting.pop()
        if isinstance(node, list):
            waiting += node
        if not isinstance(node, dict):
            continue
        if isinstance(node.get("$schema"), str):
            del node["$schema"]
        if isinstance(pattern := node.get("pattern"), str):
            patterns.add(pattern)
        if isinstance(named := node.get("patternProperties"), dict):
            patterns.update(named)
        words |= node.keys() & {"patternProperties", "unevaluatedProperties"}
        waiting += [value for name, value in node.items() if name not in _VALUES]
    if len(words) == 2 or len(patterns) > MOST_PATTERNS:
        raise SchemaUncheckable("unevaluatedProperties beside patternProperties, or many patterns")
    for pattern in patterns:
        search_of(pattern)


@functools.cache
def _validator_class(name: str) -> Any:
    """Return the library's validator of a dialect, with keywords that count their steps."""
    from jsonschema import validators

    standard = getattr(validators, name)
    checks = {**standard.VALIDATORS, **_OWN_CHECKS}
    counted = {word: _counted(word, check) for word, check in checks.items()}
    return validators.extend(standard, counted)


def _counted(word: str, check: _Check) -> _Check:
    """Wrap the check of a keyword so that it spends steps."""
    quotes, refers = word not in _QUOTES_NOTHING, word in _REFERENCES

    def checked(validator: Any, value: Any, instance: Any, schema: Any) -> Iterator[Any]:
        steps = _steps.get()
        steps.spend(1 + _extent(value) + _extent(instance))
        if refers:
            is_pointer = str(value).startswith("#/") or value == "#"
            steps.spend(steps.schema.by_pointer if is_pointer else steps.schema.by_name)
        for error in check(validator, value, instance, schema) or ():
            if quotes and isinstance(instance, dict | list | str):
                steps.spend(steps.failure)
            yield error

    return checked


def _extent(value: Any) -> int:
    return len(value) if isinstance(value, dict | list) else 0


def _failed(why: str) -> Any:
    from jsonschema.exceptions import ValidationError

    return ValidationError(why)


def _found(pattern: str, text: str) -> bool:
    """Search a text for a pattern, which takes steps."""
    search = search_of(pattern)
    _steps.get().spend(search.steps(text))
    return search(text)


def _pattern(_: Any, value: str, instance: Any, __: Any) -> Iterator[Any]:
    if isinstance(instance, str) and not _found(value, instance):
        yield _failed("the text does not match its pattern")


def _pattern_properties(
    validator: Any, value: dict[str, Any], instance: Any, _: Any
) -> Iterator[Any]:
    if isinstance(instance, dict):
        _steps.get().spend(len(value) * len(instance))
        for pattern, schema in value.items():
            for name, member in instance.items():
                if _found(pattern, name):
                    yield from validator.descend(member, schema, path=name)


def _additional_properties(validator: Any, value: Any, instance: Any, schema: Any) -> Iterator[Any]:
    if isinstance(instance, dict):
        named, patterns = schema.get("properties", {}), schema.get("patternProperties", ())
        _steps.get().spend(len(patterns) * len(instance))
        for name, member in instance.items():
            if name not in named and not any(_found(pattern, name) for pattern in patterns):
                yield from validator.descend(member, value, path=name)


def _multiple_of(_: Any, value: Any, instance: Any, __: Any) -> Iterator[Any]:
    # Exact: as floats, 19.99 is no multiple of 0.01.
    is_number = isinstance(instance, int | float) and not isinstance(instance, bool)
    if is_number and Decimal(str(instance)) % Decimal(str(value)):
        yield _failed("the number is no multiple")


def _unique_items(_: Any, value: Any, instance: Any, __: Any) -> Iterator[Any]:
    if value and isinstance(instance, list):
        steps = _steps.get()
        steps.spend(steps.failure)  # for the whole value is read, however deep
        if len(set(map(_hashable, instance))) < len(instance):
            yield _failed("an item occurs twice")


def _of_type(validator: Any, value: Any, instance: Any, schema: Any) -> Iterator[Any]:
    if instance is None and schema.get("nullable") is True:
        return  # OpenAPI's way to allow null
    names = [value] if isinstance(value, str) else value
    if not any(validator.is_type(instance, name) for name in names):
        yield _failed("the value is of another type")


_OWN_CHECKS: dict[str, _Check] = {
    "additionalProperties": _additional_properties,
    "multipleOf": _multiple_of,
    "pattern": _pattern,
    "patternProperties": _pattern_properties,
    "type": _of_type,
    "uniqueItems": _unique_items,
}
"""Keywords that are checked here: in bounded time, exactly, and without quoting the value."""


def _hashable(value: Any) -> Any:
    """Return a value that is equal for equal JSON: `1` and `1.0` are, `1` and `true` are not."""
    if isinstance(value, dict):
        return frozenset((name, _hashable(member)) for name, member in value.items())
    if isinstance(value, list):
        return tuple(map(_hashable, value))
    return (bool, value) if isinstance(value, bool) else value
