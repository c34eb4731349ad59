-- The Merkle tree over the headers (RFC 6962), its checkpoints, and who cosigned them.
-- See service/ledger/README.md.

-- Entries that the sequencer has not placed yet, written with them. No index: rows live for a second.
CREATE TABLE ledger_queue (entry_id bytea NOT NULL);
INSERT INTO ledger_queue SELECT entry_id FROM ledger_entry ORDER BY observed, writer, seq;
-- The sequencer vacuums it itself under load; this is for what it leaves.
ALTER TABLE ledger_queue SET (
    autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000,
    autovacuum_vacuum_cost_delay = 0
);

-- One row: the tree as the sequencer left it. `term` grows with every sequencer; one that finds
-- another term than its own has been replaced and changes nothing. `peaks`: the roots of the perfect
-- subtrees that `size` is made of, the largest first, 32 bytes each. `origin`: the first line of
-- checkpoints, the log's name unless the log was continued after a loss.
CREATE TABLE ledger_tree (
    is_it  boolean PRIMARY KEY DEFAULT true CHECK (is_it),
    origin text NOT NULL,
    term   bigint NOT NULL DEFAULT 0,
    size   bigint NOT NULL DEFAULT 0 CHECK (size >= 0),
    peaks  bytea NOT NULL DEFAULT ''
);

-- Leaf number `idx` is SHA-256(0x00 || header) of this entry.
CREATE TABLE ledger_leaf (
    idx      bigint PRIMARY KEY CHECK (idx >= 0),
    entry_id bytea NOT NULL CONSTRAINT ledger_leaf_entry_id_key UNIQUE,
    hash     bytea NOT NULL CHECK (octet_length(hash) = 32)
);

-- Roots of the perfect subtrees of 2^level leaves, from level 8 on: number `idx` covers the leaves
-- from idx * 2^level. Lower ones are computed from at most 256 leaves.
CREATE TABLE ledger_node (
    level smallint CHECK (level >= 8),
    idx   bigint CHECK (idx >= 0),
    hash  bytea NOT NULL CHECK (octet_length(hash) = 32),
    PRIMARY KEY (level, idx)
);

-- Signed checkpoints (c2sp.org/tlog-checkpoint), the note to the letter.
CREATE TABLE ledger_checkpoint (
    id        bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    origin    text NOT NULL,
    size      bigint NOT NULL CHECK (size >= 0),
    root      bytea NOT NULL CHECK (octet_length(root) = 32),
    note      text NOT NULL,
    signed_at timestamptz NOT NULL
);
CREATE INDEX ledger_checkpoint_size_idx ON ledger_checkpoint (size, id);

-- Signature lines of outside witnesses (c2sp.org/tlog-cosignature) on one checkpoint.
CREATE TABLE ledger_cosignature (
    checkpoint_id bigint NOT NULL REFERENCES ledger_checkpoint (id),
    witness       text NOT NULL,
    line          text NOT NULL,
    received_at   timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (checkpoint_id, witness)
);

-- Manifests of exports that wait for the signer's signature, and have it: `note` is a signed note.
CREATE TABLE ledger_manifest (
    export_id uuid PRIMARY KEY,
    sha256    bytea NOT NULL CHECK (octet_length(sha256) = 32),
    note      text,
    asked_at  timestamptz NOT NULL DEFAULT now(),
    signed_at timestamptz,
    CHECK ((note IS NULL) = (signed_at IS NULL))
);
