//! What an operator asks about nodes. Each metric is set where its number is known.

use metrics::{describe_counter, describe_gauge};

/// Tells the registry what the metrics mean.
pub(crate) fn describe() {
    describe_counter!(
        "evm_requests_total",
        "Questions to nodes, by the node's place in the configuration and outcome."
    );
    describe_gauge!("evm_heads_apart_blocks", "How far the heads of a chain's nodes are apart.");
    describe_gauge!("evm_node_avoided", "1: a node lags behind the others, or is on another fork.");
}
