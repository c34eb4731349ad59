-- Lists: who and what is allowed, denied or watched. Identifiers are kept as tags only. Rows are
-- added and closed, never changed otherwise, so that it is known what was listed at any time.
-- See service/lists/README.md.

CREATE TABLE list (
    name        text PRIMARY KEY CHECK (name ~ '^[a-z][a-z0-9_]{0,40}$'),
    purpose     text NOT NULL CHECK (purpose IN ('allow', 'deny', 'watch')),
    description text NOT NULL,
    actor       text NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT now()
);

-- Changes are numbered in the order of their commits: see touchstone_list_turn.
CREATE SEQUENCE list_revision;

CREATE TABLE list_entry (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    list       text NOT NULL REFERENCES list (name),
    kind       text NOT NULL CHECK (kind ~ '^[a-z][a-z0-9_]{0,40}$'),
    tag        text NOT NULL CHECK (tag ~ '^[A-Za-z0-9_-]{22}$'),
    reason     text NOT NULL,
    owner      text NOT NULL,
    added_by   text NOT NULL,
    -- Not now(): transactions wait for each other, and times must follow their order.
    added_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    expires_at timestamptz,
    removed_by text,
    removed_at timestamptz,
    removal    text,
    revision   bigint NOT NULL,
    CHECK (expires_at > added_at),
    CHECK (removed_at >= added_at),
    CHECK ((removed_at IS NULL) = (removed_by IS NULL)),
    CHECK ((removed_at IS NULL) = (removal IS NULL))
);
CREATE UNIQUE INDEX list_entry_current_idx ON list_entry (list, kind, tag) WHERE removed_at IS NULL;
CREATE UNIQUE INDEX list_entry_revision_idx ON list_entry (revision);
CREATE INDEX list_entry_tag_idx ON list_entry (kind, tag);
CREATE INDEX list_entry_expires_at_idx ON list_entry (expires_at) WHERE removed_at IS NULL;

-- One transaction at a time changes entries, so a reader that has seen a revision has seen every
-- earlier one. 7308604898 is "list" and a number of its own; any number will do.
CREATE FUNCTION touchstone_list_turn() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(7308604898);
    RETURN NULL;
END $$;
CREATE TRIGGER list_entry_a_turn BEFORE INSERT OR UPDATE ON list_entry
    FOR EACH STATEMENT EXECUTE FUNCTION touchstone_list_turn();

CREATE FUNCTION touchstone_list_entry_guard() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        IF OLD.removed_at IS NULL THEN
            RAISE EXCEPTION 'a list entry is removed before it is deleted'
                USING ERRCODE = 'check_violation';
        END IF;
        RETURN OLD;
    END IF;
    IF TG_OP = 'UPDATE' AND (
        OLD.removed_at IS NOT NULL OR NEW.removed_at IS NULL
        OR (OLD.id, OLD.list, OLD.kind, OLD.tag, OLD.reason, OLD.owner, OLD.added_by, OLD.added_at)
            IS DISTINCT FROM
           (NEW.id, NEW.list, NEW.kind, NEW.tag, NEW.reason, NEW.owner, NEW.added_by, NEW.added_at)
        OR OLD.expires_at IS DISTINCT FROM NEW.expires_at
    ) THEN
        RAISE EXCEPTION 'a list entry is only ever removed: add another one'
            USING ERRCODE = 'check_violation';
    END IF;
    NEW.revision := nextval('list_revision');
    RETURN NEW;
END $$;
CREATE TRIGGER list_entry_guard BEFORE INSERT OR UPDATE OR DELETE ON list_entry
    FOR EACH ROW EXECUTE FUNCTION touchstone_list_entry_guard();

CREATE FUNCTION touchstone_lists_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('touchstone_lists', '');
    RETURN NULL;
END $$;
CREATE TRIGGER list_entry_changed AFTER INSERT OR UPDATE ON list_entry
    FOR EACH STATEMENT EXECUTE FUNCTION touchstone_lists_changed();
