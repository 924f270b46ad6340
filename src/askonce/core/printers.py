"""Setting values as text: the inverse of the readers in `values`, with every secret masked."""

import re
from datetime import timedelta


def duration(length: timedelta) -> str:
    """Return a duration as the file has it: `24h`, `1h30m`, `0s`, `250ms`."""
    milliseconds = round(length.total_seconds() * 1000)
    parts = []
    for unit, size_ms in (("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)):
        count, milliseconds = divmod(milliseconds, size_ms)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0s"


def seconds(length: float) -> str:
    """Return a duration in seconds as the file has it."""
    return duration(timedelta(seconds=length))


def size(size_bytes: int) -> str:
    """Return a size as the file has it: `256 MiB`, `1500 B`."""
    for unit, length in (("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)):
        if size_bytes and size_bytes % length == 0:
            return f"{size_bytes // length} {unit}"
    return f"{size_bytes} B"


def fraction(part: float) -> str:
    """Return a part of a whole as the file has it: `10%`, `2.5%`."""
    return f"{part * 100:.12g}%"


def sampling(samples: int) -> str:
    """Return a number of samples as the file has it: `bypass`, `reuse`, `pool:3`."""
    return ("bypass", "reuse")[samples] if samples < 2 else f"pool:{samples}"


def masked_url(url: str) -> str:
    """Return a store's address without the passwords that such addresses can carry."""
    url = re.sub(r"(://[^/@:]*):[^/]*@", r"\1:***@", url)
    return re.sub(r"(?i)([?&][a-z_]*(?:password|secret|token|key)=)[^&#]*", r"\1***", url)


def masked_key(key: str) -> str:
    """Return enough of a key to distinguish it from others, too little to use or guess it."""
    return f"***{key[-4:]}" if len(key) >= 20 else "***"
