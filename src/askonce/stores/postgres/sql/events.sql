-- Creates the table of events and its function, if they are missing.
BEGIN;
DO $making$
BEGIN
    PERFORM pg_advisory_xact_lock({lock});
    IF to_regnamespace('{schema}') IS NULL THEN
        CREATE SCHEMA {schema};
    END IF;
    IF to_regclass('{table}') IS NULL THEN
        CREATE TABLE {table} (
            seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
            id text,
            event text NOT NULL,
            data jsonb NOT NULL DEFAULT '{}',
            sent timestamptz NOT NULL DEFAULT now(),
            xact xid8 NOT NULL DEFAULT pg_current_xact_id()
        );
        CREATE INDEX ON {table} (xact, seq);
        CREATE OR REPLACE FUNCTION {function}(
            event text, data jsonb DEFAULT '{}', id text DEFAULT NULL)
        RETURNS void LANGUAGE sql AS $emit$
            INSERT INTO {table} (event, data, id) VALUES ($1, $2, $3);
            SELECT pg_notify('{channel}', '');
        $emit$;
    END IF;
END
$making$;
COMMIT
