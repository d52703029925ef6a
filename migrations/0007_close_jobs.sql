-- Closing a channel without its payer is work for the wallet too.

ALTER TABLE jobs DROP CONSTRAINT jobs_kind_check;
ALTER TABLE jobs ADD CONSTRAINT jobs_kind_check CHECK (kind IN ('sync', 'sign', 'challenge', 'close'));
