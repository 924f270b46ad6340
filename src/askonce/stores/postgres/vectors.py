"""The shared vector index in PostgreSQL: a table with the extension pgvector.

Each embedder has a table of its own, so vectors of two are never compared:

    scope    32 bytes, a digest     key       a printed key, as UTF-8
    vector   as pgvector keeps it   expires   seconds since the Unix epoch
    seq      grows with each row written, so that the oldest rows are known

The planner compares few rows of a scope one by one, and searches many with the graph (HNSW). The
graph covers the whole table; if it finds too few rows of a scope, all of them are compared.
"""

# ruff: noqa: S608  (statements are made of checked names of our own; values are parameters)

import hashlib
from collections.abc import Iterable
from typing import Any

from askonce.core.errors import ConfigError, StoreError
from askonce.core.models import Key, NearestKey
from askonce.stores.context import StoreContext
from askonce.stores.postgres.address import PostgresAddress, parse_address
from askonce.stores.postgres.connections import PostgresConnections
from askonce.stores.postgres.migration import (
    NOT_ALLOWED,
    create_if_missing,
    migrate_with,
    read_sql,
)
from askonce.stores.postgres.session import PostgresSession
from askonce.stores.vector_elements import (
    bounded_expiry,
    element_of,
    embedder_digest,
    floats_of,
    key_of,
)

_SWEPT = 32
_NO_EXTENSION = ("0A000", "58P01", "42704")

_MAKE = read_sql("vectors.sql")
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
    """Open the index of one embedder's vectors in a database, without connecting yet.

    Parameters:
        url: a PostgreSQL address.
        context: the clocks and deadline of the calling process.
        embedder: the name of the embedder; each has a table of its own.
        dimensions: of each vector.
        max_entries: the bound of each scope; the oldest leave. Default: no bound.

    Raises `ConfigError` for a malformed address.
    """
    address = parse_address(url)
    return PostgresVectors(
        address, context, embedder=embedder, dimensions=dimensions, max_entries=max_entries
    )


class PostgresVectors:
    """A `VectorIndex` over one table, which is created if it is missing."""

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
        self._context = context
        self._most = max_entries
        self._connections = PostgresConnections(address, context, self._prepare)
        self._table = f"vectors_{embedder_digest(embedder, dimensions, 8)}"

    async def add(self, scope: bytes, key: Key, vector: bytes, expires: float) -> None:
        text, until = self._text(vector), bounded_expiry(expires)
        async with self._connections.borrowed() as session:
            await self._rows(session, _PUT, _digest(scope), element_of(key), text, until)
            await self._rows(session, _SWEEP, self._context.clock())
            if self._most is not None:
                await self._rows(session, _TRIM, _digest(scope), self._most)

    async def nearest(self, scope: bytes, vector: bytes, limit: int) -> list[NearestKey]:
        text = self._text(vector)
        if limit < 1:
            return []
        parameters = (_digest(scope), text, self._context.clock(), limit)
        async with self._connections.borrowed() as session:
            rows = await self._rows(session, _NEAR.replace("{exact}", ""), *parameters)
            if len(rows) < limit:
                # An order that the graph does not know, so the planner leaves it out.
                rows = await self._rows(session, _NEAR.replace("{exact}", " + 0"), *parameters)
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
            ((count,),) = await self._rows(session, every, self._context.clock(), *of)
        return int(count)

    async def clear(self) -> None:
        """Forget everything of this embedder."""
        async with self._connections.borrowed() as session:
            await self._rows(session, "DELETE FROM {table}")

    async def migrate(self) -> list[str]:
        """Create the table if it is missing; return the changes, one line each."""
        made = await migrate_with(self._address, self._context, self._make)
        return [f"made the table {self._table} in schema {self._address.schema}"] if made else []

    async def close(self) -> None:
        self._connections.close()

    async def _prepare(self, session: PostgresSession) -> None:
        await self._make(session)
        # A plan for each scope: small and large ones need different plans. The graph search
        # goes on until it has found enough rows of the scope.
        await session.rows("SELECT set_config('plan_cache_mode', 'force_custom_plan', false)")
        await session.rows("SELECT set_config('hnsw.ef_search', '100', false)")
        await session.rows("SELECT set_config('hnsw.iterative_scan', 'strict_order', false)")

    async def _make(self, session: PostgresSession) -> bool:
        """Create the table if it is missing; return whether it was."""
        missing = ConfigError("this PostgreSQL has no pgvector; install its extension `vector`")
        forbidden = StoreError(
            f"the PostgreSQL role may not make {self._table} in schema"
            f" {self._address.schema}, or not the extension `vector`"
        )
        refusals = {**dict.fromkeys(_NO_EXTENSION, missing), NOT_ALLOWED: forbidden}
        table, script = self._statement("{table}"), self._statement(_MAKE)
        return await create_if_missing(session, table, script, refusals)

    async def _rows(self, session: PostgresSession, statement: str, *given: object) -> list[Any]:
        return await session.rows(self._statement(statement), *given)

    def _statement(self, text: str) -> str:
        text = text.replace("{table}", f'{{schema}}."{self._table}"')
        return self._address.statement(text.replace("{dimensions}", str(self.dimensions)))

    def _text(self, vector: bytes) -> str:
        """Return a vector in pgvector's notation. Raises `StoreError` for a malformed one."""
        return f"[{','.join(map(repr, floats_of(vector, self.dimensions)))}]"


def _digest(scope: bytes) -> bytes:
    return hashlib.blake2b(scope, digest_size=32).digest()
