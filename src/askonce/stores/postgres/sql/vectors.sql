-- Creates the table of one embedder's vectors, if it is missing.
BEGIN;
DO $making$
BEGIN
    PERFORM pg_advisory_xact_lock({lock});
    IF to_regtype('vector') IS NULL THEN
        CREATE EXTENSION vector;
    END IF;
    IF to_regnamespace('{schema}') IS NULL THEN
        CREATE SCHEMA {schema};
    END IF;
    IF to_regclass('{table}') IS NULL THEN
        CREATE TABLE {table} (
            scope bytea NOT NULL,
            key bytea NOT NULL,
            vector vector({dimensions}) NOT NULL,
            expires double precision NOT NULL,
            seq bigint GENERATED ALWAYS AS IDENTITY,
            PRIMARY KEY (scope, key)
        );
        CREATE INDEX ON {table} (scope, seq);
        CREATE INDEX ON {table} (expires);
        CREATE INDEX ON {table} USING hnsw (vector vector_cosine_ops);
    END IF;
END
$making$;
COMMIT
