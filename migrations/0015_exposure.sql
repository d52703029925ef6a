-- What is owed and unclaimed on all channels of a deployment together, as a front summed it up a few seconds ago. No sale
-- writes here: every sale would wait for every other. NULL: nobody summed it up, because nothing limits it.
ALTER TABLE deployments
    ADD COLUMN exposure    numeric(39,0) CHECK (exposure >= 0),
    ADD COLUMN exposure_at timestamptz;          -- what was committed before is in it
