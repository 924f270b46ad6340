"""Response headers: which of a provider's headers can be written, and which forbid storing.

Answers are kept by credential, each for its own caller. So `private` forbids nothing, nor does
`no-cache`, which asks HTTP caches to revalidate with a validator that these answers do not have.
"""

import re
from collections.abc import Iterable, Iterator

from askonce.core.request_headers import STANDARD, HeaderKind

Headers = Iterable[tuple[str, str]]

_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9a-z-]+")
_CLEAN = re.compile(r"(?:[\x21-\x7e\x80-\xff](?:[\t\x20-\x7e\x80-\xff]*[\x21-\x7e\x80-\xff])?)?")
_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"')
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


def says_no_store(headers: Headers) -> bool:
    """Whether a provider says `Cache-Control: no-store` about its answer."""
    return "no-store" in _members(headers, "cache-control")


def varies(headers: Headers) -> bool:
    """Whether an answer depends on more than the question: `Vary` names what is not in the key.

    A credential makes the namespace, a harmless header changes no answer, and any other one that
    the provider gets is in the key.
    """
    return any(
        name == "*" or STANDARD.kind(name) is HeaderKind.DROPPED
        for name in _members(headers, "vary")
    )


def media_type(headers: Headers) -> str:
    """Return the media type of an answer in lower case; "" if it names none."""
    value = next((value for name, value in headers if name.lower() == "content-type"), "")
    return value.partition(";")[0].strip().lower()


def _members(headers: Headers, field: str) -> Iterator[str]:
    """Yield the members of a list in lower case, quoted strings left out."""
    for name, value in headers:
        if name.lower() == field:
            for member in _QUOTED.sub("", value).split(","):
                yield member.strip().lower()
