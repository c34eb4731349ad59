-- API keys: only a keyed hash of each is stored.

CREATE TABLE api_key (
    key_id     text PRIMARY KEY,
    name       text NOT NULL,
    hash       bytea NOT NULL,
    scopes     text[] NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    revoked_at timestamptz
);
