//! One chain: waits for its lease, then lets the followers of its deployments go their rounds, until the lease or the
//! process ends.

use std::time::{Duration, Instant};

use evm::Rpc;
use futures::future::join_all;
use ledger::Ledger;
use queue::Broker;
use runtime::{Lease, Shutdown};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::follow::{Follower, Round};
use crate::planner::Planner;
use crate::stall::Stall;
use crate::{Board, Trouble, balance, gauges, sync_jobs};

/// Rounds never follow each other faster, however often fronts ring: they ring for whoever can sign.
const LEAST_PAUSE: Duration = Duration::from_millis(100);
/// The longest pause after failures.
pub(crate) const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// What all followers share.
#[derive(Clone)]
pub(crate) struct Surroundings {
    pub(crate) ledger: Ledger,
    pub(crate) broker: Option<Broker>,
    pub(crate) board: Board,
    pub(crate) poll: Duration,
    /// How often the payees' own tokens are counted.
    pub(crate) balance_poll: Duration,
    /// How long a chain's head may stay where it is.
    pub(crate) head_stalled: Duration,
    /// How often it is looked what is to be claimed, closed or ended.
    pub(crate) plan: Duration,
}

/// Follows the deployments of one chain until the shutdown.
pub(crate) async fn serve_chain(
    chain_id: u64,
    lease: Lease,
    mut followers: Vec<Follower>,
    surroundings: Surroundings,
    shutdown: Shutdown,
) {
    let ledger = &surroundings.ledger;
    gauges::active(chain_id, false);
    followers.iter().for_each(|follower| gauges::begin(&follower.deployment));
    while shutdown.run_until(lease.acquire(ledger)).await.is_some() {
        tracing::info!(chain = chain_id, holder = lease.holder, "active");
        gauges::active(chain_id, true);
        let term = CancellationToken::new();
        let end = async {
            tokio::select! {
                () = shutdown.begun() => term.cancel(),
                () = term.cancelled() => {}
            }
        };
        let nodes: Vec<Rpc> = followers.iter().map(|follower| follower.rpc.clone()).collect();
        let comparing = term.run_until_cancelled(join_all(nodes.iter().map(Rpc::compare_for_ever)));
        let balances = join_all(followers.iter().map(|follower| {
            let Follower { deployment, rpc, ledger, .. } = follower;
            balance::keep(deployment.clone(), rpc.clone(), ledger.clone(), surroundings.balance_poll, &term)
        }));
        let planning = join_all(followers.iter().map(|follower| {
            let Follower { deployment, policy, rpc, ledger, .. } = follower;
            let (deployment, policy, rpc, ledger) = (deployment.clone(), *policy, rpc.clone(), ledger.clone());
            Planner { deployment, policy, rpc, ledger }.keep(surroundings.plan, &term)
        }));
        // Changes whenever somebody asks for a round.
        let (ring, bell) = watch::channel(());
        let names: Vec<String> = followers.iter().map(|follower| follower.deployment.name.clone()).collect();
        let listening = sync_jobs::listen(&surroundings, chain_id, &names, ring, &term);
        let rounds = followers.iter_mut().map(|follower| go_rounds(follower, &surroundings, bell.clone(), &term));
        let rounds = join_all(rounds);
        tokio::join!(lease.keep(ledger, &term), end, listening, rounds, balances, planning, comparing);
        gauges::active(chain_id, false);
        followers.iter().for_each(|follower| gauges::forget(&follower.deployment));
        tracing::info!(chain = chain_id, holder = lease.holder, "no longer active");
    }
    lease.release(ledger).await;
}

/// One round after the other, until `term` ends. Looking may be broken off, writing is finished.
async fn go_rounds(
    follower: &mut Follower,
    surroundings: &Surroundings,
    mut bell: watch::Receiver<()>,
    term: &CancellationToken,
) {
    let mut failures = 0_u32;
    follower.stall = Stall::new(Instant::now());
    while !term.is_cancelled() {
        let began = Instant::now();
        // Whoever rings from here on is served by the next round.
        bell.mark_unchanged();
        let jobs = sync_jobs::due(&surroundings.ledger, &follower.deployment.name).await;
        let Some(found) = term.run_until_cancelled(follower.look()).await else { return };
        let result = match found {
            Ok(finding) => follower.record(finding).await,
            Err(trouble) => Err(trouble),
        };
        failures = if result.is_err() { failures + 1 } else { 0 };
        follower.stall.tell(&follower.deployment, surroundings.head_stalled, Instant::now());
        surroundings.board.note(&follower.deployment.name, &result);
        sync_jobs::end(&surroundings.ledger, jobs, &result, failures).await;
        let pause = match &result {
            Ok(round) => pause_after(*round, surroundings.poll),
            Err(trouble) => {
                report(follower, trouble, failures);
                pause_after_failures(failures)
            }
        };
        wait(term, &mut bell, began, pause).await;
    }
}

fn pause_after(round: Round, poll: Duration) -> Duration {
    match round {
        Round::More => Duration::ZERO,
        Round::Current | Round::Waiting => poll,
        // Only a person ends it; it is enough to notice that soon.
        Round::Halted => LONGEST_PAUSE,
    }
}

/// Doubles from 100 ms on.
fn pause_after_failures(failures: u32) -> Duration {
    LEAST_PAUSE.saturating_mul(1 << failures.saturating_sub(1).min(10)).min(LONGEST_PAUSE)
}

fn report(follower: &Follower, trouble: &Trouble, failures: u32) {
    let deployment = &follower.deployment;
    gauges::trouble(deployment, trouble.label());
    let cause = std::error::Error::source(trouble).map(ToString::to_string).unwrap_or_default();
    // Once is life on a network; a load-balanced node alone makes rounds come to nothing every now and then.
    if failures < 3 {
        tracing::info!(deployment = deployment.name, error = %trouble, cause, "a round came to nothing");
    } else {
        tracing::warn!(deployment = deployment.name, error = %trouble, cause, failures, "rounds come to nothing");
    }
}

/// Waits for `pause` or for the bell, but a little in any case unless there is more to read.
async fn wait(term: &CancellationToken, bell: &mut watch::Receiver<()>, began: Instant, pause: Duration) {
    if pause.is_zero() {
        return;
    }
    let rung = async {
        // The bell is gone when the process ends, and then the term ends too.
        if bell.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
        tokio::time::sleep(LEAST_PAUSE.saturating_sub(began.elapsed())).await;
    };
    tokio::select! {
        () = tokio::time::sleep(pause) => {}
        () = rung => {}
        () = term.cancelled() => {}
    }
}
