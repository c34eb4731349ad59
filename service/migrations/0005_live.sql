-- What rule sets in shadow would have decided, counted by the hour. See service/shadow/README.md.
--
-- Counts only, no event and no person: `examples` are a few entry ids of the ledger. `baseline`: the
-- version that decided. Amounts in minor units of the base currency.

CREATE TABLE shadow_run (
    version   text NOT NULL REFERENCES rule_set (version),
    hour      timestamptz NOT NULL,
    evaluated bigint NOT NULL,
    failed    bigint NOT NULL,
    dropped   bigint NOT NULL,
    PRIMARY KEY (version, hour)
);

CREATE TABLE shadow_tally (
    version        text NOT NULL REFERENCES rule_set (version),
    baseline       text NOT NULL,
    hour           timestamptz NOT NULL,
    event_type     text NOT NULL,
    live_outcome   text NOT NULL,
    shadow_outcome text NOT NULL,
    decisions      bigint NOT NULL,
    amount         numeric NOT NULL,
    examples       bytea[] NOT NULL,
    PRIMARY KEY (version, baseline, hour, event_type, live_outcome, shadow_outcome)
);

-- `changed`: hits in shadow where the outcome was another; `unknown`: the shadow could not tell.
CREATE TABLE shadow_rule_tally (
    version     text NOT NULL REFERENCES rule_set (version),
    baseline    text NOT NULL,
    hour        timestamptz NOT NULL,
    event_type  text NOT NULL,
    rule_id     text NOT NULL,
    live_hits   bigint NOT NULL,
    shadow_hits bigint NOT NULL,
    both_hits   bigint NOT NULL,
    changed     bigint NOT NULL,
    unknown     bigint NOT NULL,
    PRIMARY KEY (version, baseline, hour, event_type, rule_id)
);
