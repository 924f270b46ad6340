"""An index of vectors that machines share, in a table of PostgreSQL with the extension pgvector.

Each embedder has a table of its own, so vectors of two are never compared:

    scope    32 bytes, a digest     key       a printed key, as UTF-8
    vector   as pgvector keeps it   expires   seconds since the Unix epoch
    seq      grows with each row that is put, so that the oldest are known

The planner chooses: few rows of a scope are compared one by one, many are found by the graph
(HNSW). The graph is of the whole table; where it finds too few of a scope, all of it are compared.
"""

# ruff: noqa: S608  (statements are made of checked names of our own; values are parameters)

import hashlib
import struct
from collections.abc import Iterable
from typing import Any

from askonce.core.errors import ConfigError, StoreError
from askonce.core.models import Key, NearestKey
from askonce.stores.context import StoreContext
from askonce.stores.postgres.address import PostgresAddress, parse_address
from askonce.stores.postgres.connections import PostgresConnections
from askonce.stores.postgres.session import PostgresError, PostgresSession
from askonce.stores.vector_keys import element_of, key_of

_MAKING = 0x41736B4F6E6365  # as for the tables of a store
_MAKING_SECONDS = 60.0
_LONGEST_SECONDS = 1e12
_SWEPT = 32
_NO_EXTENSION = ("0A000", "58P01", "42704")
_NOT_ALLOWED = "42501"

_MAKE = f"""
BEGIN;
DO $making$
BEGIN
    PERFORM pg_advisory_xact_lock({_MAKING});
    IF to_regtype('vector') IS NULL THEN
        CREATE EXTENSION vector;
    END IF;
    IF to_regnamespace('{{schema}}') IS NULL THEN
        CREATE SCHEMA {{schema}};
    END IF;
    IF to_regclass('{{table}}') IS NULL THEN
        CREATE TABLE {{table}} (
            scope bytea NOT NULL,
            key bytea NOT NULL,
            vector vector({{dimensions}}) NOT NULL,
            expires double precision NOT NULL,
            seq bigint GENERATED ALWAYS AS IDENTITY,
            PRIMARY KEY (scope, key)
        );
        CREATE INDEX ON {{table}} (scope, seq);
        CREATE INDEX ON {{table}} (expires);
        CREATE INDEX ON {{table}} USING hnsw (vector vector_cosine_ops);
    END IF;
END
$making$;
COMMIT
"""
_PUT = """
    INSERT INTO {table} AS old (scope, key, vector, expires)
    VALUES ($1, $2, $3::text::vector, $4::float8)
    ON CONFLICT (scope, key) DO UPDATE
        SET vector = EXCLUDED.vector, expires = EXCLUDED.expires, seq = DEFAULT"""
_SWEEP = f"""
    DELETE FROM {{table}} WHERE (scope, key) IN (
        SELECT scope, key FROM {{table}} WHERE expires <= $1::float8 LIMIT {_SWEPT}
        FOR UPDATE SKIP LOCKED)"""
_TRIM = """
    DELETE FROM {table} WHERE scope = $1 AND seq <= (
        SELECT seq FROM {table} WHERE scope = $1 ORDER BY seq DESC OFFSET $2::bigint LIMIT 1)"""
_NEAR = """
    SELECT key, 1 - (vector <=> $2::text::vector) FROM {table}
    WHERE scope = $1 AND expires > $3::float8
    ORDER BY (vector <=> $2::text::vector){exact} LIMIT $4::bigint"""


def open_postgres_vectors(
    url: str,
    context: StoreContext,
    *,
    embedder: str,
    dimensions: int,
    max_entries: int | None = None,
) -> "PostgresVectors":
    """The index in a database, of one embedder's vectors; nothing is connected yet.

    `max_entries` bounds each scope. Raises `ConfigError` for an address that is not right.
    """
    address = parse_address(url)
    return PostgresVectors(
        address, context, embedder=embedder, dimensions=dimensions, max_entries=max_entries
    )


class PostgresVectors:
    """A `VectorIndex` over one table, which is made if it is not there yet."""

    def __init__(
        self,
        address: PostgresAddress,
        context: StoreContext,
        *,
        embedder: str,
        dimensions: int,
        max_entries: int | None,
    ) -> None:
        self.embedder = embedder
        self.dimensions = dimensions
        self._address = address
        self._ground = context
        self._most = max_entries
        self._connections = PostgresConnections(address, context, self._greet)
        which = b"%d/%s" % (dimensions, embedder.encode(errors="surrogatepass"))
        self._table = f"vectors_{hashlib.blake2b(which, digest_size=8).hexdigest()}"

    async def add(self, scope: bytes, key: Key, vector: bytes, expires: float) -> None:
        text, until = self._text(vector), max(min(expires, _LONGEST_SECONDS), -_LONGEST_SECONDS)
        async with self._connections.borrowed() as session:
            await self._rows(session, _PUT, _digest(scope), element_of(key), text, until)
            await self._rows(session, _SWEEP, self._ground.clock())
            if self._most is not None:
                await self._rows(session, _TRIM, _digest(scope), self._most)

    async def nearest(self, scope: bytes, vector: bytes, limit: int) -> list[NearestKey]:
        text = self._text(vector)
        if limit < 1:
            return []
        asked = (_digest(scope), text, self._ground.clock(), limit)
        async with self._connections.borrowed() as session:
            rows = await self._rows(session, _NEAR.replace("{exact}", ""), *asked)
            if len(rows) < limit:
                # Not the order that the graph knows, so it is not used.
                rows = await self._rows(session, _NEAR.replace("{exact}", " + 0"), *asked)
        found = [(key_of(bytes(element)), similarity) for element, similarity in rows]
        return [
            NearestKey(key, max(-1.0, min(1.0, similarity)))
            for key, similarity in found
            if key is not None
        ]

    async def remove(self, scope: bytes, keys: Iterable[Key]) -> None:
        elements = [element_of(key) for key in keys]
        statement = "DELETE FROM {table} WHERE scope = $1 AND key = ANY($2::bytea[])"
        if elements:
            async with self._connections.borrowed() as session:
                await self._rows(session, statement, _digest(scope), elements)

    async def size(self, scope: bytes | None = None) -> int:
        statement = "SELECT count(*) FROM {table} WHERE expires > $1::float8"
        of = () if scope is None else (_digest(scope),)
        async with self._connections.borrowed() as session:
            every = statement + (" AND scope = $2" if of else "")
            ((count,),) = await self._rows(session, every, self._ground.clock(), *of)
        return int(count)

    async def clear(self) -> None:
        """Forget everything of this embedder."""
        async with self._connections.borrowed() as session:
            await self._rows(session, "DELETE FROM {table}")

    async def migrate(self) -> list[str]:
        """Make the table; what was done, one line each."""
        connections = PostgresConnections(self._address, self._ground, _unprepared, most=1)
        try:
            async with connections.borrowed(_MAKING_SECONDS) as session:
                made = await self._make(session)
        finally:
            connections.close()
        return [f"made the table {self._table} in schema {self._address.schema}"] if made else []

    async def close(self) -> None:
        self._connections.close()

    async def _greet(self, session: PostgresSession) -> None:
        await self._make(session)
        # A plan for each scope: what is best for a small one is not for a large one. The graph
        # goes on until it has found enough that are of the scope.
        await session.rows("SELECT set_config('plan_cache_mode', 'force_custom_plan', false)")
        await session.rows("SELECT set_config('hnsw.ef_search', '100', false)")
        await session.rows("SELECT set_config('hnsw.iterative_scan', 'strict_order', false)")

    async def _make(self, session: PostgresSession) -> bool:
        """Make the table unless it is there; was it made?"""
        where = self._statement("{table}")
        if (await session.rows("SELECT to_regclass($1) IS NOT NULL", where))[0][0]:
            return False
        try:
            await session.script(self._statement(_MAKE))
        except PostgresError as error:
            if error.sqlstate in _NO_EXTENSION:
                raise ConfigError(
                    "this PostgreSQL has no pgvector; install its extension `vector`"
                ) from None
            if error.sqlstate == _NOT_ALLOWED:
                raise StoreError(
                    f"the PostgreSQL role may not make {self._table} in schema"
                    f" {self._address.schema}, or not the extension `vector`"
                ) from None
            raise
        return True

    async def _rows(self, session: PostgresSession, statement: str, *given: object) -> list[Any]:
        return await session.rows(self._statement(statement), *given)

    def _statement(self, text: str) -> str:
        text = text.replace("{table}", f'{{schema}}."{self._table}"')
        return self._address.statement(text.replace("{dimensions}", str(self.dimensions)))

    def _text(self, vector: bytes) -> str:
        """A vector as pgvector reads it. Raises `StoreError` for what is none."""
        if len(vector) != 4 * self.dimensions:
            raise StoreError(f"the vector does not have {self.dimensions} dimensions")
        floats = struct.unpack(f"<{self.dimensions}f", vector)
        if not 0 < sum(one * one for one in floats) < float("inf"):
            raise StoreError("the vector has no direction")
        return f"[{','.join(map(repr, floats))}]"


async def _unprepared(_session: PostgresSession) -> None:
    return


def _digest(scope: bytes) -> bytes:
    return hashlib.blake2b(scope, digest_size=32).digest()
