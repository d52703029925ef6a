//! The all-clear: every few seconds the wallet says in the ledger that it could answer a dishonest close now. Fronts sell
//! for as long after it as a close takes to settle, less what the answer needs.
//!
//! It is clear while this wallet is the active one, a node answers, what was sent is mined in good time, and the account has
//! gas for `all_clear_challenges` answers at [`MARKUP`] times what the market asks, or at the most that we pay. While it is not,
//! nothing is said, and what was said runs out.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use alloy_primitives::Address;
use channel::{Freshness, Means, NotClear, Outlook, all_clear};
use runtime::Config;
use runtime::telemetry::with_causes;
use tokio_util::sync::CancellationToken;

use crate::desk::Desk;
use crate::error::WalletError;
use crate::transactions::{GAS_OF_AN_ANSWER, OUT_OF_GAS};

/// How often.
const EVERY: Duration = Duration::from_secs(2);
/// What the market asks is twice the base fee: the base fee may rise to twenty times what it is.
const MARKUP: u128 = 10;
/// What is in the way of an answer before anybody has looked.
const UNSEEN: &str = "what was sent before was not looked at yet";

/// What the all-clear is given by, and what became of it.
pub(crate) struct Clearing {
    answers: u32,
    /// Of each deployment.
    freshness: HashMap<String, Freshness>,
    last: Mutex<BTreeMap<String, Result<(), NotClear>>>,
}

impl Clearing {
    pub(crate) fn new(config: &Config) -> Clearing {
        let freshness =
            |(name, deployment): (&String, &runtime::config::Deployment)| (name.clone(), deployment.freshness());
        Clearing {
            answers: config.wallet.all_clear_challenges,
            freshness: config.deployments.iter().map(freshness).collect(),
            last: Mutex::default(),
        }
    }

    /// For people: what is not clear.
    ///
    /// # Errors
    /// What is in the way, of each deployment.
    pub(crate) fn verdict(&self) -> Result<(), String> {
        let last = self.last();
        let problems = last.iter().filter_map(|(name, clear)| Some(format!("{name}: {}", clear.err()?)));
        let problems: Vec<String> = problems.collect();
        match problems.is_empty() {
            true if last.is_empty() => Err("nothing was looked at yet".to_owned()),
            true => Ok(()),
            false => Err(problems.join("; ")),
        }
    }

    fn last(&self) -> MutexGuard<'_, BTreeMap<String, Result<(), NotClear>>> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes what became of it; a change is said once.
    fn note(&self, deployment: &str, clear: Result<(), NotClear>) {
        let before = self.last().insert(deployment.to_owned(), clear);
        let word = |clear: Result<(), NotClear>| clear.map_or_else(|why| why.as_str(), |()| "clear");
        for reason in NotClear::WORDS.into_iter().chain(["clear"]) {
            let labels = [("deployment", deployment.to_owned()), ("reason", reason.to_owned())];
            metrics::gauge!("wallet_all_clear", &labels).set(f64::from(u8::from(reason == word(clear))));
        }
        if before.map(word) == Some(word(clear)) {
            return;
        }
        match clear {
            Ok(()) => tracing::info!(deployment, "all clear: a dishonest close could be answered"),
            Err(NotClear::Standby) => {
                tracing::info!(deployment, "no all-clear from here: another wallet is the active one")
            }
            Err(why) => tracing::warn!(deployment, %why, "not clear: fronts stop selling unless this ends soon"),
        }
    }
}

/// Notes that another wallet is the active one, or will be.
pub(crate) fn stand_by(desk: &Desk) {
    desk.purses.keys().for_each(|deployment| desk.clearing.note(deployment, Err(NotClear::Standby)));
}

/// Gives the all-clear again and again, until the term ends.
pub(crate) async fn give(desk: &Desk, term: &CancellationToken) {
    while !term.is_cancelled() {
        // Counted from before anything was asked: what a node said may be old by the time it is written down.
        let since = Instant::now();
        let mut accounts: HashMap<Address, Option<Means>> = HashMap::new();
        let mut all = true;
        for (deployment, purse) in &desk.purses {
            let account = purse.key.address();
            let means = match accounts.get(&account) {
                Some(means) => *means,
                None => *accounts.entry(account).or_insert(means(desk, account).await),
            };
            match clear(desk, deployment, means, since).await {
                Ok(clear) => {
                    all &= clear.is_ok();
                    desk.clearing.note(deployment, clear);
                }
                Err(error) => {
                    all = false;
                    let error = with_causes(&error);
                    tracing::warn!(chain = desk.chain_id, deployment, error, "the all-clear could not be written down");
                }
            }
        }
        // Fronts wait for what is missing.
        let pause = if all { EVERY } else { desk.poll.min(EVERY) };
        term.run_until_cancelled(tokio::time::sleep(pause)).await;
    }
}

/// Says so in the ledger, if it is clear.
async fn clear(
    desk: &Desk,
    deployment: &str,
    account: Option<Means>,
    since: Instant,
) -> Result<Result<(), NotClear>, WalletError> {
    let Some(freshness) = desk.clearing.freshness.get(deployment) else { return Ok(Err(NotClear::Standby)) };
    let clear = all_clear(&Outlook { active: true, account }, desk.clearing.answers);
    let lasts = Duration::from_secs(freshness.usable()).saturating_sub(since.elapsed());
    if clear.is_ok() && !desk.ledger.clear(&desk.fence, deployment, lasts).await? {
        return Ok(Err(NotClear::Standby));
    }
    Ok(clear)
}

/// What the account has to answer with; `None` when no node says so.
async fn means(desk: &Desk, account: Address) -> Option<Means> {
    let asked = async { Ok::<_, WalletError>((desk.rpc.balance(account).await?, desk.rpc.fees().await?)) };
    let (balance, market) = match asked.await {
        Ok(answers) => answers,
        Err(error) => {
            tracing::debug!(chain = desk.chain_id, error = with_causes(&error), "no node says what the account has");
            return None;
        }
    };
    let price = market.max_fee.saturating_mul(MARKUP).min(desk.policy.urgent_cap);
    // Whether there is gas enough for one answer was asked at the last block; how much there is, just now.
    let hindrance = desk.memory().last_look(account).map_or(Some(UNSEEN), |(_, hindrance)| hindrance);
    Some(Means {
        balance: balance.try_into().unwrap_or(u128::MAX),
        answer: price.saturating_mul(GAS_OF_AN_ANSWER.into()),
        hindrance: hindrance.filter(|hindrance| *hindrance != OUT_OF_GAS),
    })
}
