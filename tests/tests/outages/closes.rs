//! Payers ask the contract to close at less than they paid, while one thing or another is away or lies: every one of them
//! is answered with the best voucher, and within half the challenge period.

use std::time::Duration;

use alloy_primitives::B256;
use anyhow::{Context, Result, ensure};
use channel::Amount;
use serde_json::json;
use testkit::anvil::{KEYS, Options as Chain};
use testkit::cluster::{Cluster, Options, PAYER};
use testkit::liar::{Liar, Lie};
use testkit::wait;
use tests::ByHand;

use crate::errands::{pay, until_closed};
use crate::world::{PATIENCE, alone, sql};

const SMALL: Amount = Amount::new(1_000);
/// What the payer claims to owe.
const CLAIMED: Amount = Amount::new(1);
/// The contract's challenge period, in blocks,
const WINDOW: u64 = 500;
/// and by when a close must be answered.
const HALF: u64 = WINDOW / 2;
/// What a unit of gas costs when it costs twenty times as much as usual,
const HIGH: u128 = 20_000_000_000;
/// and for how long it does, in half seconds.
const HIGH_FOR: u32 = 16;

/// What is wrong when the payer asks, or after that.
#[derive(Clone, Copy, Debug)]
enum Trouble {
    None,
    /// The block of the request is replaced, and the request is in a later one.
    RequestMoves,
    /// So is that of our answer, which is in none.
    AnswerIsUndone,
    /// No node for two fifths of the challenge period.
    NoNode,
    /// No wallet for half of it.
    NoWallet,
    /// No watcher for two fifths.
    NoWatcher,
    /// Blocks cost twenty times as much from then on.
    HighFees,
    /// The node takes our answer, and says that it does not.
    TakesAndErrs,
    /// The node says that it takes our answer, and forgets it.
    TakesAndForgets,
    /// The broker is gone.
    NoBroker,
}

const TROUBLES: [Trouble; 10] = [
    Trouble::None,
    Trouble::RequestMoves,
    Trouble::AnswerIsUndone,
    Trouble::NoNode,
    Trouble::NoWatcher,
    Trouble::HighFees,
    Trouble::TakesAndErrs,
    Trouble::TakesAndForgets,
    Trouble::NoWallet,
    Trouble::NoBroker,
];

struct World {
    cluster: Cluster,
    /// Between the chain and those who follow it or act on it.
    node: Liar,
}

impl World {
    async fn new() -> Result<World> {
        let chain = Chain { block_time: Some(1), ..Chain::default() };
        let mut cluster = Cluster::prepare(Options { rabbit: 1, chain, ..Options::default() }).await?;
        let node = Liar::start(&cluster.chain.url()).await?;
        let url = node.url();
        let node_of = [
            ("SLUICE_DEPLOYMENTS__MAIN__RPC_URL", url.as_str()),
            ("SLUICE_WALLET__RESEND_MS", "2000"),
            ("SLUICE_WALLET__BUMP_MS", "3000"),
        ];
        cluster.add_watcher(&node_of)?;
        cluster.add_wallet(&node_of)?;
        cluster.add_front(&[])?;
        cluster.ready().await?;
        Ok(World { cluster, node })
    }

    /// Blocks are mined at once that would have taken so long.
    async fn passes(&self, blocks: u64) -> Result<()> {
        self.cluster.chain.mine(blocks).await
    }

    /// The payer asks, and the trouble takes its course. Says in which block the request is in the end.
    async fn ask(&mut self, payer: &ByHand, trouble: Trouble) -> Result<u64> {
        match trouble {
            Trouble::TakesAndErrs => self.lie_about_sending(Lie::ErrorAfterwards(-32000, "internal error".into())),
            Trouble::TakesAndForgets => self.lie_about_sending(Lie::DropTransaction),
            Trouble::NoNode => self.node.tell("", Lie::Http(503)),
            Trouble::NoWallet => self.cluster.wallets[0].kill9()?,
            Trouble::NoWatcher => self.cluster.watchers[0].kill9()?,
            Trouble::NoBroker => self.cluster.rabbit.as_mut().context("there is a broker")?.node_mut(0).kill9()?,
            Trouble::None | Trouble::RequestMoves | Trouble::AnswerIsUndone | Trouble::HighFees => {}
        }
        let requested = payer.close_alone(&self.cluster.chain, CLAIMED).await?;
        match trouble {
            Trouble::RequestMoves => return self.moves(requested.hash, 2).await,
            Trouble::AnswerIsUndone => {
                until_closed(&self.cluster, payer).await?;
                return self.moves(requested.hash, 1).await;
            }
            Trouble::HighFees => {
                for _ in 0..HIGH_FOR {
                    self.cluster.chain.set_next_base_fee(HIGH).await?;
                    tokio::time::sleep(Duration::from_millis(500)).await;
                }
            }
            Trouble::NoNode => {
                self.passes(WINDOW * 2 / 5).await?;
                self.node.be_honest();
            }
            Trouble::NoWatcher => {
                self.passes(WINDOW * 2 / 5).await?;
                self.cluster.watchers[0].start_again()?;
            }
            Trouble::NoWallet => {
                self.passes(HALF).await?;
                self.cluster.wallets[0].start_again()?;
            }
            _ => {}
        }
        Ok(requested.block.number)
    }

    fn lie_about_sending(&self, lie: Lie) {
        self.node.tell_times(2, "eth_sendRawTransaction", lie);
    }

    /// Everything from the block of this transaction on is undone, and it alone is mined again, that many blocks later.
    async fn moves(&self, transaction: B256, later: u64) -> Result<u64> {
        let chain = &self.cluster.chain;
        let raw = chain.rpc("eth_getRawTransactionByHash", json!([transaction])).await?;
        let raw = raw.as_str().context("the node has the transaction")?.to_owned();
        let receipt = chain.rpc("eth_getTransactionReceipt", json!([transaction])).await?;
        chain.mine(later).await?;
        let block = testkit::rpc::quantity(&receipt["blockNumber"])?;
        let depth = chain.head().await? + 1 - block;
        chain.reorg_with(depth, &[(raw, later)]).await?;
        let receipt = chain.rpc("eth_getTransactionReceipt", json!([transaction])).await?;
        testkit::rpc::quantity(&receipt["blockNumber"]).context("it is mined again")
    }

    /// In which block our answer is.
    async fn answered(&self, payer: &ByHand) -> Result<u64> {
        until_closed(&self.cluster, payer).await?;
        let said = "SELECT max(block) FROM events WHERE channel = $1 AND kind = 'settled' AND NOT orphaned";
        let row = sql(&self.cluster).await?.query_one(said, &[&payer.channel().0.as_slice()]).await?;
        let block: Option<i64> = row.get(0);
        Ok(block.context("it is settled")?.try_into()?)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_dishonest_close_is_answered_within_half_the_challenge_period() -> Result<()> {
    let _alone = alone().await;
    let mut world = World::new().await?;
    let mut late = Vec::new();
    for (number, trouble) in TROUBLES.into_iter().enumerate() {
        let index = PAYER + number % (KEYS.len() - PAYER);
        let payer = ByHand::open(&world.cluster, index, SMALL).await.with_context(|| format!("{trouble:?}"))?;
        pay(&world.cluster, &payer).await?;
        let requested = world.ask(&payer, trouble).await.with_context(|| format!("{trouble:?}"))?;
        // What was found before the chain changed its mind is not what we wait for.
        wait::until("the watcher to have read on", PATIENCE, async || {
            let read: i64 = sql(&world.cluster).await?.query_one("SELECT block FROM cursors", &[]).await?.get(0);
            ensure!(u64::try_from(read)? > requested, "it is at {read}");
            Ok(())
        })
        .await?;
        let took = world.answered(&payer).await.with_context(|| format!("{trouble:?}"))? - requested;
        println!("{:<16} answered {took:>3} blocks after the request, of {WINDOW}", format!("{trouble:?}"));
        // Who is dead for half of the period answers a moment after it.
        let allowed = if matches!(trouble, Trouble::NoWallet) { HALF + HALF / 10 } else { HALF };
        if took > allowed {
            late.push((trouble, took));
        }
        world.node.be_honest();
    }
    assert!(late.is_empty(), "{late:?}");
    println!("{} dishonest closes, all answered", TROUBLES.len());
    Ok(())
}
