-- What an audit asks of events.

-- When we heard of it. For events from before this column: when it was added.
ALTER TABLE events ADD COLUMN seen_at timestamptz NOT NULL DEFAULT now();

-- Claims are listed from the newest on, among events of which most are none.
CREATE INDEX events_claimed ON events (deployment, block, log_index) WHERE kind = 'claimed';
