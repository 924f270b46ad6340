"""Document tags: which source documents an answer was made from, in which version.

    doc:7       the answer depends on document 7; invalidating this tag covers all versions
    doc:7@v3    it was made from version v3
    doc:7@      it was made from an unknown version

An answer carries the first tag and one of the others. So a changed document invalidates the answers
made from earlier versions and keeps those made from the current one. IDs and versions that do not
fit into a tag are percent-encoded; long ones end in their SHA-256.
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
"""Characters of an encoded ID that a tag always keeps, however long the ID is."""
_KEPT = frozenset(range(0x21, 0x7F)) - frozenset(b",@%~")

IDS = ("id", "doc_id", "document_id", "source", "url", "path")
VERSIONS = ("version", "hash", "etag", "updated_at", "last_modified")
_CONTENTS = ("page_content", "text", "content")
# LlamaIndex: the document that a node is a piece of, then the node itself.
_OBJECT_IDS = (*IDS, "ref_doc_id", "id_")


class Document(NamedTuple):
    """A document and the version that an answer was made from; "" if unknown."""

    id: str
    version: str = ""

    @property
    def tags(self) -> tuple[str, str]:
        """The tags of all its versions and of this one."""
        return (tag_of(self.id), version_tag(self.id, self.version))


# Tags


def tag_of(name: str) -> str:
    """Return the tag of all versions of a document."""
    return f"{PREFIX}{encoded_id(name)}"


def version_tag(name: str, version: str) -> str:
    """Return the tag of one version of a document; "" is an unknown version."""
    return f"{tag_of(name)}@{_encoded(version, _LONGEST_VERSION)}"


def encoded_id(name: str) -> str:
    """Encode an ID for a tag. Different IDs never become equal."""
    return _encoded(name, _LONGEST_ID)


def split(tag: str) -> tuple[str, str | None] | None:
    """Return the encoded ID and version of a document's tag; None for any other tag.

    The version of a tag for all versions is None.
    """
    if not tag.startswith(PREFIX) or len(tag) == len(PREFIX):
        return None
    name, at, version = tag[len(PREFIX) :].partition("@")
    return (name, version if at else None) if name else None


def expand(tags: Iterable[str]) -> tuple[str, ...]:
    """Return the tags and all that they imply, sorted; expanding twice changes nothing.

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
    """Return the tags of a new answer: the caller's, and those of the answer that it replaces.

    For a document that the caller names, only the caller's versions count.
    """
    wanted = set(asked)
    named = {parts[0] for tag in wanted if (parts := split(tag)) is not None}
    for tag in carried:
        parts = split(tag)
        if parts is None or parts[0] not in named:
            wanted.add(tag)
    return tuple(sorted(wanted))


def version_of(content: bytes) -> str:
    """Return the version of a document that has none of its own: 16 digits of its SHA-256."""
    return hashlib.sha256(content).hexdigest()[:16]


def _encoded(text: str, longest: int) -> str:
    raw = text.encode("utf-8", "surrogatepass")
    if len(raw) <= longest and text.isascii() and _KEPT.issuperset(raw):
        return text
    made = "".join(chr(byte) if byte in _KEPT else f"%{byte:02X}" for byte in raw)
    if len(made) <= longest:
        return made
    # Encoding leaves no other tilde, so a shortened text equals no other.
    return f"{made[: longest - _HASHED]}~{hashlib.sha256(raw).hexdigest()}"


# From what a retriever returns


def document_tags(
    documents: Iterable[Any], *, id_field: str | None = None, version_field: str | None = None
) -> tuple[str, ...]:
    """Return the tags of retrieved documents, for `tags=` and for the header `AskOnce-Tags`.

    Parameters:
        documents: the documents, in any order. Each is an ID, a pair of ID and version, a mapping,
            or an object like LangChain's `Document` or LlamaIndex's nodes, alone or in a pair with
            its score.
        id_field: the member of a document or its `metadata` that holds the ID. Default: the first
            of `id`, `doc_id`, `document_id`, `source`, `url`, `path`.
        version_field: the member that holds the version. Default: the first of `version`, `hash`,
            `etag`, `updated_at`, `last_modified`; without one, the beginning of the content's
            SHA-256; without content, the version is unknown.

    Raises `ConfigError` for a document without an ID.
    """
    found = read_documents(documents, id_field=id_field, version_field=version_field)
    return expand(tag for document in found for tag in document.tags)


def read_documents(
    documents: Iterable[Any], *, id_field: str | None = None, version_field: str | None = None
) -> list[Document]:
    """Return retrieved documents with their versions, as `document_tags` reads them."""
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
    version = _first(document, VERSIONS if version_field is None else (version_field,))
    if version is not None:
        return Document(_text(given, "id"), _text(version, "version"))
    content = _first(document, _CONTENTS)
    if isinstance(content, str):
        content = content.encode("utf-8", "surrogatepass")
    known = version_of(content) if isinstance(content, bytes) else ""
    return Document(_text(given, "id"), known)


def _first(document: Any, names: Sequence[str]) -> Any:
    """Return the first of these members that the document has, else its metadata."""
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
    """Return an ID or a version as text; dates in ISO format, others as `str` writes them."""
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


# From a request's body


class Path(NamedTuple):
    """The path to a member of a request's body; a step of None is every element of a list."""

    text: str
    steps: tuple[str | None, ...]


def read_path(text: str) -> Path:
    """Read a dotted path such as `extra.context[*].id`. Raises `ConfigError` for anything else."""
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
    """Return the tags of the documents that a request's body names.

    Parameters:
        body: the parsed body.
        fields: the paths to documents; a path that leads nowhere adds no tag. At its end is
            `id@version` or `id`, several of them separated by commas, an object as `document_tags`
            reads it, or a list of these.

    Raises `ConfigError` for anything else, or for more than 256 documents.
    """
    found: dict[Document, None] = {}
    for field in fields:
        for leaf in _leaves(body, field.steps):
            try:
                found |= dict.fromkeys(_named(leaf))
            except ValueError as error:
                raise ConfigError(f"{field.text}: a document there {error}") from None
            if len(found) > _MOST:  # a request with a million of them must not block
                raise ConfigError(f"{field.text}: there are more than {_MOST} documents")
    return expand(tag for document in found for tag in document.tags) if found else ()


def _leaves(body: Any, steps: Sequence[str | None]) -> Iterator[Any]:
    """Iterate over the values at the end of a path, with nested lists flattened."""
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
