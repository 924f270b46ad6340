"""Durations and sizes as people write them: `24h`, `1h30m`, `90`, `256 MiB`, `64kB`."""

import re
from datetime import timedelta

from askonce.core.errors import ConfigError

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3_600.0, "d": 86_400.0, "w": 604_800.0}
_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d|w)")
_WHOLE = re.compile(r"(?:\d+(?:\.\d+)?(?:ms|s|m|h|d|w))+")
_NUMBER = re.compile(r"\d+(?:\.\d+)?")

_BYTES = {
    "": 1,
    "b": 1,
    "kb": 1_000,
    "mb": 1_000_000,
    "gb": 1_000_000_000,
    "kib": 1_024,
    "mib": 1_024**2,
    "gib": 1_024**3,
}
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([A-Za-z]*)")

MAX_SECONDS = 100 * 365 * 86_400.0


def parse_duration(text: str) -> float:
    """Return seconds, at most 100 years. Raises ValueError if the text is not a duration."""
    text = text.strip().lower().replace(" ", "")
    if len(text) > 40:
        raise ValueError("not a duration: too long")
    if _NUMBER.fullmatch(text):
        seconds = float(text)
    elif _WHOLE.fullmatch(text):
        seconds = sum(float(number) * _UNITS[unit] for number, unit in _PART.findall(text))
    else:
        raise ValueError(f"not a duration: {text!r} (write 90s, 5m, 24h, 7d or plain seconds)")
    return min(seconds, MAX_SECONDS)


def parse_size(text: str) -> int:
    """Return bytes. Raises ValueError if the text is not a size."""
    match = _SIZE.fullmatch(text.strip())
    unit = match.group(2).lower() if match else ""
    if match is None or unit not in _BYTES:
        raise ValueError(f"not a size: {text!r} (write 256 MiB, 64 kB or plain bytes)")
    if len(text) > 40:
        raise ValueError("not a size: too long")
    return int(float(match.group(1)) * _BYTES[unit])


def seconds(name: str, value: timedelta | str) -> float:
    """Return an argument's seconds. Raises `ConfigError` that begins with its `name`."""
    if isinstance(value, timedelta):
        length = value.total_seconds()
        if length < 0:
            raise ConfigError(f"{name} is negative; write a duration such as '24h'")
        return length
    try:
        return parse_duration(value)
    except (ValueError, AttributeError, TypeError):
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        mend = f"'{value:g}s'" if is_number else "'24h'"
        raise ConfigError(
            f"{name} is not a duration: {value!r}; write {mend} or a timedelta"
        ) from None


def size_bytes(name: str, value: int | str) -> int:
    """Return an argument's bytes. Raises `ConfigError` that begins with its `name`."""
    if isinstance(value, int):
        return value
    try:
        return parse_size(value)
    except (ValueError, AttributeError, TypeError):
        raise ConfigError(f"{name} is not a size: {value!r}; write '256 MiB' or bytes") from None
