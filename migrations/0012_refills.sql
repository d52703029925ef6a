-- What we keep filled: the gas of our own accounts, and channels that we pay from.

-- A channel that we pay from, as the wallet saw it on chain last.
CREATE TABLE outbound_channels (
    name     text PRIMARY KEY,                   -- the configuration's
    channel  bytea NOT NULL CHECK (length(channel) = 32),
    deposit  numeric(39,0) NOT NULL CHECK (deposit >= 0),
    claimed  numeric(39,0) NOT NULL CHECK (claimed >= 0),            -- by its receiver
    is_open  boolean NOT NULL,
    reported numeric(39,0) NOT NULL DEFAULT 0 CHECK (reported >= 0), -- signed away, as its payers said last
    seen_at  timestamptz NOT NULL DEFAULT now()
);

-- What we decided to add, stored before anything is signed for it. A job decides once. It counts for its day as long as it
-- may still happen, and for good once it was mined.
CREATE TABLE top_ups (
    job    bigint PRIMARY KEY REFERENCES jobs ON DELETE CASCADE,
    key    text NOT NULL,                        -- what is refilled: the job's key
    amount numeric(39,0) NOT NULL CHECK (amount > 0),
    day    date NOT NULL DEFAULT (clock_timestamp() AT TIME ZONE 'UTC')::date
);
CREATE INDEX top_ups_by_key ON top_ups (key, day);
CREATE INDEX jobs_of_refills ON jobs (key) WHERE kind = 'refill';
