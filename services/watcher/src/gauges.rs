//! What an operator asks about the watcher.

use alloy_primitives::U256;
use contracts::Deployment;
use evm::Block;
use ledger::Cursor;
use metrics::{counter, describe_counter, describe_gauge, gauge};

/// Tells the registry what the metrics mean.
pub(crate) fn describe() {
    describe_gauge!("watcher_active", "1 in the watcher that follows the chain, 0 in those that stand by.");
    describe_gauge!("watcher_head_block", "The newest block of the chain.");
    describe_gauge!("watcher_head_timestamp_seconds", "The time of the newest block, since 1970.");
    describe_gauge!("watcher_synced_block", "The last block whose events the ledger has.");
    describe_gauge!(
        "watcher_halted",
        "1: the chain broke what it called final; nothing is sold until a person looked."
    );
    describe_gauge!("watcher_head_stalled", "1: the head of the chain has not moved for too long.");
    describe_gauge!("watcher_safe_until_timestamp_seconds", "Until when fronts may sell by our word, since 1970.");
    describe_gauge!("watcher_payee_balance", "What the payee has of the token outside of channels, in base units.");
    describe_gauge!("claimable_base_units", "What could be claimed on chain now.");
    describe_counter!("claims_planned_total", "What was left to the wallet to claim, close or end, by reason.");
    describe_counter!("watcher_reorgs_total", "Reorganisations that took back what was read.");
    describe_counter!("watcher_skipped_logs_total", "Logs of the contract that could not be read and were left out.");
    describe_counter!("watcher_failed_rounds_total", "Rounds that came to nothing, by what was in the way.");
}

/// What alerts wait for begins at 0: Prometheus sees no increase in a counter that was not there before.
pub(crate) fn begin(deployment: &Deployment) {
    for name in ["watcher_reorgs_total", "watcher_skipped_logs_total"] {
        counter!(name, "deployment" => deployment.name.clone()).increment(0);
    }
}

/// Another watcher follows the deployment from now on: what we know of it gets old.
pub(crate) fn forget(deployment: &Deployment) {
    halted(deployment, false);
    stalled(deployment, false);
    for name in ["watcher_payee_balance", "claimable_base_units"] {
        gauge!(name, "deployment" => deployment.name.clone()).set(f64::NAN);
    }
}

/// Heights and times fit a float exactly up to 2^53.
#[expect(clippy::cast_precision_loss, reason = "a gauge is a float; neither heights nor seconds reach 2^53")]
fn float(value: u64) -> f64 {
    value as f64
}

pub(crate) fn head(deployment: &Deployment, head: &Block) {
    gauge!("watcher_head_block", "deployment" => deployment.name.clone()).set(float(head.number));
    gauge!("watcher_head_timestamp_seconds", "deployment" => deployment.name.clone()).set(float(head.time));
}

pub(crate) fn cursor(deployment: &Deployment, cursor: &Cursor) {
    gauge!("watcher_synced_block", "deployment" => deployment.name.clone()).set(float(cursor.block.number));
    halted(deployment, cursor.halted.is_some());
}

pub(crate) fn halted(deployment: &Deployment, halted: bool) {
    gauge!("watcher_halted", "deployment" => deployment.name.clone()).set(if halted { 1.0 } else { 0.0 });
}

pub(crate) fn stalled(deployment: &Deployment, stalled: bool) {
    gauge!("watcher_head_stalled", "deployment" => deployment.name.clone()).set(if stalled { 1.0 } else { 0.0 });
}

pub(crate) fn safe_until(deployment: &Deployment, time: u64) {
    gauge!("watcher_safe_until_timestamp_seconds", "deployment" => deployment.name.clone()).set(float(time));
}

pub(crate) fn balance(deployment: &Deployment, balance: U256) {
    gauge!("watcher_payee_balance", "deployment" => deployment.name.clone()).set(f64::from(balance));
}

pub(crate) fn claimable(deployment: &Deployment, amount: U256) {
    gauge!("claimable_base_units", "deployment" => deployment.name.clone()).set(f64::from(amount));
}

pub(crate) fn planned(deployment: &Deployment, reason: &'static str) {
    counter!("claims_planned_total", "deployment" => deployment.name.clone(), "reason" => reason).increment(1);
}

pub(crate) fn reorg(deployment: &Deployment) {
    counter!("watcher_reorgs_total", "deployment" => deployment.name.clone()).increment(1);
}

pub(crate) fn skipped(deployment: &Deployment) {
    counter!("watcher_skipped_logs_total", "deployment" => deployment.name.clone()).increment(1);
}

pub(crate) fn trouble(deployment: &Deployment, label: &'static str) {
    counter!("watcher_failed_rounds_total", "deployment" => deployment.name.clone(), "reason" => label).increment(1);
}

pub(crate) fn active(chain_id: u64, active: bool) {
    gauge!("watcher_active", "chain" => chain_id.to_string()).set(if active { 1.0 } else { 0.0 });
}
