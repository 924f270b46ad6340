"""What a user decides about the providers' own prompt caches, and its table of settings.

observe  nothing is changed; what could be done is counted
mark     breakpoints, keys and the bytes of tools: no change of what is asked
split    and what was declared volatile moves to the end of the prompt
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Literal

import msgspec

from askonce.core import values as read
from askonce.core.errors import ConfigError

Level = Literal["observe", "mark", "split"]

LEVELS: tuple[Level, ...] = ("observe", "mark", "split")


class Prompts(msgspec.Struct, frozen=True, kw_only=True):
    """How prompts are prepared for the provider's own cache.

    `volatile` are RE2 patterns of what changes from call to call; with the level `split` it moves
    to the end of the prompt, as does what stands between `<<volatile>>` and `<</volatile>>`.
    `rules` are files of rules of providers, laid over those that ship.
    `hold` is how long a call waits at most for another one that is just writing the same long
    prefix into the provider's cache; zero for not at all.
    """

    level: Level = "observe"
    volatile: tuple[str, ...] = ()
    rules: tuple[str, ...] = ()
    hold: timedelta = timedelta(0)


OBSERVE = Prompts()


def prompts_of(given: "Prompts | Level | Mapping[str, Any]") -> Prompts:
    """The library's argument as precise values. Raises `ConfigError`."""
    if isinstance(given, str):
        given = {"level": given}
    if isinstance(given, Prompts):
        given = {name: getattr(given, name) for name in Prompts.__struct_fields__}
    if not isinstance(given, Mapping):
        raise ConfigError("prompts is no askonce.Prompts; write 'observe', 'mark' or 'split'")
    values = {}
    for name, value in given.items():
        if name not in READERS:
            raise ConfigError(f"prompts: {name!r} is not one{read.nearest(name, READERS)}")
        try:
            values[name] = READERS[name](value)
        except ValueError as error:
            raise ConfigError(f"prompts: {name} {error}") from None
    return Prompts(**values)


def _patterns(value: Any) -> tuple[str, ...]:
    """A list of patterns, or one alone: a comma may stand in it."""
    if isinstance(value, str) and value:
        value = [value]
    if not isinstance(value, list | tuple) or not all(
        isinstance(one, str) and one for one in value
    ):
        raise ValueError(f'is not a list of patterns: {read.short(value)}; write ["Today is .*"]')
    return tuple(value)


def _files(value: Any) -> tuple[str, ...]:
    """Names of files, in a list or with commas between them."""
    return read.texts(list(value) if isinstance(value, tuple) else value)


_LONGEST_HOLD = timedelta(minutes=1)


def _hold(value: Any) -> timedelta:
    held: timedelta = value if isinstance(value, timedelta) else read.duration(value)
    if not timedelta(0) <= held <= _LONGEST_HOLD:
        raise ValueError(f'is not from "0s" to "60s": {read.short(value)}; write "1.5s"')
    return held


READERS: dict[str, read.Reader] = {
    "level": read.one_of(*LEVELS),
    "volatile": _patterns,
    "rules": _files,
    "hold": _hold,
}
"""How each key of `[prompts]` is read, as in `settings`."""
