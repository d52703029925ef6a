-- What is shown about a deployment: the payee's own tokens, and its channels by payer.

-- What the payee has of the token outside of channels, as the active watcher last saw it.
CREATE TABLE balances (
    deployment text PRIMARY KEY REFERENCES deployments,
    amount     numeric(39,0) NOT NULL CHECK (amount >= 0),
    seen_at    timestamptz NOT NULL
);

-- Lists and sums read only what the chain shows and what is not settled, however many channels are. No payment writes
-- this table.
CREATE INDEX channels_standing ON channels (deployment, payer, id) WHERE confirmed AND status IN ('open', 'closing');
