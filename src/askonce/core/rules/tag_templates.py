"""Tag templates: `order:{id}`, filled with a pattern's groups or an event's data.

One function fills the tags of questions and of events, so they are equal. A character that a tag
cannot hold is percent-encoded, as is a leading `~`. A value with upper case makes two tags, as
written and casefolded: the question "where is order AB-12" and an event about `ab-12` share one.
"""

import re
import string
import unicodedata
from collections.abc import Iterable, Mapping

from askonce.core.errors import ConfigError

_NOT_IN_A_TAG = re.compile(r"[^\x21-\x2b\x2d-\x7e]+")  # all but visible ASCII without the comma
LONGEST = 256


class TagTooLong(Exception):
    """A value makes a tag longer than a tag may be; the message shows how it begins."""

    def __init__(self, tag: str) -> None:
        super().__init__(f"{tag[:40]}... has {len(tag)} characters; a tag has at most {LONGEST}")


def fields(template: str) -> tuple[str, ...]:
    """Return the names in braces. Raises `ConfigError` if the template is invalid."""
    try:
        parts = list(string.Formatter().parse(template))
    except ValueError as error:
        raise ConfigError(f"the tag {template!r} is not a template: {error}") from None
    names = []
    for text, name, form, conversion in parts:
        if _NOT_IN_A_TAG.search(text):
            raise ConfigError(
                f"the tag {template!r} has a character that no tag can have; write visible ASCII"
                " without spaces and commas"
            )
        if name is None:
            continue
        if not name.isidentifier() or form or conversion:
            raise ConfigError(f"the tag {template!r} has more in its braces than a name")
        names.append(name)
    if not template or template.startswith("~") or len(template) > LONGEST:
        raise ConfigError(
            f"the tag {template[:40]!r} cannot be one; write 1 to {LONGEST} characters that do not"
            " begin with '~'"
        )
    return tuple(names)


def filled(template: str, values: Mapping[str, str | None]) -> tuple[str, ...]:
    """Return the tags of a template: one, or two if a value has upper case.

    A missing or empty value makes none. Raises `TagTooLong`.
    """
    parts = list(string.Formatter().parse(template))
    names = [name for _, name, _, _ in parts if name is not None]
    if not all(values.get(name) for name in names):
        return ()
    tags = dict.fromkeys(
        "".join(
            text if name is None else text + _escaped(str(values[name]), folded=folded)
            for text, name, _, _ in parts
        )
        for folded in (False, True)
    )
    # The cache's own tags begin with a tilde; no question or event may make one.
    found = tuple(f"%7E{tag[1:]}" if tag.startswith("~") else tag for tag in tags)
    for tag in found:
        if len(tag) > LONGEST:
            raise TagTooLong(tag)
    return found


def check(templates: Iterable[str], names: Iterable[str], where: str, what: str) -> None:
    """Raise `ConfigError` if a template names an unknown field.

    Parameters:
        templates: the templates of one rule.
        names: the known fields.
        where: the beginning of the message, such as `rule 3`.
        what: what a field must be, such as `a named group of its pattern`.
    """
    there = sorted(names)
    for template in templates:
        for field in fields(template):
            if field not in there:
                has = f"; it has {', '.join(there)}" if there else ""
                raise ConfigError(f"{where}: {field!r} in the tag {template!r} is not {what}{has}")


def _escaped(value: str, *, folded: bool) -> str:
    text = value.casefold() if folded else value
    # NFC, so that an accented letter is the same however it was typed.
    return _NOT_IN_A_TAG.sub(_encoded, unicodedata.normalize("NFC", text))


def _encoded(found: re.Match[str]) -> str:
    return "".join(f"%{byte:02X}" for byte in found[0].encode(errors="replace"))
