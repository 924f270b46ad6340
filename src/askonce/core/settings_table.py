"""Settings tables: a struct is one table of `askonce.toml`, and each of its fields is one key.

    class LogSettings(msgspec.Struct, frozen=True, kw_only=True):
        keep: Annotated[PositiveCount, "how many moved files stay"] = 1

A field is a setting if it has a line of documentation. Its type has a `SettingKind`, which knows
how to read and print it; `Literal` and `bool` need none. The loader, `askonce config`, the
environment's variables, the table in the documentation and `askonce.toml.example` read the fields,
so this line is the only place to add a setting. `msgspec.field(name=...)` gives a key another name
than its field. A field that is a struct itself adds its own settings to the table.
"""

import functools
import types
from collections.abc import Callable, Mapping
from datetime import timedelta
from decimal import Decimal
from typing import Annotated, Any, Literal, NamedTuple, TypeVar, Union, get_args, get_origin

import msgspec

from askonce.core import printers, values
from askonce.core.errors import ConfigError

T = TypeVar("T", bound=msgspec.Struct)


def _same(value: Any) -> Any:
    return value


class SettingKind(NamedTuple):
    """How one kind of setting is read and printed.

    Parameters:
        read: makes the precise value from a TOML value or a variable's text; raises ValueError
            with the rest of a sentence that starts with the setting's name.
        show: makes a text, a number, a bool or a list of texts, which `read` reads back unless it
            masks a secret. The default returns the value itself.
    """

    read: values.Reader
    show: Callable[[Any], Any] = _same


SECONDS = SettingKind(lambda value: values.duration(value).total_seconds(), printers.seconds)
POSITIVE_DURATION = SettingKind(values.above_zero(values.duration), printers.duration)
YES_OR_NO = SettingKind(values.yes_or_no)

Text = Annotated[str, SettingKind(values.text)]
Texts = Annotated[tuple[str, ...], SettingKind(values.texts, list)]
StoreUrl = Annotated[str, SettingKind(values.text, printers.masked_url)]
Secret = Annotated[str, SettingKind(values.secret, printers.masked_key)]
Duration = Annotated[timedelta, SettingKind(values.duration, printers.duration)]
PositiveDuration = Annotated[timedelta, POSITIVE_DURATION]
Seconds = Annotated[float, SECONDS]
PositiveSeconds = Annotated[
    float,
    SettingKind(lambda value: POSITIVE_DURATION.read(value).total_seconds(), printers.seconds),
]
Bytes = Annotated[int, SettingKind(values.size, printers.size)]
PositiveBytes = Annotated[int, SettingKind(values.above_zero(values.size), printers.size)]
PositiveCount = Annotated[int, SettingKind(values.above_zero(values.count))]
Price = Annotated[Decimal, SettingKind(values.price, str)]


class Setting(NamedTuple):
    """One key of a table: the path of its field, its kind, its documentation and its default.

    `default` is None for a setting that is off unless it is given, and `msgspec.NODEFAULT` for one
    that must be given.
    """

    path: tuple[str, ...]
    kind: SettingKind
    doc: str
    default: Any


@functools.cache
def settings_of(table: type[msgspec.Struct]) -> dict[str, Setting]:
    """Return the settings of a table by their keys, in the order of the fields."""
    found: dict[str, Setting] = {}
    for field in msgspec.structs.fields(table):
        if isinstance(field.type, type) and issubclass(field.type, msgspec.Struct):
            for key, inner in settings_of(field.type).items():
                found[key] = inner._replace(path=(field.name, *inner.path))
            continue
        doc = next((part for part in get_args(field.type)[1:] if isinstance(part, str)), None)
        if get_origin(field.type) is Annotated and doc:
            kind = _kind(field.type)
            if kind is None:
                raise TypeError(f"{table.__name__}.{field.name} has no SettingKind to read it with")
            found[field.encode_name] = Setting((field.name,), kind, doc, field.default)
    return found


def with_values(table: T, given: Mapping[str, Any]) -> T:
    """Return a table with other values, which are precise and stand under their keys."""
    changes: dict[str, Any] = {}
    for field in msgspec.structs.fields(type(table)):
        value = getattr(table, field.name)
        if isinstance(value, msgspec.Struct):
            changes[field.name] = with_values(value, given)
        elif field.encode_name in given:
            changes[field.name] = given[field.encode_name]
    return msgspec.structs.replace(table, **changes)


def shown(table: msgspec.Struct) -> dict[str, Any]:
    """Return a table's values as the file has them, secrets masked, without what is None."""
    found = {}
    for key, setting in settings_of(type(table)).items():
        value = functools.reduce(getattr, setting.path, table)
        if value is not None:
            found[key] = setting.kind.show(value)
    return found


def from_argument(name: str, table: type[T], word: str, given: object) -> T:
    """Read a library argument: a table's struct, a mapping, or the value of its field `word` alone.

    Raises `ConfigError`, which starts with `name`.
    """
    settings = settings_of(table)
    if isinstance(given, str):
        given = {word: given}
    if isinstance(given, table):
        given = msgspec.structs.asdict(given)
    if not isinstance(given, Mapping):
        raise ConfigError(f"{name} is not an askonce.{table.__name__}; write its {word} as a text")
    read: dict[str, Any] = {}
    for key, value in given.items():
        if key not in settings:
            raise ConfigError(f"{name}: {key!r} is not a key{values.nearest(key, settings)}")
        if value is None and settings[key].default is None:
            continue
        try:
            read[key] = settings[key].kind.read(value)
        except ValueError as error:
            raise ConfigError(f"{name}: {key} {error}") from None
    return table(**read)


def _kind(given: Any) -> SettingKind | None:
    """Find the kind in an annotation: its own, that of a member of a union, or that of its type."""
    origin, parts = get_origin(given), get_args(given)
    if given is bool:
        return YES_OR_NO
    if origin is Literal:
        return SettingKind(values.one_of(*parts))
    if origin is Annotated:
        return next((part for part in parts if isinstance(part, SettingKind)), None) or _kind(
            parts[0]
        )
    if origin in (Union, types.UnionType):
        return next(filter(None, map(_kind, parts)), None)
    return None
