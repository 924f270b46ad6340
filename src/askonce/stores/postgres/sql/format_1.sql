-- Creates the tables of format 1. Released steps never change.
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
