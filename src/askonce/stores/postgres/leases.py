"""Leases in PostgreSQL: advisory locks, so that the server itself notices when a holder dies.

A lease is a row with its end, by the server's clock, and an advisory lock of the holder's
connection. It holds while both do: a holder that is killed loses its connection and the lock at
once; one that hangs, or loses its network, loses the lease when its time is over. The lock is
named after the fence, so every lease has one of its own.
"""

from collections.abc import Iterable

from askonce.core.models import Key, Lease
from askonce.stores.context import StoreContext
from askonce.stores.postgres.address import PostgresAddress
from askonce.stores.postgres.connections import PostgresConnections
from askonce.stores.postgres.schema import columns, ensure
from askonce.stores.postgres.session import PostgresSession

# Trying the holder's lock shows whether it is dead; the end of this transaction releases it. A
# session would get its own locks again, so $5 names those. Of several processes that see the same
# lease end, the one whose row is still the one it saw takes it.
_LEASE = """
    WITH known AS (
        SELECT fence, until > clock_timestamp() AND (
            fence = ANY($5::bigint[])
            OR NOT pg_try_advisory_xact_lock({schema}.lease_lock(fence))) AS alive
        FROM {schema}.leases
        WHERE (namespace, format, digest) = ($1::bytea, $2::bytea, $3::bytea)),
    given AS (
        INSERT INTO {schema}.leases AS kept (namespace, format, digest, fence, until)
        SELECT $1::bytea, $2::bytea, $3::bytea, nextval('{schema}.fences'),
            clock_timestamp() + make_interval(secs => $4::double precision)
        WHERE NOT EXISTS (SELECT FROM known WHERE alive)
        ON CONFLICT (namespace, format, digest) DO UPDATE
            SET fence = excluded.fence, until = excluded.until
            WHERE kept.fence = (SELECT fence FROM known)
        RETURNING fence)
    SELECT fence, pg_advisory_lock({schema}.lease_lock(fence)) FROM given"""
_RENEW = """
    UPDATE {schema}.leases AS kept
    SET until = clock_timestamp() + make_interval(secs => $5::double precision)
    FROM unnest($1::bytea[], $2::bytea[], $3::bytea[], $4::bigint[])
        AS ours (namespace, format, digest, fence)
    WHERE (kept.namespace, kept.format, kept.digest, kept.fence)
        = (ours.namespace, ours.format, ours.digest, ours.fence)
        AND kept.until > clock_timestamp()
    RETURNING kept.fence"""
_UNLOCK = """
    SELECT pg_advisory_unlock({schema}.lease_lock(fence)) FROM unnest($1::bigint[]) AS f (fence)"""
# The row stays for its fence.
_RELEASE = """
    WITH ended AS (
        UPDATE {schema}.leases SET until = clock_timestamp()
        WHERE (namespace, format, digest, fence) = ($1, $2, $3, $4))
    SELECT pg_advisory_unlock({schema}.lease_lock($4))"""


class PostgresLeases:
    """The leases that this store holds, on one connection of their own."""

    def __init__(self, address: PostgresAddress, context: StoreContext) -> None:
        self._address = address
        self._connections = PostgresConnections(address, context, self._prepare, most=1)
        self._lease, self._renew, self._unlock, self._release = map(
            address.statement, (_LEASE, _RENEW, _UNLOCK, _RELEASE)
        )

    async def lease(self, key: Key, seconds: float) -> Lease | None:
        async with self._connections.borrowed() as session:
            held = list(session.held)
            rows = await session.rows(self._lease, *columns(key), seconds, held)
            if not rows:
                return None
            fence: int = rows[0][0]
            session.held.add(fence)
            return Lease(key, fence)

    async def renew(self, leases: Iterable[Lease], seconds: float) -> None:
        async with self._connections.borrowed() as session:
            # Leases of an earlier session are lost: their locks ended with it.
            ours = [lease for lease in leases if lease.fence in session.held]
            if not ours:
                return
            parts = zip(*((*columns(key), fence) for key, fence in ours), strict=True)
            rows = await session.rows(self._renew, *map(list, parts), seconds)
            lost = [fence for _, fence in ours if (fence,) not in rows]
            if lost:
                await session.rows(self._unlock, lost)
                session.held.difference_update(lost)

    async def release(self, lease: Lease) -> None:
        async with self._connections.borrowed() as session:
            if lease.fence in session.held:
                await session.rows(self._release, *columns(lease.key), lease.fence)
                session.held.discard(lease.fence)

    def close(self) -> None:
        """End the connection, and every lease with it."""
        self._connections.close()

    async def _prepare(self, session: PostgresSession) -> None:
        await ensure(session, self._address)
