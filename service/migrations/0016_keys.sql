-- What all writers of the log agree on about their keys; see service/keys/README.md.
--
-- Not to be mistaken: `ledger_keys` is this one row and holds no key; `ledger_key` (0001_ledger.sql)
-- has the month keys, wrapped, and `subject_key` those of persons.
--
-- One row. Every change adds one to `epoch`; a writer's session holds a shared advisory lock on the
-- epoch that it follows. `kek`: the id of the key-encryption key that wraps (null: none was ever
-- rotated, each process has one). `next_kek`: every process has to be able to unwrap with it before
-- it becomes `kek`. `old_kek`: what it wrapped is being wrapped anew. `months` and `subjects` count
-- how often keys of that kind were given up for fresh ones.
CREATE TABLE ledger_keys (
    is_it    boolean PRIMARY KEY DEFAULT true CHECK (is_it),
    epoch    integer NOT NULL DEFAULT 0 CHECK (epoch >= 0),
    kek      bytea CHECK (octet_length(kek) = 8),
    next_kek bytea CHECK (octet_length(next_kek) = 8 AND next_kek <> kek),
    old_kek  bytea CHECK (octet_length(old_kek) = 8 AND old_kek <> kek),
    months   integer NOT NULL DEFAULT 0,
    subjects integer NOT NULL DEFAULT 0,
    CHECK (kek IS NOT NULL OR (next_kek IS NULL AND old_kek IS NULL)),
    CHECK (next_kek IS NULL OR old_kek IS NULL)
);
INSERT INTO ledger_keys DEFAULT VALUES;

-- A key that seals nothing more; what it sealed it still opens.
ALTER TABLE ledger_key ADD COLUMN retired_at timestamptz;
