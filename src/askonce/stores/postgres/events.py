"""Read events from a table of PostgreSQL; notifications only wake the reader.

    SELECT askonce_emit('product_updated', '{"product_id": "123"}');

The numbers of a sequence become visible out of order: a transaction that began early may end late.
So a row has the id of its transaction, and the reader remembers a snapshot: which transactions had
ended. The next round reads the rows of all that ended since, a page at a time, in the order of
(transaction, row). No row waits for a long transaction, no row is skipped, and a page costs the
same after a million rows as after one.

A cursor is a place in a round. One above all transactions of this server comes from an earlier
server at this address: then the reader starts at the beginning.

A plain `NOTIFY askonce_events, '{"event": …}'` is an event too, for readers that listen just then.
"""

# ruff: noqa: S608  (statements are made of checked names of our own; values are parameters)

import re
from typing import Any, NamedTuple

import msgspec

from askonce.core.errors import StoreError
from askonce.core.models import EventMessage
from askonce.stores.context import StoreContext
from askonce.stores.event_message import parse_message
from askonce.stores.postgres.address import PostgresAddress, parse_address
from askonce.stores.postgres.connections import PostgresConnections
from askonce.stores.postgres.migration import (
    NOT_ALLOWED,
    create_if_missing,
    migrate_with,
    read_sql,
)
from askonce.stores.postgres.session import PostgresError, PostgresSession

KEPT_DAYS = 7
_PAGE = 100
_TIDY_EVERY = 2_000  # reads: a quarter of an hour and more
_TIDY_AT_ONCE = 10_000

_MAKE = read_sql("events.sql")
_AFTER = """
    SELECT now::text, page.xact, page.seq, page.id, page.event, page.data
    FROM (SELECT pg_current_snapshot() AS now) AS taken
    LEFT JOIN LATERAL (
        SELECT * FROM (
            ({rows} AND sent.xact = ANY($2::text[]::xid8[])
                ORDER BY sent.xact, seq LIMIT $6::bigint)
            UNION ALL
            ({rows} AND sent.xact >= $1::text::xid8
                ORDER BY sent.xact, seq LIMIT $6::bigint)) AS both_parts
        ORDER BY xact8, seq LIMIT $6::bigint) AS page ON true
    ORDER BY page.xact8, page.seq"""
_ROWS = """SELECT sent.xact AS xact8, sent.xact::text AS xact, seq, id, event, data::text AS data
            FROM {table} AS sent
            WHERE (sent.xact, seq) > ($4::text::xid8, $5::bigint) AND
                ($3::text IS NULL OR pg_visible_in_snapshot(sent.xact, $3::text::pg_snapshot))"""
_TIDY = f"""
    WITH gone AS (
        DELETE FROM {{table}} WHERE sent < now() - interval '{KEPT_DAYS} days' AND seq IN (
            SELECT seq FROM {{table}} ORDER BY xact, seq LIMIT {_TIDY_AT_ONCE})
        RETURNING 1)
    SELECT count(*) FROM gone"""


class TablePosition(NamedTuple):
    """How far a table was read.

    Read are all rows visible in the snapshot `seen`, and those visible in `upto` as far as the row
    `seq` of the transaction `xact`. Without `upto`, a new round begins.
    """

    seen: str
    upto: str | None = None
    xact: int = 0
    seq: int = 0

    @classmethod
    def parse(cls, cursor: str | None) -> "TablePosition":
        found = _CURSOR.fullmatch(cursor or "")
        if found is None:
            return _BEGINNING
        return cls(found[1], found[2], int(found[3]), int(found[4]))

    @property
    def cursor(self) -> str:
        return f"{self.seen} {self.upto} {self.xact} {self.seq}"

    def after(self, page: list[tuple[Any, ...]], upto: str) -> "TablePosition":
        """Return the position after a page of rows visible in `upto`; a short page is the last."""
        if len(page) < _PAGE:
            return TablePosition(upto)
        return TablePosition(self.seen, upto, int(page[-1][0]), page[-1][1])


_CURSOR = re.compile(r"(\d+:\d+:[\d,]*) (\d+:\d+:[\d,]*) (\d+) (-?\d+)", re.ASCII)
_BEGINNING = TablePosition("1:1:")
"""A snapshot is the first transaction under way, the next one to begin, and all under way."""


def _next(snapshot: str) -> int:
    """Return the first transaction that a snapshot has not seen begin."""
    return int(snapshot.split(":")[1])


class NotifiedEvent(msgspec.Struct):
    """An event in the payload of a notification."""

    event: str
    data: msgspec.Raw = msgspec.Raw(b"{}")
    id: str | None = None


_notified = msgspec.json.Decoder(NotifiedEvent)


def open_table(url: str, context: StoreContext, *, name: str, table: str) -> "PostgresTableReader":
    """Open the table of events in a database. Raises `ConfigError` for a malformed address."""
    return PostgresTableReader(parse_address(url, schema="public"), context, name=name, table=table)


class PostgresTableReader:
    """An `EventReader` of one table, which is created if it is missing."""

    def __init__(
        self, address: PostgresAddress, context: StoreContext, *, name: str, table: str
    ) -> None:
        self._address = address
        self._context = context
        self._name = name
        self._channel = table
        self._connections = PostgresConnections(address, context, self._prepare, most=1)
        self._position: TablePosition | None = None
        self._reads = 0
        self._may_tidy = True

    async def read(self, since: str | None, patience: float) -> list[EventMessage]:
        if self._position is None:
            self._position = TablePosition.parse(since)
        async with self._connections.borrowed(self._context.deadline + patience) as session:
            if self._reads % _TIDY_EVERY == 0 and await self._tidy(session):
                self._reads -= 1  # there is more
            self._reads += 1
            messages = await self._messages(session)
            if not messages and patience > 0 and await session.wait_for_notification(patience):
                messages = await self._messages(session)
        return messages

    async def migrate(self) -> list[str]:
        made = await migrate_with(self._address, self._context, self._make)
        what = f"made the table {self._channel} and the function {self._function}"
        return [f"{what} in schema {self._address.schema}"] if made else []

    async def close(self) -> None:
        self._connections.close()

    async def _prepare(self, session: PostgresSession) -> None:
        await self._make(session)
        await session.rows(f'LISTEN "{self._channel}"')

    async def _make(self, session: PostgresSession) -> bool:
        """Create the table if it is missing; return whether it was."""
        forbidden = StoreError(
            f"the PostgreSQL role may not make {self._channel} in schema"
            f" {self._address.schema}: run `askonce migrate` as a role that may"
        )
        table, script = self._statement("{table}"), self._statement(_MAKE)
        return await create_if_missing(session, table, script, {NOT_ALLOWED: forbidden})

    async def _messages(self, session: PostgresSession) -> list[EventMessage]:
        position = self._position or _BEGINNING
        page = await self._page(session, position)
        if not page and position.upto is not None:  # a round ended just there
            page = await self._page(session, self._position or _BEGINNING)
        return page + _live(session)

    async def _page(self, session: PostgresSession, position: TablePosition) -> list[EventMessage]:
        rows = await self._rows(session, position)
        if _next(rows[0][0]) < _next(position.upto or position.seen):
            position = _BEGINNING
            rows = await self._rows(session, position)
        upto: str = position.upto or rows[0][0]
        page = [row[1:] for row in rows if row[1] is not None]
        self._position = position.after(page, upto)
        return [
            self._message(TablePosition(position.seen, upto, int(row[0]), row[1]), row)
            for row in page
        ]

    async def _rows(
        self, session: PostgresSession, position: TablePosition
    ) -> list[tuple[Any, ...]]:
        _, next_, under_way = position.seen.split(":")
        ended = [one for one in under_way.split(",") if one]
        after = (str(position.xact), position.seq)
        return await session.rows(
            self._statement(_AFTER), next_, ended, position.upto, *after, _PAGE
        )

    def _message(self, position: TablePosition, row: tuple[Any, ...]) -> EventMessage:
        xact, seq, id_, event, data = row
        # With the transaction's id, because a recreated table counts from the beginning.
        known = id_ or f"{self._name}:{xact}-{seq}"
        return parse_message(position.cursor, known, event.encode(), data.encode())

    async def _tidy(self, session: PostgresSession) -> bool:
        """Remove some rows that are too old, if this role may; return whether there are more."""
        if not self._may_tidy:
            return False
        try:
            ((gone,),) = await session.rows(self._statement(_TIDY))
        except PostgresError as error:
            if error.sqlstate != NOT_ALLOWED:
                raise
            self._may_tidy = False
            return False
        return bool(gone == _TIDY_AT_ONCE)

    @property
    def _function(self) -> str:
        own = self._channel == "askonce_events"
        return "askonce_emit" if own else f"{self._channel}_emit"

    def _statement(self, text: str) -> str:
        names = {"rows": _ROWS, "table": f'{{schema}}."{self._channel}"', "channel": self._channel}
        names["function"] = f'{{schema}}."{self._function}"'
        for name, value in names.items():
            text = text.replace(f"{{{name}}}", value)
        return self._address.statement(text)


def _live(session: PostgresSession) -> list[EventMessage]:
    """Return the events that came as notifications."""
    payloads, lost = session.take_payloads()
    messages = []
    if lost:
        messages.append(EventMessage(None, error="notifications came too fast, and some were lost"))
    for payload in payloads:
        try:
            event = _notified.decode(payload)
        except (msgspec.MsgspecError, UnicodeError):
            messages.append(EventMessage(None, error="a notification that is not an event in JSON"))
        else:
            data = bytes(event.data)
            messages.append(parse_message(None, event.id, event.event.encode(), data))
    return messages
