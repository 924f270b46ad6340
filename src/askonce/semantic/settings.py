"""What a user decides about matching by meaning, as precise values, and its table of settings.

off     no question is compared
shadow  what would have been served is compared with the real answer, behind the caller
serve   the answer to a question that asks the same is served
"""

import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Literal

import msgspec

from askonce.core import units
from askonce.core import values as read
from askonce.core.directives import Mode
from askonce.core.engine_names import is_shared
from askonce.core.errors import ConfigError
from askonce.core.scopes import Scoping
from askonce.semantic.operating_point import THRESHOLD

MODES: tuple[Mode, ...] = ("off", "shadow", "serve")

LOWEST_THRESHOLD = 0.5
"""Below this nothing that lies near has to do with the question."""


class Semantic(msgspec.Struct, frozen=True, kw_only=True):
    """How questions are matched by meaning.

    `threshold` is the cosine from which an answer may be served, 0.5 to 1, if no guard speaks
    against it. `embedder` is `local`, an endpoint's address (`https://HOST/v1?model=NAME`), or
    `sentence-transformers:NAME` or `fastembed:NAME`; `embedder_key` is what an endpoint wants to
    see. `index` is `process` (with a file beside a SQLite store), `process:FILE`, or the address of
    a Redis 8 or of a PostgreSQL with pgvector, which processes share.

    `max_entries` bounds each scope, `size` in bytes what the index takes in this process; the
    oldest go first. `deadline` is how long a caller waits for the embedder, and for one call of an
    index that is shared. The last four are those of `scopes.Scoping`.
    """

    mode: Mode = "serve"
    threshold: float = THRESHOLD
    embedder: str = "local"
    embedder_key: str | None = None
    index: str = "process"
    max_entries: int = 100_000
    size: int = 512 << 20
    deadline: timedelta | str = timedelta(milliseconds=250)
    history: Literal["exact", "last_turn"] = "exact"
    parameters: Literal["exact", "free"] = "exact"
    models: tuple[tuple[str, ...], ...] = ()
    tools: bool = False

    def __repr__(self) -> str:
        return f"Semantic(mode={self.mode!r}, threshold={self.threshold})"

    @property
    def patience(self) -> float:
        """The deadline in seconds."""
        return units.seconds("deadline", self.deadline)

    @property
    def is_on(self) -> bool:
        return self.mode != "off"

    @property
    def scoping(self) -> Scoping:
        """What must be equal before two questions are compared."""
        return Scoping(
            history=self.history, parameters=self.parameters, models=self.models, tools=self.tools
        )


OFF = Semantic(mode="off")


def semantic_of(given: Semantic | Mode | Mapping[str, Any]) -> Semantic:
    """The library's argument as precise values. Raises `ConfigError`."""
    if isinstance(given, str):
        given = {"mode": given}
    if isinstance(given, Semantic):
        given = {name: getattr(given, name) for name in Semantic.__struct_fields__}
    if not isinstance(given, Mapping):
        raise ConfigError("semantic is no askonce.Semantic; write 'serve', 'shadow' or 'off'")
    values = {}
    for name, value in given.items():
        if name not in READERS:
            raise ConfigError(f"semantic: {name!r} is not one{read.nearest(name, READERS)}")
        if value is None and name == "embedder_key":
            continue
        try:
            values[name] = READERS[name](value)
        except ValueError as error:
            raise ConfigError(f"semantic: {name} {error}") from None
    return Semantic(**values)


def threshold(value: Any) -> float:
    """A cosine as TOML's number or as a text."""
    if isinstance(value, str) and re.fullmatch(r"\s*[01](\.[0-9]{1,9})?\s*", value):
        value = float(value)
    if type(value) not in (int, float) or not LOWEST_THRESHOLD <= value <= 1:
        raise ValueError(
            f"is not a cosine from {LOWEST_THRESHOLD} to 1: {read.short(value)}; write 0.92"
        )
    return float(value)


def _count(value: Any) -> int:
    if isinstance(value, str) and re.fullmatch(r"[0-9]{1,12}", value):
        value = int(value)
    if type(value) is not int or value < 1:
        raise ValueError(f"is not a number of entries: {read.short(value)}; write 100000")
    return value


def _families(value: Any) -> tuple[tuple[str, ...], ...]:
    """Lists of models that may answer for each other; as a text, `a,b;c,d`."""
    if isinstance(value, str):
        value = [part for part in value.split(";") if part.strip()]
    if not isinstance(value, list | tuple):
        raise ValueError('is not a list of lists; write [["gpt-4o", "gpt-4o-mini"]]')
    try:
        return tuple(read.texts(list(one) if isinstance(one, tuple) else one) for one in value)
    except ValueError:
        raise ValueError('is not a list of lists; write [["gpt-4o", "gpt-4o-mini"]]') from None


def _yes_or_no(value: Any) -> bool:
    if value in ("true", "false"):
        value = value == "true"
    if type(value) is not bool:
        raise ValueError(f"is neither true nor false: {read.short(value)}")
    return value


def _deadline(value: Any) -> timedelta:
    given = read.above_zero(read.duration)(value) if not isinstance(value, timedelta) else value
    return timedelta(seconds=units.seconds("deadline", given))


def _index(value: Any) -> str:
    address = read.text(value)
    scheme, _, rest = address.partition(":")
    if scheme != "process" and not (rest and is_shared(address)):
        # An address may hold a password: it is not repeated.
        raise ValueError(
            'names no index; write "process", "process:FILE", "redis://HOST" or'
            ' "postgresql://HOST/DATABASE"'
        )
    return address


READERS: dict[str, read.Reader] = {
    "mode": read.one_of(*MODES),
    "threshold": threshold,
    "embedder": read.text,
    "embedder_key": read.secret,
    "index": _index,
    "max_entries": _count,
    "size": read.above_zero(read.size),
    "deadline": _deadline,
    "history": read.one_of("exact", "last_turn"),
    "parameters": read.one_of("exact", "free"),
    "models": _families,
    "tools": _yes_or_no,
}
"""How each key of `[semantic]` is read, as in `settings`."""
