-- What an incremental backup asks: is this the database that the backup before was taken of, and
-- which entries were changed since? See service/backup/README.md.

-- A restored database gets another id: its transactions are numbered anew. `forgotten`: the newest
-- transaction of which rows of ledger_changed were deleted.
CREATE TABLE database_lineage (
    is_it     boolean PRIMARY KEY DEFAULT true CHECK (is_it),
    id        uuid NOT NULL DEFAULT gen_random_uuid(),
    forgotten bigint NOT NULL DEFAULT 0
);
INSERT INTO database_lineage DEFAULT VALUES;

-- Entries never change but for what an erasure or the end of a retention takes out of them.
-- `transaction`: a backup has seen those below the lowest one that ran when it was taken. Rows go
-- after five weeks; a backup that would need them is a full one.
CREATE TABLE ledger_changed (
    entry_id    bytea NOT NULL,
    transaction xid8 NOT NULL DEFAULT pg_current_xact_id(),
    changed_at  timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX ledger_changed_transaction_idx ON ledger_changed (transaction);

CREATE FUNCTION touchstone_entries_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO ledger_changed (entry_id) SELECT entry_id FROM before;
    RETURN NULL;
END $$;
CREATE TRIGGER ledger_entry_updated AFTER UPDATE ON ledger_entry
    REFERENCING OLD TABLE AS before
    FOR EACH STATEMENT EXECUTE FUNCTION touchstone_entries_changed();
CREATE TRIGGER ledger_entry_deleted AFTER DELETE ON ledger_entry
    REFERENCING OLD TABLE AS before
    FOR EACH STATEMENT EXECUTE FUNCTION touchstone_entries_changed();
