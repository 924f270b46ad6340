"""The statements of a PostgreSQL store, each one round trip and one transaction.

`{schema}` stands for the schema's name; a key is always `$1, $2, $3`, or three arrays of them.
"""

# ruff: noqa: S608  (statements are made of texts of our own; values are always parameters)

from askonce.stores.postgres.change_feed import NEXT_NUMBER

# Every tag has the epoch under which the entry was asked for; `entry` has columns tags and epochs.
_VALID = """NOT EXISTS (
    SELECT FROM unnest(entry.tags, entry.epochs) AS asked (tag, epoch)
    LEFT JOIN {schema}.epochs AS known ON known.tag = asked.tag
    WHERE asked.epoch <> coalesce(known.epoch, (SELECT base FROM {schema}.meta)))"""
READ = f"""
    SELECT blob FROM {{schema}}.entries AS entry
    WHERE (namespace, format, digest) = ($1, $2, $3) AND {_VALID}"""
WRITE = f"""
    WITH entry AS (SELECT $7::bytea[] AS tags, $8::bigint[] AS epochs)
    INSERT INTO {{schema}}.entries
        (namespace, format, digest, created, expires, usable_until, size, tags, epochs, blob)
    SELECT $1::bytea, $2::bytea, $3::bytea, $4::double precision, $5::double precision,
        extract(epoch FROM clock_timestamp())::double precision + $6::double precision,
        length($9::bytea), tags, epochs, $9::bytea
    FROM entry
    WHERE {_VALID} AND ($10::bigint = 0 OR NOT EXISTS (
        SELECT FROM {{schema}}.leases
        WHERE (namespace, format, digest) = ($1, $2, $3) AND fence > $10))
    ON CONFLICT (namespace, format, digest) DO UPDATE SET
        created = excluded.created, expires = excluded.expires,
        usable_until = excluded.usable_until, size = excluded.size,
        tags = excluded.tags, epochs = excluded.epochs, blob = excluded.blob
    RETURNING true"""
SWEEP = """
    WITH old AS (
        DELETE FROM {schema}.leases WHERE until < clock_timestamp() - interval '10 minutes')
    DELETE FROM {schema}.entries WHERE ctid = ANY (ARRAY(
        SELECT ctid FROM {schema}.entries
        WHERE usable_until <= extract(epoch FROM clock_timestamp())::double precision
        ORDER BY usable_until LIMIT $1 FOR UPDATE SKIP LOCKED))"""
_NAMED = """($4::bytea IS NULL OR entry.namespace = $4)
    AND ($5::double precision IS NULL OR entry.expires < $5)"""
_OF_KEYS = """unnest($1::bytea[], $2::bytea[], $3::bytea[])
    AS wanted (namespace, format, digest)"""
_SAME_KEY = """(entry.namespace, entry.format, entry.digest)
    = (wanted.namespace, wanted.format, wanted.digest)"""
NEXT_PAGE = """
    SELECT namespace, format, digest, size FROM {schema}.entries
    WHERE (namespace, format, digest) > ($1, $2, $3)
    ORDER BY namespace, format, digest LIMIT $4"""
SIZES = f"""
    SELECT namespace, format, digest, size
    FROM {_OF_KEYS} JOIN {{schema}}.entries USING (namespace, format, digest)"""
BLOBS = f"""
    SELECT entry.namespace, entry.format, entry.digest, entry.blob, entry.tags, entry.epochs
    FROM {_OF_KEYS} JOIN {{schema}}.entries AS entry ON {_SAME_KEY}
    WHERE {_NAMED} AND ($6 OR {_VALID})"""
REMOVE = f"""
    WITH gone AS (
        DELETE FROM {{schema}}.entries AS entry USING {_OF_KEYS}
        WHERE {_SAME_KEY} AND {_NAMED} RETURNING 1)
    SELECT count(*) FROM gone"""
REMOVE_DAMAGED = """
    DELETE FROM {schema}.entries
    WHERE (namespace, format, digest) = ($1, $2, $3) AND blob = $4 RETURNING true"""
SCRUB = f"""
    WITH gone AS (DELETE FROM {{schema}}.entries AS entry WHERE NOT ({_VALID}) RETURNING 1)
    SELECT count(*) FROM gone"""
EPOCHS = """
    SELECT asked.tag, coalesce(known.epoch, base)
    FROM {schema}.meta, unnest($1::bytea[]) AS asked (tag)
    LEFT JOIN {schema}.epochs AS known ON known.tag = asked.tag"""
BUMP = f"""
    WITH {NEXT_NUMBER},
    raised AS (
        INSERT INTO {{schema}}.epochs (tag, epoch)
        SELECT tag, number FROM logged, unnest($3::bytea[]) AS named (tag)
        ON CONFLICT (tag) DO UPDATE SET epoch = excluded.epoch)
    SELECT number, pg_notify($2::text, '') FROM logged"""
# The counter first, as in a bump: no two can wait for each other. The other store's epoch of a tag
# that was never bumped here counts even below our base: its entries could not be kept here else.
LEARN = """
    WITH counted AS (
        UPDATE {schema}.counter SET last = greatest(last, $3::bigint) RETURNING last)
    INSERT INTO {schema}.epochs AS known (tag, epoch)
    SELECT tag, epoch
    FROM counted, unnest($1::bytea[], $2::bigint[]) AS seen (tag, epoch)
    ON CONFLICT (tag) DO UPDATE SET epoch = excluded.epoch WHERE known.epoch < excluded.epoch"""
_NAMED = "(name >= $1::bytea AND name < $2::bytea OR name >= $3::bytea AND name < $4::bytea)"
TALLIES = f"SELECT name, value FROM {{schema}}.tallies WHERE {_NAMED}"
FORGET = "DELETE FROM {schema}.tallies WHERE value = 0 AND name = ANY($1::bytea[])"
# One statement: if the counters cannot be read, nothing may have been added.
ADD = f"""
    WITH added AS (
        INSERT INTO {{schema}}.tallies AS kept (name, value)
        SELECT name, value FROM unnest($5::bytea[], $6::bigint[]) AS more (name, value)
        ORDER BY name
        ON CONFLICT (name) DO UPDATE SET value = kept.value + excluded.value
        RETURNING name, value)
    SELECT name, value FROM added WHERE {_NAMED}
    UNION ALL
    SELECT name, value FROM {{schema}}.tallies
    WHERE {_NAMED} AND name NOT IN (SELECT name FROM added)"""
PEPPER = "SELECT pepper FROM {schema}.meta"
ADOPT = """
    UPDATE {schema}.meta SET pepper = $1::bytea
    WHERE pepper = $1::bytea OR NOT EXISTS (SELECT FROM {schema}.entries) RETURNING true"""
