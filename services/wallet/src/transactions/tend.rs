//! Sees to what was sent: notes what the chain says, and does what the machine wants done about the rest.

use std::time::{Duration, Instant};

use alloy_primitives::{Address, U256};
use channel::Key;
use evm::{Block, EvmError, Fees};
use ledger::{Lane, NewIntent, Slot};
use runtime::telemetry::with_causes;
use tokio_util::sync::CancellationToken;

use super::fees::{capped, raised};
use super::health::{self, Health, hindrance};
use super::{line, signing, slots};
use crate::desk::Desk;
use crate::error::WalletError;
use crate::metric;

/// How often we look at an account that waits for nothing: at its balance, and for reorganisations.
const IDLE: Duration = Duration::from_secs(15);

/// Sees to what was sent, until the term ends.
pub(crate) async fn tend(desk: &Desk, term: &CancellationToken) {
    while !term.is_cancelled() {
        let mut unsettled = 0;
        for (account, key) in desk.senders() {
            match look(desk, account, key).await {
                Ok(found) => unsettled += found,
                Err(error) => {
                    desk.memory().look_again(account);
                    tracing::warn!(chain = desk.chain_id, %account, error = with_causes(&error), "transactions had to wait");
                }
            }
        }
        let pause = if unsettled > 0 { desk.poll } else { IDLE };
        let rung = async {
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = desk.look.notified() => {}
            }
        };
        term.run_until_cancelled(rung).await;
    }
    desk.senders().into_keys().for_each(|account| forget(desk, account));
}

/// Another wallet sends from the account from now on: what we know of it gets old.
fn forget(desk: &Desk, account: Address) {
    let labels = labels(desk, account);
    let waits = ["wallet_transactions_open", "wallet_transactions_capped", "wallet_oldest_unmined_seconds"];
    let hinders = ["wallet_nonce_gap", "wallet_out_of_gas", "wallet_hindered"];
    waits.into_iter().chain(hinders).for_each(|name| metrics::gauge!(name, &labels).set(0.0));
    metrics::gauge!("wallet_balance_wei", &labels).set(f64::NAN);
}

/// What one look at an account goes by.
pub(super) struct Look<'a> {
    pub(super) desk: &'a Desk,
    pub(super) account: Address,
    pub(super) key: &'a Key,
    pub(super) head: Block,
    /// Whether all was decided at this head that can be: what is used up is used up.
    pub(super) is_known: bool,
    /// Whether there is a new head since the last look.
    pub(super) is_new: bool,
    /// How many nonces are used up.
    pub(super) mined: u64,
    /// How many were, as many blocks ago as make it certain.
    pub(super) settled: u64,
    pub(super) market: Fees,
}

/// Looks at all nonces of an account that are not settled, in their order. Returns how many there are.
async fn look(desk: &Desk, account: Address, key: &Key) -> Result<usize, WalletError> {
    let head = desk.rpc.head().await?;
    desk.memory().head(head, Instant::now());
    let known = desk.memory().at(account, head.hash);
    let (mined, settled) = match known {
        Some(known) => known,
        None => counts(desk, account, &head).await?,
    };
    let found = desk.ledger.slots(desk.chain_id, account, settled).await?;
    if known.is_some() && found.iter().all(|slot| slot.nonce < mined) {
        return Ok(found.len());
    }
    let (balance, market) = tokio::try_join!(desk.rpc.balance(account), desk.rpc.fees_at(&head))?;
    let is_new = desk.memory().look(account, head.hash, (mined, settled), Instant::now());
    if is_new {
        // Perhaps there is room in the line.
        desk.room.send_replace(());
    }
    let look = Look { desk, account, key, head, is_known: known.is_some(), is_new, mined, settled, market };
    look.show(&found)?;
    let gap_for = look.fill_gap(&found).await?;
    let attended = look.attend_all(&found).await;
    look.show_health(&found, balance, gap_for)?;
    attended.map(|()| found.len())
}

/// How many nonces of an account are used up, and how many were so many blocks ago that this is certain.
async fn counts(desk: &Desk, account: Address, head: &Block) -> Result<(u64, u64), WalletError> {
    let settled = match head.number.checked_sub(desk.policy.confirmations) {
        Some(deep) => desk.rpc.nonce_at(account, deep).await?,
        None => 0,
    };
    Ok((desk.rpc.mined_nonce(account).await?, settled))
}

impl Look<'_> {
    /// Attends to each nonce. One that cannot be helped now does not keep us from the others.
    async fn attend_all(&self, found: &[Slot]) -> Result<(), WalletError> {
        let last_urgent = slots::last_urgent(found);
        let mut attended = Ok(());
        for slot in found {
            let ours = slots::ours(slot, last_urgent.is_some_and(|last| slot.nonce <= last))?;
            attended = attended.and(self.attend(slot, &ours).await);
        }
        attended
    }

    /// Uses a nonce up that nobody seems to use, when something of ours waits for it and it stays so for a while. Says for
    /// how long it has been so.
    async fn fill_gap(&self, found: &[Slot]) -> Result<Duration, WalletError> {
        let desk = self.desk;
        let nonces: Vec<u64> = found.iter().map(|slot| slot.nonce).filter(|nonce| *nonce >= self.mined).collect();
        let pending = if nonces.is_empty() { self.mined } else { desk.rpc.nonce(self.account).await? };
        let gap = line::gap(self.mined, pending, &nonces);
        let age = desk.memory().gap_for(self.account, gap, Instant::now());
        let is_gap = f64::from(u8::from(gap.is_some()));
        metrics::gauge!("wallet_nonce_gap", &labels(desk, self.account)).set(is_gap);
        let Some(nonce) = gap.filter(|_| age >= desk.policy.resend_after) else { return Ok(age) };
        tracing::error!(chain = desk.chain_id, account = %self.account, nonce, "a nonce is missing: a no-op fills the gap");
        let fees = capped(self.market, desk.policy.noop_cap);
        let transaction = signing::noop(desk, self.account, nonce, fees).await?;
        let filler = NewIntent { job: None, channel: None, lane: Lane::Normal };
        let signed = signing::open(desk, self.key, &filler, &transaction, 0, true).await?;
        signing::broadcast(desk, &signed).await?;
        Ok(age)
    }

    /// Shows operators what waits.
    fn show(&self, found: &[Slot]) -> Result<(), WalletError> {
        let (mut open, mut capped, mut oldest) = (0_u32, 0_u32, Duration::ZERO);
        for slot in found.iter().filter(|slot| slot.nonce >= self.mined) {
            let ours = slots::ours(slot, false)?;
            let cap = if ours.noop { self.desk.policy.noop_cap } else { self.desk.policy.cap(ours.lane) };
            let is_too_cheap = ours.fees.max_fee < self.head.base_fee.unwrap_or_default();
            let is_capped = is_too_cheap && raised(ours.fees, self.market, cap).is_none();
            open = open.saturating_add(1);
            capped = capped.saturating_add(u32::from(is_capped));
            oldest = oldest.max(slot.signed.first().map_or(Duration::ZERO, |signed| signed.age));
        }
        let labels = labels(self.desk, self.account);
        metrics::gauge!("wallet_transactions_open", &labels).set(metric::number(open));
        metrics::gauge!("wallet_transactions_capped", &labels).set(metric::number(capped));
        metrics::gauge!("wallet_oldest_unmined_seconds", &labels).set(oldest.as_secs_f64());
        Ok(())
    }

    /// Shows operators, and notes for the all-clear, whether a dishonest close would be answered in good time.
    fn show_health(&self, found: &[Slot], balance: U256, gap_for: Duration) -> Result<(), WalletError> {
        let (desk, account, now) = (self.desk, self.account, Instant::now());
        let unmined = found.iter().filter(|slot| slot.nonce >= self.mined);
        let unmined =
            unmined.map(|slot| Ok((slots::waiting(slot)?.lane, slot))).collect::<Result<Vec<_>, EvmError>>()?;
        let urgent = unmined.iter().filter(|(lane, _)| *lane == Lane::Urgent);
        let urgent_for = urgent.filter_map(|(_, slot)| slot.signed.first()).map(|signed| signed.age).max();
        let base_fee = self.head.base_fee.unwrap_or_default();
        let health = Health { balance, base_fee, market: self.market, urgent_for, gap_for };
        let hindrance = hindrance(&health, &desk.policy);
        let mut memory = desk.memory();
        let needs = memory.what_it_needs(account).filter(|needs| balance < *needs);
        memory.needs(account, needs);
        let before = memory.looked(account, hindrance, now);
        drop(memory);
        let chain = desk.chain_id;
        match hindrance {
            Some(hindrance) if before != Some(hindrance) => {
                tracing::error!(chain, %account, hindrance, %balance, "a dishonest close would not be answered in good time");
            }
            None if before.is_some() => {
                tracing::info!(chain, %account, "a dishonest close would be answered in good time again")
            }
            _ => {}
        }
        let labels = labels(desk, account);
        let shown = |is_so: bool| f64::from(u8::from(is_so));
        metrics::gauge!("wallet_balance_wei", &labels).set(f64::from(balance));
        metrics::gauge!("wallet_out_of_gas", &labels)
            .set(shown(needs.is_some() || hindrance == Some(health::OUT_OF_GAS)));
        metrics::gauge!("wallet_hindered", &labels).set(shown(hindrance.is_some()));
        Ok(())
    }
}

fn labels(desk: &Desk, account: Address) -> [(&'static str, String); 2] {
    [("chain", desk.chain_id.to_string()), ("account", account.to_string())]
}
