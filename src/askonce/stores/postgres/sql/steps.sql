-- Runs the steps that are missing, once: a process that gets the lock second finds nothing left
-- to do.
BEGIN;
SET LOCAL statement_timeout = '60s';
DO $migration$
DECLARE
    found integer := 0;
BEGIN
    PERFORM pg_advisory_xact_lock({lock});
    IF to_regnamespace('{schema}') IS NULL THEN
        CREATE SCHEMA {schema};
    END IF;
    IF to_regclass('{schema}.meta') IS NOT NULL THEN
        SELECT version INTO found FROM {schema}.meta;
    END IF;
    {steps}
END
$migration$;
COMMIT
