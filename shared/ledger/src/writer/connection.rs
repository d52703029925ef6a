//! A lane's own connection, with everything prepared that a batch runs.

use std::ops::Deref;

use tokio_postgres::{Error, Statement};

use super::known::Known;
use crate::address::Address;
use crate::rows::{channel_columns, epoch_columns, hold_columns};
use crate::session::Session;
use crate::{LedgerError, guard};

/// A connection that passed the start guard.
pub(super) struct Connection {
    session: Session,
    pub(super) statements: Statements,
    pub(super) known: Known,
}

pub(super) struct Statements {
    pub(super) lock_free: Statement,
    pub(super) lock_wait: Statement,
    pub(super) channels: Statement,
    pub(super) debts: Statement,
    pub(super) fresh: Statement,
    pub(super) holds_by_id: Statement,
    pub(super) holds_by_request: Statement,
    pub(super) holds_by_hash: Statement,
    pub(super) write_epochs: Statement,
    pub(super) insert_holds: Statement,
    pub(super) update_holds: Statement,
    pub(super) forget_holds: Statement,
    pub(super) write_agreed: Statement,
    pub(super) log_sales: Statement,
}

impl Connection {
    pub(super) async fn open(address: &Address, purpose: &str, single_node: bool) -> Result<Connection, LedgerError> {
        let session = Session::open(address, purpose).await.map_err(LedgerError::before_commit)?;
        guard::check(&session, single_node).await?;
        let statements = Statements::prepare(&session).await.map_err(LedgerError::before_commit)?;
        Ok(Connection { session, statements, known: Known::nothing() })
    }
}

impl Deref for Connection {
    type Target = Session;

    fn deref(&self) -> &Session {
        &self.session
    }
}

/// Locks come first. Of the rows that it locks, this statement returns what their last owner wrote; of any other, under READ
/// COMMITTED, only a later statement sees it. A row that was made meanwhile escapes it, so there is one epoch to a channel,
/// made with it (the CHECK `one_epoch`).
const LOCK_FREE: &str = concat!(
    "-- lock_free
    SELECT e.channel, e.revision, ",
    epoch_columns!(),
    " FROM epochs e WHERE e.channel = ANY($1) ORDER BY e.channel, e.number FOR UPDATE SKIP LOCKED"
);

const LOCK_WAIT: &str = concat!(
    "-- lock_wait
    SELECT e.channel, e.revision, ",
    epoch_columns!(),
    " FROM epochs e WHERE e.channel = ANY($1) ORDER BY e.channel, e.number FOR UPDATE"
);

const CHANNELS: &str = concat!(
    "-- channels
    SELECT ",
    channel_columns!(),
    " FROM channels c WHERE c.id = ANY($1)"
);

/// What the payers of these channels owe, over all their channels in the deployment.
const DEBTS: &str = "-- debts
    SELECT c.deployment, c.payer,
           LEAST(sum(GREATEST(e.authorised - c.claimed, 0)), 340282366920938463463374607431768211455)
    FROM (SELECT DISTINCT deployment, payer FROM channels WHERE id = ANY($1)) AS asked
    JOIN channels c ON c.payer = asked.payer AND c.deployment = asked.deployment AND c.status IN ('open', 'closing')
    JOIN epochs e ON e.channel = c.id AND e.number = (SELECT max(number) FROM epochs WHERE channel = c.id)
    GROUP BY c.deployment, c.payer";

/// The watcher's word and the wallet's; without either nothing is sold. And what was owed in all at the last look.
const FRESH: &str = "-- fresh
    SELECT id, exposure, extract(epoch FROM clock_timestamp() - exposure_at)::float8 FROM deployments
    WHERE id = ANY($1) AND safe_until > clock_timestamp() AND clear_until > clock_timestamp()";

const HOLDS_BY_ID: &str = concat!(
    "-- holds_by_id
    SELECT ",
    hold_columns!(),
    " FROM holds h WHERE h.id = ANY($1)"
);

const HOLDS_BY_REQUEST: &str = concat!(
    "-- holds_by_request
    SELECT ",
    hold_columns!(),
    "
    FROM unnest($1::bytea[], $2::text[]) AS q(channel, request_id)
    CROSS JOIN LATERAL (
        SELECT * FROM holds WHERE holds.channel = q.channel AND holds.request_id = q.request_id
        ORDER BY created_at DESC, id DESC LIMIT 1
    ) AS h"
);

/// Holds that a voucher seen before may take over; $3 is how many entries ask.
const HOLDS_BY_HASH: &str = concat!(
    "-- holds_by_hash
    SELECT ",
    hold_columns!(),
    "
    FROM unnest($1::bytea[], $2::bytea[], $3::int8[]) AS q(channel, request_hash, wanted)
    CROSS JOIN LATERAL (
        SELECT * FROM holds
        WHERE holds.channel = q.channel AND holds.request_hash = q.request_hash AND state = 'released'
        ORDER BY created_at DESC, id DESC LIMIT q.wanted
    ) AS h"
);

/// Arrays are unnested side by side in a SELECT list, here and below: as a function in FROM each would be copied once more.
const WRITE_EPOCHS: &str = "-- write_epochs
    UPDATE epochs e
    SET authorised = u.authorised, spent = u.spent, held = u.held, published = u.published,
        voucher_amount = u.voucher_amount, voucher_signature = u.voucher_signature,
        unclaimed_since = CASE WHEN u.unclaimed THEN COALESCE(e.unclaimed_since, now()) END
    FROM (SELECT unnest($1::bytea[]) AS channel, unnest($2::int8[]) AS number, unnest($3::numeric[]) AS authorised,
                 unnest($4::numeric[]) AS spent, unnest($5::numeric[]) AS held, unnest($6::numeric[]) AS published,
                 unnest($7::numeric[]) AS voucher_amount, unnest($8::bytea[]) AS voucher_signature,
                 unnest($9::bool[]) AS unclaimed) AS u
    WHERE e.channel = u.channel AND e.number = u.number";

/// Times are taken row by row: where one batch makes two holds of one request, the later is the newer.
const INSERT_HOLDS: &str = "-- insert_holds
    INSERT INTO holds
           (id, created_at, channel, epoch, amount, request_id, request_hash, state, captured, route, expires_at)
    SELECT u.id, clock_timestamp(), u.channel, u.epoch, u.amount, u.request_id, u.request_hash, u.state, u.captured,
           u.route, clock_timestamp() + make_interval(secs => $10)
    FROM (SELECT unnest($1::uuid[]) AS id, unnest($2::bytea[]) AS channel, unnest($3::int8[]) AS epoch,
                 unnest($4::numeric[]) AS amount, unnest($5::text[]) AS request_id,
                 unnest($6::bytea[]) AS request_hash, unnest($7::text[]) AS state, unnest($8::numeric[]) AS captured,
                 unnest($9::text[]) AS route) AS u";

const UPDATE_HOLDS: &str = "-- update_holds
    UPDATE holds h SET state = u.state, captured = u.captured
    FROM (SELECT unnest($1::uuid[]) AS id, unnest($2::timestamptz[]) AS created_at, unnest($3::text[]) AS state,
                 unnest($4::numeric[]) AS captured) AS u
    WHERE h.id = u.id AND h.created_at = u.created_at";

const FORGET_HOLDS: &str = "-- forget_holds
    DELETE FROM holds h
    USING (SELECT unnest($1::uuid[]) AS id, unnest($2::timestamptz[]) AS created_at) AS u
    WHERE h.id = u.id AND h.created_at = u.created_at";

const WRITE_AGREED: &str = "-- write_agreed
    UPDATE channels c SET agreed_close = u.amount, agreed_at = now()
    FROM unnest($1::bytea[], $2::numeric[]) AS u(id, amount)
    WHERE c.id = u.id";

const LOG_SALES: &str = "-- log_sales
    INSERT INTO sales_log (routes, channels, amounts, calls) VALUES ($1, $2, $3, $4)";

impl Statements {
    async fn prepare(session: &Session) -> Result<Statements, Error> {
        Ok(Statements {
            lock_free: session.prepare(LOCK_FREE).await?,
            lock_wait: session.prepare(LOCK_WAIT).await?,
            channels: session.prepare(CHANNELS).await?,
            debts: session.prepare(DEBTS).await?,
            fresh: session.prepare(FRESH).await?,
            holds_by_id: session.prepare(HOLDS_BY_ID).await?,
            holds_by_request: session.prepare(HOLDS_BY_REQUEST).await?,
            holds_by_hash: session.prepare(HOLDS_BY_HASH).await?,
            write_epochs: session.prepare(WRITE_EPOCHS).await?,
            insert_holds: session.prepare(INSERT_HOLDS).await?,
            update_holds: session.prepare(UPDATE_HOLDS).await?,
            forget_holds: session.prepare(FORGET_HOLDS).await?,
            write_agreed: session.prepare(WRITE_AGREED).await?,
            log_sales: session.prepare(LOG_SALES).await?,
        })
    }
}
