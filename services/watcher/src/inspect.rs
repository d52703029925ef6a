use contracts::{Deployment, Kind, SolCall, raiden};
use evm::Rpc;

use crate::Trouble;

/// Makes sure that the contract is the one configured, before anything it says is believed: a wrong challenge period
/// would have us sell for longer than is safe, a wrong token for something worthless.
pub(crate) async fn inspect(rpc: &Rpc, deployment: &Deployment) -> Result<(), Trouble> {
    match deployment.kind {
        Kind::Raiden => {
            let period = ask(rpc, deployment, raiden::abi::challenge_periodCall {}).await?;
            agree("challenge_period", deployment.challenge_period, period)?;
            let token = ask(rpc, deployment, raiden::abi::tokenCall {}).await?;
            agree("token", deployment.token, token)
        }
    }
}

async fn ask<C: SolCall>(rpc: &Rpc, deployment: &Deployment, call: C) -> Result<C::Return, Trouble> {
    let answer = rpc.call(deployment.contract, call.abi_encode().into()).await?;
    C::abi_decode_returns_validate(&answer)
        .map_err(|_| Trouble::Contract(format!("{} does not answer {}", deployment.contract, C::SIGNATURE)))
}

fn agree<T: PartialEq + std::fmt::Display>(what: &str, configured: T, found: T) -> Result<(), Trouble> {
    if configured == found {
        return Ok(());
    }
    Err(Trouble::Contract(format!("{what} is {found}, configured is {configured}")))
}
