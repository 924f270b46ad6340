"""Migration in PostgreSQL: create tables once, whichever of many processes comes first."""

from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import TypeVar

from askonce.core.errors import AskOnceError
from askonce.stores.context import StoreContext
from askonce.stores.postgres.address import PostgresAddress
from askonce.stores.postgres.connections import PostgresConnections
from askonce.stores.postgres.session import PostgresError, PostgresSession

T = TypeVar("T")

MIGRATION_LOCK = 0x41736B4F6E6365
""""AskOnce": the advisory lock that a process holds while it creates tables."""

NOT_ALLOWED = "42501"
"""The SQLSTATE of a missing privilege."""

_SECONDS = 60.0


def read_sql(file: str) -> str:
    """Read a script of the folder `sql`; `{lock}` stands there for `MIGRATION_LOCK`."""
    text = Path(__file__).with_name("sql").joinpath(file).read_text(encoding="utf-8")
    return text.replace("{lock}", str(MIGRATION_LOCK))


async def migrate_with(
    address: PostgresAddress,
    context: StoreContext,
    make: Callable[[PostgresSession], Awaitable[T]],
) -> T:
    """Return the result of `make` on a new connection, which has a minute.

    Other connections create tables silently when they are prepared; this one does not, so that
    `make` can report its changes.
    """
    connections = PostgresConnections(address, context, _leave_as_is, most=1)
    try:
        async with connections.borrowed(_SECONDS) as session:
            return await make(session)
    finally:
        connections.close()


async def create_if_missing(
    session: PostgresSession, table: str, script: str, refusals: Mapping[str, AskOnceError]
) -> bool:
    """Run the script unless the table exists; return whether it ran.

    Parameters:
        session: a session of the database.
        table: the table's quoted name with its schema.
        script: creates the table, under the lock and if it is still missing then.
        refusals: the errors to raise by SQLSTATE. Others are raised as they are.
    """
    if (await session.rows("SELECT to_regclass($1) IS NOT NULL", table))[0][0]:
        return False
    try:
        await session.script(script)
    except PostgresError as error:
        refusal = refusals.get(error.sqlstate or "")
        if refusal is None:
            raise
        raise refusal from None
    return True


async def _leave_as_is(_session: PostgresSession) -> None:
    return
