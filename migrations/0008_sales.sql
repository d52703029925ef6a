-- What was sold, by route, payer and day.

-- What becomes of a hold counts as a sale on the route that asked for it.
ALTER TABLE holds ADD COLUMN route text NOT NULL DEFAULT '';

-- The journal: one row for each batch of payments that charged something, written by the same transaction. The arrays
-- are parallel. A row is read once, to be folded, so it is stored as it is: compressing it would cost the payments more
-- than it saves.
CREATE TABLE sales_log (
    id       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at       timestamptz NOT NULL DEFAULT now(),
    routes   text[] NOT NULL,
    channels bytea[] NOT NULL,
    amounts  numeric[] NOT NULL,
    calls    int[] NOT NULL,
    CHECK (cardinality(routes) = cardinality(channels) AND cardinality(routes) = cardinality(amounts)
           AND cardinality(routes) = cardinality(calls))
);
ALTER TABLE sales_log
    ALTER routes SET STORAGE EXTERNAL,
    ALTER channels SET STORAGE EXTERNAL,
    ALTER amounts SET STORAGE EXTERNAL,
    ALTER calls SET STORAGE EXTERNAL;

-- The journal folded, in days of UTC. Kept for ever.
CREATE TABLE sales (
    day        date NOT NULL,
    deployment text NOT NULL REFERENCES deployments,
    route      text NOT NULL,
    payer      bytea NOT NULL CHECK (length(payer) = 20),
    amount     numeric NOT NULL CHECK (amount >= 0),
    calls      bigint NOT NULL CHECK (calls >= 0),
    PRIMARY KEY (day, deployment, route, payer)
);

-- What was sold before anything was noted has no route. From here on, sales and journal sum up to what was spent.
INSERT INTO sales (day, deployment, route, payer, amount, calls)
SELECT (now() AT TIME ZONE 'UTC')::date, c.deployment, '', c.payer, sum(e.spent), 0
FROM epochs e JOIN channels c ON c.id = e.channel
WHERE e.spent > 0
GROUP BY c.deployment, c.payer;
