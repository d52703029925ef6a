use alloy_primitives::{Address, Bytes, U256};
use anyhow::Context;
use channel::{Amount, ChannelId, Key, RefillPolicy};
use contracts::{Opening, raiden, token};
use evm::EvmError;
use ledger::{Job, Lane, OutboundRow};
use runtime::Config;
use runtime::config::TokenStandard;

use crate::desk::Desk;
use crate::error::WalletError;
use crate::metric;
use crate::transactions::{self, Intent};

/// A channel that we pay from.
pub(crate) struct Outbound {
    /// The configuration's name for it.
    pub(super) name: String,
    /// A deployment on the same chain, for its jobs.
    pub(super) home: String,
    /// The payer's.
    pub(super) key: Key,
    pub(super) policy: RefillPolicy,
    pub(super) contract: Address,
    pub(super) token: Address,
    pub(super) standard: TokenStandard,
    receiver: Address,
    opening: Opening,
    channel: ChannelId,
}

/// The channels that we pay from on this chain, with their payers' keys.
pub(super) fn load(config: &Config, chain_id: u64) -> anyhow::Result<Vec<Outbound>> {
    let mut channels = Vec::new();
    for (name, outbound) in &config.outbound {
        let home = &config.deployments[&outbound.deployment];
        if home.chain_id != chain_id {
            continue;
        }
        let file = outbound.key();
        let key = evm::keyfile::load(&file.key_file, file.password_file.as_deref())
            .with_context(|| format!("outbound.{name}: its payer's key cannot be used"))?;
        let mut deployment = home.to_contract(&outbound.deployment);
        deployment.contract = outbound.contract.unwrap_or(home.contract);
        deployment.token = outbound.token.unwrap_or(home.token);
        deployment.payee = outbound.receiver;
        let opening = raiden::opening(key.address(), outbound.open_block);
        channels.push(Outbound {
            name: name.clone(),
            home: outbound.deployment.clone(),
            policy: outbound.policy(),
            contract: deployment.contract,
            token: deployment.token,
            standard: outbound.token_standard.unwrap_or(home.token_standard),
            receiver: outbound.receiver,
            channel: deployment.kind.contract().channel_id(&deployment, &opening),
            opening,
            key,
        });
    }
    Ok(channels)
}

impl Outbound {
    /// What was deposited and what was spent of it, as the chain and the payers say, noted in the ledger; `None` when the
    /// channel is no more, or somebody asked to close it.
    pub(super) async fn look(&self, desk: &Desk) -> Result<Option<(Amount, Amount)>, WalletError> {
        let question = raiden::channel_info(&self.opening, self.receiver)?;
        let info = match desk.rpc.call(self.contract, question).await {
            Ok(answer) => Some(raiden::read_channel_info(&answer)?),
            Err(EvmError::Revert { .. }) => None,
            Err(error) => return Err(error.into()),
        };
        let amount = |value| Amount::saturating_from(U256::from(value));
        let seen = OutboundRow {
            name: self.name.clone(),
            channel: self.channel,
            deposit: info.map_or(Amount::ZERO, |info| amount(info.deposit)),
            claimed: info.map_or(Amount::ZERO, |info| amount(info.withdrawn)),
            is_open: info.is_some_and(|info| info.settle_block.is_none()),
            reported: Amount::ZERO,
        };
        let known = desk.ledger.note_outbound(&seen).await?;
        let (deposit, spent) = (known.deposit, known.spent());
        metrics::gauge!("wallet_outbound_left", "outbound" => self.name.clone())
            .set(metric::number(deposit.saturating_sub(spent).units()));
        Ok(known.is_open.then_some((deposit, spent)))
    }

    /// Adds this much to the deposit.
    pub(super) async fn send(&self, desk: &Desk, job: &Job, amount: Amount) -> Result<(), WalletError> {
        let (to, data) = match self.standard {
            TokenStandard::Erc223 => {
                let data = raiden::top_up_data(&self.opening, self.receiver)?;
                (self.token, token::transfer_with_data(self.contract, amount, data))
            }
            TokenStandard::Erc20 => (self.contract, raiden::top_up(&self.opening, self.receiver, amount)?),
        };
        let hash = transactions::send(desk, &self.key, call(job, to, data)).await?;
        tracing::info!(outbound = self.name, %amount, tx.hash = %hash, "a channel that we pay from is topped up");
        Ok(())
    }
}

/// A call that moves none of the chain's coin.
pub(super) fn call(job: &Job, to: Address, data: Bytes) -> Intent {
    Intent { job: job.id, lane: Lane::Normal, channel: None, amount: None, to, data, value: U256::ZERO }
}
