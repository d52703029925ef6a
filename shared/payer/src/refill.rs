//! Topping up without being asked, by the same rule as our wallet does it: [`channel::refill()`].

use std::time::Duration;

use channel::{Amount, Balance, Portion, Refill, RefillPolicy, Today, refill};

use crate::call::Call;
use crate::client::Inner;
use crate::error::PayerError;
use crate::limits::Limits;
use crate::log::{now_s, today};
use crate::pay::no_such;
use crate::settings::Deposits;
use crate::state::{Channel, Failures, State};

/// What a top-up is for.
#[derive(Clone, Copy)]
struct Want {
    /// The price of the request at hand.
    price: Amount,
    /// What the channel must hold to go on; `None` when it does, and the top-up only keeps it so.
    needed: Option<Amount>,
}

impl Inner {
    /// Tops a channel up before that is needed, where the settings say when. The payment at hand goes on in any case.
    pub(crate) async fn keep_filled(&self, call: &mut Call, channel: Channel, price: Amount) -> Channel {
        let want = Want { price, needed: None };
        let (key, deposits, limits) = (channel.key, self.settings.deposits, self.settings.limits.clone());
        // By what is remembered first: most of the time there is nothing to do, and nobody is asked.
        let look = move |state: &State| {
            state.channel(&key).map_or(Refill::Enough, |channel| step(channel, state, want, deposits, &limits))
        };
        if !matches!(self.store.read(look).await, Refill::By(_)) || self.check_day(call, price).await.is_err() {
            return channel;
        }
        match self.add(call, &channel, want).await {
            Ok(channel) => channel,
            Err(error) => {
                tracing::warn!(%error, channel = %channel.key, "the channel could not be topped up ahead");
                let failed = self
                    .failed(&channel, |failures| Failures { count: failures.count.saturating_add(1), last_s: now_s() });
                if let Err(error) = failed.await {
                    tracing::warn!(%error, "that could not be remembered");
                }
                channel
            }
        }
    }

    /// Adds as much as the settings say, and at least so much that the channel holds `needed`.
    pub(crate) async fn add_deposit(
        &self,
        call: &mut Call,
        channel: &Channel,
        price: Amount,
        needed: Amount,
    ) -> Result<Channel, PayerError> {
        self.add(call, channel, Want { price, needed: Some(needed) }).await
    }

    async fn add(&self, call: &mut Call, channel: &Channel, want: Want) -> Result<Channel, PayerError> {
        let key = channel.key;
        // What a crash or an impatient caller left unfinished counts first.
        self.chain.outbox.finish().await?;
        let deposit = self.chain.info(&key).await?.ok_or_else(|| no_such(&key))?.deposit;
        let (channel, added, day) = self.decide(channel, deposit, want).await?;
        if added.is_zero() {
            return Ok(channel);
        }
        match self.top_up(&channel, added).await {
            Ok(channel) => {
                call.deposited = call.deposited.saturating_add(added);
                self.failed(&channel, |_| Failures::default()).await?;
                Ok(channel)
            }
            Err(error) => {
                self.take_back(added, day).await?;
                Err(error)
            }
        }
    }

    /// How much to add to a channel with this deposit, counted for this day before anything is sent.
    async fn decide(
        &self,
        channel: &Channel,
        deposit: Amount,
        want: Want,
    ) -> Result<(Channel, Amount, u64), PayerError> {
        let (key, deposits, limits) = (channel.key, self.settings.deposits, self.settings.limits.clone());
        self.store
            .update(move |state| {
                state.spending = std::mem::take(&mut state.spending).on(today());
                let channel = state.channel_mut(&key).ok_or_else(|| no_such(&key))?;
                channel.deposit = deposit;
                let channel = channel.clone();
                let added = match step(&channel, state, want, deposits, &limits) {
                    Refill::By(added) => added,
                    _ => Amount::ZERO,
                };
                limits.check_deposit(deposit.saturating_add(added))?;
                let missing = want.needed.unwrap_or_default().saturating_sub(deposit);
                if added < missing {
                    limits.check_top_up(&state.spending, missing)?;
                }
                state.spending.topped_up = state.spending.topped_up.saturating_add(added);
                Ok(((channel, added, state.spending.day), None))
            })
            .await
    }

    /// What was not added counts no more for today, if that is certain.
    async fn take_back(&self, added: Amount, day: u64) -> Result<(), PayerError> {
        self.store
            .update(move |state| {
                if state.transactions.is_empty() && state.spending.day == day {
                    state.spending.topped_up = state.spending.topped_up.saturating_sub(added);
                }
                Ok(((), None))
            })
            .await
    }

    async fn failed(
        &self,
        channel: &Channel,
        change: impl FnOnce(Failures) -> Failures + Send + 'static,
    ) -> Result<(), PayerError> {
        let key = channel.key;
        self.store
            .update(move |state| {
                if let Some(channel) = state.channel_mut(&key) {
                    channel.top_ups_failed = change(channel.top_ups_failed);
                }
                Ok(((), None))
            })
            .await
    }
}

/// What the rule says of a channel as it is remembered.
fn step(channel: &Channel, state: &State, want: Want, deposits: Deposits, limits: &Limits) -> Refill {
    let Channel { deposit, balance: spent, .. } = *channel;
    // Nothing is on its way: what was, is finished before the chain is asked.
    let balance = Balance { deposit, spent, ..Balance::default() };
    let needed = want.needed.unwrap_or_default();
    let missing = needed.saturating_sub(deposit);
    let policy = RefillPolicy {
        threshold: deposits.threshold.unwrap_or_default().max(needed.saturating_sub(spent)),
        portion: Portion::By(deposits.to_add(want.price, missing, deposit, limits)),
        cap_per_day: limits.max_top_ups_per_day.unwrap_or(Amount::MAX),
    };
    let Failures { count, last_s } = channel.top_ups_failed;
    // A request that needs it now does not wait: who sends it decides when to try again.
    let failures = if want.needed.is_some() { 0 } else { count };
    let since_failure = Duration::from_secs(now_s().saturating_sub(last_s));
    let refilled = state.spending.clone().on(today()).topped_up;
    refill(&balance, &policy, &Today { refilled, failures, since_failure })
}
