use alloy_primitives::U256;
use contracts::raiden;
use evm::{EvmError, Rpc};

use super::{Finding, Patient};

/// What the chain shows of an open channel.
pub(super) struct Seen {
    pub(super) deposit: U256,
    pub(super) head: u64,
}

/// Asks the chain. `None` when it shows no open channel, or does not answer.
pub(super) async fn examine(rpc: &Rpc, patient: &Patient, findings: &mut Vec<Finding>) -> Option<Seen> {
    match look(rpc, patient).await {
        Ok((finding, seen)) => {
            findings.push(finding);
            seen
        }
        Err(error) => {
            let next = "check --rpc and --chain-id, and that the node runs";
            findings.push(Finding::bad("chain", format!("cannot be asked: {error}"), next));
            None
        }
    }
}

async fn look(rpc: &Rpc, Patient { key, sender }: &Patient) -> Result<(Finding, Option<Seen>), EvmError> {
    let head = rpc.head().await?.number;
    if rpc.code(key.contract).await?.is_empty() {
        let next = "check the contract's address and the chain id";
        return Ok((Finding::bad("chain", format!("there is no contract at {}", key.contract), next), None));
    }
    let opening = raiden::opening(*sender, key.open_block);
    let malformed = |error: contracts::ContractError| EvmError::Malformed(error.to_string());
    let question = raiden::channel_info(&opening, key.receiver).map_err(malformed)?;
    let answer = match rpc.call(key.contract, question).await {
        Ok(answer) => answer,
        Err(EvmError::Revert { .. }) => {
            let says = format!("no such channel at block {head}: settled, reorganised away, or never opened");
            return Ok((Finding::bad("chain", says, "pay again: another channel is opened"), None));
        }
        Err(error) => return Err(error),
    };
    let info = raiden::read_channel_info(&answer).map_err(malformed)?;
    let deposit = U256::from(info.deposit);
    let seen = Some(Seen { deposit, head });
    let deep = head.saturating_sub(key.open_block.into());
    Ok(match info.settle_block {
        None => (Finding::good("chain", format!("open for {deep} blocks, with a deposit of {deposit}")), seen),
        Some(until) => {
            let says = format!("closing at {}, settles after block {until}; the head is {head}", info.closing_balance);
            (Finding::bad("chain", says, "settle it after that block: `sluice channel settle`"), seen)
        }
    })
}
