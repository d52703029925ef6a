//! Random prices, top-ups, closes, reorgs and crashes: served ≤ authorised ≤ signed ≤ deposited, for each channel, always.

use std::collections::HashMap;
use std::mem::take;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use alloy_primitives::B256;
use anyhow::{Result, ensure};
use channel::{Amount, ChannelId};
use futures::future::try_join_all;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use testkit::anvil::KEYS;
use testkit::cluster::{Cluster, Options, PAYER, Service};
use testkit::history::Told;
use testkit::rounds::{rounds, seed};
use tests::{ByHand, hear};
use tokio::sync::RwLock;

use crate::common::{Scene, Setting};

/// Small, so that it is used up.
const DEPOSIT: u128 = 800;
const DEAREST: u128 = 12;
/// Blocks on a deposit before it counts; reorgs are less deep.
const CONFIRMATIONS: u64 = 3;
const DEEPEST: u64 = 2;
/// Between two comparisons of all books.
const OPERATIONS: usize = 100;
/// Payers do not wait for comparisons: on a busy machine they would be through before much has happened to them.
const FEWEST_COMPARISONS: usize = 8;

/// What payers know.
#[derive(Default)]
struct Known {
    over: AtomicBool,
    done: AtomicUsize,
    served: AtomicUsize,
    channels: Mutex<HashMap<ChannelId, Signed>>,
    /// Held by who waits for the chain; a reorg waits for them.
    chain: RwLock<()>,
}

struct Signed {
    payer: ByHand,
    most: u128,
    served: u128,
    /// Its payer asked to close: it may be gone from the chain.
    is_closing: bool,
}

impl Known {
    fn channels(&self) -> MutexGuard<'_, HashMap<ChannelId, Signed>> {
        self.channels.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn with(&self, channel: ChannelId, act: impl FnOnce(&mut Signed)) {
        self.channels().get_mut(&channel).map(act).unwrap_or_default();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_channel_is_ever_served_beyond_what_was_authorised_signed_and_deposited() -> Result<()> {
    let mut dice = StdRng::seed_from_u64(seed()?);
    let options = Options { fronts: 3, confirmations: CONFIRMATIONS, ..Options::default() };
    let mut scene = Scene::set(Setting { options, channels: 0, ..Setting::default() }).await?;
    let (known, total) = (Known::default(), rounds(2_500, 100_000));
    let accounts: Vec<_> = (PAYER..KEYS.len()).map(|index| (index, StdRng::seed_from_u64(dice.random()))).collect();
    let mut fronts = take(&mut scene.cluster.fronts);
    let trouble = async {
        let done = trouble(&scene, &known, &mut fronts, &mut dice, total).await;
        known.over.store(true, Ordering::Relaxed);
        done
    };
    let lives = try_join_all(accounts.into_iter().map(|(index, dice)| live(&scene.cluster, index, dice, &known)));
    let (lives, trouble) = tokio::join!(lives, trouble);
    lives?;
    let Trouble { comparisons, reorgs, kills } = trouble?;
    compare(&scene, &known).await?;
    scene.books().await?;
    let log = std::fs::read_to_string(scene.cluster.postgres.process()?.log())?;
    ensure!(!log.contains("violates check constraint"), "a CHECK fired");
    let (done, served) = (known.done.load(Ordering::Relaxed), known.served.load(Ordering::Relaxed));
    println!(
        "{done} operations on {} channels, {served} served; {comparisons} comparisons, {reorgs} reorgs, {kills} kills: \
        0 violations",
        known.channels().len()
    );
    ensure!(served > total / 4 && reorgs > 0 && kills > 0, "nothing was tried");
    Ok(())
}

/// What was done while payers lived.
#[derive(Default)]
struct Trouble {
    comparisons: usize,
    reorgs: usize,
    kills: usize,
}

/// Compares all books now and then, and does something to the chain or to a front in between.
async fn trouble(
    scene: &Scene,
    known: &Known,
    fronts: &mut [Service],
    dice: &mut StdRng,
    total: usize,
) -> Result<Trouble> {
    let mut trouble = Trouble::default();
    while known.done.load(Ordering::Relaxed) < total || trouble.comparisons < FEWEST_COMPARISONS {
        let next = known.done.load(Ordering::Relaxed) + OPERATIONS;
        while known.done.load(Ordering::Relaxed) < next {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        compare(scene, known).await?;
        trouble.comparisons += 1;
        match trouble.comparisons % 4 {
            1 => {
                let _nobody_waits = known.chain.write().await;
                scene.cluster.chain.reorg(dice.random_range(1..=DEEPEST)).await?;
                trouble.reorgs += 1;
            }
            3 => {
                let front = &mut fronts[dice.random_range(0..3)];
                front.kill9()?;
                front.start_again()?;
                front.ready().await?;
                trouble.kills += 1;
            }
            _ => {}
        }
    }
    Ok(trouble)
}

/// Pays at random prices, adds to its deposit at times, and at times asks to close, for what it owes or for nothing, and
/// opens another channel.
async fn live(cluster: &Cluster, index: usize, mut dice: StdRng, known: &Known) -> Result<()> {
    let mut payer = open(cluster, index, known).await?;
    let mut recorded = 0;
    while !known.over.load(Ordering::Relaxed) {
        match dice.random_range(0..1_000) {
            0..3 => {
                let balance = if dice.random() { recorded } else { 0 };
                known.with(payer.channel(), |signed| signed.is_closing = true);
                let waits = known.chain.read().await;
                payer.close_alone(&cluster.chain, Amount::new(balance)).await?;
                drop(waits);
                (payer, recorded) = (open(cluster, index, known).await?, 0);
            }
            3..12 => {
                let _waits = known.chain.read().await;
                payer.top_up(&cluster.chain, Amount::new(dice.random_range(1..DEPOSIT))).await?;
            }
            _ => recorded = pay(cluster, &payer, recorded, dice.random_range(1..=DEAREST), known).await?,
        }
        known.done.fetch_add(1, Ordering::Relaxed);
    }
    Ok(())
}

async fn open(cluster: &Cluster, index: usize, known: &Known) -> Result<ByHand> {
    let _waits = known.chain.read().await;
    let payer = ByHand::open(cluster, index, Amount::new(DEPOSIT)).await?;
    let signed = Signed { payer: payer.clone(), most: 0, served: 0, is_closing: false };
    known.channels().insert(payer.channel(), signed);
    Ok(payer)
}

/// Buys once; gives what the fronts have recorded then, as far as they say.
async fn pay(cluster: &Cluster, payer: &ByHand, recorded: u128, price: u128, known: &Known) -> Result<u128> {
    let voucher = recorded + price;
    known.with(payer.channel(), |signed| signed.most = signed.most.max(voucher));
    let url = format!("{}/reserve_tokens/{price}", cluster.url());
    let heard = hear(payer.pay(&url, Amount::new(voucher)).send().await).await?;
    match heard.told {
        Told::Served => {
            known.with(payer.channel(), |signed| signed.served += price);
            known.served.fetch_add(1, Ordering::Relaxed);
        }
        Told::Refused => {}
        Told::Failed | Told::Credited | Told::Unknown => tokio::time::sleep(Duration::from_millis(20)).await,
    }
    Ok(heard.recorded.unwrap_or(if heard.told == Told::Served { voucher } else { recorded }))
}

const EPOCHS: &str = "SELECT e.channel, e.authorised::text, e.spent::text, e.held::text, c.deposit::text
    FROM epochs e JOIN channels c ON c.id = e.channel";

/// served ≤ spent + held ≤ authorised ≤ signed, authorised ≤ confirmed deposit ≤ what the contract holds.
async fn compare(scene: &Scene, known: &Known) -> Result<()> {
    // What is served is noted after it is recorded, and what is signed before it is sent: hence this order.
    let served: HashMap<ChannelId, u128> =
        known.channels().iter().map(|(channel, signed)| (*channel, signed.served)).collect();
    let rows = scene.sql().await?.query(EPOCHS, &[]).await?;
    for row in rows {
        let channel = ChannelId(B256::try_from(row.get::<_, &[u8]>(0))?);
        let [authorised, spent, held, deposit] = [1, 2, 3, 4].map(|column| row.get::<_, &str>(column).parse::<u128>());
        let (authorised, spent, held, deposit) = (authorised?, spent?, held?, deposit?);
        let found = known.channels().get(&channel).map(|signed| (signed.payer.clone(), signed.most, signed.is_closing));
        let Some((payer, signed, is_closing)) = found else { continue };
        let served = served.get(&channel).copied().unwrap_or_default();
        let on_chain = payer.on_chain(&scene.cluster.chain).await?.map(Amount::units);
        let all = format!(
            "{channel}: served {served}, spent {spent}, held {held}, authorised {authorised}, signed {signed}, deposit \
             {deposit}, on chain {on_chain:?}"
        );
        ensure!(served <= authorised && spent + held <= authorised && authorised <= signed, "{all}");
        // What was taken out of the contract is no longer its deposit; a channel that is being closed sells nothing.
        ensure!(is_closing || authorised <= deposit && Some(deposit) <= on_chain, "{all}");
    }
    Ok(())
}
