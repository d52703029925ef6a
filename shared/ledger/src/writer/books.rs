//! The rows of one batch in memory, and the rules applied to them in the order of arrival. No IO.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::SystemTime;

use channel::{
    Amount, Capture, Channel, ChannelId, CloseRefusal, Epoch, Hold, HoldState, Signature, View, agree_close, capture,
    charge, hold, must_be_open, release,
};

use super::debts::Debts;
use super::entry::{Agree, Ending, Entry, Publish, Sale, Settle, Which};
use super::holds::Holds;
use super::takings::{Taking, Takings};
use crate::payments::{Order, Receipt, Refused, When};
use crate::{LedgerError, rows};

/// What a batch has locked and read, and what becomes of it. Entries of one channel see each other's effects.
#[derive(Default)]
pub(super) struct Books {
    accounts: HashMap<ChannelId, Account>,
    /// The deployments that may sell, with what all their channels owe.
    fresh: HashMap<String, Amount>,
    holds: Holds,
    debts: Debts,
    /// By how much this batch raises what all channels owe, where that is limited.
    rises: HashMap<Arc<str>, Amount>,
}

/// A channel and its epochs.
struct Account {
    channel: Arc<Channel>,
    /// In the order of their numbers.
    epochs: Vec<Counters>,
    agreed_now: bool,
    takings: Takings,
}

/// An epoch, and whether it is as it was read.
struct Counters {
    epoch: Epoch,
    touched: bool,
}

/// What is to be written.
#[derive(Default)]
pub(super) struct Changes<'a> {
    /// With their channels.
    pub(super) epochs: Vec<(&'a Channel, &'a Epoch)>,
    /// With their routes.
    pub(super) new_holds: Vec<(&'a Hold, &'a Arc<str>)>,
    pub(super) old_holds: Vec<(&'a Hold, SystemTime)>,
    /// Charged, and never asked for again.
    pub(super) done_holds: Vec<(&'a Hold, SystemTime)>,
    pub(super) agreed: Vec<(ChannelId, Amount)>,
    /// What was charged; where anything was, epochs changed too.
    pub(super) takings: Vec<(ChannelId, &'a Taking)>,
}

impl Changes<'_> {
    pub(super) fn is_empty(&self) -> bool {
        let no_holds = self.new_holds.is_empty() && self.old_holds.is_empty() && self.done_holds.is_empty();
        self.epochs.is_empty() && no_holds && self.agreed.is_empty()
    }
}

impl Books {
    /// Books of these accounts and holds; `fresh` are the deployments that may sell, with what all their channels owe,
    /// `debts` what payers owe in all.
    pub(super) fn open(
        accounts: Vec<(Arc<Channel>, Epoch)>,
        fresh: HashMap<String, Amount>,
        holds: Holds,
        debts: Debts,
    ) -> Books {
        let mut books = Books { fresh, holds, debts, ..Books::default() };
        for (channel, epoch) in accounts {
            let account = books.accounts.entry(channel.id).or_insert_with(|| Account {
                channel,
                epochs: Vec::with_capacity(1),
                agreed_now: false,
                takings: Takings::default(),
            });
            let at = account.epochs.partition_point(|counters| counters.epoch.number < epoch.number);
            account.epochs.insert(at, Counters { epoch, touched: false });
        }
        books
    }

    /// Does what the entry asks, and leaves the answer with it.
    pub(super) fn apply(&mut self, entry: &mut Entry) {
        match entry {
            Entry::Sell(ask) => {
                let sale = self.sell(&ask.question);
                ask.answer(Ok(sale));
            }
            Entry::Settle(ask) => {
                let settled = self.settle(&ask.question);
                ask.answer(settled);
            }
            Entry::Agree(ask) => {
                let agreed = self.agree(&ask.question);
                ask.answer(Ok(agreed));
            }
            Entry::Publish(ask) => {
                let published = self.publish(&ask.question);
                ask.answer(published);
            }
        }
    }

    #[expect(clippy::result_large_err, reason = "a refusal is an answer, as large as the other one")]
    fn sell(&mut self, order: &Order) -> Sale {
        let owed_in_all = self.fresh.get(&*order.deployment).copied();
        let account = self.accounts.get_mut(&order.voucher.channel);
        let Some(account) = account.filter(|account| *account.channel.deployment == *order.deployment) else {
            // What we have not heard of while we were not listening may well be there.
            let refusal = if owed_in_all.is_some() { channel::Refusal::Unknown } else { channel::Refusal::Stale };
            return Err(Refused { refusal, view: None });
        };
        let Account { channel, epochs, takings, .. } = account;
        let Some(Counters { epoch, touched }) = epochs.last_mut() else {
            return Err(Refused { refusal: channel::Refusal::Unknown, view: None });
        };
        let Some(owed_in_all) = owed_in_all else {
            return Err(Refused { refusal: channel::Refusal::Stale, view: Some(View::of(channel, epoch)) });
        };
        let limited = order.terms.limits_payers();
        let (owed, authorised) = (channel.exposure(epoch), epoch.authorised);
        let risen = self.rises.get(&order.deployment).copied().unwrap_or_default();
        let sale = channel::Sale {
            id: rows::hold_id(uuid::Uuid::now_v7()),
            voucher: &order.voucher,
            price: order.price,
            request: &order.request,
            prior: self.holds.prior(order, epoch.authorised),
            elsewhere: if limited { self.debts.elsewhere(channel, epoch) } else { Amount::ZERO },
            in_all: owed_in_all.saturating_add(risen),
        };
        let sold = match order.settle {
            When::Now => charge(channel, epoch, &sale, &order.terms),
            When::Later => hold(channel, epoch, &sale, &order.terms),
        };
        let view = View::of(channel, epoch);
        let sold = sold.map_err(|refusal| Refused { refusal, view: Some(view.clone()) })?;
        if let channel::Sold::New { hold, retries } = &sold {
            *touched = true;
            self.debts.moved(channel, owed, epoch);
            if order.terms.limits_total() {
                let more = epoch.authorised.saturating_sub(authorised);
                self.rises.insert(order.deployment.clone(), risen.saturating_add(more));
            }
            takings.note(&order.route, hold.captured);
            if let Some(line) = retries.and_then(|id| self.holds.get_mut(id)) {
                line.hold.state = HoldState::Retried;
                line.touched = true;
            }
            if !is_done(hold) {
                self.holds.add(hold.clone(), order.route.clone());
            }
        }
        Ok(Receipt { sold, view })
    }

    fn settle(&mut self, settle: &Settle) -> Result<Capture, LedgerError> {
        let nothing = Capture { taken: Amount::ZERO, lost: Amount::ZERO };
        // What was captured and has no name is forgotten.
        let Some(line) = self.holds.get_mut(settle.hold) else { return Ok(nothing) };
        if line.hold.channel != settle.channel {
            return Err(LedgerError::NotFound("hold"));
        }
        let account = self.accounts.get_mut(&settle.channel).ok_or(LedgerError::NotFound("channel"))?;
        let counters = account.epochs.iter_mut().find(|counters| counters.epoch.number == line.hold.epoch);
        let Counters { epoch, touched } = counters.ok_or(LedgerError::NotFound("epoch"))?;
        let before = line.hold.state;
        let captured = match settle.ending {
            Ending::Capture(actual) => capture(&account.channel, epoch, &mut line.hold, actual),
            Ending::Expire if !line.stored.is_some_and(|stored| stored.expired) => nothing,
            Ending::Expire | Ending::Release => {
                release(epoch, &mut line.hold);
                nothing
            }
        };
        if line.hold.state != before {
            line.touched = true;
            *touched = true;
            account.takings.note(&line.route, captured.taken);
        }
        Ok(captured)
    }

    fn agree(&mut self, agree: &Agree) -> Result<(Channel, Epoch), CloseRefusal> {
        let account = self.accounts.get_mut(&agree.channel).ok_or(CloseRefusal::NotOpen)?;
        let Counters { epoch, .. } = account.epochs.last().ok_or(CloseRefusal::NotOpen)?;
        let before = account.channel.agreed_close;
        agree_close(Arc::make_mut(&mut account.channel), epoch, agree.amount)?;
        account.agreed_now |= account.channel.agreed_close != before;
        Ok(((*account.channel).clone(), epoch.clone()))
    }

    /// The newest voucher; `None` for all of them when a close was asked for or agreed to, or a call would be disturbed.
    fn publish(&mut self, publish: &Publish) -> Result<Option<(Amount, Signature)>, LedgerError> {
        let account = self.accounts.get_mut(&publish.channel).ok_or(LedgerError::NotFound("channel"))?;
        let Counters { epoch, touched } = account.epochs.last_mut().ok_or(LedgerError::NotFound("epoch"))?;
        let newest = epoch.voucher.map_or(Amount::ZERO, |(amount, _)| amount);
        let stays_open = must_be_open(&account.channel).is_ok();
        let amount = match publish.which {
            Which::UpTo(amount) => amount,
            Which::AllIfQuiet if stays_open && epoch.is_quiet() => newest,
            Which::All if stays_open => newest,
            Which::AllIfQuiet | Which::All => return Ok(None),
        };
        if amount > epoch.published {
            epoch.published = amount;
            *touched = true;
        }
        Ok(epoch.voucher)
    }

    /// By how much what is owed in all was raised, where that is limited.
    pub(super) fn rises(&self) -> impl Iterator<Item = (&str, Amount)> {
        self.rises.iter().map(|(deployment, amount)| (&**deployment, *amount))
    }

    /// Everything that is no longer as it was read.
    pub(super) fn changes(&self) -> Changes<'_> {
        let mut changes = Changes::default();
        for (id, account) in &self.accounts {
            let touched = account.epochs.iter().filter(|counters| counters.touched);
            changes.epochs.extend(touched.map(|counters| (&*account.channel, &counters.epoch)));
            changes.takings.extend(account.takings.iter().map(|taking| (*id, taking)));
            if let (true, Some(amount)) = (account.agreed_now, account.channel.agreed_close) {
                changes.agreed.push((*id, amount));
            }
        }
        for line in self.holds.touched() {
            match line.stored {
                Some(stored) if is_done(&line.hold) => changes.done_holds.push((&line.hold, stored.created_at)),
                Some(stored) => changes.old_holds.push((&line.hold, stored.created_at)),
                None => changes.new_holds.push((&line.hold, &line.route)),
            }
        }
        // Made in this order; where two of one request are made in one batch, the later must look newer.
        changes.new_holds.sort_by_key(|(hold, _)| hold.id);
        changes
    }
}

/// What is charged and has no name is never asked for again: the counters say it all.
fn is_done(hold: &Hold) -> bool {
    hold.state == HoldState::Captured && hold.request.id.is_none()
}
