//! What an operator asks about the ledger. Each metric is set where its number is known.

use channel::Amount;
use metrics::{counter, describe_counter, describe_gauge, describe_histogram};

/// Tells the registry what the metrics mean.
pub(crate) fn describe() {
    describe_histogram!("ledger_tx_seconds", "How long a transaction took, by its name.");
    describe_histogram!("ledger_batch_entries", "How many payments shared a commit.");
    describe_gauge!("ledger_queue_length", "Payments that wait for the next commit.");
    describe_counter!("ledger_outcome_unknown_total", "Commits of which nobody knows whether they happened.");
    describe_counter!(
        "ledger_entries_skipped_total",
        "Payments that waited because somebody else had their channel locked."
    );
    describe_counter!("ledger_batches_rerun_total", "Batches that were done again one by one, because of one of them.");
    describe_counter!("ledger_captures_short_total", "Calls that were served and could not be charged in full.");
    describe_counter!("ledger_holds_expired_total", "Holds that nobody renewed: their front went away.");
    describe_counter!("ledger_claims_absorbed_total", "Channels of which more was claimed than we hold vouchers for.");
    describe_counter!(
        "ledger_sold_base_units_total",
        "What was charged, by deployment and route; a trend, the books are exact."
    );
    describe_counter!(
        "ledger_claimed_base_units_total",
        "What the chain paid out to the payee, by deployment; a trend."
    );
    begin();
}

/// What alerts wait for begins at 0: Prometheus sees no increase in a counter that was not there before.
fn begin() {
    let never = [
        "ledger_outcome_unknown_total",
        "ledger_entries_skipped_total",
        "ledger_batches_rerun_total",
        "ledger_captures_short_total",
        "ledger_holds_expired_total",
        "ledger_claims_absorbed_total",
    ];
    never.into_iter().for_each(|name| counter!(name).increment(0));
}

/// This much was charged.
pub(crate) fn sold(deployment: String, route: String, amount: Amount) {
    counter!("ledger_sold_base_units_total", "deployment" => deployment, "route" => route).increment(units(amount));
}

/// The chain paid this much more.
pub(crate) fn claimed(deployment: &str, amount: Amount) {
    counter!("ledger_claimed_base_units_total", "deployment" => deployment.to_owned()).increment(units(amount));
}

/// Who sells more than 2^64 units at once has no use for a trend.
fn units(amount: Amount) -> u64 {
    u64::try_from(amount.units()).unwrap_or(u64::MAX)
}
