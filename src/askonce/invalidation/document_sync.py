"""Syncing documents: a manifest says which documents there are and in which version, and answers
that were made from other ones are invalidated.

The store remembers the last manifest of every prefix. So the tags of versions that are no longer
true are known without looking, and an answer that is being made from them now is refused too. One
look through the entries finds versions that no manifest has ever named. The new manifest is
remembered last: a sync that was interrupted does it all again the next time.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import msgspec

from askonce.core import document_tags
from askonce.core.errors import ConfigError, StoreError
from askonce.core.models import Entry, Key, Selection
from askonce.core.protocols import Store
from askonce.invalidation.target import OWN_NAMESPACE

Tell = Callable[[int], None]

SAMPLES = 5
_AT_ONCE = 500  # tags in one bump
_FOR_GOOD = 1e11  # seconds since the Unix epoch


class DocumentSample(msgspec.Struct, frozen=True):
    """One of the answers that were found; `documents` are its tags that are no longer true."""

    key: str
    question: str
    documents: tuple[str, ...]


class DocumentSyncResult(msgspec.Struct, frozen=True, kw_only=True):
    """What a sync did, or with `dry_run` would do.

    Documents are named by their ids. `entries` is how many answers were found that depend on
    what is no longer true.
    """

    changed: tuple[str, ...]
    removed: tuple[str, ...]
    added: tuple[str, ...]
    unchanged: int
    tags: tuple[str, ...]
    entries: int
    samples: tuple[DocumentSample, ...]
    dry_run: bool


class Manifest:
    """The documents whose ids begin with a prefix, with their versions.

    Raises `ConfigError` where an id does not begin with it.
    """

    def __init__(self, versions: Mapping[str, str], prefix: str = "") -> None:
        if len(document_tags.encoded_id(prefix)) > document_tags.LONGEST_PREFIX:
            raise ConfigError(
                f"the prefix is too long; {document_tags.LONGEST_PREFIX} characters of it may be"
            )
        for name in versions:
            if not name.startswith(prefix):
                raise ConfigError(
                    f"the document {name!r} does not begin with the prefix {prefix!r}"
                )
        self.prefix = prefix
        self.versions = dict(versions)


class DocumentSync:
    """One sync of a store with a manifest."""

    def __init__(self, store: Store, manifest: Manifest) -> None:
        self._store = store
        self._manifest = manifest
        digest = hashlib.sha256(manifest.prefix.encode("utf-8", "surrogatepass")).digest()
        self._key = Key(OWN_NAMESPACE, "manifest", digest)

    async def run(self, *, dry_run: bool = False, tell: Tell | None = None) -> DocumentSyncResult:
        """Invalidate what depends on documents that changed or went. Raises `StoreError`."""
        known = await self._remembered()
        now, was = self._manifest.versions, known or {}
        changed = [name for name, version in now.items() if was.get(name, version) != version]
        removed = [name for name in was if name not in now]
        added = [name for name in now if name not in was]
        untrue = set(map(document_tags.tag_of, removed))
        untrue |= {document_tags.version_tag(name, was[name]) for name in changed}
        # The first manifest adds everything: of that, only what is found in entries.
        unsaid = changed if known is None else changed + added
        untrue |= {document_tags.version_tag(name, "") for name in unsaid}
        look = _Look(self._manifest, was)
        seen = 0
        async for entry in self._store.scan(Selection()):
            look.at(entry)
            seen += 1
            if tell is not None:
                tell(seen)
        tags = tuple(sorted(untrue | look.tags))
        if not dry_run:
            await self._invalidate(tags, tuple(look.keys))
            await self._remember()
        return DocumentSyncResult(
            changed=tuple(changed),
            removed=tuple(removed),
            added=tuple(added),
            unchanged=len(now) - len(changed) - len(added),
            tags=tags,
            entries=look.entries,
            samples=tuple(look.samples),
            dry_run=dry_run,
        )

    async def _invalidate(self, tags: tuple[str, ...], keys: tuple[Key, ...]) -> None:
        for start in range(0, len(tags), _AT_ONCE):
            await self._store.epochs(tags[start : start + _AT_ONCE], bump=True)
        for start in range(0, len(keys), _AT_ONCE):
            await self._store.remove(Selection(keys=keys[start : start + _AT_ONCE]))

    async def _remembered(self) -> dict[str, str] | None:
        entry = await self._store.read(self._key)
        if entry is None:
            return None
        try:
            # As it was written: an id with half a character is one that msgspec does not read.
            return msgspec.convert(json.loads(entry.body), type=dict[str, str])
        except (msgspec.MsgspecError, ValueError):
            return None  # of a release that wrote it in another way

    async def _remember(self) -> None:
        body = json.dumps(self._manifest.versions).encode()
        # Created at the end of time: the last to leave where the oldest go first.
        entry = Entry(self._key, body, 200, (), _FOR_GOOD, _FOR_GOOD, _FOR_GOOD)
        if not await self._store.write(entry):
            raise StoreError("the answers are invalidated, but the manifest could not be kept")


class _Look:
    """Looks at entries for documents in versions that are not the manifest's."""

    def __init__(self, manifest: Manifest, known: Mapping[str, str]) -> None:
        self.tags: set[str] = set()
        self.keys: list[Key] = []
        self.entries = 0
        self.samples: list[DocumentSample] = []
        self._prefix = document_tags.encoded_id(manifest.prefix)
        # Which versions a tag may name: the present one, and none at all of what did not change.
        self._true: dict[str, set[str]] = {}
        for name, version in manifest.versions.items():
            true = {document_tags.version_tag(name, version)}
            if known.get(name) == version:
                true.add(document_tags.version_tag(name, ""))
            self._true[document_tags.encoded_id(name)] = true

    def at(self, entry: Entry) -> None:
        if not entry.tags or entry.key.namespace == OWN_NAMESPACE:
            return
        carried = {tag for tag, _ in entry.tags}
        untrue = {wrong for tag in carried if (wrong := self._untrue(tag, carried)) is not None}
        if not untrue:
            return
        self.entries += 1
        bare = {tag for tag in untrue if self._names_a_true_document(tag)}
        if bare:
            self.keys.append(entry.key)  # the tag of a document that is there stays valid
        self.tags |= untrue - bare
        if len(self.samples) < SAMPLES:
            self.samples.append(
                DocumentSample(str(entry.key), entry.question, tuple(sorted(untrue)))
            )

    def _untrue(self, tag: str, carried: set[str]) -> str | None:
        """The tag by which to name an entry that carries this one; None if this one is true."""
        parts = document_tags.split(tag)
        if parts is None or not parts[0].startswith(self._prefix):
            return None
        name, version = parts
        whole = f"{document_tags.PREFIX}{name}"
        true = self._true.get(name)
        if true is None:
            return whole if whole in carried else tag
        if version is not None:
            return None if tag in true else tag
        # Stored by somebody who did not say that the version is unknown.
        versioned = any(other.startswith(f"{whole}@") for other in carried)
        return None if versioned or f"{whole}@" in true else whole

    def _names_a_true_document(self, tag: str) -> bool:
        parts = document_tags.split(tag)
        return parts is not None and parts[1] is None and parts[0] in self._true


# The manifest's file


def read_manifest(raw: bytes, where: str, file_version: Callable[[str], str]) -> dict[str, str]:
    """The versions that a manifest gives, by id; `file_version` reads that of a file it names.

    Raises `ConfigError`, one line that says what is wrong with which document.
    """
    try:
        tree = json.loads(raw, object_pairs_hook=_unique, parse_constant=_refused)
    except _Twice as error:
        raise ConfigError(f"{where}: {error.args[0]!r} stands there twice") from None
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{where}: is not JSON: {error}") from None
    listed = tree.get("documents") if isinstance(tree, dict) else None
    if not isinstance(listed, dict | list):
        raise ConfigError(f'{where}: has no documents; write {{"documents": {{"ID": "VERSION"}}}}')
    versions: dict[str, str] = {}
    for name, version in _versions(listed, where, file_version):
        if versions.setdefault(name, version) != version:
            raise ConfigError(f"{where}: the document {name!r} has two versions")
    return versions


def _versions(
    listed: dict[str, Any] | list[Any], where: str, file_version: Callable[[str], str]
) -> Iterator[tuple[str, str]]:
    if isinstance(listed, dict):
        for name, version in listed.items():
            yield (
                _text(name, f"{where}: an id"),
                _text(version, f"{where}: the version of {name!r}"),
            )
        return
    for place, one in enumerate(listed, 1):
        if not isinstance(one, dict):
            raise ConfigError(f'{where}: document {place} is not an object with "id" and "version"')
        name = _text(one.get("id"), f"{where}: the id of document {place}")
        if ("version" in one) == ("path" in one):
            raise ConfigError(f"{where}: the document {name!r} needs either a version or a path")
        if "version" in one:
            yield name, _text(one["version"], f"{where}: the version of {name!r}")
        else:
            yield name, file_version(_text(one["path"], f"{where}: the path of {name!r}"))


def _text(value: Any, what: str) -> str:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    if not isinstance(value, str) or not value:
        raise ConfigError(f"{what} is not a text")
    return value


def _refused(word: str) -> None:
    raise ValueError(f"{word} is no value")


class _Twice(Exception):
    """A name that stands twice in one object."""


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise _Twice(Counter(name for name, _ in pairs).most_common(1)[0][0])
    return found
