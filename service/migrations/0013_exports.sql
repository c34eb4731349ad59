-- Exports of the record: who asks for what and why, who else agrees, and the package that is built
-- of it. See service/audit/exports/README.md. What two people are needed for is refused here:
--   TSX01 the role does not allow it · TSX02 own request · TSX03 decided before · TSX04 does not fit
--   what is · TSX05 kept for ever · TSX06 unknown

-- The leaves [first, last) of the tree, and which blocks of them are disclosed. `role`: the one in
-- which it is asked for, set here. `earlier`: sizes to which the package proves consistency.
CREATE TABLE export (
    id           uuid PRIMARY KEY,
    first        bigint NOT NULL CHECK (first >= 0),
    last         bigint NOT NULL CHECK (last > first),
    since        timestamptz,
    until        timestamptz,
    earlier      bigint[] NOT NULL DEFAULT '{}',
    blocks       text[] NOT NULL CHECK (blocks <@ ARRAY['core', 'staff', 'subject']),
    types        text[] CHECK (types <> '{}'),
    purpose      text NOT NULL CHECK (length(purpose) BETWEEN 1 AND 500),
    role         text NOT NULL CHECK (role IN ('compliance', 'auditor')),
    requested_by text NOT NULL REFERENCES person (id),
    requested_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX export_requested_idx ON export (requested_at);

CREATE TABLE export_decision (
    export_id  uuid PRIMARY KEY REFERENCES export (id),
    decision   text NOT NULL CHECK (decision IN ('approved', 'refused', 'withdrawn')),
    actor      text NOT NULL REFERENCES person (id),
    reason     text NOT NULL DEFAULT '' CHECK (length(reason) <= 500),
    decided_at timestamptz NOT NULL DEFAULT now(),
    CHECK (decision <> 'refused' OR reason <> '')
);

-- The package of an approved export. `node`: the machine and directory that it lies in; `wrapped`:
-- the key that its file is sealed with, gone with the package; `members`: what it consists of.
CREATE TABLE export_job (
    export_id    uuid PRIMARY KEY REFERENCES export_decision (export_id),
    state        text NOT NULL CHECK (state IN
        ('queued', 'running', 'ready', 'failed', 'cancelled', 'expired')),
    attempt      int NOT NULL DEFAULT 0,
    done         bigint NOT NULL DEFAULT 0,
    is_cancelled boolean NOT NULL DEFAULT false,
    error        text,
    node         text,
    heartbeat_at timestamptz,
    wrapped      bytea,
    members      jsonb,
    bytes        bigint,
    manifest     bytea CHECK (octet_length(manifest) = 32),
    created_at   timestamptz NOT NULL DEFAULT now(),
    ended_at     timestamptz,
    expires_at   timestamptz,
    CHECK (state <> 'ready' OR (wrapped IS NOT NULL AND members IS NOT NULL AND bytes IS NOT NULL
        AND manifest IS NOT NULL AND expires_at IS NOT NULL AND node IS NOT NULL))
);
CREATE INDEX export_job_open_idx ON export_job (created_at)
    WHERE state IN ('queued', 'running', 'ready');

-- The role in which a person asks for these blocks or agrees to them; NULL: in none.
CREATE FUNCTION export_role(who text, wanted text[]) RETURNS text LANGUAGE sql STABLE AS $$
    SELECT CASE
        WHEN 'compliance' = ANY (roles) THEN 'compliance'
        WHEN 'auditor' = ANY (roles) AND NOT 'subject' = ANY (wanted) THEN 'auditor'
    END FROM person_grant WHERE person = who
$$;

CREATE FUNCTION export_requested() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.requested_at := now();
    NEW.role := export_role(NEW.requested_by, NEW.blocks);
    IF NEW.role IS NULL THEN
        RAISE EXCEPTION 'No role of % allows an export of these blocks.', NEW.requested_by
            USING ERRCODE = 'TSX01';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER export_before BEFORE INSERT ON export
    FOR EACH ROW EXECUTE FUNCTION export_requested();

CREATE FUNCTION export_decided() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    asked export;
    earlier export_decision;
BEGIN
    NEW.decided_at := now();
    SELECT * INTO asked FROM export WHERE id = NEW.export_id;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'There is no export %.', NEW.export_id USING ERRCODE = 'TSX06';
    END IF;
    SELECT * INTO earlier FROM export_decision WHERE export_id = NEW.export_id;
    IF FOUND THEN
        RAISE EXCEPTION 'It was % by %.', earlier.decision, earlier.actor USING ERRCODE = 'TSX03';
    END IF;
    IF NEW.decision = 'withdrawn' THEN
        IF NEW.actor <> asked.requested_by THEN
            RAISE EXCEPTION 'Only % can withdraw this.', asked.requested_by USING ERRCODE = 'TSX02';
        END IF;
        RETURN NEW;
    END IF;
    IF NEW.actor = asked.requested_by THEN
        RAISE EXCEPTION 'Nobody decides on what they asked for.' USING ERRCODE = 'TSX02';
    END IF;
    IF export_role(NEW.actor, asked.blocks) IS NULL THEN
        RAISE EXCEPTION 'No role of % allows an export of these blocks.', NEW.actor
            USING ERRCODE = 'TSX01';
    END IF;
    IF NEW.decision = 'approved'
        AND export_role(asked.requested_by, asked.blocks) IS DISTINCT FROM asked.role THEN
        RAISE EXCEPTION '%, who asked, has not the role of then any more: ask again.',
            asked.requested_by USING ERRCODE = 'TSX04';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER export_decision_before BEFORE INSERT ON export_decision
    FOR EACH ROW EXECUTE FUNCTION export_decided();

-- A package begins as a job of an approved export.
CREATE FUNCTION export_job_added() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.state <> 'queued' OR NOT EXISTS (
        SELECT FROM export_decision WHERE export_id = NEW.export_id AND decision = 'approved'
    ) THEN
        RAISE EXCEPTION 'Only an approved export is built.' USING ERRCODE = 'TSX04';
    END IF;
    NEW.created_at := now();
    PERFORM pg_notify('touchstone_exports', '');
    RETURN NEW;
END $$;
CREATE TRIGGER export_job_before BEFORE INSERT ON export_job
    FOR EACH ROW EXECUTE FUNCTION export_job_added();

-- What has no package has no key: neither can be had again once it has expired.
CREATE FUNCTION export_job_moved() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.export_id <> OLD.export_id OR NEW.state IS DISTINCT FROM OLD.state AND NOT (
        (OLD.state = 'queued' AND NEW.state IN ('running', 'cancelled'))
        OR (OLD.state = 'running' AND NEW.state IN ('ready', 'failed', 'cancelled', 'queued'))
        OR (OLD.state = 'failed' AND NEW.state = 'queued')
        OR (OLD.state = 'ready' AND NEW.state = 'expired')
    ) THEN
        RAISE EXCEPTION 'An export that is % does not become %.', OLD.state, NEW.state
            USING ERRCODE = 'TSX04';
    END IF;
    IF NEW.state <> 'ready' THEN
        NEW.wrapped := NULL;
        NEW.members := NULL;
    END IF;
    PERFORM pg_notify('touchstone_exports', '')
        WHERE NEW.state IS DISTINCT FROM OLD.state OR NEW.is_cancelled <> OLD.is_cancelled;
    RETURN NEW;
END $$;
CREATE TRIGGER export_job_changed BEFORE UPDATE ON export_job
    FOR EACH ROW EXECUTE FUNCTION export_job_moved();

CREATE FUNCTION export_kept() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'Rows of % are kept for ever as they are.', TG_TABLE_NAME
        USING ERRCODE = 'TSX05';
END $$;
CREATE TRIGGER export_kept BEFORE UPDATE OR DELETE OR TRUNCATE ON export
    FOR EACH STATEMENT EXECUTE FUNCTION export_kept();
CREATE TRIGGER export_decision_kept BEFORE UPDATE OR DELETE OR TRUNCATE ON export_decision
    FOR EACH STATEMENT EXECUTE FUNCTION export_kept();
CREATE TRIGGER export_job_kept BEFORE DELETE OR TRUNCATE ON export_job
    FOR EACH STATEMENT EXECUTE FUNCTION export_kept();

-- Which entries a time has. Entries lie about in the order of their time, so this stays small;
-- inserting an entry costs the server 2 µs more (of 70).
CREATE INDEX ledger_entry_observed_brin ON ledger_entry
    USING brin (observed) WITH (pages_per_range = 32, autosummarize = on);
