//! The payer on chain: what it reads there, and what it says to the contracts.

use std::collections::BTreeMap;
use std::sync::Arc;

use alloy_primitives::{Address, Bytes, U256};
use channel::{Amount, Event, Facts, Signature, facts};
use contracts::{Contract, Deployment, Kind, Log, LogFilter, SolCall, raiden, token};
use evm::{EvmError, Receipt, Rpc};
use tokio::sync::Mutex;

use crate::error::PayerError;
use crate::outbox::Outbox;
use crate::settings::{Funding, Settings};
use crate::state::ChannelKey;
use crate::store::Store;

/// The most blocks asked for at once; halved as far as the node asks for less.
const RANGE_MAX: u64 = 100_000;

/// What the chain knows about a channel that is not settled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub struct OnChain {
    /// Deposited.
    pub deposit: Amount,
    /// Taken by the receiver so far.
    pub withdrawn: Amount,
    /// Set once the payer asked to close: the amount it named, and the last block in which the receiver may answer.
    pub closing: Option<(Amount, u32)>,
}

pub(crate) struct Chain {
    rpc: Rpc,
    key: channel::Key,
    settings: Arc<Settings>,
    pub(crate) outbox: Outbox,
    /// One deposit at a time: two approvals for one contract would replace each other.
    depositing: Mutex<()>,
}

impl Chain {
    pub(crate) fn new(key: channel::Key, store: Store, settings: Arc<Settings>) -> Result<Chain, PayerError> {
        let rpc = Rpc::new(&settings.rpc_url, settings.chain_id, settings.patience.rpc);
        let rpc = rpc.map_err(PayerError::chain("reading the node's address"))?;
        let outbox = Outbox::new(rpc.clone(), key.clone(), store, Arc::clone(&settings));
        Ok(Chain { rpc, key, settings, outbox, depositing: Mutex::new(()) })
    }

    /// The head's number.
    pub(crate) async fn head(&self) -> Result<u64, PayerError> {
        Ok(self.rpc.head().await.map_err(PayerError::chain("asking for the head"))?.number)
    }

    /// What the account holds: of the chain's own coin, in wei.
    pub(crate) async fn coins(&self) -> Result<U256, PayerError> {
        self.rpc.balance(self.key.address()).await.map_err(PayerError::chain("asking for the balance"))
    }

    /// What the account holds of a token, in base units.
    pub(crate) async fn tokens(&self, token: Address) -> Result<U256, PayerError> {
        self.amount(token, token::balance_of(self.key.address())).await
    }

    async fn amount(&self, token: Address, question: Bytes) -> Result<U256, PayerError> {
        let answer = self.rpc.call(token, question).await.map_err(PayerError::chain("asking the token"))?;
        token::read_amount(&answer).map_err(|_| PayerError::NoContract(token))
    }

    /// The token that a contract's channels are in.
    pub(crate) async fn token_of(&self, contract: Address) -> Result<Address, PayerError> {
        let question = raiden::abi::tokenCall {}.abi_encode().into();
        let answer = self.rpc.call(contract, question).await.map_err(PayerError::chain("asking the contract"))?;
        raiden::abi::tokenCall::abi_decode_returns_validate(&answer).map_err(|_| PayerError::NoContract(contract))
    }

    /// What the contract knows about a channel; `None` when it is gone, or never was.
    pub(crate) async fn info(&self, key: &ChannelKey) -> Result<Option<OnChain>, PayerError> {
        let opening = raiden::opening(self.key.address(), key.open_block);
        let question =
            raiden::channel_info(&opening, key.receiver).map_err(|_| PayerError::NoContract(key.contract))?;
        let answer = match self.rpc.call(key.contract, question).await {
            Ok(answer) => answer,
            Err(EvmError::Revert { .. }) => return Ok(None),
            Err(error) => return Err(PayerError::chain("asking for the channel")(error)),
        };
        let info = raiden::read_channel_info(&answer).map_err(|_| PayerError::NoContract(key.contract))?;
        let amount = |value| Amount::saturating_from(U256::from(value));
        Ok(Some(OnChain {
            deposit: amount(info.deposit),
            withdrawn: amount(info.withdrawn),
            closing: info.settle_block.map(|block| (amount(info.closing_balance), block)),
        }))
    }

    /// The payer's channels in a contract, by its logs; to all receivers or to one. Settled ones too.
    pub(crate) async fn find(
        &self,
        contract: Address,
        receiver: Option<Address>,
    ) -> Result<Vec<(ChannelKey, Facts)>, PayerError> {
        let deployment = self.deployment(contract, receiver.unwrap_or_default());
        let mut filter = raiden::Raiden.filter(&deployment);
        filter.topics[1] = vec![self.key.address().into_word()];
        filter.topics[2] = receiver.map(|receiver| receiver.into_word()).into_iter().collect();
        let logs = self.logs(&filter).await.map_err(PayerError::chain("looking for channels"))?;

        let mut channels: BTreeMap<ChannelKey, Vec<Event>> = BTreeMap::new();
        for log in logs {
            let Some(receiver) = log.topics.get(2).map(|topic| Address::from_word(*topic)) else { continue };
            let deployment = self.deployment(contract, receiver);
            let decoded = raiden::Raiden.decode(&deployment, &log).map_err(|_| PayerError::NoContract(contract))?;
            let Some((opening, event)) = decoded else { continue };
            let open_block = raiden::open_block(&opening.params).map_err(|_| PayerError::NoContract(contract))?;
            channels.entry(ChannelKey { contract, receiver, open_block }).or_default().push(event);
        }
        Ok(channels.into_iter().map(|(key, events)| (key, facts(&events, u64::MAX))).collect())
    }

    /// The logs up to the head, in as many pieces as the node wants it.
    async fn logs(&self, filter: &LogFilter) -> Result<Vec<Log>, EvmError> {
        let head = self.rpc.head().await?.number;
        let (mut from, mut range, mut logs) = (self.settings.from_block, RANGE_MAX, Vec::new());
        while from <= head {
            let to = head.min(from.saturating_add(range - 1));
            match self.rpc.logs(filter, from, to).await {
                Ok(more) => logs.extend(more),
                Err(EvmError::RangeTooLarge(_)) if range > 1 => {
                    range /= 2;
                    continue;
                }
                Err(error) => return Err(error),
            }
            from = to + 1;
        }
        Ok(logs)
    }

    /// Opens a channel. Its name is the block it is mined in.
    pub(crate) async fn open(
        &self,
        contract: Address,
        token: Address,
        receiver: Address,
        deposit: Amount,
    ) -> Result<Receipt, PayerError> {
        let _one_at_a_time = self.depositing.lock().await;
        self.must_own(token, deposit).await?;
        match self.settings.funding {
            Funding::Erc20 => {
                self.approve(token, contract, deposit).await?;
                self.outbox.send(contract, raiden::create_channel(receiver, deposit)).await
            }
            Funding::Erc223 => {
                let data = raiden::open_data(self.key.address(), receiver);
                self.outbox.send(token, token::transfer_with_data(contract, deposit, data)).await
            }
        }
    }

    /// Adds to a channel's deposit.
    pub(crate) async fn top_up(&self, key: &ChannelKey, token: Address, added: Amount) -> Result<Receipt, PayerError> {
        let _one_at_a_time = self.depositing.lock().await;
        self.must_own(token, added).await?;
        let opening = raiden::opening(self.key.address(), key.open_block);
        let no_contract = |_| PayerError::NoContract(key.contract);
        match self.settings.funding {
            Funding::Erc20 => {
                self.approve(token, key.contract, added).await?;
                let data = raiden::top_up(&opening, key.receiver, added).map_err(no_contract)?;
                self.outbox.send(key.contract, data).await
            }
            Funding::Erc223 => {
                let data = raiden::top_up_data(&opening, key.receiver).map_err(no_contract)?;
                self.outbox.send(token, token::transfer_with_data(key.contract, added, data)).await
            }
        }
    }

    /// Closes a channel with both signatures.
    pub(crate) async fn close(
        &self,
        key: &ChannelKey,
        balance: Amount,
        closing: &Signature,
    ) -> Result<Receipt, PayerError> {
        let opening = raiden::opening(self.key.address(), key.open_block);
        let deployment = self.deployment(key.contract, key.receiver);
        let proof = self.key.sign(crate::rdn::digest(key, balance));
        let data = raiden::Raiden.cooperative_close(&deployment, &opening, balance, &proof, closing);
        self.outbox.send(key.contract, data.map_err(|_| PayerError::NoContract(key.contract))?).await
    }

    /// Asks to close a channel alone.
    pub(crate) async fn request_close(&self, key: &ChannelKey, balance: Amount) -> Result<Receipt, PayerError> {
        let opening = raiden::opening(self.key.address(), key.open_block);
        let data = raiden::uncooperative_close(&opening, key.receiver, balance);
        self.outbox.send(key.contract, data.map_err(|_| PayerError::NoContract(key.contract))?).await
    }

    /// Takes back what is left after the challenge period.
    pub(crate) async fn settle(&self, key: &ChannelKey) -> Result<Receipt, PayerError> {
        let opening = raiden::opening(self.key.address(), key.open_block);
        let data = raiden::settle(&opening, key.receiver);
        self.outbox.send(key.contract, data.map_err(|_| PayerError::NoContract(key.contract))?).await
    }

    async fn must_own(&self, token: Address, need: Amount) -> Result<(), PayerError> {
        let have = self.tokens(token).await?;
        if have < need.units() { Err(PayerError::TooFewTokens { need, have }) } else { Ok(()) }
    }

    /// Allows the contract to take exactly `amount`. Through zero, because some tokens refuse anything else.
    async fn approve(&self, token: Address, contract: Address, amount: Amount) -> Result<(), PayerError> {
        let allowed = self.amount(token, token::allowance(self.key.address(), contract)).await?;
        if allowed == amount.units() {
            return Ok(());
        }
        if !allowed.is_zero() {
            self.outbox.send(token, token::approve(contract, U256::ZERO)).await?;
        }
        self.outbox.send(token, token::approve(contract, amount)).await.map(|_| ())
    }

    fn deployment(&self, contract: Address, payee: Address) -> Deployment {
        Deployment {
            name: String::new(),
            kind: Kind::Raiden,
            chain_id: self.rpc.chain_id(),
            contract,
            token: Address::ZERO,
            payee,
            challenge_period: 0,
            from_block: 0,
            confirmations: 0,
        }
    }
}
