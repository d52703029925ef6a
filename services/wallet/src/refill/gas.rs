use std::collections::BTreeMap;

use alloy_primitives::{Address, Bytes};
use anyhow::{Context, ensure};
use channel::{Amount, Key, RefillPolicy};
use ledger::{Job, Lane};
use runtime::config;

use super::outbound::Outbound;
use crate::desk::Desk;
use crate::error::WalletError;
use crate::keys::Purse;
use crate::transactions::{self, Intent};

/// The accounts on a chain that send for us, and who gives them what they pay for gas.
pub(crate) struct Gas {
    pub(super) policy: RefillPolicy,
    /// Without one, operators are told and nothing is refilled.
    pub(super) funding: Option<Key>,
    /// The accounts, each with a deployment on the chain, for its jobs.
    pub(super) accounts: BTreeMap<Address, String>,
}

pub(super) fn load(gas: &config::Gas, chain_id: u64, purses: &[Purse], outbound: &[Outbound]) -> anyhow::Result<Gas> {
    let funding = gas.funding().map(|file| evm::keyfile::load(&file.key_file, file.password_file.as_deref()));
    let funding = funding.transpose().with_context(|| format!("wallet.gas.{chain_id}: its key cannot be used"))?;
    let payees = purses.iter().map(|purse| (purse.key.address(), purse.deployment.name.clone()));
    let payers = outbound.iter().map(|outbound| (outbound.key.address(), outbound.home.clone()));
    let accounts: BTreeMap<_, _> = payees.chain(payers).collect();
    if let Some(account) = funding.as_ref().map(Key::address).filter(|account| accounts.contains_key(account)) {
        ensure!(false, "wallet.gas.{chain_id}: {account} is one of the accounts that it is to refill");
    }
    Ok(Gas { policy: gas.policy(), funding, accounts })
}

impl Gas {
    /// Gives an account this much.
    pub(super) async fn send(
        &self,
        desk: &Desk,
        job: &Job,
        account: Address,
        amount: Amount,
    ) -> Result<(), WalletError> {
        let Some(funding) = &self.funding else { return Ok(()) };
        let intent = Intent {
            job: job.id,
            lane: Lane::Normal,
            channel: None,
            amount: None,
            to: account,
            data: Bytes::new(),
            value: amount.into(),
        };
        let hash = transactions::send(desk, funding, intent).await?;
        tracing::info!(chain = desk.chain_id, %account, wei = %amount, tx.hash = %hash, "an account is given gas");
        Ok(())
    }
}
