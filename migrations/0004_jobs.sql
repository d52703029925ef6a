-- Work for the background. A row is the job; NOTIFY only rings.

CREATE TABLE jobs (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind       text NOT NULL CHECK (kind IN ('sync', 'sign', 'challenge')),
    key        text NOT NULL,                    -- jobs of one kind and key are one job while it is open
    deployment text NOT NULL REFERENCES deployments,
    channel    bytea CHECK (length(channel) = 32),
    amount     numeric(39,0),
    state      text NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'done', 'failed')),
    attempts   int NOT NULL DEFAULT 0,
    run_at     timestamptz NOT NULL DEFAULT now(),
    outcome    jsonb,                            -- what it led to, for who waits
    error      text,
    created_at timestamptz NOT NULL DEFAULT now(),
    ended_at   timestamptz
);
CREATE UNIQUE INDEX jobs_open ON jobs (kind, key) WHERE state = 'open';
CREATE INDEX jobs_due ON jobs (kind, run_at) WHERE state = 'open';

-- Closing signatures that we gave. Asked again, the same one is given.
CREATE TABLE closings (
    channel   bytea PRIMARY KEY REFERENCES channels,
    amount    numeric(39,0) NOT NULL CHECK (amount >= 0),
    signature bytea NOT NULL CHECK (length(signature) = 65),
    signed_at timestamptz NOT NULL DEFAULT now()
);

-- Journal of what the wallet sends. Stored before it is broadcast; the UNIQUE is the fence between two wallets.
CREATE TABLE transactions (
    hash       bytea PRIMARY KEY CHECK (length(hash) = 32),
    chain_id   bigint NOT NULL,
    account    bytea NOT NULL CHECK (length(account) = 20),
    nonce      bigint NOT NULL CHECK (nonce >= 0),
    job        bigint NOT NULL REFERENCES jobs,
    channel    bytea NOT NULL REFERENCES channels,
    raw        bytea NOT NULL,
    state      text NOT NULL CHECK (state IN ('prepared', 'broadcast', 'mined', 'reverted', 'replaced')),
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (chain_id, account, nonce)
);
-- A job has one transaction that may do what it wants: two wallets at once do not pay for two.
CREATE UNIQUE INDEX transactions_live ON transactions (job) WHERE state IN ('prepared', 'broadcast', 'mined');
CREATE INDEX transactions_by_channel ON transactions (channel);
