//! A payer, a payee and a stranger, and the contracts between them.

use alloy_primitives::aliases::U192;
use alloy_primitives::{Address, B256, Bytes, Log, LogData, U256, b256, hex};
use anyhow::{Context, Result, bail, ensure};
use channel::Key;
use contracts::raiden::{self, ChannelInfo, abi};
use contracts::{SolCall, SolEvent, token};
use futures::try_join;

use crate::chain::{Chain, Contracts, Mined, OWNER, Reverted, created};

/// `Transfer(address,address,uint256)`.
const TRANSFER: B256 = b256!("ddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef");

/// A chain with a token, a contract for channels in it, and people with tokens.
pub struct World {
    pub chain: Chain,
    pub token: Address,
    pub channels: Address,
    /// Has tokens, and lets the contract take all of them.
    pub payer: Key,
    pub payee: Key,
    /// Has tokens, and lets nobody take any.
    pub stranger: Key,
    /// What the contracts were deployed with.
    pub contracts: Contracts,
    /// True for contracts that say why they refuse.
    gives_reasons: bool,
}

/// A number of tokens, in base units.
pub fn n(units: u128) -> U192 {
    U192::from(units)
}

/// The most that a channel may hold.
pub fn limit() -> U192 {
    n(100_000_000_000_000_000_000)
}

impl World {
    pub async fn new(contracts: Contracts) -> Result<World> {
        let chain = Chain::start().await?;
        let token = chain.deploy_token(&contracts.token).await?;
        let channels = chain.deploy_channels(&contracts.channels, token).await?;
        let key = |byte| Key::from_bytes(&[byte; 32]).context("32 equal bytes are a key");
        let (payer, payee, stranger) = (key(1)?, key(2)?, key(3)?);
        let gives_reasons = contracts.channels == crate::chain::ours().channels;
        let world = World { chain, token, channels, payer, payee, stranger, contracts, gives_reasons };
        for key in [&world.payer, &world.payee, &world.stranger] {
            world.chain.fund(key.address()).await?;
        }
        for rich in [&world.payer, &world.stranger] {
            world.token_accepts(OWNER, token::transfer(rich.address(), U256::from(limit()) * U256::from(10))).await?;
        }
        world.token_accepts(world.payer.address(), token::approve(channels, U256::MAX)).await?;
        Ok(world)
    }

    /// Sends a call to the contract that must go through.
    pub async fn accepts<C: SolCall>(&self, from: Address, call: C) -> Result<Mined> {
        let outcome = self.chain.send(from, Some(self.channels), call.abi_encode().into()).await?;
        outcome.map_err(|reverted| anyhow::anyhow!("{} was refused: {:?}", C::SIGNATURE, reverted.reason))
    }

    /// Sends a call to the contract that must revert. `because` is our contract's sentence: a refusal for another
    /// reason would prove nothing.
    pub async fn refuses<C: SolCall>(&self, from: Address, call: C, because: &str) -> Result<()> {
        let outcome = self.chain.send(from, Some(self.channels), call.abi_encode().into()).await?;
        match outcome {
            Ok(mined) => bail!("{} went through, but {because}: {mined:?}", C::SIGNATURE),
            Err(reverted) => self.for_this_reason(&reverted, because).with_context(|| C::SIGNATURE),
        }
    }

    /// Sends a call to the token that must go through.
    pub async fn token_accepts(&self, from: Address, data: Bytes) -> Result<Mined> {
        let outcome = self.chain.send(from, Some(self.token), data).await?;
        outcome.map_err(|reverted| anyhow::anyhow!("the token refused: {:?}", reverted.reason))
    }

    /// Sends a call to the token that must revert.
    pub async fn token_refuses(&self, from: Address, data: Bytes, because: &str) -> Result<()> {
        match self.chain.send(from, Some(self.token), data).await? {
            Ok(mined) => bail!("the token let it through, but {because}: {mined:?}"),
            Err(reverted) => self.for_this_reason(&reverted, because),
        }
    }

    /// Wants a refusal, for this reason where reasons are given.
    pub fn for_this_reason(&self, reverted: &Reverted, because: &str) -> Result<()> {
        let expected = self.gives_reasons.then_some(because);
        let got = reverted.reason.as_deref();
        ensure!(got == expected, "refused because {got:?}, expected {expected:?}");
        Ok(())
    }

    /// What the contract answers.
    pub async fn says<C: SolCall>(&self, call: C) -> Result<C::Return> {
        let answer = self.chain.ask(self.channels, &call).await?;
        answer.map_err(|reverted| anyhow::anyhow!("{} reverted: {:?}", C::SIGNATURE, reverted.reason))
    }

    /// Asks the contract what it must not answer.
    pub async fn does_not_say<C: SolCall>(&self, call: C, because: &str) -> Result<()> {
        match self.chain.ask(self.channels, &call).await? {
            Ok(_) => bail!("{} was answered, but {because}", C::SIGNATURE),
            Err(reverted) => self.for_this_reason(&reverted, because).with_context(|| C::SIGNATURE),
        }
    }

    /// The payer opens a channel to the payee. Its open block.
    pub async fn open(&self, deposit: U192) -> Result<u32> {
        let call = abi::createChannelCall { _receiver_address: self.payee.address(), _deposit: deposit };
        Ok(u32::try_from(self.accepts(self.payer.address(), call).await?.block)?)
    }

    /// The payer asks to close alone. The last block of the challenge period.
    pub async fn ask_to_close(&self, block: u32, balance: U192) -> Result<u64> {
        Ok(self.accepts(self.payer.address(), self.close_alone(block, balance)).await?.block + 500)
    }

    /// The payer's balance proof.
    pub fn proof(&self, block: u32, balance: U192) -> Bytes {
        let digest = raiden::balance_proof_digest(self.channels, self.payee.address(), block, balance);
        Bytes::copy_from_slice(self.payer.sign(digest).as_bytes())
    }

    /// The payee's closing signature.
    pub fn closing(&self, block: u32, balance: U192) -> Bytes {
        let digest = raiden::closing_digest(self.channels, self.payer.address(), block, balance);
        Bytes::copy_from_slice(self.payee.sign(digest).as_bytes())
    }

    pub fn top_up(&self, block: u32, added: U192) -> abi::topUpCall {
        abi::topUpCall { _receiver_address: self.payee.address(), _open_block_number: block, _added_deposit: added }
    }

    pub fn withdraw(&self, block: u32, balance: U192) -> abi::withdrawCall {
        let _balance_msg_sig = self.proof(block, balance);
        abi::withdrawCall { _open_block_number: block, _balance: balance, _balance_msg_sig }
    }

    pub fn close_alone(&self, block: u32, balance: U192) -> abi::uncooperativeCloseCall {
        let _receiver_address = self.payee.address();
        abi::uncooperativeCloseCall { _receiver_address, _open_block_number: block, _balance: balance }
    }

    pub fn close_together(&self, block: u32, balance: U192) -> abi::cooperativeCloseCall {
        abi::cooperativeCloseCall {
            _receiver_address: self.payee.address(),
            _open_block_number: block,
            _balance: balance,
            _balance_msg_sig: self.proof(block, balance),
            _closing_sig: self.closing(block, balance),
        }
    }

    pub fn settle(&self, block: u32) -> abi::settleCall {
        abi::settleCall { _receiver_address: self.payee.address(), _open_block_number: block }
    }

    /// What the contract knows about the channel of the payer and the payee; `None` once it is gone.
    pub async fn channel(&self, block: u32) -> Result<Option<ChannelInfo>> {
        let question = raiden::channel_info(&raiden::opening(self.payer.address(), block), self.payee.address())?;
        let answer = self.chain.ask_raw(self.channels, question).await?;
        answer.ok().map(|answer| Ok(raiden::read_channel_info(&answer)?)).transpose()
    }

    /// The contract's name of that channel.
    pub fn key(&self, block: u32) -> B256 {
        raiden::key(self.payer.address(), self.payee.address(), block)
    }

    /// Tokens of the payer, of the payee and of the contract.
    pub async fn tokens(&self) -> Result<[U256; 3]> {
        let of = |account| self.chain.tokens_of(self.token, account);
        let (payer, payee, held) = try_join!(of(self.payer.address()), of(self.payee.address()), of(self.channels))?;
        Ok([payer, payee, held])
    }

    /// A log of the contract.
    pub fn log(&self, event: impl SolEvent) -> Log {
        Log { address: self.channels, data: event.encode_log_data() }
    }

    /// The token's log of a transfer.
    pub fn transfer(&self, from: Address, to: Address, value: U192) -> Log {
        let value = Bytes::from(U256::from(value).to_be_bytes::<32>());
        let topics = vec![TRANSFER, from.into_word(), to.into_word()];
        Log { address: self.token, data: LogData::new_unchecked(topics, value) }
    }

    pub fn log_created(&self, deposit: U192) -> Log {
        self.log(abi::ChannelCreated {
            _sender_address: self.payer.address(),
            _receiver_address: self.payee.address(),
            _deposit: deposit,
        })
    }

    pub fn log_topped_up(&self, block: u32, added: U192) -> Log {
        self.log(abi::ChannelToppedUp {
            _sender_address: self.payer.address(),
            _receiver_address: self.payee.address(),
            _open_block_number: block,
            _added_deposit: added,
        })
    }

    pub fn log_settled(&self, block: u32, balance: U192, now: U192) -> Log {
        self.log(abi::ChannelSettled {
            _sender_address: self.payer.address(),
            _receiver_address: self.payee.address(),
            _open_block_number: block,
            _balance: balance,
            _receiver_tokens: now,
        })
    }
}

/// A contract that answers 1 to `totalSupply()` and 0 to everything else: code, if no more, at an address.
pub const MISER: Bytes = Bytes::from_static(&hex!("6011600c60003960116000f3" "5f3560e01c6318160ddd145f5260205ff3"));

impl World {
    /// A contract with tokens that it lets ours take, which is not trusted yet.
    pub async fn delegate(&self) -> Result<Address> {
        let delegate = created(self.chain.deploy(OWNER, &MISER, &[]).await?)?;
        self.chain.fund(delegate).await?;
        self.token_accepts(OWNER, token::transfer(delegate, U256::from(limit()))).await?;
        self.token_accepts(delegate, token::approve(self.channels, U256::MAX)).await?;
        Ok(delegate)
    }

    /// The owner trusts a contract.
    pub async fn trust(&self, contract: Address) -> Result<()> {
        self.accepts(OWNER, abi::addTrustedContractsCall { _trusted_contracts: vec![contract] }).await.map(drop)
    }
}
