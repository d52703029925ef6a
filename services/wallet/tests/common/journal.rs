//! The journal, as an earlier wallet left it and as it is.

use std::time::Duration;

use alloy_primitives::{Address, B256, Bytes, U256};
use anyhow::{Context, Result, ensure};
use evm::{Fees, Transaction, sign_transaction};
use ledger::{Fence, Intent, IntentState, JobKind, Lane, NewIntent, NewJob, NewTransaction, Slot};
use serde_json::json;
use testkit::wait;

use super::{DEPLOYMENT, Opened, PATIENCE, Scene};

pub const GWEI: u128 = 1_000_000_000;

impl Scene {
    /// Journals a call as an earlier wallet did, which then died: for a job that can wait, and not sent yet.
    pub async fn journal(&self, nonce: u64, to: Address, data: Bytes, max_fee: u128) -> Result<()> {
        let chain_id = self.chain.chain_id();
        let (lease, holder) = (format!("wallet:{chain_id}"), "earlier".to_owned());
        ensure!(self.ledger.lease(&lease, &holder, Duration::from_secs(5)).await?, "a wallet is active");
        let key = format!("earlier {nonce}");
        let (kind, deployment) = (JobKind::Sync, DEPLOYMENT.to_owned());
        let job = self.ledger.enqueue(&NewJob { kind, key, deployment, channel: None, amount: None }).await?;
        let fees = Fees { max_fee, max_priority_fee: 1 };
        let transaction = Transaction { chain_id, nonce, to: Some(to), data, value: U256::ZERO, gas: 100_000, fees };
        let signed = sign_transaction(&self.payee, &transaction);
        let (account, hash, raw) = (self.payee.address(), signed.hash, signed.raw);
        let entry = NewTransaction { hash, chain_id, account, nonce, number: 0, noop: false, raw };
        let fence = Fence { lease: lease.clone(), holder: holder.clone() };
        let intent = NewIntent { job: Some(job), channel: None, lane: Lane::Normal };
        self.ledger.journal(&fence, &intent, &entry).await?;
        Ok(self.ledger.release_lease(&lease, &holder).await?)
    }

    /// All nonces of the payee in the journal.
    pub async fn slots(&self) -> Result<Vec<Slot>> {
        Ok(self.ledger.slots(self.chain.chain_id(), self.payee.address(), 0).await?)
    }

    /// The nonce that an intent about this channel has, once `is_so` of it.
    pub async fn slot_of(&self, channel: &Opened, is_so: impl Fn(&Slot) -> bool) -> Result<Slot> {
        wait::until("the journal", PATIENCE, async || {
            let slots = self.ledger.slots_about(channel.id).await?;
            let slot = slots.last().context("nothing was sent yet")?;
            ensure!(is_so(slot), "it holds {slot:?}");
            Ok(slot.clone())
        })
        .await
    }

    /// The nonce with this number, once `is_so` of it.
    pub async fn slot(&self, nonce: u64, is_so: impl Fn(&Slot) -> bool) -> Result<Slot> {
        wait::until("the journal", PATIENCE, async || {
            let slots = self.slots().await?;
            let slot = slots.into_iter().find(|slot| slot.nonce == nonce).context("no such nonce")?;
            ensure!(is_so(&slot), "it holds {slot:?}");
            Ok(slot)
        })
        .await
    }

    /// Until the node has this transaction, to be mined.
    pub async fn until_waiting(&self, hash: B256) -> Result<()> {
        wait::until("the transaction to wait", PATIENCE, async || {
            let there = self.chain.rpc("eth_getTransactionByHash", json!([hash])).await?;
            ensure!(!there.is_null(), "the node does not have it");
            Ok(())
        })
        .await
    }

    /// How many transactions the payee's account has sent.
    pub async fn sent(&self) -> Result<u64> {
        Ok(self.rpc.mined_nonce(self.payee.address()).await?)
    }

    /// The chain used up every nonce in the journal, and no other; each job that was done was done once.
    pub async fn check_line(&self) -> Result<()> {
        let slots = self.slots().await?;
        let nonces: Vec<u64> = slots.iter().map(|slot| slot.nonce).collect();
        ensure!(nonces == (0..self.sent().await?).collect::<Vec<_>>(), "the journal has {nonces:?}");
        let mut done: Vec<_> = intents(&slots).filter(|intent| intent.state == IntentState::Mined).collect();
        let times = done.len();
        done.sort_by_key(|intent| intent.job);
        done.dedup_by_key(|intent| intent.job);
        ensure!(done.len() == times, "a job was done twice: {slots:?}");
        Ok(())
    }
}

/// All intents of these nonces.
pub fn intents(slots: &[Slot]) -> impl Iterator<Item = &Intent> {
    slots.iter().flat_map(|slot| &slot.intents)
}

/// What the transactions of a nonce offer, oldest first.
pub fn fees(slot: &Slot) -> Result<Vec<Fees>> {
    slot.signed.iter().map(|signed| Ok(Transaction::decode(&signed.raw)?.fees)).collect()
}

/// Each offers a tenth more of both than the one before it.
pub fn check_fees_rise(slot: &Slot) -> Result<()> {
    let fees = fees(slot)?;
    for pair in fees.windows(2) {
        let enough = |less: u128, more: u128| more > less && more * 10 >= less * 11;
        let [before, after] = pair else { continue };
        ensure!(enough(before.max_fee, after.max_fee), "{fees:?}");
        ensure!(enough(before.max_priority_fee, after.max_priority_fee), "{fees:?}");
    }
    Ok(())
}
