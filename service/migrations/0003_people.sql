-- People: who acts, with which roles, within which limits. See service/people/README.md.
-- What two people are needed for is refused here, whatever a program or a hand sends. The states
-- TSPnn are those of service/people/errors.py.

CREATE TABLE person (
    id         text PRIMARY KEY
        CONSTRAINT person_id_is_a_name CHECK (id ~ '^[a-z0-9][a-z0-9._-]{0,63}$' AND id <> 'system'),
    created_at timestamptz NOT NULL DEFAULT now()
);

-- A key of a person acts as that person, with the scopes of the person's roles at the moment
-- (of which `scopes`, where it is not empty, leaves those that it names). A key of nobody is a
-- program's and has the scopes that it names, at most a caller's. NULL is no limit.
ALTER TABLE api_key
    ADD COLUMN person         text REFERENCES person (id),
    ADD COLUMN event_types    text[],
    ADD COLUMN business_lines text[],
    ADD COLUMN regions        text[],
    ADD CONSTRAINT api_key_of_a_program_is_a_callers CHECK (person IS NOT NULL OR scopes <@ ARRAY[
        'score', 'events:write', 'decisions:read', 'labels:read', 'labels:write']);

-- There were first people, made in this transaction: only it may write in the name of 'system'.
CREATE TABLE people_start (
    is_done     boolean PRIMARY KEY DEFAULT true CHECK (is_done),
    started_at  timestamptz NOT NULL DEFAULT now(),
    transaction xid8 NOT NULL
);

-- What a person's roles and limits shall be, all of them. `base`: the request that they had from.
CREATE TABLE role_request (
    id             bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    person         text NOT NULL REFERENCES person (id),
    base           bigint REFERENCES role_request (id),
    roles          text[] NOT NULL CONSTRAINT role_request_roles_exist CHECK (roles <@ ARRAY[
        'caller', 'analyst', 'approver', 'reviewer', 'compliance', 'admin']),
    event_types    text[],
    business_lines text[],
    regions        text[],
    reason         text NOT NULL CHECK (length(reason) BETWEEN 1 AND 500),
    requested_by   text NOT NULL,
    requested_at   timestamptz NOT NULL DEFAULT now()
);

CREATE INDEX role_request_base ON role_request (base);
CREATE INDEX role_request_person ON role_request (person);

CREATE TABLE role_decision (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    request_id bigint NOT NULL UNIQUE REFERENCES role_request (id),
    decision   text NOT NULL CHECK (decision IN ('approved', 'refused', 'withdrawn')),
    actor      text NOT NULL,
    decided_at timestamptz NOT NULL DEFAULT now()
);

-- The roles and limits that are in force: of the chain of a person's approved requests, each made on
-- the base of the one before, the last.
CREATE VIEW person_grant AS
    SELECT r.person, r.id AS request_id, r.roles, r.event_types, r.business_lines, r.regions
    FROM role_request r
    JOIN role_decision d ON d.request_id = r.id AND d.decision = 'approved'
    WHERE NOT EXISTS (
        SELECT FROM role_request later
        JOIN role_decision e ON e.request_id = later.id AND e.decision = 'approved'
        WHERE later.base = r.id);

CREATE FUNCTION people_is_admin(who text) RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT EXISTS (SELECT FROM person_grant WHERE person = who AND 'admin' = ANY (roles))
$$;

CREATE FUNCTION people_in_first_transaction() RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT EXISTS (SELECT FROM people_start WHERE transaction = pg_current_xact_id())
$$;

CREATE FUNCTION people_started() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.started_at := now();
    NEW.transaction := pg_current_xact_id();
    RETURN NEW;
END $$;
CREATE TRIGGER people_start_before BEFORE INSERT ON people_start
    FOR EACH ROW EXECUTE FUNCTION people_started();

CREATE FUNCTION people_two_admins() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (SELECT count(*) FROM person_grant WHERE 'admin' = ANY (roles)) < 2 THEN
        RAISE EXCEPTION 'Two admins are needed: one alone could not change anything.'
            USING ERRCODE = 'TSP04';
    END IF;
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER people_start_has_admins AFTER INSERT ON people_start
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION people_two_admins();
CREATE CONSTRAINT TRIGGER role_decision_leaves_admins AFTER INSERT ON role_decision
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION people_two_admins();

CREATE FUNCTION people_requested() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.requested_at := now();
    NEW.base := (SELECT request_id FROM person_grant WHERE person = NEW.person);
    IF NEW.requested_by = 'system' AND people_in_first_transaction() THEN
        RETURN NEW;
    END IF;
    IF NOT people_is_admin(NEW.requested_by) THEN
        RAISE EXCEPTION 'Only admins ask for roles.' USING ERRCODE = 'TSP01';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER role_request_before BEFORE INSERT ON role_request
    FOR EACH ROW EXECUTE FUNCTION people_requested();

CREATE FUNCTION people_decided() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    asked role_request;
    earlier role_decision;
BEGIN
    -- One decision at a time, each on what the one before left: two admins cannot remove each other.
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        RAISE EXCEPTION 'Decide in a transaction that is READ COMMITTED.' USING ERRCODE = 'TSP03';
    END IF;
    PERFORM pg_advisory_xact_lock(hashtext('touchstone people'));
    NEW.decided_at := now();
    SELECT * INTO asked FROM role_request WHERE id = NEW.request_id;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'There is no role request %.', NEW.request_id USING ERRCODE = 'TSP06';
    END IF;
    SELECT * INTO earlier FROM role_decision WHERE request_id = NEW.request_id;
    IF FOUND THEN
        RAISE EXCEPTION 'It was % by %.', earlier.decision, earlier.actor USING ERRCODE = 'TSP05';
    END IF;
    IF NEW.actor = 'system' AND asked.requested_by = 'system' AND NEW.decision = 'approved'
        AND people_in_first_transaction() THEN
        RETURN NEW;
    END IF;
    IF NEW.decision = 'withdrawn' THEN
        IF NEW.actor <> asked.requested_by THEN
            RAISE EXCEPTION 'Only % can withdraw this.', asked.requested_by USING ERRCODE = 'TSP02';
        END IF;
        RETURN NEW;
    END IF;
    IF NOT people_is_admin(NEW.actor) THEN
        RAISE EXCEPTION 'Only admins decide on roles.' USING ERRCODE = 'TSP01';
    END IF;
    IF NEW.actor = asked.requested_by THEN
        RAISE EXCEPTION 'Nobody decides on what they asked for.' USING ERRCODE = 'TSP02';
    END IF;
    IF NEW.actor = asked.person THEN
        RAISE EXCEPTION 'Nobody decides on what concerns themselves.' USING ERRCODE = 'TSP02';
    END IF;
    IF NEW.decision = 'refused' THEN
        RETURN NEW;
    END IF;
    IF asked.base IS DISTINCT FROM
        (SELECT request_id FROM person_grant WHERE person = asked.person) THEN
        RAISE EXCEPTION 'The roles of % changed since the request: ask again.', asked.person
            USING ERRCODE = 'TSP03';
    END IF;
    IF NOT people_is_admin(asked.requested_by) THEN
        RAISE EXCEPTION '%, who asked, is no admin any more.', asked.requested_by
            USING ERRCODE = 'TSP03';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER role_decision_before BEFORE INSERT ON role_decision
    FOR EACH ROW EXECUTE FUNCTION people_decided();

-- Rows stay as they were written, and all of them stay.
CREATE FUNCTION people_keep() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'rows of % are never changed', TG_TABLE_NAME USING ERRCODE = 'TSP08';
END $$;
CREATE TRIGGER person_kept BEFORE UPDATE OR DELETE OR TRUNCATE ON person
    FOR EACH STATEMENT EXECUTE FUNCTION people_keep();
CREATE TRIGGER people_start_kept BEFORE UPDATE OR DELETE OR TRUNCATE ON people_start
    FOR EACH STATEMENT EXECUTE FUNCTION people_keep();
CREATE TRIGGER role_request_kept BEFORE UPDATE OR DELETE OR TRUNCATE ON role_request
    FOR EACH STATEMENT EXECUTE FUNCTION people_keep();
CREATE TRIGGER role_decision_kept BEFORE UPDATE OR DELETE OR TRUNCATE ON role_decision
    FOR EACH STATEMENT EXECUTE FUNCTION people_keep();

-- A key can be revoked, once and for good; nothing else of it changes.
CREATE FUNCTION people_key_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.revoked_at IS NOT NULL AND NEW.revoked_at IS DISTINCT FROM OLD.revoked_at THEN
        RAISE EXCEPTION 'a revoked key stays revoked' USING ERRCODE = 'TSP08';
    END IF;
    IF (to_jsonb(NEW) - 'revoked_at') IS DISTINCT FROM (to_jsonb(OLD) - 'revoked_at') THEN
        RAISE EXCEPTION 'a key can only be revoked' USING ERRCODE = 'TSP08';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER api_key_before BEFORE UPDATE ON api_key
    FOR EACH ROW EXECUTE FUNCTION people_key_changed();
CREATE TRIGGER api_key_kept BEFORE DELETE OR TRUNCATE ON api_key
    FOR EACH STATEMENT EXECUTE FUNCTION people_keep();

CREATE FUNCTION people_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('touchstone_people', '');
    RETURN NULL;
END $$;
CREATE TRIGGER role_decision_changed AFTER INSERT ON role_decision
    FOR EACH STATEMENT EXECUTE FUNCTION people_changed();
CREATE TRIGGER api_key_changed AFTER INSERT OR UPDATE ON api_key
    FOR EACH STATEMENT EXECUTE FUNCTION people_changed();
