"""The settings for the providers' own prompt caches, and how they are read.

The levels, each with everything before it:

observe  nothing is changed; it is counted what could be done
mark     breakpoints, keys and the bytes of tools are set: the question stays the same
split    text that was declared volatile moves to the end of the prompt
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

    Parameters:
        level: what may be changed: `observe` (the default) nothing, `mark` cache markers, cache
            keys and the bytes of tools, `split` also the place of volatile text.
        volatile: RE2 patterns of text that changes from call to call. At the level `split` it
            moves to the end of the prompt, as does text between `<<volatile>>` and
            `<</volatile>>`. Default: none.
        rules: paths of TOML files with provider rules, which override the shipped ones.
            Default: none.
        hold: how long a call waits at most for another call that is writing the same long prefix
            into the provider's cache; from zero (the default: it does not wait) to one minute.
    """

    level: Level = "observe"
    volatile: tuple[str, ...] = ()
    rules: tuple[str, ...] = ()
    hold: timedelta = timedelta(0)


OBSERVE = Prompts()


def read_prompts(given: "Prompts | Level | Mapping[str, Any]") -> Prompts:
    """Read the library's argument: a level, a mapping of settings, or `Prompts`.

    Raises ConfigError for an unknown setting or an invalid value.
    """
    if isinstance(given, str):
        given = {"level": given}
    if isinstance(given, Prompts):
        given = {name: getattr(given, name) for name in Prompts.__struct_fields__}
    if not isinstance(given, Mapping):
        raise ConfigError("prompts is not an askonce.Prompts; write 'observe', 'mark' or 'split'")
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
    """Read a list of patterns, or a single one, which may contain commas."""
    if isinstance(value, str) and value:
        value = [value]
    if not isinstance(value, list | tuple) or not all(
        isinstance(one, str) and one for one in value
    ):
        raise ValueError(f'is not a list of patterns: {read.short(value)}; write ["Today is .*"]')
    return tuple(value)


def _files(value: Any) -> tuple[str, ...]:
    """Read names of files, as a list or separated by commas."""
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
"""How each key of `[prompts]` is read."""
