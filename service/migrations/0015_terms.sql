-- What the blind index finds an entry by: keyed, truncated, of one month (service/audit/README.md).
-- Beside the link to the subject's key, because both tie an entry to a person and go together.
ALTER TABLE entry_subject ADD COLUMN terms bytea[];

-- GIN with a pending list: terms come in random order, and a tree would touch as many pages as an
-- entry has terms, most of them not in memory once the log is large. The list takes them in the order
-- in which they come, and autovacuum sorts them in after every 50,000 entries (about 8 MB of the
-- 64 MB after which a commit would have to do it).
CREATE INDEX entry_subject_terms_idx ON entry_subject USING gin (terms)
    WITH (fastupdate = on, gin_pending_list_limit = 65536);
ALTER TABLE entry_subject SET (
    autovacuum_vacuum_insert_threshold = 50000,
    autovacuum_vacuum_insert_scale_factor = 0
);
