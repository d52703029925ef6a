//! Channels to pay from: found on chain, opened, topped up.

use alloy_primitives::Address;
use channel::{Amount, Facts, Status};

use crate::call::Call;
use crate::client::{Inner, Payer};
use crate::error::PayerError;
use crate::log::{Entry, What, today};
use crate::pay::no_such;
use crate::state::{Channel, ChannelKey, Offer};

impl Payer {
    /// Opens a channel with this deposit. Asked for by a human: the limits on contracts and amounts do not apply.
    ///
    /// # Errors
    /// [`PayerError::TooFewTokens`], [`PayerError::Chain`], [`PayerError::Reverted`], [`PayerError::NoContract`].
    pub async fn open_channel(
        &self,
        contract: Address,
        receiver: Address,
        deposit: Amount,
    ) -> Result<Channel, PayerError> {
        let lane = self.0.lane(contract, receiver);
        let _alone = lane.lock().await;
        let token = self.0.chain.token_of(contract).await?;
        self.0.open(contract, token, receiver, deposit).await
    }

    /// Adds to a channel's deposit. Asked for by a human: the limits on amounts do not apply.
    ///
    /// # Errors
    /// As [`Payer::open_channel`]; [`PayerError::Channel`] for a channel that is not open.
    pub async fn top_up(&self, key: &ChannelKey, added: Amount) -> Result<Channel, PayerError> {
        let lane = self.0.lane(key.contract, key.receiver);
        let _alone = lane.lock().await;
        let channel = self.0.known(key).await?;
        self.0.top_up(&channel, added).await
    }

    /// Looks for this payer's channels in a contract's logs, and remembers the open ones. What was paid from those that
    /// were not remembered, their servers are asked before anything more is paid.
    ///
    /// Returns all there ever were, with what the chain says of them.
    ///
    /// # Errors
    /// [`PayerError::Chain`]; [`PayerError::NoContract`].
    pub async fn find_channels(&self, contract: Address) -> Result<Vec<(ChannelKey, Facts)>, PayerError> {
        self.0.chain.outbox.finish().await?;
        let token = self.0.chain.token_of(contract).await?;
        self.0.find(contract, token, None).await
    }
}

impl Inner {
    /// A channel that can pay `offer`: one that the chain has and we forgot, or a new one.
    pub(crate) async fn find_or_open(&self, call: &mut Call, offer: &Offer) -> Result<Channel, PayerError> {
        let limits = &self.settings.limits;
        self.chain.outbox.finish().await?;
        let token = self.chain.token_of(offer.contract).await?;
        limits.check_token(token)?;
        if let Some(named) = offer.token.filter(|named| *named != token) {
            return Err(PayerError::lied(format!("it names {named} as the token, the contract says {token}")));
        }
        self.find(offer.contract, token, Some(offer.receiver)).await?;
        let wanted = offer.clone();
        if let Some(channel) = self.store.read(move |state| state.usable(&wanted).cloned()).await {
            return Ok(channel);
        }
        let deposit = self.settings.deposits.to_open(offer.price, limits);
        limits.check_deposit(deposit)?;
        self.count_open().await?;
        let channel = self.open(offer.contract, token, offer.receiver, deposit).await?;
        call.deposited = call.deposited.saturating_add(channel.deposit);
        Ok(channel)
    }

    /// Remembers the open channels that the chain has and we do not know.
    async fn find(
        &self,
        contract: Address,
        token: Address,
        receiver: Option<Address>,
    ) -> Result<Vec<(ChannelKey, Facts)>, PayerError> {
        let channels = self.chain.find(contract, receiver).await?;
        for (key, facts) in &channels {
            let key = *key;
            let known = self.store.read(move |state| state.channel(&key).is_some()).await;
            if known || facts.status != Status::Open {
                continue;
            }
            let channel = Channel::found(key, token, facts.deposit);
            self.store
                .update(move |state| {
                    state.put(channel);
                    Ok(((), None))
                })
                .await?;
        }
        Ok(channels)
    }

    async fn count_open(&self) -> Result<(), PayerError> {
        let limits = self.settings.limits.clone();
        self.store
            .update(move |state| {
                state.spending = std::mem::take(&mut state.spending).on(today());
                limits.check_open(&state.spending)?;
                state.spending.opens += 1;
                Ok(((), None))
            })
            .await
    }

    async fn open(
        &self,
        contract: Address,
        token: Address,
        receiver: Address,
        deposit: Amount,
    ) -> Result<Channel, PayerError> {
        let receipt = self.chain.open(contract, token, receiver, deposit).await?;
        let open_block = u32::try_from(receipt.block.number)
            .map_err(|_| PayerError::Channel("the chain is too high for this contract's block numbers".to_owned()))?;
        let key = ChannelKey { contract, receiver, open_block };
        let deposit = self.chain.info(&key).await?.ok_or_else(|| no_such(&key))?.deposit;
        let channel = Channel::opened(key, token, deposit);
        let stored = channel.clone();
        self.store
            .update(move |state| {
                state.put(stored);
                Ok(((), Some(Entry::now(key, What::Opened { deposit, transaction: receipt.hash }))))
            })
            .await?;
        Ok(channel)
    }

    pub(crate) async fn top_up(&self, channel: &Channel, added: Amount) -> Result<Channel, PayerError> {
        let key = channel.key;
        if channel.closing.is_some() {
            return Err(PayerError::Channel(format!("{key} is closing")));
        }
        let receipt = self.chain.top_up(&key, channel.token, added).await?;
        let deposit = self.chain.info(&key).await?.ok_or_else(|| no_such(&key))?.deposit;
        self.store
            .update(move |state| {
                let channel = state.channel_mut(&key).ok_or_else(|| no_such(&key))?;
                channel.deposit = deposit;
                let entry = Entry::now(key, What::ToppedUp { added, transaction: receipt.hash });
                Ok((channel.clone(), Some(entry)))
            })
            .await
    }

    /// A channel that is remembered, or that the chain has.
    pub(crate) async fn known(&self, key: &ChannelKey) -> Result<Channel, PayerError> {
        let key = *key;
        let look = move |state: &crate::state::State| state.channel(&key).cloned();
        if let Some(channel) = self.store.read(look).await {
            return Ok(channel);
        }
        let token = self.chain.token_of(key.contract).await?;
        self.find(key.contract, token, Some(key.receiver)).await?;
        self.store.read(look).await.ok_or_else(|| no_such(&key))
    }
}
