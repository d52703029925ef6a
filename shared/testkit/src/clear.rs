//! What a wallet says while all is well, for tests that run none: fronts sell on no deployment without it.

use std::time::Duration;

use anyhow::{Result, ensure};
use ledger::{Fence, Ledger};

const HOUR: Duration = Duration::from_secs(3_600);

/// Says for the wallet that it could answer closes on this deployment, for an hour. The ledger must know the deployment.
pub async fn all_clear(ledger: &Ledger, deployment: &str) -> Result<()> {
    let fence = Fence { lease: format!("all clear:{deployment}"), holder: "test kit".to_owned() };
    let taken =
        ledger.lease(&fence.lease, &fence.holder, HOUR).await? && ledger.clear(&fence, deployment, HOUR).await?;
    ensure!(taken, "the ledger does not know {deployment}");
    Ok(())
}
