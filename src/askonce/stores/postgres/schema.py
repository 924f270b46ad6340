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
from askonce.stores.postgres.migration import MIGRATION_LOCK, NOT_ALLOWED
from askonce.stores.postgres.session import PostgresError, PostgresSession

_NO_TABLE, _NO_SCHEMA = "42P01", "3F000"
_PATIENCE = "60s"

_VERSION = "SELECT version FROM {schema}.meta"

_FIRST = """
CREATE TABLE {schema}.meta (
    version integer NOT NULL,
    base bigint NOT NULL,
    pepper bytea NOT NULL,
    generation text NOT NULL
);
INSERT INTO {schema}.meta VALUES (
    0,
    (extract(epoch FROM clock_timestamp()) * 1000000)::bigint,
    sha256(uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid())
        || uuid_send(gen_random_uuid())),
    encode(uuid_send(gen_random_uuid()), 'hex')
);
CREATE TABLE {schema}.counter (last bigint NOT NULL);
INSERT INTO {schema}.counter SELECT base FROM {schema}.meta;
CREATE TABLE {schema}.epochs (tag bytea PRIMARY KEY, epoch bigint NOT NULL);
CREATE TABLE {schema}.changes (
    number bigint PRIMARY KEY,
    what bytea NOT NULL,
    made timestamptz NOT NULL DEFAULT clock_timestamp()
);
INSERT INTO {schema}.changes SELECT base, '{}' FROM {schema}.meta;
CREATE UNLOGGED TABLE {schema}.entries (
    namespace bytea NOT NULL,
    format bytea NOT NULL,
    digest bytea NOT NULL,
    created double precision NOT NULL,
    expires double precision NOT NULL,
    usable_until double precision NOT NULL,
    size integer NOT NULL,
    tags bytea[] NOT NULL,
    epochs bigint[] NOT NULL,
    blob bytea NOT NULL,
    PRIMARY KEY (namespace, format, digest)
);
ALTER TABLE {schema}.entries ALTER blob SET STORAGE EXTERNAL; -- it is compressed already
CREATE INDEX entries_usable_until ON {schema}.entries (usable_until);
CREATE TABLE {schema}.tallies (name bytea PRIMARY KEY, value bigint NOT NULL);
CREATE SEQUENCE {schema}.fences;
CREATE UNLOGGED TABLE {schema}.leases (
    namespace bytea NOT NULL,
    format bytea NOT NULL,
    digest bytea NOT NULL,
    fence bigint NOT NULL,
    until timestamptz NOT NULL,
    PRIMARY KEY (namespace, format, digest)
);
CREATE FUNCTION {schema}.lease_lock(fence bigint) RETURNS bigint
LANGUAGE sql IMMUTABLE AS $lock$
    SELECT hashtextextended('{schema} lease ' || fence, 0)
$lock$;
"""

STEPS: tuple[str, ...] = (_FIRST,)
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
    return address.statement(_FRAME.replace("{steps}", steps))


# A process that gets the lock second finds nothing left to do.
_FRAME = f"""
BEGIN;
SET LOCAL statement_timeout = '{_PATIENCE}';
DO $migration$
DECLARE
    found integer := 0;
BEGIN
    PERFORM pg_advisory_xact_lock({MIGRATION_LOCK});
    IF to_regnamespace('{{schema}}') IS NULL THEN
        CREATE SCHEMA {{schema}};
    END IF;
    IF to_regclass('{{schema}}.meta') IS NOT NULL THEN
        SELECT version INTO found FROM {{schema}}.meta;
    END IF;
    {{steps}}
END
$migration$;
COMMIT
"""
