-- Amounts reserved for calls in flight, and what became of them. Settled rows are kept for the idempotency window, in
-- partitions by day that are dropped whole.

CREATE TABLE holds (
    id           uuid NOT NULL,
    created_at   timestamptz NOT NULL DEFAULT now(),
    channel      bytea NOT NULL,
    epoch        bigint NOT NULL,
    amount       numeric(39,0) NOT NULL CHECK (amount >= 0),
    request_id   text,                       -- the payer's own name for the request (Idempotency-Key)
    request_hash bytea NOT NULL CHECK (length(request_hash) = 32),
    state        text NOT NULL CHECK (state IN ('held', 'captured', 'released', 'retried')),
    captured     numeric(39,0) NOT NULL DEFAULT 0 CHECK (captured >= 0 AND captured <= amount),
    expires_at   timestamptz NOT NULL,
    PRIMARY KEY (id, created_at)
) PARTITION BY RANGE (created_at);
CREATE INDEX holds_by_request ON holds (channel, request_id) WHERE request_id IS NOT NULL;
CREATE INDEX holds_to_retry ON holds (channel, request_hash) WHERE state = 'released';
CREATE INDEX holds_in_flight ON holds (expires_at) WHERE state = 'held';

-- Makes the partitions of today and the next two days, and drops those older than `keep`, unless something in them is
-- still held. Callable by any process at any time: the advisory lock lets one at a time through, and a second call finds
-- nothing to do.
CREATE FUNCTION maintain_holds(keep interval) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    day date;
    part record;
    held boolean;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('maintain_holds'));
    FOR day IN SELECT (now() AT TIME ZONE 'UTC')::date + n FROM generate_series(0, 2) AS n LOOP
        CONTINUE WHEN to_regclass('holds_' || to_char(day, 'YYYYMMDD')) IS NOT NULL;
        EXECUTE format(
            'CREATE TABLE %I PARTITION OF holds FOR VALUES FROM (%L) TO (%L)',
            'holds_' || to_char(day, 'YYYYMMDD'),
            day::timestamp AT TIME ZONE 'UTC', (day + 1)::timestamp AT TIME ZONE 'UTC');
    END LOOP;
    FOR part IN
        SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
        WHERE i.inhparent = 'holds'::regclass
          AND to_date(right(c.relname, 8), 'YYYYMMDD') < ((now() - keep) AT TIME ZONE 'UTC')::date
    LOOP
        EXECUTE format('SELECT EXISTS (SELECT FROM %I WHERE state = ''held'')', part.relname) INTO held;
        CONTINUE WHEN held;
        EXECUTE format('DROP TABLE %I', part.relname);
    END LOOP;
END $$;
