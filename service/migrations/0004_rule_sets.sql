-- Rule sets: versions (immutable, kept for ever), what was found about them, who approved them, and
-- what runs. See service/rule_sets/README.md.

CREATE TABLE rule_set (
    version    text PRIMARY KEY CHECK (version ~ '^[0-9a-f]{64}$'),
    parent     text REFERENCES rule_set (version),
    author     text NOT NULL,
    note       text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);

-- The files to the letter; the version is the hash of them all (rules/files.py).
CREATE TABLE rule_set_file (
    version text NOT NULL REFERENCES rule_set (version),
    name    text NOT NULL,
    text    text NOT NULL,
    PRIMARY KEY (version, name)
);

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
    UNIQUE (id, version, baseline)
);

CREATE TABLE rule_set_submission (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    version      text NOT NULL REFERENCES rule_set (version),
    check_id     bigint NOT NULL,
    backtest_id  uuid NOT NULL,
    baseline     text NOT NULL REFERENCES rule_set (version),
    actor        text NOT NULL,
    submitted_at timestamptz NOT NULL DEFAULT now(),
    FOREIGN KEY (check_id, version) REFERENCES rule_set_check (id, version),
    FOREIGN KEY (backtest_id, version, baseline) REFERENCES backtest (id, version, baseline)
);

CREATE TABLE rule_set_approval (
    id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    submission_id bigint NOT NULL UNIQUE REFERENCES rule_set_submission (id),
    version       text NOT NULL REFERENCES rule_set (version),
    actor         text NOT NULL,
    approved_at   timestamptz NOT NULL DEFAULT now()
);

-- What runs: the newest row. Rows are only added. `candidate` decides for `candidate_share_bp` of
-- 10,000 subjects; `salt` keeps the share stable while it grows.
CREATE TABLE deployment (
    revision           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    action             text NOT NULL CHECK (action IN
        ('first', 'activate', 'rollback', 'rollout', 'ramp', 'abort', 'shadow', 'unshadow')),
    live               text NOT NULL REFERENCES rule_set (version),
    candidate          text REFERENCES rule_set (version),
    candidate_share_bp int CHECK (candidate_share_bp BETWEEN 1 AND 9999),
    salt               text,
    shadows            text[] NOT NULL DEFAULT '{}',
    actor              text NOT NULL,
    note               text NOT NULL,
    deployed_at        timestamptz NOT NULL DEFAULT now(),
    CHECK ((candidate IS NULL) = (candidate_share_bp IS NULL)),
    CHECK ((candidate IS NULL) = (salt IS NULL))
);

-- An emergency stop takes the effect from a rule, whatever version runs, until it is lifted or until
-- `confirm_until` passes without a second person's confirmation.
CREATE TABLE rule_stop (
    id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    rule_id       text NOT NULL,
    reason        text NOT NULL,
    actor         text NOT NULL,
    stopped_at    timestamptz NOT NULL DEFAULT now(),
    confirm_until timestamptz NOT NULL,
    confirmed_by  text,
    confirmed_at  timestamptz,
    lifted_by     text,
    lifted_at     timestamptz
);

CREATE FUNCTION touchstone_rules_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('touchstone_rules', '');
    RETURN NULL;
END $$;
CREATE TRIGGER deployment_changed AFTER INSERT ON deployment
    FOR EACH STATEMENT EXECUTE FUNCTION touchstone_rules_changed();
CREATE TRIGGER rule_stop_changed AFTER INSERT OR UPDATE ON rule_stop
    FOR EACH STATEMENT EXECUTE FUNCTION touchstone_rules_changed();
