-- People: who acts, with which roles, within which limits. See service/people/README.md.

CREATE TABLE person (
    id         text PRIMARY KEY CHECK (id ~ '^[a-z0-9][a-z0-9._-]{0,63}$' AND id <> 'system'),
    created_at timestamptz NOT NULL DEFAULT now()
);

-- A key of a person acts as that person; a key of none is a program's.
ALTER TABLE api_key ADD COLUMN person text REFERENCES person (id);
