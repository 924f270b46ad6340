"""The change feed of a PostgreSQL store: a log of bumps and removals for other processes.

The table is the truth. `NOTIFY`, in the transaction of the change itself, only wakes readers; a
lost one costs a reader its patience and nothing else. Changes are committed in the order of their
numbers, because each holds the counter's row until it is committed: a reader at a number has
missed none before it.

A cursor is `<generation>:<number>` of a change in the log. If that change is no longer there,
because the log was trimmed, restored or recreated, the changes since are `lost`.
"""

import msgspec

from askonce.core.models import ChangeBatch, Selection
from askonce.stores.context import StoreContext
from askonce.stores.postgres.address import PostgresAddress
from askonce.stores.postgres.connections import PostgresConnections
from askonce.stores.postgres.schema import ensure
from askonce.stores.postgres.session import PostgresSession, Rows

KEPT = 20_000
_MOST_BYTES = 64 << 10
_PAGE = 1000

# The start of every statement that changes something; the rest of it uses `logged`.
NEXT_NUMBER = """
    next AS (
        UPDATE {schema}.counter
        SET last = greatest(last + 1, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint)
        RETURNING last),
    logged AS (
        INSERT INTO {schema}.changes (number, what)
        SELECT last, $1::bytea FROM next RETURNING number)"""
RECORD = f"WITH {NEXT_NUMBER} SELECT pg_notify($2::text, '') FROM logged"  # noqa: S608
TRIM = """
    DELETE FROM {schema}.changes WHERE number < (
        SELECT number FROM {schema}.changes ORDER BY number DESC OFFSET $1 LIMIT 1)"""
_NEWEST = """
    SELECT generation, (SELECT coalesce(max(number), 0) FROM {schema}.changes)
    FROM {schema}.meta"""
_AFTER = """
    SELECT generation, number, what FROM {schema}.meta, LATERAL (
        SELECT number, what FROM {schema}.changes
        WHERE number >= $1 ORDER BY number LIMIT $2) AS page
    ORDER BY number"""


class PostgresChange(msgspec.Struct, frozen=True, omit_defaults=True):
    """One line of the log; `lost` if the change was too large for it."""

    bumped: tuple[str, ...] = ()
    removed: Selection | None = None
    lost: bool = False


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(PostgresChange)


def encode_change(change: PostgresChange) -> bytes:
    """Return the change as a line of the log."""
    line = _encoder.encode(change)
    return line if len(line) <= _MOST_BYTES else _encoder.encode(PostgresChange(lost=True))


def channel(address: PostgresAddress) -> str:
    """Return the channel that announces changes."""
    return f"{address.schema}_changes"


class PostgresChangeFeed:
    """Reads the log, and waits for new changes, on a connection of its own."""

    def __init__(self, address: PostgresAddress, context: StoreContext) -> None:
        self._address = address
        self._context = context
        self._connections = PostgresConnections(address, context, self._listen, most=1)
        self._newest = address.statement(_NEWEST)
        self._after = address.statement(_AFTER)

    async def changes(self, cursor: str | None, timeout: float) -> ChangeBatch:
        monotonic = self._context.monotonic
        seconds = self._context.deadline + max(0.0, timeout)
        async with self._connections.borrowed(seconds) as session:
            if cursor is None:
                return ChangeBatch(await self._newest_cursor(session))
            until = monotonic() + timeout
            while True:
                batch = await self._after_cursor(session, cursor)
                left = min(until - monotonic(), timeout)
                if not batch.empty or left <= 0:
                    return batch
                if not await session.wait_for_notification(left):
                    return await self._after_cursor(session, cursor)

    def close(self) -> None:
        self._connections.close()

    async def _listen(self, session: PostgresSession) -> None:
        await ensure(session, self._address)
        await session.rows(f'LISTEN "{channel(self._address)}"')

    async def _newest_cursor(self, session: PostgresSession) -> str:
        generation, number = (await session.rows(self._newest))[0]
        return f"{generation}:{number}"

    async def _after_cursor(self, session: PostgresSession, cursor: str) -> ChangeBatch:
        generation, _, digits = cursor.partition(":")
        number = int(digits) if digits.isdecimal() else -1
        epochs: dict[str, int] = {}
        removed: list[Selection] = []
        while True:
            # Every page begins with the last change that the reader knows.
            page = await session.rows(self._after, number, _PAGE)
            changes = _decoded(page, generation, number)
            if changes is None:
                return ChangeBatch(await self._newest_cursor(session), lost=True)
            for number, change in changes:
                epochs |= dict.fromkeys(change.bumped, number)
                if change.removed is not None:
                    removed.append(change.removed)
            if len(page) < _PAGE:
                return ChangeBatch(f"{generation}:{number}", epochs, tuple(removed))


def _decoded(page: Rows, generation: str, known: int) -> list[tuple[int, PostgresChange]] | None:
    """Return the changes after a known one; None if they are lost."""
    if not page or page[0][:2] != (generation, known):
        return None
    try:
        changes = [(number, _decoder.decode(what)) for _, number, what in page[1:]]
    except msgspec.MsgspecError:
        return None  # written by a later AskOnce
    return None if any(change.lost for _, change in changes) else changes
