//! What an operator asks about the wallet. Each metric is set where its number is known.

use metrics::{counter, describe_counter, describe_gauge};

/// Tells the registry what the metrics mean.
pub(crate) fn describe() {
    describe_gauge!("wallet_active", "1 in the wallet that works on the chain, 0 in those that stand by.");
    describe_gauge!("wallet_all_clear", "1 at `clear`, or at why no all-clear is given.");
    describe_gauge!(
        "challenge_margin_blocks",
        "Blocks left to answer the most urgent dishonest close; infinite: none."
    );
    describe_gauge!("challenge_margin_seconds", "The same in seconds.");
    describe_gauge!("wallet_challenges_late", "Dishonest closes that have waited too long for their answer.");
    describe_counter!("wallet_challenges_total", "Dishonest closes that ended, by who won.");
    describe_counter!("wallet_jobs_total", "Attempts at jobs, by kind and outcome.");
    describe_counter!("wallet_transactions_total", "Changes of what was sent, by state.");
    describe_gauge!("wallet_transactions_open", "Transactions that are not mined.");
    describe_gauge!("wallet_transactions_capped", "Of these, those that cost more to mine than we pay.");
    describe_gauge!("wallet_oldest_unmined_seconds", "How long the oldest of them has waited.");
    describe_counter!("wallet_replacements_total", "Transactions that were replaced under their nonce, by reason.");
    describe_gauge!("wallet_nonce_gap", "1: a nonce is missing before one of ours.");
    describe_gauge!("wallet_balance_wei", "What an account has of the chain's own coin.");
    describe_gauge!("wallet_out_of_gas", "1: an account cannot pay for what is to be sent.");
    describe_gauge!("wallet_hindered", "1: an answer to a dishonest close would not be mined in good time.");
    describe_gauge!("wallet_gas_low", "1: an account has less gas than it should.");
    describe_gauge!("wallet_outbound_low", "1: a channel that we pay from has too little left.");
    describe_gauge!("wallet_outbound_left", "What is left of a channel that we pay from, in base units.");
}

/// What alerts wait for begins at 0: Prometheus sees no increase in a counter that was not there before.
pub(crate) fn begin(chain: u64) {
    for outcome in ["won", "lost"] {
        counter!("wallet_challenges_total", "outcome" => outcome).increment(0);
    }
    for reason in ["fees", "no-op"] {
        counter!("wallet_replacements_total", "chain" => chain.to_string(), "reason" => reason).increment(0);
    }
}

/// A number as metrics have them: in floating point, exact up to 2^32 and infinite above.
pub(crate) fn number(number: impl TryInto<u32>) -> f64 {
    number.try_into().map_or(f64::INFINITY, f64::from)
}
