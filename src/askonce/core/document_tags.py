"""Source documents: the tags that say which documents an answer was made from, in which version.

    doc:7       the answer depends on document 7: invalidating this tag names all its versions
    doc:7@v3    it was made from version v3
    doc:7@      nobody said from which version

An answer carries the first and one of the others, so that a document that changed takes the answers
made from its earlier versions along, and leaves those that were made from the present one. Ids and
versions that a tag could not hold are percent-encoded, long ones end in their SHA-256.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from askonce.core.errors import ConfigError

PREFIX = "doc:"

_MOST = 256  # documents of one answer: it can have as many tags
_LONGEST_ID = 160
_LONGEST_VERSION = 91  # "doc:" + 160 + "@" + 91 = 256 characters, the most that a tag may have
_HASHED = 65  # "~" and a SHA-256 in hexadecimal digits
LONGEST_PREFIX = _LONGEST_ID - _HASHED
"""Characters, encoded: so much of its beginning a tag keeps of every id."""
_KEPT = frozenset(range(0x21, 0x7F)) - frozenset(b",@%~")

IDS = ("id", "doc_id", "document_id", "source", "url", "path")
VERSIONS = ("version", "hash", "etag", "updated_at", "last_modified")
_CONTENTS = ("page_content", "text", "content")
# LlamaIndex: the document that a node is a piece of, then the node itself.
_OBJECT_IDS = (*IDS, "ref_doc_id", "id_")


class Document(NamedTuple):
    """A document in the version that an answer was made from; "" where that is not known."""

    id: str
    version: str = ""

    @property
    def tags(self) -> tuple[str, str]:
        return (tag_of(self.id), version_tag(self.id, self.version))


# Tags


def tag_of(name: str) -> str:
    """The tag of all versions of a document."""
    return f"{PREFIX}{encoded_id(name)}"


def version_tag(name: str, version: str) -> str:
    """The tag of one version of a document; "" is the one that nobody said."""
    return f"{tag_of(name)}@{_encoded(version, _LONGEST_VERSION)}"


def encoded_id(name: str) -> str:
    """An id as tags hold it. Different ids never look the same."""
    return _encoded(name, _LONGEST_ID)


def split(tag: str) -> tuple[str, str | None] | None:
    """The id and the version in a tag, as encoded there; None for what is no document's tag.

    A tag of all versions has the version None.
    """
    if not tag.startswith(PREFIX) or len(tag) == len(PREFIX):
        return None
    name, at, version = tag[len(PREFIX) :].partition("@")
    return (name, version if at else None) if name else None


def expand(tags: Iterable[str]) -> tuple[str, ...]:
    """The tags with what the documents' ones among them imply, sorted; doing it twice is harmless.

    `doc:7@v3` implies `doc:7`; `doc:7` alone implies `doc:7@`.
    """
    wanted = set(tags)
    named: set[str] = set()
    versioned: set[str] = set()
    for tag in wanted:
        if tag.startswith(PREFIX) and (parts := split(tag)) is not None:
            (named if parts[1] is None else versioned).add(parts[0])
    if named or versioned:
        wanted |= {f"{PREFIX}{name}" for name in versioned - named}
        wanted |= {f"{PREFIX}{name}@" for name in named - versioned}
    return tuple(sorted(wanted))


def joined(asked: Iterable[str], carried: Iterable[str]) -> tuple[str, ...]:
    """What a new answer carries: the asker's tags, and those that the old answer had.

    Of a document that the asker names it carries the asker's versions only.
    """
    wanted = set(asked)
    named = {parts[0] for tag in wanted if (parts := split(tag)) is not None}
    for tag in carried:
        parts = split(tag)
        if parts is None or parts[0] not in named:
            wanted.add(tag)
    return tuple(sorted(wanted))


def version_of(content: bytes) -> str:
    """The version of a document that has none of its own: the beginning of its SHA-256."""
    return hashlib.sha256(content).hexdigest()[:16]


def _encoded(text: str, longest: int) -> str:
    raw = text.encode("utf-8", "surrogatepass")
    if len(raw) <= longest and text.isascii() and _KEPT.issuperset(raw):
        return text
    made = "".join(chr(byte) if byte in _KEPT else f"%{byte:02X}" for byte in raw)
    if len(made) <= longest:
        return made
    # No encoded text has a tilde of its own, so this one is like no other.
    return f"{made[: longest - _HASHED]}~{hashlib.sha256(raw).hexdigest()}"


# Out of what a retriever returns


def document_tags(
    documents: Iterable[Any], *, id_field: str | None = None, version_field: str | None = None
) -> tuple[str, ...]:
    """The tags of retrieved documents, for `tags=` and for the header `AskOnce-Tags`.

    A document is an id, a pair of id and version, a mapping, or an object as LangChain's `Document`
    and LlamaIndex's nodes are, alone or in a pair with its score. Its id is the first of `id`,
    `doc_id`, `document_id`, `source`, `url`, `path` that it or its `metadata` has, its version the
    first of `version`, `hash`, `etag`, `updated_at`, `last_modified`; `id_field` and
    `version_field` name other ones. Without a version it is the beginning of the content's SHA-256,
    and without content it is unknown. Raises `ConfigError` for a document without an id.
    """
    found = read_documents(documents, id_field=id_field, version_field=version_field)
    return expand(tag for document in found for tag in document.tags)


def read_documents(
    documents: Iterable[Any], *, id_field: str | None = None, version_field: str | None = None
) -> list[Document]:
    """Retrieved documents with their versions. Raises `ConfigError` for one without an id."""
    if isinstance(documents, (str, bytes, Mapping)) or not isinstance(documents, Iterable):
        raise ConfigError(
            f"documents is not a list of documents but {type(documents).__name__}; put it in a list"
        )
    found = []
    for place, document in enumerate(documents, 1):
        try:
            found.append(_read(document, id_field, version_field))
        except ValueError as error:
            raise ConfigError(f"document {place} {error}") from None
    return found


def _read(document: Any, id_field: str | None, version_field: str | None) -> Document:
    if isinstance(document, Document):
        return document
    if isinstance(document, str) or _is_number(document):
        return Document(_text(document, "id"))
    if isinstance(document, (tuple, list)):
        if len(document) != 2:
            raise ValueError("is not a pair of id and version")
        first, second = document
        if not (isinstance(first, str) or _is_number(first)):
            return _read(first, id_field, version_field)  # a pair of a document and its score
        return Document(_text(first, "id"), "" if second is None else _text(second, "version"))
    node = None if isinstance(document, Mapping) else getattr(document, "node", None)
    if node is not None:
        document = node  # LlamaIndex: a node with its score
    given = _first(document, _OBJECT_IDS if id_field is None else (id_field,))
    if given is None:
        mend = f"one of {', '.join(IDS)}" if id_field is None else id_field
        raise ValueError(f"has no id; give it {mend}")
    told = _first(document, VERSIONS if version_field is None else (version_field,))
    if told is not None:
        return Document(_text(given, "id"), _text(told, "version"))
    content = _first(document, _CONTENTS)
    if isinstance(content, str):
        content = content.encode("utf-8", "surrogatepass")
    known = version_of(content) if isinstance(content, bytes) else ""
    return Document(_text(given, "id"), known)


def _first(document: Any, names: Sequence[str]) -> Any:
    """The first member that is there: of the document itself, else of its metadata."""
    for place in (document, _member(document, "metadata")):
        if place is not None:
            for name in names:
                value = _member(place, name)
                if value is not None and value != "" and not callable(value):
                    return value
    return None


def _member(place: Any, name: str) -> Any:
    return place.get(name) if isinstance(place, Mapping) else getattr(place, name, None)


def _text(value: Any, what: str) -> str:
    """An id or a version as a text; dates and UUIDs say themselves how they are written."""
    if isinstance(value, str):
        text = value
    elif hasattr(value, "isoformat"):
        text = str(value.isoformat())
    elif isinstance(value, (bool, bytes, Mapping, Sequence)):
        raise ValueError(f"has {type(value).__name__} for its {what}; write a text")
    else:
        text = str(value)
    if what == "id" and not text:
        raise ValueError("has an empty id")
    return text


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


# Out of a request's body


class Path(NamedTuple):
    """Where a request's body names its documents; a step of None is every element of a list."""

    text: str
    steps: tuple[str | None, ...]


def read_path(text: str) -> Path:
    """A dotted path such as `extra.context[*].id`. Raises `ConfigError` for anything else."""
    steps: list[str | None] = []
    for part in text.split("."):
        name = part
        lists = 0
        while name.endswith("[*]"):
            name = name[:-3]
            lists += 1
        if not name or set(name) & set("[]*") or name != name.strip():
            raise ConfigError(f"{text!r} is not a path; write it as metadata.documents[*].id")
        steps += [name, *([None] * lists)]
    return Path(text, tuple(steps))


def tags_in(body: Any, fields: Sequence[Path]) -> tuple[str, ...]:
    """The tags of the documents that a request's body names; a path that leads nowhere adds none.

    At its end stands `id@version` or `id`, several of them with commas between, an object as
    `document_tags` reads it, or a list of these. Raises `ConfigError` for anything else.
    """
    found: dict[Document, None] = {}
    for field in fields:
        for leaf in _leaves(body, field.steps):
            try:
                found |= dict.fromkeys(_named(leaf))
            except ValueError as error:
                raise ConfigError(f"{field.text}: a document there {error}") from None
            if len(found) > _MOST:  # whoever sends a million of them shall not be waited for
                raise ConfigError(f"{field.text}: there are more than {_MOST} documents")
    return expand(tag for document in found for tag in document.tags) if found else ()


def _leaves(body: Any, steps: Sequence[str | None]) -> Iterator[Any]:
    """What stands at the end of a path, with lists of lists taken apart."""
    places = [body]
    for step in steps:
        below: list[Any] = []
        for place in places:
            if step is None:
                below += place if isinstance(place, list) else []
            elif isinstance(place, dict) and place.get(step) is not None:
                below.append(place[step])
        places = below
    places.reverse()
    while places:
        place = places.pop()
        if isinstance(place, list):
            places += reversed(place)
        else:
            yield place


def _named(leaf: Any) -> list[Document]:
    if not isinstance(leaf, str):
        if isinstance(leaf, bool):
            raise ValueError("is true or false; write its id")
        return [_read(leaf, None, None)]
    found = []
    for part in filter(None, map(str.strip, leaf.split(","))):
        name, at, version = part.rpartition("@")
        if at and not name:
            raise ValueError(f"has an empty id: {part}")
        found.append(Document(name, version) if at else Document(part))
    return found
