//! What the ledger holds and whom the upstream was called for, as [`super::check()`] wants to see it.

use std::fs;
use std::path::Path;

use alloy_primitives::B256;
use anyhow::{Context, Result, bail};
use channel::{Amount, ChannelId};
use tokio_postgres::NoTls;

/// What became of a sale.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Its call is under way, or its front is gone.
    Held,
    /// Charged.
    Captured,
    /// Given back.
    Released,
}

/// A sale in the ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sale {
    /// The ledger's own name of it.
    pub id: String,
    /// Who pays.
    pub channel: ChannelId,
    /// The client's name of the request, if it has one.
    pub request: Option<String>,
    /// Its price.
    pub amount: Amount,
    /// What became of it.
    pub state: State,
    /// What was charged.
    pub captured: Amount,
}

/// A channel in the ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// Which.
    pub channel: ChannelId,
    /// The highest voucher.
    pub authorised: Amount,
    /// Charged.
    pub spent: Amount,
    /// Reserved.
    pub held: Amount,
    /// What the ledger takes for its deposit.
    pub deposit: Amount,
}

/// A line of the upstream's log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// The sale it was called for.
    pub sale: String,
    /// The client's name of the request, if it has one.
    pub request: Option<String>,
}

/// All of it.
#[derive(Clone, Debug, Default)]
pub struct Books {
    /// The ledger's sales.
    pub sales: Vec<Sale>,
    /// The ledger's channels.
    pub accounts: Vec<Account>,
    /// The upstream's log.
    pub calls: Vec<Call>,
}

const SALES: &str = "-- sales
    SELECT '0x' || replace(id::text, '-', ''), channel, request_id, amount::text, state, captured::text FROM holds";

const ACCOUNTS: &str = "-- accounts
    SELECT e.channel, e.authorised::text, e.spent::text, e.held::text, c.deposit::text
    FROM epochs e JOIN channels c ON c.id = e.channel";

impl Books {
    /// Reads the ledger at `database`, and the log that [`crate::upstream`] keeps.
    pub async fn read(database: &str, upstream: &Path) -> Result<Books> {
        // The log first: what is called is recorded before, so the ledger must know each of its lines.
        let calls = calls(&fs::read_to_string(upstream).context("the upstream keeps no log")?);
        let (client, connection) = tokio_postgres::connect(database, NoTls).await?;
        tokio::spawn(connection);
        let mut books = Books { calls, ..Books::default() };
        for row in client.query(SALES, &[]).await? {
            let state = match row.get(4) {
                "held" => State::Held,
                "captured" => State::Captured,
                "released" | "retried" => State::Released,
                other => bail!("a hold is {other}"),
            };
            let (amount, captured) = (units(row.get(3))?, units(row.get(5))?);
            let (id, channel, request) = (row.get(0), id_of(row.get(1)), row.get(2));
            books.sales.push(Sale { id, channel, request, amount, state, captured });
        }
        for row in client.query(ACCOUNTS, &[]).await? {
            let channel = id_of(row.get(0));
            let [authorised, spent, held, deposit] = [1, 2, 3, 4].map(|column| units(row.get(column)));
            let (authorised, spent, held, deposit) = (authorised?, spent?, held?, deposit?);
            books.accounts.push(Account { channel, authorised, spent, held, deposit });
        }
        Ok(books)
    }

    /// How many sales are neither charged nor given back.
    pub fn held(&self) -> usize {
        self.sales.iter().filter(|sale| sale.state == State::Held).count()
    }
}

/// `METHOD path sale request`, of which calls for nothing have no sale.
fn calls(log: &str) -> Vec<Call> {
    let call = |line: &str| {
        let mut words = line.split(' ').skip(2);
        let (sale, request) = (words.next()?, words.next()?);
        let known = |word: &str| (word != "-").then(|| word.to_owned());
        Some(Call { sale: known(sale)?, request: known(request) })
    };
    log.lines().filter_map(call).collect()
}

fn id_of(bytes: &[u8]) -> ChannelId {
    ChannelId(B256::right_padding_from(bytes))
}

fn units(text: &str) -> Result<Amount> {
    Ok(Amount::new(text.parse().with_context(|| format!("{text} is no amount"))?))
}
