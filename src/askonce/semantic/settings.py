"""The settings of semantic matching as precise values, and the readers of their table.

off     no question is compared
shadow  the real answer is compared in the background with the one that would have been served
serve   the answer to the same question in other words is served
"""

import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Any, Literal

import msgspec

from askonce.core import printers, units
from askonce.core import values as read
from askonce.core.directives import Mode
from askonce.core.engine_names import is_shared
from askonce.core.scopes import Scoping
from askonce.core.settings_table import (
    PositiveBytes,
    PositiveCount,
    PositiveDuration,
    Secret,
    SettingKind,
    StoreUrl,
    from_argument,
)
from askonce.semantic.operating_point import THRESHOLD

LOWEST_THRESHOLD = 0.5
"""The lowest threshold that can be set; below it the nearest question is about something else."""


def _threshold(value: Any) -> float:
    """Read a cosine, a number or a text. Raises `ValueError`."""
    if isinstance(value, str) and re.fullmatch(r"\s*[01](\.[0-9]{1,9})?\s*", value):
        value = float(value)
    if type(value) not in (int, float) or not LOWEST_THRESHOLD <= value <= 1:
        raise ValueError(
            f"is not a cosine from {LOWEST_THRESHOLD} to 1: {read.short(value)}; write 0.92"
        )
    return float(value)


def _families(value: Any) -> tuple[tuple[str, ...], ...]:
    """Read lists of models that may answer for each other; as a text, `a,b;c,d`."""
    if isinstance(value, str):
        value = [part for part in value.split(";") if part.strip()]
    if not isinstance(value, list | tuple):
        raise ValueError('is not a list of lists; write [["gpt-4o", "gpt-4o-mini"]]')
    try:
        return tuple(map(read.texts, value))
    except ValueError:
        raise ValueError('is not a list of lists; write [["gpt-4o", "gpt-4o-mini"]]') from None


def _index(value: Any) -> str:
    address = read.text(value)
    scheme, _, rest = address.partition(":")
    if scheme != "process" and not (rest and is_shared(address)):
        # An address may hold a password, so the message does not repeat it.
        raise ValueError(
            'names no index; write "process", "process:FILE", "redis://HOST" or'
            ' "postgresql://HOST/DATABASE"'
        )
    return address


class Semantic(msgspec.Struct, frozen=True, kw_only=True):
    """How questions are matched by meaning.

    Parameters:
        mode: `off` compares no question, `shadow` measures and never serves, `serve` serves.
        threshold: the lowest cosine that may be served, 0.5 to 1, if no guard vetoes it.
        embedder: `local`, the address of an endpoint (`https://HOST/v1?model=NAME`),
            `sentence-transformers:NAME` or `fastembed:NAME`.
        embedder_key: the API key of an endpoint. Default: none is sent.
        index: `process` (with a file beside a SQLite store), `process:FILE`, or the address of a
            Redis 8 or of a PostgreSQL with pgvector, which processes share.
        max_entries: entries of one scope; the oldest leave first.
        size: bytes that the index in this process may take; the oldest leave first.
        deadline: how long a caller waits for the embedder, and for one call of a shared index: a
            timedelta or a text such as "250ms".
        history: `exact` requires equal earlier turns, `last_turn` only equal system messages.
        parameters: `exact` requires equal parameters, `free` ignores lengths and sampling.
        models: families of models that may answer for each other, as shell patterns.
        tools: compare questions with tools too, though their answers may cause actions.

    Values are checked when a cache is made, which raises `ConfigError`.
    """

    mode: Annotated[
        Mode, 'questions in other words: "serve" answers them, "shadow" only measures, or "off"'
    ] = "serve"
    threshold: Annotated[
        float, SettingKind(_threshold), "the lowest cosine at which an answer may be served"
    ] = THRESHOLD
    embedder: Annotated[StoreUrl, 'or "https://host/v1?model=name", with embedder_key'] = "local"
    embedder_key: Annotated[Secret | None, "the key for an embedder's endpoint"] = None
    index: Annotated[
        str,
        SettingKind(_index, printers.masked_url),
        'or "redis://host" (Redis 8), "postgresql://host/database" (pgvector)',
    ] = "process"
    max_entries: Annotated[PositiveCount, "the limit for each scope; the oldest leave first"] = (
        100_000
    )
    size: Annotated[PositiveBytes, "the limit of an index in this process"] = 512 << 20
    deadline: Annotated[
        PositiveDuration | str, "how long a caller waits for the embedder or a shared index"
    ] = timedelta(milliseconds=250)
    history: Annotated[
        Literal["exact", "last_turn"], 'earlier turns must be equal; "last_turn": they need not'
    ] = "exact"
    parameters: Annotated[
        Literal["exact", "free"], 'lengths and sampling must be equal; "free": they need not'
    ] = "exact"
    models: Annotated[
        tuple[tuple[str, ...], ...],
        SettingKind(_families, lambda families: [list(family) for family in families]),
        'models that answer for each other: [["gpt-4o", "gpt-4o-mini"]]',
    ] = ()
    tools: Annotated[bool, "true: compare questions with tools too"] = False

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
        """The members that must be equal before two questions are compared."""
        return Scoping(
            history=self.history, parameters=self.parameters, models=self.models, tools=self.tools
        )


OFF = Semantic(mode="off")


def semantic_of(given: Semantic | Mode | Mapping[str, Any]) -> Semantic:
    """Read the library's argument. Raises `ConfigError`."""
    return from_argument("semantic", Semantic, "mode", given)
