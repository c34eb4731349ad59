-- The ledger: entries in clear headers and sealed blocks, the wrapped keys, and the deletable map
-- from an entry to its subject's key. See service/ledger/README.md.
--
-- Partitions by month, when a table outgrows one: `ledger_entry` becomes PARTITION BY RANGE
-- (observed). A partitioned table keeps no unique constraint without the partition key, so the two
-- that span months move first: (entry_id), (event_key) into `ledger_event (entry_id primary key,
-- event_key unique, observed)`, filled by the same statement that inserts the entries, and
-- (writer, seq) becomes (writer, seq, observed); `touchstone ledger verify` finds repeats across
-- months as it does today. No header changes.

CREATE TABLE ledger_writer (
    writer     bytea PRIMARY KEY CHECK (octet_length(writer) = 16),
    started_at timestamptz NOT NULL DEFAULT now(),
    -- Set together when the writer stops in an orderly way: its last number. Null after a crash.
    closed_at  timestamptz,
    last_seq   bigint,
    CHECK ((closed_at IS NULL) = (last_seq IS NULL))
);

CREATE TABLE ledger_entry (
    entry_id  bytea PRIMARY KEY CHECK (octet_length(entry_id) = 16),
    type      text NOT NULL,
    writer    bytea NOT NULL,
    seq       bigint NOT NULL CHECK (seq > 0),
    -- Whole seconds, as in the header.
    observed  timestamptz NOT NULL,
    -- The exact bytes that are hashed; the columns above repeat what they say.
    header    bytea NOT NULL,
    core      bytea,
    subject   bytea,
    staff     bytea,
    -- Keyed tag of the caller's event id. Null: no event, a spooled entry whose event was answered
    -- elsewhere as well, or erased.
    event_key bytea CONSTRAINT ledger_entry_event_key_key UNIQUE,
    body_hash bytea,
    CONSTRAINT ledger_entry_writer_seq_key UNIQUE (writer, seq)
);
-- Sealed blocks do not compress: do not try.
ALTER TABLE ledger_entry
    ALTER COLUMN core SET STORAGE EXTERNAL,
    ALTER COLUMN subject SET STORAGE EXTERNAL,
    ALTER COLUMN staff SET STORAGE EXTERNAL;

-- Keys of core and staff blocks, named `purpose/month/random`, wrapped by the key-encryption key.
CREATE TABLE ledger_key (
    name       text PRIMARY KEY,
    wrapped    bytea NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);

-- Keys of persons; one person may have several. Erasing deletes every row of the tag.
CREATE TABLE subject_key (
    key_id      bytea PRIMARY KEY CHECK (octet_length(key_id) = 16),
    subject_tag text NOT NULL,
    wrapped     bytea NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX subject_key_subject_tag_idx ON subject_key (subject_tag);

-- Which key sealed an entry's subject block. No foreign keys: the row is deleted on its own, and
-- their checks would cost a lock on the key for every entry.
CREATE TABLE entry_subject (
    entry_id bytea PRIMARY KEY,
    key_id   bytea NOT NULL
);
CREATE INDEX entry_subject_key_id_idx ON entry_subject (key_id);
