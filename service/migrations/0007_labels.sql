-- Labels: what events turned out to be, who says so, and since when it is known. Rows are only
-- added: a correction is a later row. See service/labels/README.md.

CREATE TABLE label (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    -- Keyed tag of the caller's event id, as in ledger_entry.event_key.
    event_tag   text NOT NULL,
    -- 1 abusive, 0 honest, null: withdrawn.
    label       smallint CHECK (label IN (0, 1)),
    source      text NOT NULL CHECK (source ~ '^[a-z][a-z0-9_]{0,63}$'),
    known_at    timestamptz NOT NULL,
    -- When the event was seen, in whole seconds, as its entry says.
    observed_at timestamptz NOT NULL,
    actor       text NOT NULL,
    -- What came in together; the ledger's `labels.add` entry names it.
    batch       uuid NOT NULL,
    recorded_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT label_known_after_event CHECK (known_at >= observed_at),
    CONSTRAINT label_not_of_the_future CHECK (known_at <= recorded_at)
);
CREATE INDEX label_event_tag_idx ON label (event_tag, known_at);
CREATE INDEX label_known_at_idx ON label (known_at);
CREATE INDEX label_batch_idx ON label (batch);

CREATE FUNCTION touchstone_label_unchanged() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'a label is never changed: add a correction' USING ERRCODE = 'check_violation';
END $$;
CREATE TRIGGER label_unchanged BEFORE UPDATE ON label
    FOR EACH ROW EXECUTE FUNCTION touchstone_label_unchanged();
