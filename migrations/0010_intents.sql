-- Fees are raised by signing again under the same nonce, so what the wallet wants is kept apart from what it signed.

-- What the wallet wants mined. To whom, what, and for how much gas, the bytes say that were signed for it.
CREATE TABLE intents (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    chain_id   bigint NOT NULL,
    account    bytea NOT NULL CHECK (length(account) = 20),
    nonce      bigint NOT NULL CHECK (nonce >= 0),
    job        bigint REFERENCES jobs,           -- NULL: it fills a gap in the nonces and does nothing else
    channel    bytea REFERENCES channels,        -- NULL: it is about none
    lane       text NOT NULL CHECK (lane IN ('urgent', 'normal')),
    state      text NOT NULL CHECK (state IN ('prepared', 'broadcast', 'mined', 'reverted', 'replaced', 'cancelled')),
    block      bigint,                           -- the block that used the nonce up; NULL while it is free
    confirmed  boolean NOT NULL DEFAULT false,   -- that block is deep: what became of the intent stays so
    reason     text,                             -- why it reverted
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    CHECK (block IS NOT NULL OR state IN ('prepared', 'broadcast', 'replaced')),
    CHECK (block IS NOT NULL OR NOT confirmed)
);
-- Until then nothing was sent that a contract lets happen twice.
INSERT INTO intents (chain_id, account, nonce, job, channel, lane, state, block, created_at, updated_at)
SELECT chain_id, account, nonce, job, channel, 'urgent', state,
       CASE WHEN state IN ('mined', 'reverted', 'replaced') THEN 0 END, created_at, updated_at
FROM transactions;

-- A job has one intent that waits to be mined: two wallets at once do not pay for two. What is not urgent has no other
-- one at all before it is certain that this one will do nothing. What is urgent may have: its contract lets it happen once.
CREATE UNIQUE INDEX intents_live ON intents (job)
    WHERE state IN ('prepared', 'broadcast') OR (lane = 'normal' AND NOT confirmed);
CREATE INDEX intents_by_nonce ON intents (chain_id, account, nonce);
CREATE INDEX intents_open ON intents (chain_id, account) WHERE NOT confirmed;
CREATE INDEX intents_by_channel ON intents (channel);
CREATE INDEX intents_by_job ON intents (job);

-- What was signed. Stored before it is broadcast. The first for a nonce has number 0; the UNIQUE is the fence between two
-- wallets, for a new nonce as for every further transaction under it.
ALTER TABLE transactions
    ADD COLUMN intent bigint REFERENCES intents,
    ADD COLUMN number int NOT NULL DEFAULT 0 CHECK (number >= 0),
    ADD COLUMN noop   boolean NOT NULL DEFAULT false;   -- nothing, to ourselves: only the nonce is used up
UPDATE transactions t SET intent = i.id FROM intents i
WHERE (i.chain_id, i.account, i.nonce) = (t.chain_id, t.account, t.nonce);
ALTER TABLE transactions
    ALTER COLUMN intent SET NOT NULL,
    DROP CONSTRAINT transactions_chain_id_account_nonce_key,
    ADD CONSTRAINT transactions_by_number UNIQUE (chain_id, account, nonce, number),
    DROP COLUMN job,
    DROP COLUMN channel,
    DROP COLUMN state,
    DROP COLUMN updated_at;
CREATE INDEX transactions_by_intent ON transactions (intent);
