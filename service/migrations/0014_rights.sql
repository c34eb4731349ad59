-- Rights of persons: restriction, erasure, and what keeps an erasure from being undone. See
-- service/rights/README.md.
--
-- Subject tags are `kind:tag`, keyed pseudonyms. Refusals: TSR01 own request · TSR02 it does not fit
-- what is · TSR03 not compliance · TSR04 kept for ever · TSR05 there is no such request.

-- One request for one person, who may have several tags; these are gone once it is decided.
-- `entry_id`: the ledger entry of the request, whose staff block has the purpose. `erased_until`:
-- what was accepted up to the end of this second is erased.
--   erase     open -> executing -> executed | open -> refused
--   restrict  open -> lifted
CREATE TABLE rights_request (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind         text NOT NULL CHECK (kind IN ('erase', 'restrict')),
    state        text NOT NULL DEFAULT 'open'
        CHECK (state IN ('open', 'executing', 'executed', 'refused', 'lifted')),
    tags         text[] NOT NULL,
    requested_by text NOT NULL REFERENCES person (id),
    requested_at timestamptz NOT NULL DEFAULT now(),
    entry_id     bytea NOT NULL,
    decided_by   text REFERENCES person (id),
    decided_at   timestamptz,
    erased_until timestamptz,
    -- How much of what was erased: counts only.
    counts       jsonb NOT NULL DEFAULT '{}',
    CHECK ((decided_at IS NULL) = (decided_by IS NULL)),
    CHECK ((decided_at IS NULL) = (state = 'open')),
    CHECK (kind = 'erase' OR state IN ('open', 'lifted')),
    CHECK (kind = 'restrict' OR state <> 'lifted'),
    CHECK ((erased_until IS NULL) = (state NOT IN ('executing', 'executed'))),
    CHECK (state NOT IN ('executed', 'refused', 'lifted') OR tags = '{}')
);

-- The persons whose entries nobody may read: those of the open requests.
CREATE VIEW restricted_subject AS
    SELECT DISTINCT unnest(tags) AS subject_tag FROM rights_request
    WHERE state IN ('open', 'executing');
CREATE INDEX rights_request_open_idx ON rights_request (id) WHERE state IN ('open', 'executing');

CREATE FUNCTION rights_is_compliance(who text) RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT EXISTS (SELECT FROM person_grant WHERE person = who AND 'compliance' = ANY (roles))
$$;

CREATE FUNCTION rights_requested() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.state <> 'open' OR cardinality(NEW.tags) = 0 THEN
        RAISE EXCEPTION 'A request begins open, and names somebody.' USING ERRCODE = 'TSR02';
    END IF;
    IF NOT rights_is_compliance(NEW.requested_by) THEN
        RAISE EXCEPTION 'Only compliance asks for this.' USING ERRCODE = 'TSR03';
    END IF;
    NEW.requested_at := now();
    RETURN NEW;
END $$;
CREATE TRIGGER rights_request_before BEFORE INSERT ON rights_request
    FOR EACH ROW EXECUTE FUNCTION rights_requested();

CREATE FUNCTION rights_decided() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (NEW.id, NEW.kind, NEW.requested_by, NEW.requested_at, NEW.entry_id) IS DISTINCT FROM
       (OLD.id, OLD.kind, OLD.requested_by, OLD.requested_at, OLD.entry_id)
        OR (NEW.tags <> OLD.tags AND NEW.tags <> '{}')
    THEN
        RAISE EXCEPTION 'A request stays what it was.' USING ERRCODE = 'TSR04';
    END IF;
    IF OLD.state IN ('executed', 'refused', 'lifted') THEN
        RAISE EXCEPTION 'It was % by %.', OLD.state, OLD.decided_by USING ERRCODE = 'TSR02';
    END IF;
    IF OLD.state = 'open' AND NEW.state <> 'open' THEN
        IF OLD.kind = 'erase' AND NEW.state NOT IN ('executing', 'refused') THEN
            RAISE EXCEPTION 'An erasure is executed or refused.' USING ERRCODE = 'TSR02';
        ELSIF OLD.kind = 'restrict' AND NEW.state <> 'lifted' THEN
            RAISE EXCEPTION 'A restriction is lifted.' USING ERRCODE = 'TSR02';
        END IF;
        -- Refusing or lifting lets the entries be read again: that too takes two.
        IF NEW.decided_by = OLD.requested_by THEN
            RAISE EXCEPTION 'You asked for it: somebody else decides.' USING ERRCODE = 'TSR01';
        END IF;
        IF NOT rights_is_compliance(NEW.decided_by) THEN
            RAISE EXCEPTION 'Only compliance decides on this.' USING ERRCODE = 'TSR03';
        END IF;
        NEW.decided_at := clock_timestamp();
    ELSIF OLD.state = 'executing' THEN
        IF NEW.state NOT IN ('executing', 'executed') OR
            (NEW.decided_by, NEW.decided_at, NEW.erased_until) IS DISTINCT FROM
            (OLD.decided_by, OLD.decided_at, OLD.erased_until)
        THEN
            RAISE EXCEPTION 'An erasure that has begun is brought to its end.'
                USING ERRCODE = 'TSR02';
        END IF;
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER rights_request_changing BEFORE UPDATE ON rights_request
    FOR EACH ROW EXECUTE FUNCTION rights_decided();

CREATE FUNCTION rights_keep() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'rows of % are never deleted', TG_TABLE_NAME USING ERRCODE = 'TSR04';
END $$;
CREATE TRIGGER rights_request_kept BEFORE DELETE OR TRUNCATE ON rights_request
    FOR EACH STATEMENT EXECUTE FUNCTION rights_keep();

-- Whose data was erased, as a keyed digest of each tag, and up to which time. Kept in files beside
-- the database as well (VAR/erasures.journal): a backup is older than an erasure after it.
CREATE TABLE erasure_journal (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    digest       bytea NOT NULL CHECK (octet_length(digest) = 32),
    erased_until timestamptz NOT NULL,
    UNIQUE (digest, erased_until)
);
CREATE INDEX erasure_journal_until_idx ON erasure_journal (erased_until);
CREATE TRIGGER erasure_journal_kept BEFORE UPDATE OR DELETE OR TRUNCATE ON erasure_journal
    FOR EACH STATEMENT EXECUTE FUNCTION rights_keep();

-- Keys that a drain brought in and that may be those of an erased person: no reader knows them
-- until they were compared with the journal. Columns as in subject_key.
CREATE TABLE late_subject_key (
    key_id      bytea PRIMARY KEY CHECK (octet_length(key_id) = 16),
    subject_tag text NOT NULL,
    wrapped     bytea NOT NULL
);

-- Subject keys that are not used any more, and destroyed a second later, when every worker knows.
-- Random numbers, linked to nothing: whoever brings one back, a writer that had it in memory or a
-- copy of the table, stores nothing.
CREATE TABLE destroyed_key (
    key_id     bytea PRIMARY KEY CHECK (octet_length(key_id) = 16),
    retired_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX destroyed_key_retired_idx ON destroyed_key (retired_at);
CREATE FUNCTION rights_stays_destroyed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM destroyed_key WHERE key_id = NEW.key_id) THEN
        RETURN NULL;
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER subject_key_stays_destroyed BEFORE INSERT ON subject_key
    FOR EACH ROW EXECUTE FUNCTION rights_stays_destroyed();

CREATE FUNCTION rights_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('touchstone_rights', '');
    RETURN NULL;
END $$;
CREATE TRIGGER rights_request_changed AFTER INSERT OR UPDATE ON rights_request
    FOR EACH STATEMENT EXECUTE FUNCTION rights_changed();
CREATE TRIGGER destroyed_key_changed AFTER INSERT ON destroyed_key
    FOR EACH STATEMENT EXECUTE FUNCTION rights_changed();
CREATE TRIGGER late_subject_key_changed AFTER INSERT ON late_subject_key
    FOR EACH STATEMENT EXECUTE FUNCTION rights_changed();

-- How far retention came: each kind of block is gone before this time. `run`: the last daily run.
CREATE TABLE retention_mark (
    block      text PRIMARY KEY
        CHECK (block IN ('subject', 'core', 'staff', 'staff_long', 'run')),
    done_up_to timestamptz NOT NULL
);
