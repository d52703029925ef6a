-- What was read of a channel's row can be kept: whoever locks its counters sees whether it has changed since.

-- How often the channel's row was changed.
ALTER TABLE epochs ADD COLUMN revision bigint NOT NULL DEFAULT 0;

CREATE FUNCTION count_changes_of_channels() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE epochs SET revision = revision + 1 FROM changed WHERE epochs.channel = changed.id;
    RETURN NULL;
END $$;

-- A trigger, so that nobody can forget it: not a program of an earlier version, nor an operator by hand.
CREATE TRIGGER channels_changed AFTER UPDATE ON channels
    REFERENCING NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION count_changes_of_channels();
