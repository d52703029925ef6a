//! Two chains with the same people, tokens and addresses, one with our contract and one with the original's, are sent
//! the same random transactions. Blocks, logs, refusals and what the contracts answer must be the same, always.

use std::collections::BTreeMap;
use std::env;

use alloy_primitives::{Address, Bytes, U256};
use anyhow::{Context, Result, bail, ensure};
use channel::Key;
use contracts::raiden::{self, abi};
use contracts::{SolCall, SolEvent, token};
use futures::try_join;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::chain::{Chain, Contracts, Mined, OWNER, Outcome, created, ours, the_original};
use crate::world::{MISER, limit};

mod draw;

/// Fresh chains for each round: the more blocks a development chain has, the slower it mines.
const ROUNDS_AT_LEAST: u64 = 4;
/// Until then, every kind of transaction was accepted at times and refused at times.
const ROUNDS_AT_MOST: u64 = 12;
const STEPS: usize = 120;

#[tokio::test]
async fn random_transactions_do_the_same_to_both() -> Result<()> {
    let seed: u64 = match env::var("SLUICE_SEED") {
        Ok(seed) => seed.parse().context("SLUICE_SEED is a number")?,
        Err(_) => rand::random(),
    };
    println!("SLUICE_SEED={seed}");
    let mut tally: BTreeMap<&str, [u32; 2]> = BTreeMap::new();
    for round in 0..ROUNDS_AT_MOST {
        // A comparison of nothing but refusals, or of none, would prove little.
        let is_telling = tally.values().all(|[accepted, refused]| *accepted > 0 && *refused > 0);
        if round >= ROUNDS_AT_LEAST && is_telling {
            println!("accepted and refused: {tally:?}");
            return Ok(());
        }
        let mut pair = Pair::start(seed.wrapping_add(round)).await?;
        for number in 0..STEPS {
            let step = pair.step();
            let place = || format!("round {round}, step {number}: {}", step.name);
            let outcome = pair.send(&step).await.with_context(place)?;
            tally.entry(step.name).or_default()[usize::from(outcome.is_err())] += 1;
            pair.agree_on_state().await.with_context(place)?;
            pair.wait().await?;
        }
    }
    bail!("some transactions were always accepted or always refused: {tally:?}")
}

/// Both chains, and everybody on them.
struct Pair {
    ours: Chain,
    original: Chain,
    token: Address,
    channels: Address,
    /// Any of them pays and any is paid.
    people: [Key; 3],
    /// A contract with tokens; trusted at times.
    delegate: Address,
    /// Every channel that ever was.
    opened: Vec<Name>,
    /// Every channel that its sender asked to close, and the last block of its challenge period.
    closing: Vec<(Name, u64)>,
    random: StdRng,
}

/// A channel: sender and receiver, by their place in `people`, and open block.
#[derive(Clone, Copy, Debug)]
struct Name {
    sender: usize,
    receiver: usize,
    block: u32,
}

/// A transaction, and what to call it in the tally.
struct Step {
    name: &'static str,
    from: Address,
    to: Address,
    data: Bytes,
}

impl Pair {
    async fn start(seed: u64) -> Result<Pair> {
        let person = |byte| Key::from_bytes(&[byte; 32]).context("32 equal bytes are a key");
        let people = [person(1)?, person(2)?, person(3)?];
        // The original's token on both chains, so that the contract for channels is the only difference.
        let token = the_original().token;
        let on = async |contracts: Contracts| {
            let chain = Chain::start().await?;
            let addresses = populate(&chain, &token, &contracts.channels, &people).await?;
            anyhow::Ok((chain, addresses))
        };
        let ((ours, addresses), (original, same)) = try_join!(on(ours()), on(the_original()))?;
        ensure!(addresses == same, "the chains differ from the start: {addresses:?}, {same:?}");
        let [token, channels, delegate] = addresses;
        let random = StdRng::seed_from_u64(seed);
        Ok(Pair { ours, original, token, channels, people, delegate, opened: vec![], closing: vec![], random })
    }

    /// Sends a transaction to both, wants the same of both, and remembers what it opened and what it asked to close.
    async fn send(&mut self, step: &Step) -> Result<Outcome> {
        let Step { from, to, data, .. } = step;
        let ours = self.ours.send(*from, Some(*to), data.clone());
        let (ours, original) = try_join!(ours, self.original.send(*from, Some(*to), data.clone()))?;
        match (&ours, &original) {
            (Ok(ours), Ok(original)) => ensure!(ours == original, "ours {ours:?}, the original {original:?}"),
            (Err(_), Err(_)) => {}
            _ => bail!("ours {ours:?}, the original {original:?}"),
        }
        if let Ok(Mined { block, logs, .. }) = &ours {
            for log in logs.iter().filter(|log| log.address == self.channels) {
                if let Ok(event) = abi::ChannelCreated::decode_log(log) {
                    let name = self.name(event._sender_address, event._receiver_address, u32::try_from(*block)?)?;
                    self.opened.push(name);
                }
                if let Ok(event) = abi::ChannelCloseRequested::decode_log(log) {
                    let name = self.name(event._sender_address, event._receiver_address, event._open_block_number)?;
                    self.closing.push((name, block + 500));
                }
            }
        }
        Ok(ours)
    }

    fn name(&self, sender: Address, receiver: Address, block: u32) -> Result<Name> {
        let place = |address| self.people.iter().position(|person| person.address() == address);
        let (sender, receiver) = place(sender).zip(place(receiver)).context("a channel of somebody unknown")?;
        Ok(Name { sender, receiver, block })
    }

    /// Asks both about a channel and an account.
    async fn agree_on_state(&mut self) -> Result<()> {
        let Name { sender, receiver, block } = self.channel();
        let (sender, receiver) = (self.people[sender].address(), self.people[receiver].address());
        let key = raiden::key(sender, receiver, block);
        self.agree(abi::getChannelInfoCall {
            _sender_address: sender,
            _receiver_address: receiver,
            _open_block_number: block,
        })
        .await?;
        self.agree(abi::channelsCall(key)).await?;
        self.agree(abi::closing_requestsCall(key)).await?;
        self.agree(abi::withdrawn_balancesCall(key)).await?;
        self.agree(abi::trusted_contractsCall(self.delegate)).await?;
        let ours = self.ours.tokens_of(self.token, sender);
        let (ours, original) = try_join!(ours, self.original.tokens_of(self.token, sender))?;
        ensure!(ours == original, "the sender has {ours} with ours, {original} with the original");
        Ok(())
    }

    async fn agree<C: SolCall>(&self, call: C) -> Result<()> {
        let data = Bytes::from(call.abi_encode());
        let ours = self.ours.ask_raw(self.channels, data.clone());
        let (ours, original) = try_join!(ours, self.original.ask_raw(self.channels, data))?;
        let same = ours.as_ref().ok() == original.as_ref().ok();
        ensure!(same, "{}: ours {ours:?}, the original {original:?}", C::SIGNATURE);
        Ok(())
    }

    /// Now and then lets the youngest challenge period pass, up to its edge: the next transactions fall on both sides.
    async fn wait(&mut self) -> Result<()> {
        let Some(&(_, end)) = self.closing.last() else { return Ok(()) };
        if self.random.random_ratio(3, 4) {
            return Ok(());
        }
        let edge = end - self.random.random_range(0..3);
        let blocks = edge.saturating_sub(self.ours.anvil.head().await?);
        if blocks > 0 {
            try_join!(self.ours.anvil.mine(blocks), self.original.anvil.mine(blocks))?;
        }
        Ok(())
    }
}

/// Deploys the contracts, and gives everybody tokens, and the contract leave to take them. The addresses of the token,
/// the contract for channels and the delegate.
async fn populate(chain: &Chain, token: &Bytes, channels: &Bytes, people: &[Key]) -> Result<[Address; 3]> {
    let token = chain.deploy_token(token).await?;
    let channels = chain.deploy_channels(channels, token).await?;
    let delegate = created(chain.deploy(OWNER, &MISER, &[]).await?)?;
    for account in people.iter().map(Key::address).chain([delegate]) {
        chain.fund(account).await?;
        let gift = token::transfer(account, U256::from(limit()) * U256::from(1_000));
        ensure!(chain.send(OWNER, Some(token), gift).await?.is_ok(), "no tokens for {account}");
        let leave = token::approve(channels, U256::MAX);
        ensure!(chain.send(account, Some(token), leave).await?.is_ok(), "no allowance of {account}");
    }
    Ok([token, channels, delegate])
}
