//! What we send: in the journal first, then broadcast, the same bytes again until they are mined.

use std::sync::PoisonError;
use std::time::{Duration, Instant};

use alloy_primitives::{Address, B256, Bytes, U256};
use channel::{Amount, ChannelId, Key};
use evm::{EvmError, Fees, SignedTransaction, Transaction, sign_transaction};
use ledger::{JobId, JournalEntry, NewTransaction, TransactionState};
use tokio_util::sync::CancellationToken;

use crate::desk::Desk;
use crate::error::{WalletError, chain_of};
use crate::metric;

/// How long a transaction is left to the network before we hand it in again.
const SEND_AGAIN: Duration = Duration::from_secs(15);
/// How often we look at an account that waits for nothing: at its balance, and for reorganisations.
const IDLE: Duration = Duration::from_secs(15);

/// What a transaction is to do, and for whom.
pub(crate) struct Intent {
    /// The job it is for. A job has one transaction that is not known to have failed.
    pub(crate) job: JobId,
    /// The channel it is about.
    pub(crate) channel: ChannelId,
    /// The amount whose signature stands in its calldata.
    pub(crate) amount: Amount,
    pub(crate) to: Address,
    pub(crate) data: Bytes,
}

/// Signs, journals and broadcasts a transaction. Returns once it is in the journal: [`tend`] sees to the rest.
///
/// # Errors
/// Nothing was sent, and nothing is in the journal. [`EvmError::Revert`] when it would fail; a conflict in the ledger when
/// another wallet was first with the nonce or the job.
pub(crate) async fn send(desk: &Desk, key: &Key, intent: Intent) -> Result<B256, WalletError> {
    let Intent { job, channel, amount, to, data } = intent;
    let transaction = prepare(desk, key.address(), to, data).await?;
    let SignedTransaction { hash, raw } = sign_transaction(key, &transaction);
    // Vouchers up to this one are public from now on, whatever becomes of it.
    desk.ledger.publish(channel, amount).await?;
    let entry = NewTransaction {
        hash,
        chain_id: desk.chain_id,
        account: key.address(),
        nonce: transaction.nonce,
        job,
        channel,
        raw: raw.clone(),
    };
    desk.ledger.journal(&entry).await?;
    count(desk, TransactionState::Prepared);
    broadcast(desk, hash, &raw, TransactionState::Prepared).await?;
    desk.look.notify_one();
    Ok(hash)
}

/// Simulates a call, numbers it and prices it.
async fn prepare(desk: &Desk, account: Address, to: Address, data: Bytes) -> Result<Transaction, WalletError> {
    let gas = desk.rpc.estimate(account, Some(to), U256::ZERO, data.clone()).await?;
    // What is there when it is mined may differ a little from what is there now.
    let gas = gas.saturating_add(gas / 4);
    let fees = capped(desk.rpc.fees().await?, desk.max_fee);
    let (has, needs) = (desk.rpc.balance(account).await?, U256::from(gas).saturating_mul(U256::from(fees.max_fee)));
    if has < needs {
        return Err(WalletError::OutOfGas { account, has, needs });
    }
    let ours = desk.ledger.next_nonce(desk.chain_id, account).await?;
    let nonce = desk.rpc.nonce(account).await?.max(ours);
    Ok(Transaction { chain_id: desk.chain_id, nonce, to: Some(to), data, value: U256::ZERO, gas, fees })
}

/// At most `most` in all. A chain that asks for more mines it when it asks for less again.
fn capped(fees: Fees, most: u128) -> Fees {
    let max_fee = fees.max_fee.min(most);
    Fees { max_fee, max_priority_fee: fees.max_priority_fee.min(max_fee) }
}

/// Sees to what was sent, until the term ends.
pub(crate) async fn tend(desk: &Desk, term: &CancellationToken) {
    while !term.is_cancelled() {
        let mut open = 0;
        for account in desk.accounts() {
            match tend_account(desk, account).await {
                Ok(found) => open += found,
                Err(error) => {
                    tracing::warn!(chain = desk.chain_id, %account, error = chain_of(&error), "transactions had to wait");
                }
            }
        }
        let pause = if open > 0 { desk.poll } else { IDLE };
        let rung = async {
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = desk.look.notified() => {}
            }
        };
        term.run_until_cancelled(rung).await;
    }
}

/// Looks after the transactions of an account that wait to be mined, also those that a reorganisation took back, in the
/// order of their nonces. Returns how many there were.
async fn tend_account(desk: &Desk, account: Address) -> Result<usize, WalletError> {
    let mined = desk.rpc.mined_nonce(account).await?;
    let open = desk.ledger.open_transactions(desk.chain_id, account, mined).await?;
    let labels = [("chain", desk.chain_id.to_string()), ("account", account.to_string())];
    metrics::gauge!("wallet_transactions_open", &labels).set(metric::number(open.len()));
    metrics::gauge!("wallet_balance_wei", &labels).set(f64::from(desk.rpc.balance(account).await?));
    let waiting = open.len();
    for JournalEntry { transaction, state, .. } in open {
        let NewTransaction { hash, nonce, raw, .. } = transaction;
        if let Some(receipt) = desk.rpc.receipt(hash).await? {
            let state = if receipt.succeeded { TransactionState::Mined } else { TransactionState::Reverted };
            tracing::info!(tx.hash = %hash, block = receipt.block.number, succeeded = receipt.succeeded, "mined");
            mark(desk, hash, state).await?;
        } else if nonce < mined {
            // The nonce is taken, and not by this one: the receipt was asked for after the count.
            tracing::error!(tx.hash = %hash, nonce, "a transaction that is not in the journal took this nonce of our key");
            mark(desk, hash, TransactionState::Replaced).await?;
        } else if is_due(desk, hash) {
            broadcast(desk, hash, &raw, state).await?;
        }
    }
    Ok(waiting)
}

/// Hands a journalled transaction to the node. What the node says about it is only logged: whether it took it, the chain
/// will show.
async fn broadcast(desk: &Desk, hash: B256, raw: &Bytes, state: TransactionState) -> Result<(), WalletError> {
    let answer = desk.rpc.send_raw(raw).await;
    desk.sent.lock().unwrap_or_else(PoisonError::into_inner).insert(hash, Instant::now());
    match answer {
        Ok(_) => {}
        Err(EvmError::Rejected { message, .. }) if is_known(&message) => {}
        Err(error) => {
            tracing::warn!(tx.hash = %hash, error = chain_of(&error), "the node did not take a transaction");
            return Ok(());
        }
    }
    if state != TransactionState::Broadcast {
        mark(desk, hash, TransactionState::Broadcast).await?;
    }
    Ok(())
}

/// Nodes' words for "I have this one".
fn is_known(message: &str) -> bool {
    let message = message.to_lowercase();
    ["already known", "already imported", "known transaction", "already exists"]
        .iter()
        .any(|words| message.contains(words))
}

fn is_due(desk: &Desk, hash: B256) -> bool {
    let sent = desk.sent.lock().unwrap_or_else(PoisonError::into_inner);
    sent.get(&hash).is_none_or(|at| at.elapsed() >= SEND_AGAIN)
}

async fn mark(desk: &Desk, hash: B256, state: TransactionState) -> Result<(), WalletError> {
    desk.ledger.mark_transaction(hash, state).await?;
    if state != TransactionState::Broadcast {
        desk.sent.lock().unwrap_or_else(PoisonError::into_inner).remove(&hash);
    }
    count(desk, state);
    Ok(())
}

fn count(desk: &Desk, state: TransactionState) {
    metrics::counter!("wallet_transactions_total", "chain" => desk.chain_id.to_string(), "state" => state.as_str())
        .increment(1);
}
