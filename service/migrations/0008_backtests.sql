-- Backtests as jobs: a row is put in as `queued`, and only who runs it brings it to an end. See
-- service/backtest/README.md. The table is in 0004_rule_sets.sql.

CREATE INDEX backtest_waiting_idx ON backtest (created_at) WHERE state IN ('queued', 'running');

-- Nobody states a result without the job.
CREATE FUNCTION touchstone_backtest_added() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.state <> 'queued' OR NEW.result IS NOT NULL OR NEW.ended_at IS NOT NULL THEN
        RAISE EXCEPTION 'A backtest begins as a job.' USING ERRCODE = 'TS004';
    END IF;
    NEW.created_at := now();
    PERFORM pg_notify('touchstone_backtests', '');
    RETURN NEW;
END $$;
CREATE TRIGGER backtest_added BEFORE INSERT ON backtest
    FOR EACH ROW EXECUTE FUNCTION touchstone_backtest_added();

CREATE FUNCTION touchstone_backtest_moved() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.state IS DISTINCT FROM OLD.state AND NOT (
        (OLD.state = 'queued' AND NEW.state IN ('running', 'cancelled'))
        OR (OLD.state = 'running' AND NEW.state IN ('done', 'failed', 'cancelled', 'queued'))
    ) THEN
        RAISE EXCEPTION 'A backtest that is % does not become %.', OLD.state, NEW.state
            USING ERRCODE = 'TS004';
    END IF;
    IF NEW.result IS NOT NULL AND NEW.state <> 'done' THEN
        RAISE EXCEPTION 'Only a backtest that is done has a result.' USING ERRCODE = 'TS004';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER backtest_moved BEFORE UPDATE ON backtest
    FOR EACH ROW EXECUTE FUNCTION touchstone_backtest_moved();
