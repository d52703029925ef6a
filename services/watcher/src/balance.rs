//! What the payee has of the token outside of channels, for who asks a front: fronts never talk to a chain.

use std::time::Duration;

use channel::Amount;
use contracts::{ContractError, Deployment, token};
use evm::{EvmError, Rpc};
use ledger::{Ledger, LedgerError};
use tokio_util::sync::CancellationToken;

use crate::gauges;

/// No setting makes it a busy loop.
const LEAST_PAUSE: Duration = Duration::from_millis(100);

/// Why a balance is not known. It is asked for again; until then the old one stands, with its age.
#[derive(Debug, thiserror::Error)]
enum Unknown {
    #[error("the node did not say")]
    Chain(#[from] EvmError),
    #[error("the token says nothing of the kind")]
    Token(#[from] ContractError),
    #[error("it could not be written down")]
    Ledger(#[from] LedgerError),
}

/// Looks at once and then `every` so often, until `term` ends.
pub(crate) async fn keep(deployment: Deployment, rpc: Rpc, ledger: Ledger, every: Duration, term: &CancellationToken) {
    let rounds = async {
        loop {
            if let Err(unknown) = look(&deployment, &rpc, &ledger).await {
                let cause = std::error::Error::source(&unknown).map(ToString::to_string).unwrap_or_default();
                tracing::info!(deployment = deployment.name, error = %unknown, cause, "the payee's balance is not known");
            }
            tokio::time::sleep(every.max(LEAST_PAUSE)).await;
        }
    };
    // Broken off anywhere, it changed nothing or all.
    term.run_until_cancelled(rounds).await;
}

async fn look(deployment: &Deployment, rpc: &Rpc, ledger: &Ledger) -> Result<(), Unknown> {
    let answer = rpc.call(deployment.token, token::balance_of(deployment.payee)).await?;
    let balance = token::read_amount(&answer)?;
    gauges::balance(deployment, balance);
    Ok(ledger.note_balance(&deployment.name, Amount::saturating_from(balance)).await?)
}
