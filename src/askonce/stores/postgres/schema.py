"""The tables of a PostgreSQL store, and their migration.

    meta      one row: format version, the epoch of tags never bumped, pepper, generation
    counter   one row: the last number given out; its row lock puts all changes in one order
    epochs    the tags that were bumped, and the number of that change
    changes   the log of bumps and removals, the newest ten thousand and more
    entries   sealed envelopes, and the facts that queries need about them
    leases    one row a lease, with its end; kept for a while after that, for its fence
    tallies   counters

Every change takes the next number, and numbers follow the server's clock in microseconds. So
they grow past every number of a schema that was dropped, a backup that was restored or a replica
that took over while it lagged behind: an epoch is never given out twice, and a cursor in the log
means one change only. Entries and leases are UNLOGGED: PostgreSQL may lose them in a crash, and
writing them costs no write-ahead log. The tables that decide whether an entry is valid are logged.

Text is kept as UTF-8 in `bytea`, because PostgreSQL's text cannot hold NUL.
"""

# ruff: noqa: S608  (statements are made of texts of our own; values are always parameters)

from askonce.core.errors import StoreError
from askonce.core.models import Key
from askonce.stores.postgres.address import PostgresAddress
from askonce.stores.postgres.migration import NOT_ALLOWED, read_sql
from askonce.stores.postgres.session import PostgresError, PostgresSession

_NO_TABLE, _NO_SCHEMA = "42P01", "3F000"

_VERSION = "SELECT version FROM {schema}.meta"

_MIGRATE = read_sql("steps.sql")
STEPS: tuple[str, ...] = (read_sql("format_1.sql"),)
"""The script that creates format 1, the one from 1 to 2, and so on. Released ones never change."""


def raw(text: str) -> bytes:
    """Return the text as a column holds it. Raises `StoreError` for text without a UTF-8 form."""
    try:
        return text.encode()
    except UnicodeEncodeError:
        # From None: the codec's message quotes the text.
        raise StoreError("a name holds text that is not valid Unicode") from None


def columns(key: Key) -> tuple[bytes, bytes, bytes]:
    """Return the key as the columns namespace, format and digest."""
    return raw(key.namespace), raw(key.format), key.digest


async def version_of(session: PostgresSession, address: PostgresAddress) -> int:
    """Return the format of the existing tables; 0 if there are none."""
    try:
        rows = await session.rows(address.statement(_VERSION))
    except PostgresError as error:
        if error.sqlstate in (_NO_TABLE, _NO_SCHEMA):
            return 0
        if error.sqlstate == NOT_ALLOWED:
            raise StoreError(
                f"the PostgreSQL role may not read schema {address.schema}: GRANT it USAGE there,"
                " and SELECT, INSERT, UPDATE, DELETE on all tables and USAGE on all sequences"
            ) from None
        raise
    if not rows:
        raise StoreError(f"schema {address.schema} holds other tables than AskOnce's")
    version: int = rows[0][0]
    return version


async def ensure(session: PostgresSession, address: PostgresAddress) -> tuple[int, int]:
    """Create or upgrade the tables if necessary; return the format before and after.

    Safe for any number of processes at once. One message holds all steps: once the server has it,
    it finishes even if this process stops waiting.
    """
    found = await version_of(session, address)
    version = found
    if found < len(STEPS):
        try:
            await session.script(_script(address))
        except PostgresError as error:
            if error.sqlstate == NOT_ALLOWED:
                raise StoreError(
                    f"the PostgreSQL role may not make schema {address.schema}: run `askonce"
                    " migrate` as a role that has CREATE on the database, or GRANT it"
                ) from None
            raise
        version = await version_of(session, address)
    if version > len(STEPS):
        raise StoreError(
            f"the tables in schema {address.schema} have format {version}; this AskOnce"
            f" knows formats up to {len(STEPS)}: upgrade it"
        )
    return found, version


def _script(address: PostgresAddress) -> str:
    steps = "".join(
        f"IF found < {number} THEN {step} UPDATE {{schema}}.meta SET version = {number}; END IF;"
        for number, step in enumerate(STEPS, 1)
    )
    return address.statement(_MIGRATE.replace("{steps}", steps))
