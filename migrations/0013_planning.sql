-- What planning goes by: since when a close has been agreed to, and the channels to look at.

-- Since when agreed_close has been set. No payment writes this row.
ALTER TABLE channels ADD COLUMN agreed_at timestamptz;
UPDATE channels SET agreed_at = now() WHERE agreed_close IS NOT NULL;

-- Planning reads the channels that are not over, by key.
CREATE INDEX channels_living ON channels (deployment, id) WHERE status IN ('open', 'closing');
