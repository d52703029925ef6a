//! What all channels of a deployment owe together, summed up again and again where it is limited: by one front for all, as
//! long as that lasts.

use std::sync::Arc;
use std::time::Duration;

use ledger::LedgerError;
use tokio::time::MissedTickBehavior;

use crate::front::Front;
use crate::metrics;

/// How often. What several fronts sell within it may exceed the limit.
const TALLY: Duration = Duration::from_secs(5);
/// How long others wait for a front that went away with the task.
const LEASE: Duration = Duration::from_secs(15);

/// Sums up until it is dropped.
pub(crate) async fn keep(front: Arc<Front>) {
    let holder = format!("front-{}", uuid::Uuid::now_v7());
    let mut turns = tokio::time::interval(TALLY);
    turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        turns.tick().await;
        let shop = front.shop.load_full();
        for till in shop.tills.iter().filter(|till| till.terms.limits_total()) {
            if let Err(error) = tally(&front, &holder, &till.name).await {
                metrics::ledger_error(&error);
                let error = &error as &dyn std::error::Error;
                tracing::warn!(deployment = &*till.name, error, "what is owed could not be summed up");
            }
        }
    }
}

async fn tally(front: &Front, holder: &str, deployment: &str) -> Result<(), LedgerError> {
    let ours = front.ledger.lease(&format!("tally:{deployment}"), holder, LEASE).await?;
    if ours { front.ledger.tally(deployment).await } else { Ok(()) }
}
