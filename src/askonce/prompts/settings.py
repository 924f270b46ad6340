"""The settings for the providers' own prompt caches, and how they are read.

The levels, each with everything before it:

observe  nothing is changed; it is counted what could be done
mark     breakpoints, keys and the bytes of tools are set: the question stays the same
split    text that was declared volatile moves to the end of the prompt
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Any, Literal

import msgspec

from askonce.core import printers
from askonce.core import values as read
from askonce.core.settings_table import SettingKind, Texts, from_argument

Level = Literal["observe", "mark", "split"]


def _patterns(value: Any) -> tuple[str, ...]:
    """Read a list of patterns, or a single one, which may contain commas."""
    if isinstance(value, str) and value:
        value = [value]
    if not isinstance(value, list | tuple) or not all(
        isinstance(one, str) and one for one in value
    ):
        raise ValueError(f'is not a list of patterns: {read.short(value)}; write ["Today is .*"]')
    return tuple(value)


_LONGEST_HOLD = timedelta(minutes=1)


def _hold(value: Any) -> timedelta:
    held = read.duration(value)
    if held > _LONGEST_HOLD:
        raise ValueError(f'is not from "0s" to "60s": {read.short(value)}; write "1.5s"')
    return held


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

    level: Annotated[
        Level, 'the providers\' prompt caches: "mark" sets breakpoints; "split" moves text too'
    ] = "observe"
    volatile: Annotated[
        tuple[str, ...],
        SettingKind(_patterns, list),
        'RE2 patterns of text that changes from call to call: ["Today is [^.]*[.]"]',
    ] = ()
    rules: Annotated[Texts, "files of provider rules that replace members of ours"] = ()
    hold: Annotated[
        timedelta,
        SettingKind(_hold, printers.duration),
        "how long a call waits for one that writes the same long prefix; at most 60s",
    ] = timedelta(0)


OBSERVE = Prompts()


def read_prompts(given: "Prompts | Level | Mapping[str, Any]") -> Prompts:
    """Read the library's argument. Raises `ConfigError`."""
    return from_argument("prompts", Prompts, "level", given)
