"""The log of what was bumped and removed in a PostgreSQL store, as news for other processes.

The table is the truth. `NOTIFY` only wakes whoever waits, in the transaction of the change
itself; one that is lost costs the patience of the one who waits and nothing else. Changes are
committed in the order of their numbers, because each holds the counter's row until it is
committed: whoever has read up to a number has missed none before it.

A mark is `<generation>:<number>` of a change that was in the log. If that very change is not
there any more, because the log was trimmed, restored or made anew, the news are `lost`.
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

# The first words of every statement that changes something: it goes on with `logged`.
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
    """What one line of the log says; `lost` where it would be too long to say."""

    bumped: tuple[str, ...] = ()
    removed: Selection | None = None
    lost: bool = False


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(PostgresChange)


def logged(change: PostgresChange) -> bytes:
    """The change as the log keeps it."""
    line = _encoder.encode(change)
    return line if len(line) <= _MOST_BYTES else _encoder.encode(PostgresChange(lost=True))


def channel(address: PostgresAddress) -> str:
    """Where changes are announced."""
    return f"{address.schema}_changes"


class ChangeLog:
    """Reads the log, and waits for it to grow, on a connection of its own."""

    def __init__(self, address: PostgresAddress, context: StoreContext) -> None:
        self._address = address
        self._ground = context
        self._connections = PostgresConnections(address, context, self._listen, most=1)
        self._newest = address.statement(_NEWEST)
        self._after = address.statement(_AFTER)

    async def changes(self, cursor: str | None, timeout: float) -> ChangeBatch:
        tick = self._ground.monotonic
        seconds = self._ground.deadline + max(0.0, timeout)
        async with self._connections.borrowed(seconds) as session:
            if cursor is None:
                return ChangeBatch(await self._mark(session))
            until = tick() + timeout
            while True:
                news = await self._after_mark(session, cursor)
                left = min(until - tick(), timeout)
                if not news.empty or left <= 0:
                    return news
                if not await session.heard(left):
                    return await self._after_mark(session, cursor)

    def close(self) -> None:
        self._connections.close()

    async def _listen(self, session: PostgresSession) -> None:
        await ensure(session, self._address)
        await session.rows(f'LISTEN "{channel(self._address)}"')

    async def _mark(self, session: PostgresSession) -> str:
        generation, number = (await session.rows(self._newest))[0]
        return f"{generation}:{number}"

    async def _after_mark(self, session: PostgresSession, since: str) -> ChangeBatch:
        generation, _, digits = since.partition(":")
        number = int(digits) if digits.isdecimal() else -1
        epochs: dict[str, int] = {}
        removed: list[Selection] = []
        while True:
            # Every page begins with the last change that is known already.
            page = await session.rows(self._after, number, _PAGE)
            changes = _decoded(page, generation, number)
            if changes is None:
                return ChangeBatch(await self._mark(session), lost=True)
            for number, change in changes:
                epochs |= dict.fromkeys(change.bumped, number)
                if change.removed is not None:
                    removed.append(change.removed)
            if len(page) < _PAGE:
                return ChangeBatch(f"{generation}:{number}", epochs, tuple(removed))


def _decoded(page: Rows, generation: str, known: int) -> list[tuple[int, PostgresChange]] | None:
    """The changes after the one that is known, or None if they cannot be known."""
    if not page or page[0][:2] != (generation, known):
        return None
    try:
        changes = [(number, _decoder.decode(what)) for _, number, what in page[1:]]
    except msgspec.MsgspecError:
        return None  # written by a later AskOnce
    return None if any(change.lost for _, change in changes) else changes
