//! What a deployment is, what its channels come to, and what its payee has beside them.

use protocols::{Answer, Reply, Statistics};

use super::{Window, since_1970};
use crate::fault::Fault;

pub(super) async fn answer(window: &Window<'_>, deployment: Option<&str>) -> Result<Answer, Fault> {
    let Some(till) = window.till(deployment) else { return Ok(window.reply(&Reply::NoDeployment)) };
    let (ledger, name) = (&window.front.ledger, &*till.name);
    let _place = window.front.desk.lookups.acquire().await;
    let statistics = Statistics {
        deployment: &till.deployment,
        erc223: till.erc223,
        totals: ledger.totals(name).await?,
        balance: ledger.balance(name).await?.map(|(amount, seen_at)| (amount, since_1970(seen_at))),
        synced: ledger.cursor(name).await?.map(|cursor| cursor.block.number),
    };
    Ok(window.reply(&Reply::Statistics(&statistics)))
}
