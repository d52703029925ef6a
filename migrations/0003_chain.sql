-- What the chain said, and how far we have read it.

CREATE TABLE events (
    deployment text NOT NULL REFERENCES deployments,
    block      bigint NOT NULL,
    block_hash bytea NOT NULL CHECK (length(block_hash) = 32),
    log_index  bigint NOT NULL,
    tx_hash    bytea NOT NULL CHECK (length(tx_hash) = 32),
    channel    bytea NOT NULL CHECK (length(channel) = 32),
    kind       text NOT NULL CHECK (kind IN ('opened', 'topped_up', 'close_requested', 'claimed', 'settled')),
    amount     numeric(39,0) NOT NULL CHECK (amount >= 0),
    deadline_block bigint,
    deadline_time  bigint,
    orphaned   boolean NOT NULL DEFAULT false,   -- its block is no longer part of the chain
    PRIMARY KEY (deployment, block, block_hash, log_index)
);
CREATE INDEX events_by_channel ON events (channel, block, log_index);

-- How far a deployment is read. `UPDATE … WHERE block = old AND block_hash = old` is the fence between two watchers.
CREATE TABLE cursors (
    deployment  text PRIMARY KEY REFERENCES deployments,
    block       bigint NOT NULL,
    block_hash  bytea NOT NULL CHECK (length(block_hash) = 32),
    block_time  timestamptz NOT NULL,
    -- The newest block that must never change. When it does, the chain broke its finality and we stop following it.
    anchor      bigint NOT NULL,
    anchor_hash bytea NOT NULL CHECK (length(anchor_hash) = 32),
    -- Every channel's facts are folded with a confirmed height in this range. It is one height, but while a step that
    -- takes several transactions is under way.
    confirmed_low  bigint NOT NULL,
    confirmed_high bigint NOT NULL,
    halted      text,                            -- why we stopped; NULL: following
    CHECK (anchor <= block),
    CHECK (confirmed_low <= confirmed_high)
);

-- Who is active. Times are the database's, so that nobody's clock matters.
CREATE TABLE leases (
    name       text PRIMARY KEY,
    holder     text NOT NULL,
    expires_at timestamptz NOT NULL
);
