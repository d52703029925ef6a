-- What clients got for nothing, by hour or day. A row is one client's count; it is dropped when its window is over.

CREATE TABLE free_calls (
    name      text NOT NULL,                 -- what is free: the route's name
    client    inet NOT NULL,                 -- an IPv4 address, or the first of an IPv6 /64
    starts_at timestamptz NOT NULL,
    ends_at   timestamptz NOT NULL CHECK (ends_at > starts_at),
    used      bigint NOT NULL CHECK (used > 0),
    PRIMARY KEY (name, client, starts_at)
) WITH (fillfactor = 70);
