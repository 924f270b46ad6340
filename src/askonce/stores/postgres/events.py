"""Events out of a table of PostgreSQL; notifications only wake.

    SELECT askonce_emit('product_updated', '{"product_id": "123"}');

Numbers that a sequence gives out become visible out of order: a transaction that began early may
end late. So a row carries the id of its transaction, and what is remembered is a snapshot: which
transactions had ended. The next round gives out the rows of all that ended since, a page at a time,
in the order of (transaction, row). Nothing waits for a long transaction, nothing is skipped, and a
page costs the same behind a million rows as behind one.

A mark is a place in a round. One above all transactions of this server belongs to another server,
which was there before: then everything that is kept is read.

A plain `NOTIFY askonce_events, '{"event": …}'` is an event too, for those who listen now.
"""

# ruff: noqa: S608  (statements are made of checked names of our own; values are parameters)

import re
from typing import Any, NamedTuple

import msgspec

from askonce.core.errors import StoreError
from askonce.core.models import EventMessage
from askonce.stores.context import StoreContext
from askonce.stores.event_message import arrival
from askonce.stores.postgres.address import PostgresAddress, parse_address
from askonce.stores.postgres.connections import PostgresConnections
from askonce.stores.postgres.session import PostgresError, PostgresSession

KEPT_DAYS = 7
_PAGE = 100
_TIDY_EVERY = 2_000  # reads: a quarter of an hour and more
_TIDY_AT_ONCE = 10_000
_NOT_ALLOWED = "42501"
_MIGRATING = 0x41736B4F6E6365  # as for the tables of a store
_MIGRATION_SECONDS = 60.0

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
_MAKE = f"""
BEGIN;
DO $making$
BEGIN
    PERFORM pg_advisory_xact_lock({_MIGRATING});
    IF to_regnamespace('{{schema}}') IS NULL THEN
        CREATE SCHEMA {{schema}};
    END IF;
    IF to_regclass('{{table}}') IS NULL THEN
        CREATE TABLE {{table}} (
            seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
            id text,
            event text NOT NULL,
            data jsonb NOT NULL DEFAULT '{{}}',
            sent timestamptz NOT NULL DEFAULT now(),
            xact xid8 NOT NULL DEFAULT pg_current_xact_id()
        );
        CREATE INDEX ON {{table}} (xact, seq);
        CREATE OR REPLACE FUNCTION {{function}}(
            event text, data jsonb DEFAULT '{{}}', id text DEFAULT NULL)
        RETURNS void LANGUAGE sql AS $emit$
            INSERT INTO {{table}} (event, data, id) VALUES ($1, $2, $3);
            SELECT pg_notify('{{channel}}', '');
        $emit$;
    END IF;
END
$making$;
COMMIT
"""


class _Place(NamedTuple):
    """How far a table was read: what was visible in the snapshot `seen`, and of what is visible
    in `upto` all until the row `seq` of the transaction `xact`. Without `upto` a round begins."""

    seen: str
    upto: str | None = None
    xact: int = 0
    seq: int = 0

    @classmethod
    def of(cls, mark: str | None) -> "_Place":
        found = _MARK.fullmatch(mark or "")
        if found is None:
            return _BEGINNING
        return cls(found[1], found[2], int(found[3]), int(found[4]))

    @property
    def mark(self) -> str:
        return f"{self.seen} {self.upto} {self.xact} {self.seq}"

    def after(self, page: list[tuple[Any, ...]], upto: str) -> "_Place":
        """The place behind a page of what was visible in `upto`; a short page is the last one."""
        if len(page) < _PAGE:
            return _Place(upto)
        return _Place(self.seen, upto, int(page[-1][0]), page[-1][1])


_MARK = re.compile(r"(\d+:\d+:[\d,]*) (\d+:\d+:[\d,]*) (\d+) (-?\d+)", re.ASCII)
_BEGINNING = _Place("1:1:")  # a snapshot is the first transaction under way, the next one, and ...


def _next(snapshot: str) -> int:
    """The first transaction that had not begun."""
    return int(snapshot.split(":")[1])


class _Told(msgspec.Struct):
    """An event in a notification."""

    event: str
    data: msgspec.Raw = msgspec.Raw(b"{}")
    id: str | None = None


_told = msgspec.json.Decoder(_Told)


def open_table(url: str, context: StoreContext, *, name: str, table: str) -> "PostgresTableReader":
    """The table of events in a database. Raises `ConfigError` for a wrong address."""
    return PostgresTableReader(parse_address(url, schema="public"), context, name=name, table=table)


class PostgresTableReader:
    """An `EventSource` over one table, which is made if it is not there yet."""

    def __init__(
        self, address: PostgresAddress, context: StoreContext, *, name: str, table: str
    ) -> None:
        self._address = address
        self._ground = context
        self._name = name
        self._channel = table
        self._connections = PostgresConnections(address, context, self._greet, most=1)
        self._place: _Place | None = None
        self._reads = 0
        self._may_tidy = True

    async def read(self, since: str | None, patience: float) -> list[EventMessage]:
        if self._place is None:
            self._place = _Place.of(since)
        async with self._connections.borrowed(self._ground.deadline + patience) as session:
            if self._reads % _TIDY_EVERY == 0 and await self._tidy(session):
                self._reads -= 1  # there is more
            self._reads += 1
            arrivals = await self._arrivals(session)
            if not arrivals and patience > 0 and await session.heard(patience):
                arrivals = await self._arrivals(session)
        return arrivals

    async def migrate(self) -> list[str]:
        connections = PostgresConnections(self._address, self._ground, _unprepared, most=1)
        try:
            async with connections.borrowed(_MIGRATION_SECONDS) as session:
                made = await self._make(session)
        finally:
            connections.close()
        what = f"made the table {self._channel} and the function {self._function}"
        return [f"{what} in schema {self._address.schema}"] if made else []

    async def close(self) -> None:
        self._connections.close()

    async def _greet(self, session: PostgresSession) -> None:
        await self._make(session)
        await session.rows(f'LISTEN "{self._channel}"')

    async def _make(self, session: PostgresSession) -> bool:
        """Make the table unless it is there; was it made?"""
        where = self._statement("{table}")
        if (await session.rows("SELECT to_regclass($1) IS NOT NULL", where))[0][0]:
            return False
        try:
            await session.script(self._statement(_MAKE))
        except PostgresError as error:
            if error.sqlstate == _NOT_ALLOWED:
                raise StoreError(
                    f"the PostgreSQL role may not make {self._channel} in schema"
                    f" {self._address.schema}: run `askonce migrate` as a role that may"
                ) from None
            raise
        return True

    async def _arrivals(self, session: PostgresSession) -> list[EventMessage]:
        place = self._place or _BEGINNING
        page = await self._page(session, place)
        if not page and place.upto is not None:  # a round ended just there
            page = await self._page(session, self._place or _BEGINNING)
        return page + _live(session)

    async def _page(self, session: PostgresSession, place: _Place) -> list[EventMessage]:
        rows = await self._rows(session, place)
        if _next(rows[0][0]) < _next(place.upto or place.seen):
            place = _BEGINNING
            rows = await self._rows(session, place)
        upto: str = place.upto or rows[0][0]
        page = [row[1:] for row in rows if row[1] is not None]
        self._place = place.after(page, upto)
        return [self._arrival(_Place(place.seen, upto, int(row[0]), row[1]), row) for row in page]

    async def _rows(self, session: PostgresSession, place: _Place) -> list[tuple[Any, ...]]:
        _, next_, under_way = place.seen.split(":")
        ended = [one for one in under_way.split(",") if one]
        after = (str(place.xact), place.seq)
        return await session.rows(self._statement(_AFTER), next_, ended, place.upto, *after, _PAGE)

    def _arrival(self, place: _Place, row: tuple[Any, ...]) -> EventMessage:
        xact, seq, id_, event, data = row
        # The transaction's id, because a table that was made anew counts from the beginning.
        known = id_ or f"{self._name}:{xact}-{seq}"
        return arrival(place.mark, known, event.encode(), data.encode())

    async def _tidy(self, session: PostgresSession) -> bool:
        """Remove some of what is too old to be of use, if this role may; is there more?"""
        if not self._may_tidy:
            return False
        try:
            ((gone,),) = await session.rows(self._statement(_TIDY))
        except PostgresError as error:
            if error.sqlstate != _NOT_ALLOWED:
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
        for name, said in names.items():
            text = text.replace(f"{{{name}}}", said)
        return self._address.statement(text)


def _live(session: PostgresSession) -> list[EventMessage]:
    """Events that came as notifications."""
    told_now, lost = session.take_told()
    arrivals = []
    if lost:
        arrivals.append(EventMessage(None, error="notifications came too fast, and some were lost"))
    for text in told_now:
        try:
            told = _told.decode(text)
        except (msgspec.MsgspecError, UnicodeError):
            arrivals.append(EventMessage(None, error="a notification that is not an event in JSON"))
        else:
            arrivals.append(arrival(None, told.id, told.event.encode(), bytes(told.data)))
    return arrivals


async def _unprepared(_session: PostgresSession) -> None:
    return
