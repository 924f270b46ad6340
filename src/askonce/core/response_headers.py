"""Response headers: which of a provider's headers can be written, and which forbid storing."""

import re

_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9a-z-]+")
_CLEAN = re.compile(r"(?:[\x21-\x7e\x80-\xff](?:[\t\x20-\x7e\x80-\xff]*[\x21-\x7e\x80-\xff])?)?")
_UNFIT = re.compile(r"[^\t\x20-\x7e\x80-\xff]+")


def is_name(name: str) -> bool:
    """Whether a text is the name of a header in lower case (RFC 9110 section 5.1)."""
    return _NAME.fullmatch(name) is not None


def is_clean(value: str) -> bool:
    """Whether every server can write a header value: no control characters, Latin-1 alone."""
    return _CLEAN.fullmatch(value) is not None


def cleaned(value: str) -> str:
    """Return a header value with one space for each run of characters that cannot be written."""
    return value if is_clean(value) else _UNFIT.sub(" ", value).strip(" \t")
