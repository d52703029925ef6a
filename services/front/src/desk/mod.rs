//! What can be asked of the payee beside what is for sale: the protocols' own paths.
//!
//! ```text
//! question ─► too often? 429 ─► protocol reads ─► nonsense: its answer ─┬─► sums, lists: from the cache, or the ledger
//!                                                                      ├─► one channel: the ledger
//!                                                                      ├─► a close: the ledger, and a job for the wallet
//!                                                                      └─► the operator's: password or token first
//! ```
//! *Invariant:* nothing here makes the ledger work without a bound: questions are counted per client, lists come in pages,
//! what reads many channels is read once for all who ask within [`FRESH`], and [`LOOKUPS`] are made at a time.

mod admin;
mod channels;
mod close;
mod stats;

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use channel::{Channel, Epoch};
use contracts::Opening;
use http::request::Parts;
use http::{Method, Response};
use moka::future::Cache;
use protocols::{Answer, Command, Operation, Protocol, Reply};
use runtime::config;
use tokio::sync::Semaphore;

use crate::body::Body;
use crate::fault::Fault;
use crate::front::{Front, Visit};
use crate::paywall::whole;
use crate::rates::Rates;
use crate::shop::Shop;
use crate::till::Till;
use admin::Operator;

/// How old a sum or a list may be.
const FRESH: Duration = Duration::from_secs(2);
/// Bytes of answers that are kept for so long.
const KEPT: u64 = 16 << 20;
/// What an answer weighs beside its body.
const AROUND: usize = 512;
/// Lookups in the ledger at a time; further ones wait. The connections are needed for more important things.
const LOOKUPS: usize = 4;
/// Requests that wait for the wallet at a time.
const SIGNING: usize = 64;

/// Answers questions.
pub(crate) struct Desk {
    questions: Option<Rates>,
    deletes: Option<Rates>,
    answers: Cache<(&'static str, Command), Answer>,
    lookups: Semaphore,
    signing: Semaphore,
    operator: Option<Operator>,
}

impl Desk {
    pub(crate) fn open(config: &config::Front) -> anyhow::Result<Desk> {
        let rates = &config.rates;
        let weight =
            |_: &(&str, Command), answer: &Answer| u32::try_from(answer.body.len() + AROUND).unwrap_or(u32::MAX);
        Ok(Desk {
            questions: Rates::new(rates.per_minute, rates.burst),
            deletes: Rates::new(rates.deletes_per_minute, rates.deletes_burst),
            answers: Cache::builder().max_capacity(KEPT).weigher(weight).time_to_live(FRESH).build(),
            lookups: Semaphore::new(LOOKUPS),
            signing: Semaphore::new(SIGNING),
            operator: config.admin.as_ref().map(Operator::open).transpose()?,
        })
    }

    /// Counts a question of this client, and a DELETE once more.
    fn count(&self, visit: &Visit, method: &Method) -> Result<(), Fault> {
        if let Some(questions) = &self.questions {
            questions.take(visit.client)?;
        }
        if method == Method::DELETE { self.count_delete(visit) } else { Ok(()) }
    }

    fn count_delete(&self, visit: &Visit) -> Result<(), Fault> {
        match &self.deletes {
            Some(deletes) => Ok(deletes.take(visit.client)?),
            None => Ok(()),
        }
    }
}

/// The desk, to somebody who speaks a protocol.
struct Window<'a> {
    front: &'a Front,
    visit: &'a Visit,
    protocol: &'static dyn Protocol,
    /// Where that protocol's payments are taken, by name.
    tills: Vec<&'a Till>,
}

/// The answer to a request at a path of the protocol's own.
pub(crate) async fn answer(
    front: &Front,
    visit: &Visit,
    shop: &Shop,
    protocol: &'static dyn Protocol,
    head: &Parts,
    body: &mut Option<Body>,
) -> Result<Response<Body>, Fault> {
    front.desk.count(visit, &head.method)?;
    let body = match body.take() {
        Some(body) => front.bounds().read(body).await?,
        None => Bytes::new(),
    };
    let command = match protocol.command(head, &body) {
        Ok(command) => command,
        Err(answer) => return Ok(whole(*answer)),
    };
    let of_protocol = shop.tills.iter().map(AsRef::as_ref).filter(|till| till.protocol.name() == protocol.name());
    let window = Window { front, visit, protocol, tills: of_protocol.collect() };
    window.answer(command, head).await
}

impl Window<'_> {
    async fn answer(&self, command: Command, head: &Parts) -> Result<Response<Body>, Fault> {
        let answer = match command {
            Command::Manage { deployment } => return Ok(self.manage(deployment.as_deref())),
            Command::Close { opening, amount } => close::answer(self, &opening, amount).await,
            Command::Show(opening) => channels::show(self, &opening).await,
            Command::Operate(operation) => self.operate(&operation, head).await,
            Command::Statistics { .. } | Command::List(_) => {
                let answers = &self.front.desk.answers;
                let answer = answers.try_get_with((self.protocol.name(), command.clone()), self.look(&command)).await;
                answer.map_err(|fault| *fault)
            }
        };
        answer.map(whole)
    }

    fn manage(&self, deployment: Option<&str>) -> Response<Body> {
        self.till(deployment).map_or_else(|| whole(self.reply(&Reply::NoDeployment)), |till| till.pages.channel())
    }

    /// Once for all who ask at the same time.
    async fn look(&self, command: &Command) -> Result<Answer, Fault> {
        match command {
            Command::Statistics { deployment } => stats::answer(self, deployment.as_deref()).await,
            Command::List(listing) => channels::list(self, listing).await,
            _ => Err(Fault::Internal),
        }
    }

    async fn operate(&self, operation: &Operation, head: &Parts) -> Result<Answer, Fault> {
        match &self.front.desk.operator {
            Some(operator) => admin::answer(self, operator, operation, head).await,
            None => Ok(self.reply(&Reply::Nothing)),
        }
    }

    fn reply(&self, reply: &Reply<'_>) -> Answer {
        self.protocol.reply(reply)
    }

    /// The deployment of this name, or the first one.
    fn till(&self, deployment: Option<&str>) -> Option<&Till> {
        self.tills.iter().find(|till| deployment.is_none_or(|name| *till.name == *name)).copied()
    }

    /// A channel, in whichever deployment it is.
    async fn find(&self, opening: &Opening) -> Result<Option<(&Till, Channel, Epoch)>, Fault> {
        let _place = self.front.desk.lookups.acquire().await;
        for till in &self.tills {
            if let Some((channel, epoch)) = self.front.ledger.view(till.channel(opening)).await? {
                return Ok(Some((till, channel, epoch)));
            }
        }
        Ok(None)
    }
}

/// As the protocols take a time.
fn since_1970(time: SystemTime) -> Duration {
    time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
}
