-- What we sell through, whom we sell to, and the counters that every payment moves.

-- One row per configured deployment (chain + contract + token + payee), written by the watcher.
CREATE TABLE deployments (
    id         text PRIMARY KEY,             -- its name in the configuration
    chain_id   bigint NOT NULL CHECK (chain_id > 0),
    contract   bytea NOT NULL CHECK (length(contract) = 20),
    token      bytea NOT NULL CHECK (length(token) = 20),
    payee      bytea NOT NULL CHECK (length(payee) = 20),
    safe_until timestamptz                   -- fronts sell until then; NULL: never synced
);

CREATE TABLE channels (
    id             bytea PRIMARY KEY CHECK (length(id) = 32),
    deployment     text NOT NULL REFERENCES deployments,
    payer          bytea NOT NULL CHECK (length(payer) = 20),
    params         bytea NOT NULL,           -- what the contract needs beside the payer to name the channel
    -- Facts: a fold over the events, written by the watcher alone.
    confirmed      boolean NOT NULL,
    deposit        numeric(39,0) NOT NULL CHECK (deposit >= 0),
    pending        numeric(39,0) NOT NULL CHECK (pending >= 0),
    claimed        numeric(39,0) NOT NULL CHECK (claimed >= 0),
    status         text NOT NULL CHECK (status IN ('absent', 'open', 'closing', 'closed')),
    requested      numeric(39,0) CHECK (requested >= 0),
    deadline_block bigint,
    deadline_time  bigint,
    -- Ours: the final amount of a cooperative close. Nothing is sold once it is set.
    agreed_close   numeric(39,0) CHECK (agreed_close >= 0),
    created_at     timestamptz NOT NULL DEFAULT now(),
    CHECK ((status = 'closing') = (requested IS NOT NULL)),
    CHECK ((status = 'closing') = (num_nonnulls(deadline_block, deadline_time) = 1))
);
CREATE INDEX channels_by_payer ON channels (payer);

-- The counters of a channel. This row is also the channel's lock: whoever writes a channel or its holds locks its
-- epochs first, in key order, and reads the rest in a later statement. No index on what a payment changes.
CREATE TABLE epochs (
    channel           bytea NOT NULL REFERENCES channels,
    number            bigint NOT NULL CHECK (number >= 0),
    authorised        numeric(39,0) NOT NULL DEFAULT 0,
    spent             numeric(39,0) NOT NULL DEFAULT 0 CHECK (spent >= 0),
    held              numeric(39,0) NOT NULL DEFAULT 0 CHECK (held >= 0),
    published         numeric(39,0) NOT NULL DEFAULT 0 CHECK (published >= 0),
    voucher_amount    numeric(39,0),
    voucher_signature bytea CHECK (length(voucher_signature) = 65),
    PRIMARY KEY (channel, number),
    CONSTRAINT sound CHECK (spent + held <= authorised),
    CHECK ((voucher_amount IS NULL) = (voucher_signature IS NULL))
) WITH (fillfactor = 70);
