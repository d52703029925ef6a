-- One epoch to a channel, made with it: what locks an epoch reads its counters in the same statement, and would not see another
-- one that was made meanwhile. Nothing ever wrote another, so the rows that are there need no look.
ALTER TABLE epochs ADD CONSTRAINT one_epoch CHECK (number = 0) NOT VALID;
