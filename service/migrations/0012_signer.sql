-- What the signer says of itself. Its key and its memory are files, never here: whoever changes the
-- database must not be able to change both. See service/signer/README.md.

-- The keys that signed one after the other. `statement`: the signed note by which the key before
-- hands over; null where there was none, or where it was lost.
CREATE TABLE ledger_signer_key (
    position  integer PRIMARY KEY CHECK (position > 0),
    vkey      text NOT NULL UNIQUE,
    statement text,
    added_at  timestamptz NOT NULL DEFAULT now()
);

-- One row: why nothing is signed, since when. No row: nothing is known to be wrong.
CREATE TABLE ledger_signer (
    is_it   boolean PRIMARY KEY DEFAULT true CHECK (is_it),
    code    text NOT NULL,
    problem text NOT NULL,
    since   timestamptz NOT NULL DEFAULT now()
);
