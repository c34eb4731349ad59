-- Rule sets: versions (immutable, kept for ever), what was found about them, who approved them, and
-- what runs. See service/rule_sets/README.md.
--
-- The rules of the lifecycle stand here and not in the code, so that no path goes around them. What
-- they refuse has a state of its own (service/rule_sets/errors.py):
--   TS001 own work · TS002 evidence missing · TS003 no approval that holds · TS004 does not fit what
--   is · TS005 kept for ever · TS006 not what its version says

CREATE TABLE rule_set (
    version    text PRIMARY KEY CHECK (version ~ '^[0-9a-f]{64}$'),
    parent     text REFERENCES rule_set (version) CHECK (parent <> version),
    author     text NOT NULL,
    note       text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX rule_set_created_idx ON rule_set (created_at);

-- The files to the letter; the version is the hash of them all (rules/files.py).
CREATE TABLE rule_set_file (
    version text NOT NULL REFERENCES rule_set (version),
    name    text NOT NULL CHECK (name ~
        '^(packs/[a-z0-9_-]{1,60}\.yaml|tables/[a-z0-9_-]{1,60}\.csv|(policy|reasons|series)\.yaml)$'),
    text    text NOT NULL,
    PRIMARY KEY (version, name)
);

-- Digests of the rules and of the files that are no packs: by these it is found who wrote what a
-- version changes, whatever its pusher says it was made from (service/rule_sets/parts.py).
CREATE TABLE rule_set_part (
    version text NOT NULL REFERENCES rule_set (version),
    part    text NOT NULL,
    digest  text NOT NULL CHECK (digest ~ '^[0-9a-f]{64}$'),
    PRIMARY KEY (version, part)
);
CREATE INDEX rule_set_part_digest_idx ON rule_set_part (part, digest);

-- What `check` found. `catalog` and `code`: what it was checked against.
CREATE TABLE rule_set_check (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    version    text NOT NULL REFERENCES rule_set (version),
    catalog    text NOT NULL,
    code       text NOT NULL,
    passed     boolean NOT NULL,
    rules      int NOT NULL,
    examples   int NOT NULL,
    problems   jsonb NOT NULL,
    actor      text NOT NULL,
    checked_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (id, version)
);
CREATE INDEX rule_set_check_version_idx ON rule_set_check (version, id);

-- A backtest is a job and its result. `baseline`: the version that it is compared with.
CREATE TABLE backtest (
    id           uuid PRIMARY KEY,
    version      text NOT NULL REFERENCES rule_set (version),
    baseline     text NOT NULL REFERENCES rule_set (version),
    catalog      text NOT NULL,
    request      jsonb NOT NULL,
    state        text NOT NULL CHECK (state IN ('queued', 'running', 'done', 'failed', 'cancelled')),
    done         bigint NOT NULL DEFAULT 0,
    total        bigint,
    heartbeat_at timestamptz,
    is_cancelled boolean NOT NULL DEFAULT false,
    result       jsonb,
    error        text,
    actor        text NOT NULL,
    created_at   timestamptz NOT NULL DEFAULT now(),
    ended_at     timestamptz,
    CHECK (state <> 'done' OR result IS NOT NULL),
    UNIQUE (id, version, baseline)
);
CREATE INDEX backtest_version_idx ON backtest (version, created_at);

CREATE TABLE rule_set_submission (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    version      text NOT NULL REFERENCES rule_set (version),
    check_id     bigint NOT NULL,
    backtest_id  uuid NOT NULL,
    baseline     text NOT NULL REFERENCES rule_set (version),
    actor        text NOT NULL REFERENCES person (id),
    note         text NOT NULL DEFAULT '',
    submitted_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (id, version),
    FOREIGN KEY (check_id, version) REFERENCES rule_set_check (id, version),
    FOREIGN KEY (backtest_id, version, baseline) REFERENCES backtest (id, version, baseline)
);
CREATE INDEX rule_set_submission_version_idx ON rule_set_submission (version, id);

-- `live_since` and `revision` are set by the database: what the approval is bound to.
CREATE TABLE rule_set_approval (
    id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    submission_id bigint NOT NULL UNIQUE,
    version       text NOT NULL REFERENCES rule_set (version),
    actor         text NOT NULL REFERENCES person (id),
    note          text NOT NULL DEFAULT '',
    live_since    bigint NOT NULL,
    revision      bigint NOT NULL,
    approved_at   timestamptz NOT NULL DEFAULT now(),
    FOREIGN KEY (submission_id, version) REFERENCES rule_set_submission (id, version)
);
CREATE INDEX rule_set_approval_version_idx ON rule_set_approval (version, id);

CREATE TABLE rule_set_rejection (
    id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    submission_id bigint NOT NULL UNIQUE,
    version       text NOT NULL REFERENCES rule_set (version),
    actor         text NOT NULL REFERENCES person (id),
    note          text NOT NULL CHECK (note <> ''),
    rejected_at   timestamptz NOT NULL DEFAULT now(),
    FOREIGN KEY (submission_id, version) REFERENCES rule_set_submission (id, version)
);

-- What runs: the newest row. Rows are only added. `candidate` decides for `candidate_share_bp` of
-- 10,000 subjects; `salt` keeps the share stable while it grows. `live_since`: the revision with
-- which `live` began to decide; `live_since` and `approval_id` are set by the database. `catalog`:
-- what the approved set was checked against, stated with activate and rollout.
CREATE TABLE deployment (
    revision           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    action             text NOT NULL CHECK (action IN
        ('first', 'activate', 'rollback', 'rollout', 'ramp', 'abort', 'shadow', 'unshadow')),
    live               text NOT NULL REFERENCES rule_set (version),
    live_since         bigint NOT NULL,
    candidate          text REFERENCES rule_set (version),
    candidate_share_bp int CHECK (candidate_share_bp BETWEEN 1 AND 9999),
    salt               text CHECK (salt <> ''),
    shadows            text[] NOT NULL DEFAULT '{}',
    catalog            text,
    approval_id        bigint REFERENCES rule_set_approval (id),
    actor              text NOT NULL,
    note               text NOT NULL,
    deployed_at        timestamptz NOT NULL DEFAULT now(),
    CHECK ((candidate IS NULL) = (candidate_share_bp IS NULL)),
    CHECK ((candidate IS NULL) = (salt IS NULL)),
    CHECK (candidate <> live)
);
CREATE INDEX deployment_live_idx ON deployment (live);

-- An emergency stop takes the effect from a rule, whatever version runs, until it is lifted or until
-- `confirm_until` passes without a second person's confirmation. `lapsed_at`: when that was recorded.
CREATE TABLE rule_stop (
    id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    rule_id       text NOT NULL,
    reason        text NOT NULL CHECK (reason <> ''),
    actor         text NOT NULL REFERENCES person (id),
    stopped_at    timestamptz NOT NULL DEFAULT now(),
    confirm_until timestamptz NOT NULL,
    confirmed_by  text REFERENCES person (id),
    confirmed_at  timestamptz,
    lifted_by     text REFERENCES person (id),
    lifted_at     timestamptz,
    lapsed_at     timestamptz,
    CHECK ((confirmed_by IS NULL) = (confirmed_at IS NULL)),
    CHECK ((lifted_by IS NULL) = (lifted_at IS NULL))
);
CREATE INDEX rule_stop_open_idx ON rule_stop (rule_id) WHERE lifted_at IS NULL AND lapsed_at IS NULL;

-- Kept for ever ---------------------------------------------------------------------------------

CREATE FUNCTION touchstone_kept() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'Rows of % are kept for ever as they are.', TG_TABLE_NAME
        USING ERRCODE = 'TS005';
END $$;

CREATE TRIGGER rule_set_kept BEFORE UPDATE OR DELETE OR TRUNCATE ON rule_set
    FOR EACH STATEMENT EXECUTE FUNCTION touchstone_kept();
CREATE TRIGGER rule_set_file_kept BEFORE UPDATE OR DELETE OR TRUNCATE ON rule_set_file
    FOR EACH STATEMENT EXECUTE FUNCTION touchstone_kept();
CREATE TRIGGER rule_set_part_kept BEFORE UPDATE OR DELETE OR TRUNCATE ON rule_set_part
    FOR EACH STATEMENT EXECUTE FUNCTION touchstone_kept();
CREATE TRIGGER rule_set_check_kept BEFORE UPDATE OR DELETE OR TRUNCATE ON rule_set_check
    FOR EACH STATEMENT EXECUTE FUNCTION touchstone_kept();
CREATE TRIGGER rule_set_submission_kept BEFORE UPDATE OR DELETE OR TRUNCATE ON rule_set_submission
    FOR EACH STATEMENT EXECUTE FUNCTION touchstone_kept();
CREATE TRIGGER rule_set_approval_kept BEFORE UPDATE OR DELETE OR TRUNCATE ON rule_set_approval
    FOR EACH STATEMENT EXECUTE FUNCTION touchstone_kept();
CREATE TRIGGER rule_set_rejection_kept BEFORE UPDATE OR DELETE OR TRUNCATE ON rule_set_rejection
    FOR EACH STATEMENT EXECUTE FUNCTION touchstone_kept();
CREATE TRIGGER deployment_kept BEFORE UPDATE OR DELETE OR TRUNCATE ON deployment
    FOR EACH STATEMENT EXECUTE FUNCTION touchstone_kept();
CREATE TRIGGER backtest_kept BEFORE DELETE OR TRUNCATE ON backtest
    FOR EACH STATEMENT EXECUTE FUNCTION touchstone_kept();
CREATE TRIGGER rule_stop_kept BEFORE DELETE OR TRUNCATE ON rule_stop
    FOR EACH STATEMENT EXECUTE FUNCTION touchstone_kept();

-- A backtest stays about what it was asked for, and as it ended.
CREATE FUNCTION touchstone_backtest_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.state IN ('done', 'failed', 'cancelled')
        OR (NEW.id, NEW.version, NEW.baseline, NEW.catalog, NEW.request, NEW.actor, NEW.created_at)
            IS DISTINCT FROM
           (OLD.id, OLD.version, OLD.baseline, OLD.catalog, OLD.request, OLD.actor, OLD.created_at)
    THEN
        RAISE EXCEPTION 'A backtest stays about what it was asked for, and as it ended.'
            USING ERRCODE = 'TS005';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER backtest_changed BEFORE UPDATE ON backtest
    FOR EACH ROW EXECUTE FUNCTION touchstone_backtest_changed();

-- Versions --------------------------------------------------------------------------------------

-- The version of files, as rules/files.py computes it.
CREATE FUNCTION touchstone_version_of(wanted text) RETURNS text LANGUAGE sql STABLE AS $$
    SELECT encode(sha256(convert_to('{' || string_agg(
        '"' || name || '":"' || encode(sha256(convert_to(text, 'UTF8')), 'hex') || '"',
        ',' ORDER BY name COLLATE "C") || '}', 'UTF8')), 'hex')
    FROM rule_set_file WHERE version = wanted
$$;

CREATE FUNCTION touchstone_files_added() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    found text;
BEGIN
    FOR found IN SELECT DISTINCT version FROM added LOOP
        IF touchstone_version_of(found) IS DISTINCT FROM found THEN
            RAISE EXCEPTION 'These are not the files of version %.', left(found, 16)
                USING ERRCODE = 'TS006';
        END IF;
    END LOOP;
    RETURN NULL;
END $$;
CREATE TRIGGER rule_set_files_added AFTER INSERT ON rule_set_file
    REFERENCING NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION touchstone_files_added();

-- Parts come with their version, or anybody could blur who wrote it.
CREATE FUNCTION touchstone_parts_added() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (
        SELECT FROM added JOIN rule_set USING (version)
        WHERE rule_set.created_at <> now()  -- that of its transaction, see rule_set_author
    ) THEN
        RAISE EXCEPTION 'Parts are stored with their version.' USING ERRCODE = 'TS005';
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER rule_set_parts_added AFTER INSERT ON rule_set_part
    REFERENCING NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION touchstone_parts_added();

CREATE FUNCTION touchstone_version_added() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF touchstone_version_of(NEW.version) IS DISTINCT FROM NEW.version
        OR NOT EXISTS (SELECT FROM rule_set_part WHERE version = NEW.version)
    THEN
        RAISE EXCEPTION 'A version is stored with its files and its parts.'
            USING ERRCODE = 'TS006';
    END IF;
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER rule_set_complete AFTER INSERT ON rule_set
    DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION touchstone_version_added();

-- The first version is the system's; every other is a person's and made from another.
CREATE FUNCTION touchstone_version_author() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.created_at := now();
    IF NEW.author = 'system' THEN
        IF EXISTS (SELECT FROM rule_set) THEN
            RAISE EXCEPTION 'Only the first rule set has no author.' USING ERRCODE = 'TS004';
        END IF;
    ELSIF NEW.parent IS NULL OR NOT EXISTS (SELECT FROM person WHERE id = NEW.author) THEN
        RAISE EXCEPTION 'A rule set is made from another, by a person.' USING ERRCODE = 'TS004';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER rule_set_author BEFORE INSERT ON rule_set
    FOR EACH ROW EXECUTE FUNCTION touchstone_version_author();

-- Evidence and approval -------------------------------------------------------------------------

-- Everybody who wrote what `wanted` changes of `baseline`: the authors of the versions that it was
-- made from, back to one that has been live, and of every version that has a changed part of it.
CREATE FUNCTION touchstone_authors(wanted text, baseline text) RETURNS SETOF text
LANGUAGE sql STABLE AS $$
    WITH RECURSIVE line AS (
        SELECT version, parent, author FROM rule_set WHERE version = wanted
        UNION
        SELECT older.version, older.parent, older.author
        FROM line JOIN rule_set AS older ON older.version = line.parent
        WHERE NOT EXISTS (SELECT FROM deployment WHERE live = older.version)
    ), changed AS (
        SELECT part, digest FROM rule_set_part WHERE version = wanted
        EXCEPT
        SELECT part, digest FROM rule_set_part WHERE version = baseline
    )
    SELECT author FROM line
    UNION
    SELECT author FROM changed JOIN rule_set_part USING (part, digest) JOIN rule_set USING (version)
    WHERE author <> 'system'
$$;

-- Whether the newest check of a version against a catalog is this one, and passed.
CREATE FUNCTION touchstone_check_holds(wanted bigint) RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT passed AND NOT EXISTS (
        SELECT FROM rule_set_check AS newer
        WHERE newer.version = given.version AND newer.catalog = given.catalog
            AND newer.id > given.id AND NOT newer.passed
    ) FROM rule_set_check AS given WHERE id = wanted
$$;

CREATE FUNCTION touchstone_evidence(given rule_set_submission) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    now_live text;
    tested backtest;
BEGIN
    SELECT live INTO now_live FROM deployment ORDER BY revision DESC LIMIT 1;
    IF given.baseline IS DISTINCT FROM now_live THEN
        RAISE EXCEPTION 'It was compared with %, and % is live: run a backtest against that.',
            left(given.baseline, 16), left(now_live, 16) USING ERRCODE = 'TS003';
    END IF;
    IF NOT coalesce(touchstone_check_holds(given.check_id), false) THEN
        RAISE EXCEPTION 'It has not passed the check.' USING ERRCODE = 'TS002';
    END IF;
    SELECT * INTO tested FROM backtest WHERE id = given.backtest_id;
    IF tested.state IS DISTINCT FROM 'done' THEN
        RAISE EXCEPTION 'Its backtest is not done.' USING ERRCODE = 'TS002';
    END IF;
    IF NOT EXISTS (
        SELECT FROM rule_set_check WHERE id = given.check_id AND catalog = tested.catalog
    ) THEN
        RAISE EXCEPTION 'Check and backtest were made with different catalogs.'
            USING ERRCODE = 'TS002';
    END IF;
END $$;

CREATE FUNCTION touchstone_submission_added() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.submitted_at := now();
    PERFORM touchstone_evidence(NEW);
    RETURN NEW;
END $$;
CREATE TRIGGER rule_set_submission_added BEFORE INSERT ON rule_set_submission
    FOR EACH ROW EXECUTE FUNCTION touchstone_submission_added();

CREATE FUNCTION touchstone_approval_added() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    given rule_set_submission;
BEGIN
    LOCK TABLE deployment, rule_set_approval, rule_set_rejection IN SHARE ROW EXCLUSIVE MODE;
    SELECT * INTO given FROM rule_set_submission WHERE id = NEW.submission_id;
    IF given.id IS NULL THEN
        RAISE EXCEPTION 'There is no such submission.' USING ERRCODE = 'TS002';
    END IF;
    IF NEW.actor = given.actor THEN
        RAISE EXCEPTION 'You submitted it: somebody else approves.' USING ERRCODE = 'TS001';
    END IF;
    IF NEW.actor IN (SELECT touchstone_authors(given.version, given.baseline)) THEN
        RAISE EXCEPTION 'You wrote some of what it changes: somebody else approves.'
            USING ERRCODE = 'TS001';
    END IF;
    IF EXISTS (SELECT FROM rule_set_rejection WHERE submission_id = given.id) THEN
        RAISE EXCEPTION 'It was rejected: submit it again, or a better one.' USING ERRCODE = 'TS004';
    END IF;
    IF EXISTS (SELECT FROM rule_set_approval WHERE submission_id = given.id) THEN
        RAISE EXCEPTION 'It is approved already.' USING ERRCODE = 'TS004';
    END IF;
    PERFORM touchstone_evidence(given);
    SELECT live_since, revision INTO NEW.live_since, NEW.revision
        FROM deployment ORDER BY revision DESC LIMIT 1;
    NEW.approved_at := now();
    RETURN NEW;
END $$;
CREATE TRIGGER rule_set_approval_added BEFORE INSERT ON rule_set_approval
    FOR EACH ROW EXECUTE FUNCTION touchstone_approval_added();

CREATE FUNCTION touchstone_rejection_added() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    LOCK TABLE rule_set_approval, rule_set_rejection IN SHARE ROW EXCLUSIVE MODE;
    IF EXISTS (SELECT FROM rule_set_approval WHERE submission_id = NEW.submission_id)
        OR EXISTS (SELECT FROM rule_set_rejection WHERE submission_id = NEW.submission_id)
    THEN
        RAISE EXCEPTION 'It was decided already.' USING ERRCODE = 'TS004';
    END IF;
    NEW.rejected_at := now();
    RETURN NEW;
END $$;
CREATE TRIGGER rule_set_rejection_added BEFORE INSERT ON rule_set_rejection
    FOR EACH ROW EXECUTE FUNCTION touchstone_rejection_added();

-- Deployments -----------------------------------------------------------------------------------

-- The approval of `wanted` that holds while `live_since` is what is live: of this exact baseline and
-- catalog, its check not failed since, its rollout not aborted since.
CREATE FUNCTION touchstone_approval_of(wanted text, since bigint, of_catalog text) RETURNS bigint
LANGUAGE sql STABLE AS $$
    SELECT given.id
    FROM rule_set_approval AS given
    JOIN rule_set_submission AS submitted ON submitted.id = given.submission_id
    JOIN rule_set_check AS checked ON checked.id = submitted.check_id
    WHERE given.version = wanted
        AND given.live_since = since
        AND checked.catalog = of_catalog
        AND touchstone_check_holds(checked.id)
        AND NOT EXISTS (
            SELECT FROM deployment AS aborted
            WHERE aborted.action = 'abort' AND aborted.revision > given.revision
                AND wanted = (SELECT candidate FROM deployment AS before
                    WHERE before.revision < aborted.revision ORDER BY revision DESC LIMIT 1)
        )
    ORDER BY given.id DESC LIMIT 1
$$;

CREATE FUNCTION touchstone_deployment_added() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    was deployment;
    wanted text;
    shadows text[];
BEGIN
    LOCK TABLE deployment IN SHARE ROW EXCLUSIVE MODE;
    SELECT * INTO was FROM deployment ORDER BY revision DESC LIMIT 1;
    NEW.deployed_at := now();
    NEW.approval_id := NULL;
    IF NEW.action = 'first' THEN
        IF was.revision IS NOT NULL OR NEW.candidate IS NOT NULL OR NEW.shadows <> '{}'
            OR NOT EXISTS (SELECT FROM rule_set WHERE version = NEW.live AND author = 'system')
        THEN
            RAISE EXCEPTION 'The first rule set is deployed already.' USING ERRCODE = 'TS004';
        END IF;
        NEW.live_since := NEW.revision;
        RETURN NEW;
    END IF;
    IF was.revision IS NULL THEN
        RAISE EXCEPTION 'No rule set is deployed yet.' USING ERRCODE = 'TS004';
    END IF;
    IF NEW.revision <= was.revision THEN
        RAISE EXCEPTION 'Something else was deployed meanwhile: look, and try again.'
            USING ERRCODE = 'TS004';
    END IF;
    IF NOT EXISTS (SELECT FROM person WHERE id = NEW.actor) THEN
        RAISE EXCEPTION 'Only people deploy rule sets.' USING ERRCODE = 'TS004';
    END IF;

    -- Which version is deployed
    NEW.live_since := CASE WHEN NEW.live = was.live THEN was.live_since ELSE NEW.revision END;
    IF NEW.action IN ('activate', 'rollback') THEN
        IF NEW.live = was.live THEN
            RAISE EXCEPTION '% is live already.', left(NEW.live, 16) USING ERRCODE = 'TS004';
        END IF;
        IF NEW.candidate IS NOT NULL THEN
            RAISE EXCEPTION 'It would decide beside a candidate.' USING ERRCODE = 'TS004';
        END IF;
    ELSIF NEW.live <> was.live THEN
        RAISE EXCEPTION 'Only activate and rollback change what is live.' USING ERRCODE = 'TS004';
    END IF;
    IF NEW.action = 'activate' AND was.candidate <> NEW.live THEN
        RAISE EXCEPTION 'A rollout of % is under way: abort it first.', left(was.candidate, 16)
            USING ERRCODE = 'TS004';
    END IF;
    IF NEW.action = 'rollback'
        AND NOT EXISTS (SELECT FROM deployment WHERE live = NEW.live)
    THEN
        RAISE EXCEPTION '% was never live: a rollback goes to a version that was.',
            left(NEW.live, 16) USING ERRCODE = 'TS004';
    END IF;

    -- Which version decides for a share
    IF NEW.action = 'rollout' AND was.candidate IS NOT NULL THEN
        RAISE EXCEPTION 'A rollout of % is under way: ramp or abort it.', left(was.candidate, 16)
            USING ERRCODE = 'TS004';
    ELSIF NEW.action = 'rollout' AND NEW.candidate IS NULL THEN
        RAISE EXCEPTION 'A rollout has a candidate.' USING ERRCODE = 'TS004';
    ELSIF NEW.candidate = NEW.live THEN
        RAISE EXCEPTION '% is live already.', left(NEW.live, 16) USING ERRCODE = 'TS004';
    ELSIF NEW.action IN ('ramp', 'abort') AND was.candidate IS NULL THEN
        RAISE EXCEPTION 'No rollout is under way.' USING ERRCODE = 'TS004';
    ELSIF NEW.action = 'abort' AND NEW.candidate IS NOT NULL THEN
        RAISE EXCEPTION 'An abort leaves no candidate.' USING ERRCODE = 'TS004';
    ELSIF NEW.action = 'ramp' AND (NEW.candidate, NEW.salt) IS DISTINCT FROM
        (was.candidate, was.salt)
    THEN
        RAISE EXCEPTION 'A ramp changes the share alone.' USING ERRCODE = 'TS004';
    ELSIF NEW.action IN ('shadow', 'unshadow') AND
        (NEW.candidate, NEW.candidate_share_bp, NEW.salt) IS DISTINCT FROM
        (was.candidate, was.candidate_share_bp, was.salt)
    THEN
        RAISE EXCEPTION 'Shadows leave the rollout as it is.' USING ERRCODE = 'TS004';
    END IF;

    -- Which versions only watch
    shadows := array_remove(array_remove(was.shadows, NEW.live), NEW.candidate);
    IF NEW.action = 'shadow' THEN
        wanted := (SELECT unnest(NEW.shadows) EXCEPT SELECT unnest(was.shadows) LIMIT 1);
        IF wanted IS NULL OR wanted IN (NEW.live, NEW.candidate)
            OR NEW.shadows IS DISTINCT FROM array_append(shadows, wanted)
        THEN
            RAISE EXCEPTION 'It runs already.' USING ERRCODE = 'TS004';
        END IF;
        IF NOT coalesce((
            SELECT touchstone_check_holds(max(id)) FROM rule_set_check
            WHERE version = wanted AND catalog = NEW.catalog), false)
        THEN
            RAISE EXCEPTION '% has not passed the check.', left(wanted, 16)
                USING ERRCODE = 'TS002';
        END IF;
    ELSIF NEW.action = 'unshadow' THEN
        wanted := (SELECT unnest(was.shadows) EXCEPT SELECT unnest(NEW.shadows) LIMIT 1);
        IF wanted IS NULL OR NEW.shadows IS DISTINCT FROM array_remove(shadows, wanted) THEN
            RAISE EXCEPTION 'It is no shadow.' USING ERRCODE = 'TS004';
        END IF;
    ELSIF NEW.shadows IS DISTINCT FROM shadows THEN
        RAISE EXCEPTION 'Only shadow and unshadow change the shadows.' USING ERRCODE = 'TS004';
    END IF;

    -- What decides for anybody was approved
    IF NEW.action IN ('activate', 'rollout') THEN
        wanted := CASE WHEN NEW.action = 'activate' THEN NEW.live ELSE NEW.candidate END;
        NEW.approval_id := touchstone_approval_of(wanted, was.live_since, NEW.catalog);
        IF NEW.approval_id IS NULL THEN
            IF EXISTS (SELECT FROM rule_set_approval WHERE version = wanted) THEN
                RAISE EXCEPTION 'The approval of % has lapsed, for something changed since: '
                    'submit it again, with a backtest against what is live.', left(wanted, 16)
                    USING ERRCODE = 'TS003';
            END IF;
            RAISE EXCEPTION '% is not approved.', left(wanted, 16) USING ERRCODE = 'TS003';
        END IF;
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER deployment_added BEFORE INSERT ON deployment
    FOR EACH ROW EXECUTE FUNCTION touchstone_deployment_added();

-- Emergency stops -------------------------------------------------------------------------------

CREATE FUNCTION touchstone_stop_added() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    LOCK TABLE rule_stop IN SHARE ROW EXCLUSIVE MODE;
    NEW.stopped_at := now();
    IF NEW.confirm_until > now() + interval '24 hours' THEN
        RAISE EXCEPTION 'A stop is confirmed within 24 hours.' USING ERRCODE = 'TS004';
    END IF;
    IF (NEW.confirmed_at, NEW.lifted_at, NEW.lapsed_at) IS DISTINCT FROM
        (NULL::timestamptz, NULL::timestamptz, NULL::timestamptz)
    THEN
        RAISE EXCEPTION 'A stop begins unconfirmed.' USING ERRCODE = 'TS004';
    END IF;
    IF EXISTS (
        SELECT FROM rule_stop WHERE rule_id = NEW.rule_id AND lifted_at IS NULL
            AND (confirmed_at IS NOT NULL OR confirm_until > now())
    ) THEN
        RAISE EXCEPTION '% is stopped already.', NEW.rule_id USING ERRCODE = 'TS004';
    END IF;
    -- Or one person could keep a rule stopped alone, hour after hour.
    IF EXISTS (
        SELECT FROM rule_stop WHERE rule_id = NEW.rule_id AND actor = NEW.actor
            AND confirmed_at IS NULL AND stopped_at > now() - interval '24 hours'
    ) THEN
        RAISE EXCEPTION 'You stopped % within 24 hours and nobody confirmed it: '
            'somebody else may stop it.', NEW.rule_id USING ERRCODE = 'TS001';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER rule_stop_added BEFORE INSERT ON rule_stop
    FOR EACH ROW EXECUTE FUNCTION touchstone_stop_added();

CREATE FUNCTION touchstone_stop_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (NEW.id, NEW.rule_id, NEW.reason, NEW.actor, NEW.stopped_at, NEW.confirm_until)
        IS DISTINCT FROM
       (OLD.id, OLD.rule_id, OLD.reason, OLD.actor, OLD.stopped_at, OLD.confirm_until)
    THEN
        RAISE EXCEPTION 'A stop stays what it was.' USING ERRCODE = 'TS005';
    END IF;
    IF OLD.lifted_at IS NOT NULL THEN
        RAISE EXCEPTION 'The stop of % was lifted by %.', OLD.rule_id, OLD.lifted_by
            USING ERRCODE = 'TS004';
    END IF;
    IF OLD.confirmed_at IS NULL AND OLD.confirm_until <= now() AND
        (NEW.confirmed_at IS NOT NULL OR NEW.lifted_at IS NOT NULL)
    THEN
        RAISE EXCEPTION 'Nobody confirmed the stop of % in time: it is over.', OLD.rule_id
            USING ERRCODE = 'TS004';
    END IF;
    IF (NEW.confirmed_by, NEW.confirmed_at) IS DISTINCT FROM (OLD.confirmed_by, OLD.confirmed_at)
    THEN
        IF OLD.confirmed_at IS NOT NULL THEN
            RAISE EXCEPTION 'The stop of % is confirmed already, by %.', OLD.rule_id,
                OLD.confirmed_by USING ERRCODE = 'TS004';
        ELSIF NEW.confirmed_by = OLD.actor THEN
            RAISE EXCEPTION 'You stopped %: somebody else confirms.', OLD.rule_id
                USING ERRCODE = 'TS001';
        END IF;
        NEW.confirmed_at := now();
    END IF;
    IF NEW.lifted_at IS NOT NULL THEN
        NEW.lifted_at := now();
    END IF;
    IF NEW.lapsed_at IS DISTINCT FROM OLD.lapsed_at THEN
        IF OLD.lapsed_at IS NOT NULL OR OLD.confirmed_at IS NOT NULL OR OLD.confirm_until > now()
        THEN
            RAISE EXCEPTION 'The stop of % has not lapsed.', OLD.rule_id USING ERRCODE = 'TS004';
        END IF;
        NEW.lapsed_at := now();
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER rule_stop_changing BEFORE UPDATE ON rule_stop
    FOR EACH ROW EXECUTE FUNCTION touchstone_stop_changed();

-- Tell the services -----------------------------------------------------------------------------

CREATE FUNCTION touchstone_rules_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('touchstone_rules', '');
    RETURN NULL;
END $$;
CREATE TRIGGER deployment_changed AFTER INSERT ON deployment
    FOR EACH STATEMENT EXECUTE FUNCTION touchstone_rules_changed();
CREATE TRIGGER rule_stop_changed AFTER INSERT OR UPDATE ON rule_stop
    FOR EACH STATEMENT EXECUTE FUNCTION touchstone_rules_changed();
