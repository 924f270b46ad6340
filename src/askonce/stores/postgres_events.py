"""Events out of a table of PostgreSQL; notifications only wake.

    SELECT askonce_emit('product_updated', '{"product_id": "123"}');

Numbers that a sequence gives out become visible out of order: a transaction that began early may
end late. So a row carries the id of its transaction, and what is remembered is a horizon below
which every transaction has ended: all rows from there on are read again and again, but for those
that were given out already. Nothing waits for a long transaction, and nothing is skipped.

A mark is a horizon. One above all transactions of this server belongs to another server, which was
there before: then everything that is kept is read.

A plain `NOTIFY askonce_events, '{"event": …}'` is an event too, for those who listen now.
"""

# ruff: noqa: S608  (statements are made of checked names of our own; values are parameters)

from typing import Any

import msgspec

from askonce.errors import StoreError
from askonce.records import Arrival
from askonce.stores import Ground
from askonce.stores.event_source import arrival
from askonce.stores.postgres import Address, parse_address
from askonce.stores.postgres_connections import Connections
from askonce.stores.postgres_session import PostgresError, Session

KEPT_DAYS = 7
_PAGE = 100
_TIDY_EVERY = 2_000  # reads: a quarter of an hour and more
_NOT_ALLOWED = "42501"
_MIGRATING = 0x41736B4F6E6365  # as for the tables of a store
_MIGRATION_SECONDS = 60.0

_AFTER = """
    SELECT lowest, next, page.*
    FROM (
        SELECT pg_snapshot_xmin(now)::text::bigint AS lowest,
            pg_snapshot_xmax(now)::text::bigint AS next
        FROM pg_current_snapshot() AS now) AS horizon
    LEFT JOIN LATERAL (
        SELECT sent.xact::text::bigint AS xact, seq, id, event, data::text AS data
        FROM {table} AS sent
        WHERE sent.xact >= $1::bigint::text::xid8 AND seq <> ALL($2::bigint[])
        ORDER BY sent.xact, seq LIMIT $3::bigint) AS page ON true
    ORDER BY page.xact, page.seq"""
_TIDY = f"DELETE FROM {{table}} WHERE sent < now() - interval '{KEPT_DAYS} days'"
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
        CREATE FUNCTION {{function}}(event text, data jsonb DEFAULT '{{}}', id text DEFAULT NULL)
        RETURNS void LANGUAGE sql AS $emit$
            INSERT INTO {{table}} (event, data, id) VALUES ($1, $2, $3);
            SELECT pg_notify('{{channel}}', '');
        $emit$;
    END IF;
END
$making$;
COMMIT
"""


class _Told(msgspec.Struct):
    """An event in a notification."""

    event: str
    data: msgspec.Raw = msgspec.Raw(b"{}")
    id: str | None = None


_told = msgspec.json.Decoder(_Told)


def open_table(url: str, ground: Ground, *, name: str, table: str) -> "TableSource":
    """The table of events in a database. Raises `ConfigError` for a wrong address."""
    return TableSource(parse_address(url, schema="public"), ground, name=name, table=table)


class TableSource:
    """An `EventSource` over one table, which is made if it is not there yet."""

    def __init__(self, address: Address, ground: Ground, *, name: str, table: str) -> None:
        self._address = address
        self._ground = ground
        self._name = name
        self._channel = table
        self._connections = Connections(address, ground, self._greet, most=1)
        self._horizon: int | None = None
        self._given: dict[int, int] = {}  # rows at or above the horizon, and their transactions
        self._reads = 0
        self._may_tidy = True

    async def read(self, since: str | None, patience: float) -> list[Arrival]:
        if self._horizon is None:
            self._horizon = int(since) if since is not None and since.isdecimal() else 0
        async with self._connections.borrowed(self._ground.deadline + patience) as session:
            if self._reads % _TIDY_EVERY == 0:
                await self._tidy(session)
            self._reads += 1
            arrivals = await self._page(session) + _live(session)
            if not arrivals and patience > 0 and await session.heard(patience):
                arrivals = await self._page(session) + _live(session)
        return arrivals

    async def migrate(self) -> list[str]:
        connections = Connections(self._address, self._ground, _unprepared, most=1)
        try:
            async with connections.borrowed(_MIGRATION_SECONDS) as session:
                made = await self._make(session)
        finally:
            connections.close()
        what = f"made the table {self._channel} and the function {self._function}"
        return [f"{what} in schema {self._address.schema}"] if made else []

    async def close(self) -> None:
        self._connections.close()

    async def _greet(self, session: Session) -> None:
        await self._make(session)
        await session.rows(f'LISTEN "{self._channel}"')

    async def _make(self, session: Session) -> bool:
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

    async def _page(self, session: Session) -> list[Arrival]:
        horizon = self._horizon or 0
        rows = await self._rows(session, horizon)
        if rows[0][1] < horizon:
            horizon, self._given = 0, {}
            rows = await self._rows(session, horizon)
        lowest: int = rows[0][0]
        page = [row[2:] for row in rows if row[2] is not None]
        self._given |= {seq: xact for xact, seq, *_ in page}
        self._horizon = lowest if len(page) < _PAGE else min(lowest, page[-1][0])
        self._given = {seq: xact for seq, xact in self._given.items() if xact >= self._horizon}
        return [self._arrival(min(lowest, row[0]), row) for row in page]

    async def _rows(self, session: Session, horizon: int) -> list[tuple[Any, ...]]:
        return await session.rows(self._statement(_AFTER), horizon, list(self._given), _PAGE)

    def _arrival(self, mark: int, row: tuple[Any, ...]) -> Arrival:
        xact, seq, id_, event, data = row
        # The transaction's id, because a table that was made anew counts from the beginning.
        known = f"{self._name}:{xact}-{seq}" if id_ is None else id_
        return arrival(str(mark), known, event.encode(), data.encode())

    async def _tidy(self, session: Session) -> None:
        """Remove what is too old to be of use, if this role may."""
        if not self._may_tidy:
            return
        try:
            await session.rows(self._statement(_TIDY))
        except PostgresError as error:
            if error.sqlstate != _NOT_ALLOWED:
                raise
            self._may_tidy = False

    @property
    def _function(self) -> str:
        own = self._channel == "askonce_events"
        return "askonce_emit" if own else f"{self._channel}_emit"

    def _statement(self, text: str) -> str:
        names = {"table": f'{{schema}}."{self._channel}"', "channel": self._channel}
        names["function"] = f'{{schema}}."{self._function}"'
        for name, said in names.items():
            text = text.replace(f"{{{name}}}", said)
        return self._address.statement(text)


def _live(session: Session) -> list[Arrival]:
    """Events that came as notifications."""
    arrivals = []
    for text in session.take_told():
        try:
            told = _told.decode(text)
        except (msgspec.MsgspecError, UnicodeError):
            arrivals.append(Arrival(None, error="a notification that is not an event in JSON"))
        else:
            arrivals.append(arrival(None, told.id, told.event.encode(), bytes(told.data)))
    return arrivals


async def _unprepared(_session: Session) -> None:
    return
