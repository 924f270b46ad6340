"""What a store gives to a move: its entries in chunks, and its changes since a cursor."""

from collections.abc import AsyncIterator

from askonce.core.errors import StoreError
from askonce.core.models import ChangeBatch, Entry, Selection
from askonce.core.protocols import Store

OWN_NAMESPACE = "~askonce"
"""What a store keeps of its own among the entries."""
_CHUNK = 4_096
_CHUNK_BYTES = 16 << 20


async def scan(store: Store, namespace: str | None) -> AsyncIterator[Entry]:
    """The callers' entries, without what a store keeps of its own among them."""
    async for entry in store.scan(Selection(namespace=namespace)):
        if entry.key.namespace != OWN_NAMESPACE:
            yield entry


async def all_news(store: Store, mark: str) -> ChangeBatch:
    """Collect the changes since the mark. Raises StoreError if the store dropped some of them."""
    epochs: dict[str, int] = {}
    removed: tuple[Selection, ...] = ()
    while not (news := await store.changes(mark, 0)).empty:
        if news.lost:
            raise StoreError(
                "the store's change log no longer reaches back to the start of this copy; "
                "start over with --restart"
            )
        epochs |= news.epochs
        removed += news.removed
        mark = news.cursor
    return ChangeBatch(mark, epochs, removed)


async def chunks(entries: AsyncIterator[Entry]) -> AsyncIterator[list[Entry]]:
    """As many entries at a time as are written together, of a bounded size."""
    chunk: list[Entry] = []
    size = 0
    async for entry in entries:
        chunk.append(entry)
        size += len(entry.body)
        if len(chunk) == _CHUNK or size >= _CHUNK_BYTES:
            yield chunk
            chunk, size = [], 0
    if chunk:
        yield chunk
