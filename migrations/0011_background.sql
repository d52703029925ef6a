-- What the background needs to plan, and what fronts need to know about it.

ALTER TABLE jobs DROP CONSTRAINT jobs_kind_check;
ALTER TABLE jobs ADD CONSTRAINT jobs_kind_check
    CHECK (kind IN ('sync', 'sign', 'challenge', 'claim', 'close', 'settle', 'refill'));
-- Attempts that began since one last ended: whoever made them died.
ALTER TABLE jobs ADD COLUMN begun int NOT NULL DEFAULT 0;
-- What was given up is counted every few seconds.
CREATE INDEX jobs_failed ON jobs (kind) WHERE state = 'failed';

-- Since when there is a voucher above what was claimed. No index: payments write this row.
ALTER TABLE epochs ADD COLUMN unclaimed_since timestamptz;
UPDATE epochs e SET unclaimed_since = now() FROM channels c WHERE c.id = e.channel AND e.voucher_amount > c.claimed;

-- Until when the wallet's last all-clear lets fronts sell: it could have answered a dishonest close then. NULL: there was
-- never one. Fronts sell until the earlier of this and safe_until.
ALTER TABLE deployments ADD COLUMN clear_until timestamptz;
UPDATE deployments SET clear_until = safe_until;
