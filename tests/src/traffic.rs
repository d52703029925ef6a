use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};
use channel::Amount;
use futures::future::join_all;
use reqwest::StatusCode;
use tokio::task::JoinHandle;
use tokio::time::{Instant, interval};

use crate::ByHand;

/// How many failures are told in words.
const WORDS: usize = 5;
/// How many answers a second must have had to be one of those that are compared.
const ENOUGH: usize = 50;

/// Payers who pay one unit after the other at a steady pace, whatever happens to the cluster meanwhile.
///
/// A request is due at its time, not when the one before it was answered, and is measured from then on: a stall is seen
/// by all who had to wait for it. Time is divided into *phases*, which the test names; a request that saw two of them
/// counts for both.
#[derive(Debug)]
pub struct Traffic {
    shared: Arc<Shared>,
    payers: Vec<JoinHandle<Result<u128>>>,
}

/// How requests fared in one phase.
#[derive(Clone, Debug, Default)]
pub struct Fared {
    /// How long each paid answer took, by the second in which it came; sorted.
    took: BTreeMap<Second, Vec<Duration>>,
    /// How many were not answered with 200.
    pub failed: usize,
    /// Of the first of them, why.
    pub words: Vec<String>,
}

/// The how manieth change of phases, and the full seconds since.
type Second = (u64, u64);

#[derive(Debug, Default)]
struct Shared {
    over: AtomicBool,
    log: Mutex<Log>,
}

#[derive(Debug, Default)]
struct Log {
    phase: String,
    /// How many phases there were before it, and when it began.
    number: u64,
    since: Option<Instant>,
    phases: BTreeMap<String, Fared>,
}

impl Traffic {
    /// Lets each payer buy at `url`, which costs one unit, every `pace`.
    pub fn start(payers: &[ByHand], url: &str, pace: Duration, phase: &str) -> Traffic {
        let shared = Arc::new(Shared::default());
        shared.log().enter(phase);
        let pay = |payer: &ByHand| tokio::spawn(pay_on(payer.clone(), url.to_owned(), pace, shared.clone()));
        let payers = payers.iter().map(pay).collect();
        Traffic { shared, payers }
    }

    /// From now on it is this phase.
    pub fn enter(&self, phase: &str) {
        self.shared.log().enter(phase);
    }

    /// How requests have fared so far in phases of this name.
    pub fn fared(&self, phase: &str) -> Fared {
        let mut fared = self.shared.log().phases.get(phase).cloned().unwrap_or_default();
        fared.took.values_mut().for_each(|took| took.sort_unstable());
        fared
    }

    /// Everything of all phases that was not answered with 200.
    pub fn failed(&self) -> Vec<String> {
        self.shared.log().phases.iter().flat_map(|(name, fared)| tell(name, fared)).collect()
    }

    /// Ends it; says what each payer was charged, as far as it was told.
    ///
    /// # Errors
    /// When a payer was told something that cannot be.
    pub async fn stop(self) -> Result<Vec<u128>> {
        self.shared.over.store(true, Ordering::Relaxed);
        join_all(self.payers).await.into_iter().map(|paid| paid.context("a payer panicked")?).collect()
    }
}

impl Fared {
    /// How many were paid and answered.
    pub fn paid(&self) -> usize {
        self.took.values().map(Vec::len).sum()
    }

    /// What so many of a thousand took at most; nothing when there were none.
    pub fn permille(&self, permille: usize) -> Duration {
        let mut all: Vec<Duration> = self.took.values().flatten().copied().collect();
        all.sort_unstable();
        at(&all, permille)
    }

    /// Likewise, in the median of all seconds: whatever holds up everything else on the machine for a moment does not count.
    pub fn usual_permille(&self, permille: usize) -> Duration {
        let seconds = self.took.values().filter(|took| took.len() >= ENOUGH);
        let mut seconds: Vec<Duration> = seconds.map(|took| at(took, permille)).collect();
        seconds.sort_unstable();
        at(&seconds, 500)
    }

    /// The two together, of one traffic.
    pub fn and(mut self, other: &Fared) -> Fared {
        for (second, took) in &other.took {
            self.took.entry(*second).or_default().extend(took);
        }
        self.failed += other.failed;
        self.words.extend(other.words.iter().cloned());
        self
    }
}

/// What so many of a thousand are at most; these are sorted.
fn at(sorted: &[Duration], permille: usize) -> Duration {
    let rank = (sorted.len() * permille).div_ceil(1_000);
    sorted.get(rank.saturating_sub(1)).copied().unwrap_or_default()
}

impl Log {
    fn enter(&mut self, phase: &str) {
        phase.clone_into(&mut self.phase);
        (self.number, self.since) = (self.number + 1, Some(Instant::now()));
    }
}

impl Shared {
    fn log(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes an answer to a request that was due in the phase `began`.
    fn note(&self, began: &str, took: Result<Duration, &str>) {
        let mut log = self.log();
        let (ended, second) = (log.phase.clone(), log.since.map_or(0, |since| since.elapsed().as_secs()));
        let second = (log.number, second);
        let other = (began != ended).then_some(began);
        for phase in [Some(ended.as_str()), other].into_iter().flatten() {
            let fared = log.phases.entry(phase.to_owned()).or_default();
            match took {
                Ok(took) => fared.took.entry(second).or_default().push(took),
                Err(reason) => {
                    fared.failed += 1;
                    if fared.words.len() < WORDS {
                        fared.words.push(reason.to_owned());
                    }
                }
            }
        }
    }
}

fn tell(phase: &str, fared: &Fared) -> Vec<String> {
    fared.words.iter().map(|words| format!("{phase}: {} failed, such as: {words}", fared.failed)).collect()
}

async fn pay_on(payer: ByHand, url: String, pace: Duration, shared: Arc<Shared>) -> Result<u128> {
    let mut due = interval(pace); // what is overdue is sent at once
    let mut paid = 0;
    while !shared.over.load(Ordering::Relaxed) {
        let due = due.tick().await;
        let phase = shared.log().phase.clone();
        match payer.pay(&url, Amount::new(paid + 1)).send().await {
            Ok(answer) if answer.status() == StatusCode::OK => {
                let whole = answer.bytes().await.map(|_| Instant::now() - due);
                shared.note(&phase, whole.as_ref().copied().map_err(|_| "an answer broke off"));
                paid += 1;
            }
            Ok(answer) => {
                shared.note(&phase, Err(&format!("{answer:?}")));
                if let Some(recorded) = answer.headers().get("rdn-sender-balance") {
                    paid = recorded.to_str()?.parse()?;
                }
            }
            Err(error) => shared.note(&phase, Err(&format!("{error:?}"))),
        }
    }
    Ok(paid)
}
