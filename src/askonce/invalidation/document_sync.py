"""Document sync: invalidates the answers that depend on documents missing from a manifest.

A manifest lists documents and their versions. The store keeps the last manifest of each prefix, so
the tags of outdated versions are known without a scan, and an answer in flight that depends on them
is rejected, too. One scan of the entries finds versions that no manifest has listed. The new
manifest is stored last: an interrupted sync starts over the next time.
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
from askonce.invalidation.target import FOR_GOOD, OWN_NAMESPACE

Progress = Callable[[int], None]
"""Receives the number of entries scanned so far."""

SAMPLES = 5
_AT_ONCE = 500  # tags in one bump


class DocumentSample(msgspec.Struct, frozen=True):
    """One of the outdated answers; `documents` holds its outdated document tags."""

    key: str
    question: str
    documents: tuple[str, ...]


class DocumentSyncResult(msgspec.Struct, frozen=True, kw_only=True):
    """What a sync did, or would do with `dry_run`; documents are given by id.

    Parameters:
        changed: Documents with a new version.
        removed: Documents that the manifest no longer lists.
        added: Documents that the last manifest did not list.
        unchanged: The number of documents with the same version.
        tags: The tags that were invalidated.
        entries: The number of outdated answers.
        samples: Some of these answers.
        dry_run: Nothing was changed.
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

    Raises `ConfigError` if the prefix is too long or an id does not begin with it.

    Parameters:
        versions: The version of each document, by id.
        prefix: The prefix of all ids.
    """

    def __init__(self, versions: Mapping[str, str], prefix: str = "") -> None:
        if len(document_tags.encoded_id(prefix)) > document_tags.LONGEST_PREFIX:
            raise ConfigError(
                f"the prefix is longer than {document_tags.LONGEST_PREFIX} characters"
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

    async def run(
        self, *, dry_run: bool = False, progress: Progress | None = None
    ) -> DocumentSyncResult:
        """Invalidate the answers that depend on outdated documents. Raises `StoreError`."""
        known = await self._last_manifest()
        now, was = self._manifest.versions, known or {}
        changed = [name for name, version in now.items() if was.get(name, version) != version]
        removed = [name for name in was if name not in now]
        added = [name for name in now if name not in was]
        outdated = set(map(document_tags.tag_of, removed))
        outdated |= {document_tags.version_tag(name, was[name]) for name in changed}
        # The first manifest adds every document: rely on the scan for these.
        unversioned = changed if known is None else changed + added
        outdated |= {document_tags.version_tag(name, "") for name in unversioned}
        scan = _OutdatedScan(self._manifest, was)
        scanned = 0
        async for entry in self._store.scan(Selection()):
            scan.check(entry)
            scanned += 1
            if progress is not None:
                progress(scanned)
        tags = tuple(sorted(outdated | scan.tags))
        if not dry_run:
            await self._invalidate(tags, tuple(scan.keys))
            await self._store_manifest()
        return DocumentSyncResult(
            changed=tuple(changed),
            removed=tuple(removed),
            added=tuple(added),
            unchanged=len(now) - len(changed) - len(added),
            tags=tags,
            entries=scan.entries,
            samples=tuple(scan.samples),
            dry_run=dry_run,
        )

    async def _invalidate(self, tags: tuple[str, ...], keys: tuple[Key, ...]) -> None:
        for start in range(0, len(tags), _AT_ONCE):
            await self._store.epochs(tags[start : start + _AT_ONCE], bump=True)
        for start in range(0, len(keys), _AT_ONCE):
            await self._store.remove(Selection(keys=keys[start : start + _AT_ONCE]))

    async def _last_manifest(self) -> dict[str, str] | None:
        entry = await self._store.read(self._key)
        if entry is None:
            return None
        try:
            # Not msgspec: it rejects ids with unpaired surrogates, which `json` has written.
            return msgspec.convert(json.loads(entry.body), type=dict[str, str])
        except (msgspec.MsgspecError, ValueError):
            return None  # another release wrote it in another form

    async def _store_manifest(self) -> None:
        body = json.dumps(self._manifest.versions).encode()
        entry = Entry(self._key, body, 200, (), FOR_GOOD, FOR_GOOD, FOR_GOOD)
        if not await self._store.write(entry):
            raise StoreError("the answers are invalidated, but the manifest could not be stored")


class _OutdatedScan:
    """Finds entries that carry document tags other than the manifest's."""

    def __init__(self, manifest: Manifest, known: Mapping[str, str]) -> None:
        self.tags: set[str] = set()
        self.keys: list[Key] = []
        self.entries = 0
        self.samples: list[DocumentSample] = []
        self._prefix = document_tags.encoded_id(manifest.prefix)
        # The tags that may name each document: with its version, and without one if unchanged.
        self._current: dict[str, set[str]] = {}
        for name, version in manifest.versions.items():
            current = {document_tags.version_tag(name, version)}
            if known.get(name) == version:
                current.add(document_tags.version_tag(name, ""))
            self._current[document_tags.encoded_id(name)] = current

    def check(self, entry: Entry) -> None:
        """Note the entry if it is outdated."""
        if not entry.tags or entry.key.namespace == OWN_NAMESPACE:
            return
        carried = {tag for tag, _ in entry.tags}
        found = (self._outdated(tag, carried) for tag in carried)
        outdated = {tag for tag in found if tag is not None}
        if not outdated:
            return
        self.entries += 1
        bare = {tag for tag in outdated if self._names_a_listed_document(tag)}
        if bare:
            self.keys.append(entry.key)  # the tag of a listed document stays valid
        self.tags |= outdated - bare
        if len(self.samples) < SAMPLES:
            self.samples.append(
                DocumentSample(str(entry.key), entry.question, tuple(sorted(outdated)))
            )

    def _outdated(self, tag: str, carried: set[str]) -> str | None:
        """Return the tag to invalidate for an entry that carries `tag`; None if it is current."""
        parts = document_tags.split(tag)
        if parts is None or not parts[0].startswith(self._prefix):
            return None
        name, version = parts
        whole = f"{document_tags.PREFIX}{name}"
        current = self._current.get(name)
        if current is None:
            return whole if whole in carried else tag
        if version is not None:
            return None if tag in current else tag
        # The caller gave neither a version nor the mark for an unknown one.
        versioned = any(other.startswith(f"{whole}@") for other in carried)
        return None if versioned or f"{whole}@" in current else whole

    def _names_a_listed_document(self, tag: str) -> bool:
        parts = document_tags.split(tag)
        return parts is not None and parts[1] is None and parts[0] in self._current


# The manifest's file


def read_manifest(raw: bytes, where: str, file_version: Callable[[str], str]) -> dict[str, str]:
    """Return the versions in a manifest, by id; `file_version` reads the version of a file.

    `where` names the manifest in errors. Raises `ConfigError`, one line that names the document.
    """
    try:
        tree = json.loads(raw, object_pairs_hook=_unique, parse_constant=_refuse_constant)
    except _DuplicateName as error:
        raise ConfigError(f"{where}: {error.args[0]!r} appears twice") from None
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


def _refuse_constant(word: str) -> None:
    raise ValueError(f"{word} is not a JSON value")


class _DuplicateName(Exception):
    """A name that appears twice in one JSON object."""


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise _DuplicateName(Counter(name for name, _ in pairs).most_common(1)[0][0])
    return found
