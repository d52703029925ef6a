-- Jobs are rung over a message broker. What a ring needs, and when it was last rung; the row stays the job.

ALTER TABLE jobs
    ADD COLUMN rung_at timestamptz,              -- when the broker last confirmed a ring
    ADD COLUMN trace   text;                     -- the W3C traceparent of who caused it

CREATE INDEX jobs_to_ring ON jobs (run_at) WHERE state = 'open';
