//! Watcher and wallet are gone for more than half an hour: payers pay on, one tops up, one asks to close at nothing.

use std::time::{Duration, Instant};

use alloy_primitives::{U256, hex};
use anyhow::{Context, Result, ensure};
use channel::{Amount, Key, Status};
use contracts::{raiden, token};
use evm::{Account, Rpc};
use serde_json::json;
use testkit::anvil::KEYS;
use testkit::cluster::{Cluster, Options, PAYER};
use testkit::rounds::rounds;
use testkit::{rpc, wait};
use tests::{ByHand, warp};

use crate::town::{PATIENCE, Payer, Town, until_mode};

/// Seconds between blocks of the first chain: a close takes 500 of them, 2 500 s, of which 120 are kept for the answer.
const BLOCK: u64 = 5;
const CHALLENGE_PERIOD: u64 = 500;
const USABLE: u64 = CHALLENGE_PERIOD * BLOCK - 120;
const STEP: u64 = 300;
const HALF_AN_HOUR: u64 = 1_800;
/// What the second chain mines meanwhile, or ten times as much; so many at once, because the node takes ever longer.
const FAR_BEHIND: u64 = 1_000;
const AT_ONCE: u64 = 100;
/// How long catching up may take: 60 s for 10 000 blocks,
const A_BLOCK: Duration = Duration::from_millis(6);
/// and until a watcher that starts is at it.
const START: Duration = Duration::from_secs(3);
const SMALL: Amount = Amount::new(20);
const ADDED: Amount = Amount::new(80);

/// How much the payee has of the first chain's token.
async fn taken(cluster: &Cluster) -> Result<u128> {
    Ok(cluster.contracts.balance(&cluster.chain, cluster.contracts.payee).await?.try_into()?)
}

/// Adds to the channel of the account at `index`.
async fn top_up(cluster: &Cluster, index: usize) -> Result<()> {
    let key = Key::from_bytes(&hex::decode_to_array(KEYS[index])?).context("anvil's keys are keys")?;
    let rpc = Rpc::connect(&cluster.chain.url(), cluster.chain.chain_id(), PATIENCE).await?;
    let opened = opened_at(cluster, index).await?;
    let data = raiden::top_up_data(&raiden::opening(key.address(), opened), cluster.contracts.payee)?;
    let transfer = token::transfer_with_data(cluster.contracts.channels, ADDED, data);
    Account::new(rpc, key).send(Some(cluster.contracts.token), transfer, U256::ZERO).await?;
    Ok(())
}

/// The block that opened the account's channel, as the chain says it.
async fn opened_at(cluster: &Cluster, index: usize) -> Result<u32> {
    let payer = cluster.contracts.accounts[index].into_word();
    let filter = json!([{"address": cluster.contracts.channels, "fromBlock": "0x0", "topics": [null, payer]}]);
    let logs = cluster.chain.rpc("eth_getLogs", filter).await?;
    Ok(u32::try_from(rpc::quantity(&logs[0]["blockNumber"])?)?)
}

/// A deployment, the head of its chain, and the block up to which it is read.
async fn far_behind(town: &Town, deployment: &'static str, head: u64) -> Result<(&'static str, u64, u64)> {
    let cursor = town.ledger().await?.cursor(deployment).await?.context("it was read before")?;
    Ok((deployment, head, cursor.block.number))
}

/// Waits until the watcher, which was just started, has read up to this head.
async fn catches_up(town: &Town, (deployment, head, read): (&str, u64, u64), back: Instant) -> Result<()> {
    let ledger = town.ledger().await?;
    wait::until("the watcher to catch up", 2 * PATIENCE, async || {
        let read = ledger.cursor(deployment).await?.context("it was read before")?.block.number;
        ensure!(read >= head, "{deployment} is read up to {read}, the head was {head}");
        Ok(())
    })
    .await?;
    let (behind, took) = (head - read, back.elapsed());
    println!("{deployment}: {behind} blocks behind, caught up with {took:?} after the start");
    let allowed = A_BLOCK * u32::try_from(behind)? + START;
    ensure!(took < allowed, "{behind} blocks took {took:?}, longer than {allowed:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn after_half_an_hour_without_watcher_and_wallet_nothing_is_lost() -> Result<()> {
    let slow = BLOCK.to_string();
    let mut town = Town::new(Options::default(), &[("SLUICE_DEPLOYMENTS__MAIN__FASTEST_BLOCK_S", &slow)]).await?;
    let (topping, cheating) = (PAYER + 1, PAYER + 2);
    let mut grows = Payer::new(ByHand::open(&town.cluster, topping, SMALL).await?, "/page");
    let mut cheats = Payer::new(ByHand::open(&town.cluster, cheating, Amount::new(1_000)).await?, "/page");
    grows.buys(&town.cluster.fronts).await?;
    cheats.buys(&town.cluster.fronts).await?;
    let before = taken(&town.cluster).await?;

    town.cluster.watchers[0].kill9()?;
    town.cluster.wallets[0].kill9()?;
    let asked = cheats.by_hand.close_alone(&town.cluster.chain, Amount::ZERO).await?.block.number;
    top_up(&town.cluster, topping).await?;
    let mut passed = 0;
    while passed + STEP < USABLE {
        pass(&town, STEP).await?;
        passed += STEP;
        town.sells().await?;
        cheats.buys(&town.cluster.fronts).await?;
        if passed <= HALF_AN_HOUR {
            grows.buys(&town.cluster.fronts).await?;
        }
    }
    assert!(passed >= HALF_AN_HOUR, "{passed} s");
    let sold = town.payer.paid + town.other.paid + grows.paid + cheats.paid;
    println!("{passed} s without watcher and wallet: {sold} sold, 0 refused");

    // Past its safe-until, the first chain is not sold on, and the second one is.
    pass(&town, USABLE - passed).await?;
    town.is_stale("watcher_stale").await?;
    cheats.is_refused(&town.cluster.fronts, 503, "chain_stale").await?;
    for _ in 0..rounds(FAR_BEHIND, 10 * FAR_BEHIND) / AT_ONCE {
        town.second.mine(AT_ONCE).await?;
    }
    let main = far_behind(&town, "main", town.cluster.head().await?).await?;
    let second = far_behind(&town, "second", town.second.head().await?).await?;
    town.cluster.watchers[0].start_again()?;
    town.cluster.wallets[0].start_again()?;
    let back = Instant::now();
    catches_up(&town, main, back).await?;
    catches_up(&town, second, back).await?;
    answered(&town, &cheats, asked, before).await?;
    println!("a close was asked for before all that, and answered {:?} after the start; 0 lost", back.elapsed());

    town.payer.buys_again(&town.cluster.fronts).await?;
    until_mode(&town.cluster.fronts[0], "main", "selling").await?;
    // What was added while nobody looked counts.
    while Amount::new(grows.paid) <= SMALL {
        grows.buys(&town.cluster.fronts).await?;
    }
    Ok(())
}

/// Time passes on the first chain, and as much of it for the ledger.
async fn pass(town: &Town, seconds: u64) -> Result<()> {
    warp(&town.cluster.database, Duration::from_secs(seconds), &[(&town.cluster.chain, BLOCK)]).await
}

/// The close is answered before it could be settled, and everything that was sold to who asked for it is ours.
async fn answered(town: &Town, cheats: &Payer, asked: u64, before: u128) -> Result<()> {
    let ledger = town.ledger().await?;
    wait::until("the answer to the close", PATIENCE, async || {
        let (channel, _) = ledger.view(cheats.by_hand.channel()).await?.context("it is known")?;
        ensure!(channel.facts.status == Status::Closed, "it is {:?}", channel.facts.status);
        Ok(())
    })
    .await?;
    let head = town.cluster.head().await?;
    println!("answered at block {head} at the latest, of {} to {}", asked, asked + CHALLENGE_PERIOD);
    assert!(head <= asked + CHALLENGE_PERIOD, "at {head} it could have been settled");
    let gained = taken(&town.cluster).await? - before;
    assert_eq!(gained, cheats.paid, "the payee got what was sold");
    let (_, epoch) = ledger.view(cheats.by_hand.channel()).await?.context("it is known")?;
    assert_eq!((epoch.authorised.units(), epoch.spent.units()), (cheats.paid, cheats.paid));
    Ok(())
}
