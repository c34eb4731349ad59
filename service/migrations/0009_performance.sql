-- How rules do over time: what was decided in each hour, counted once. Derived from the ledger, with
-- nothing of a person in it; what is deleted here is counted again.

CREATE TABLE rule_hour (
    hour    timestamptz PRIMARY KEY CHECK (date_trunc('hour', hour, 'UTC') = hour),
    -- Decisions that the ledger had of this hour when they were counted.
    entries bigint NOT NULL,
    tally   jsonb NOT NULL
);

-- How far each writer's entries were looked at, so that late ones of any age are noticed.
CREATE TABLE rule_hour_mark (
    writer bytea PRIMARY KEY,
    seq    bigint NOT NULL
);

-- Ranges of time in a table that grows in their order: a few pages of index, and no work to speak of
-- when an entry is written.
CREATE INDEX ledger_entry_observed_idx ON ledger_entry
    USING brin (observed) WITH (pages_per_range = 32, autosummarize = on);

CREATE INDEX label_observed_at_idx ON label (observed_at);
