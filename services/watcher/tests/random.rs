//! Whatever happens, in whatever order: the ledger says what a fresh sync would.
//!
//! A run is named by its seed, which is printed; `SLUICE_SEED=n` repeats it.

mod common;

use std::time::Duration;

use alloy_primitives::B256;
use anyhow::{Context, Result};
use common::book::Book;
use common::watching::Setup;
use common::{CHALLENGE_PERIOD, World};
use contracts::Opening;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use testkit::liar::{Liar, Lie};
use testkit::rounds::rounds;

const PAYERS: usize = 5;
const STEPS: usize = 60;

struct Run {
    world: World,
    rng: StdRng,
    channels: Vec<(usize, Opening)>,
    /// The newest transactions about channels.
    recent: Vec<B256>,
}

impl Run {
    /// One thing happens on chain. What the contract refuses (a top-up of a closed channel) does not happen.
    async fn step(&mut self) -> Result<()> {
        let hash = match self.rng.random_range(0..100) {
            0..30 => {
                let (payer, deposit) = (self.payer(), self.rng.random_range(1..1_000));
                let hash = self.world.submit_open(payer, deposit).await?;
                let receipt = self.world.rpc.wait_mined(hash, Duration::from_secs(10)).await?;
                self.channels.push((payer, self.world.opening(payer, &receipt)));
                hash
            }
            30..50 => {
                let Some((payer, opening)) = self.channels.choose(&mut self.rng).cloned() else { return Ok(()) };
                let added = self.rng.random_range(1..500);
                self.world.submit_top_up(payer, &opening, added).await?
            }
            50..60 => {
                let Some((payer, opening)) = self.channels.choose(&mut self.rng).cloned() else { return Ok(()) };
                let balance = self.rng.random_range(0..300);
                self.world.submit_request_close(payer, &opening, balance).await?
            }
            60..70 => {
                let Some((payer, opening)) = self.channels.choose(&mut self.rng).cloned() else { return Ok(()) };
                let balance = self.rng.random_range(1..300);
                self.world.submit_withdraw(payer, &opening, balance).await?
            }
            70..75 => {
                let Some((payer, opening)) = self.channels.choose(&mut self.rng).cloned() else { return Ok(()) };
                let balance = self.rng.random_range(0..300);
                self.world.submit_close_together(payer, &opening, balance).await?
            }
            75..77 => return self.world.chain.mine(u64::from(CHALLENGE_PERIOD) + 1).await,
            77..85 => return self.world.chain.mine(self.rng.random_range(1..12)).await,
            _ => return self.reorg().await,
        };
        // Mined, or the head would move while ledgers are compared; whether it succeeded is all the same.
        self.world.rpc.wait_mined(hash, Duration::from_secs(10)).await?;
        self.recent.push(hash);
        Ok(())
    }

    fn payer(&mut self) -> usize {
        self.rng.random_range(2..2 + PAYERS)
    }

    /// Some of what is undone happens again, somewhere else.
    async fn reorg(&mut self) -> Result<()> {
        let head = self.world.rpc.head().await?.number;
        // anvil keeps the state of 500 blocks in memory, and loses it when it goes back to one that is not.
        let most = if head > 450 { 3 } else { (head - self.world.deployment.from_block).min(100) };
        if most == 0 {
            return Ok(());
        }
        let depth = if self.rng.random_bool(0.7) {
            self.rng.random_range(1..=most.min(6))
        } else {
            self.rng.random_range(1..=most)
        };
        let (mut undone, mut again) = (Vec::new(), Vec::new());
        for hash in self.recent.iter().rev().take(20).rev() {
            if self.world.rpc.receipt(*hash).await?.is_some_and(|receipt| receipt.block.number + depth > head) {
                undone.push(*hash);
            }
        }
        // In their old order, so that nonces fit; a gap in them ends it.
        let mut place = 0;
        for hash in undone {
            if self.rng.random_bool(0.6) {
                place = self.rng.random_range(place..depth);
                again.push((hash, place));
            }
        }
        self.world.reorg(depth, &again).await
    }
}

/// What a provider may do at any time.
fn mishap(rng: &mut StdRng) -> (u32, &'static str, Lie) {
    let methods = ["", "eth_getLogs", "eth_getBlockByNumber", "eth_getBlockByHash"];
    let lie = match rng.random_range(0..6) {
        0 => Lie::Http(503),
        1 => Lie::Error(-32000, "header not found".into()),
        2 => Lie::Hang,
        3 => Lie::Lag(rng.random_range(1..10)),
        4 => Lie::MaxRange(rng.random_range(1..20)),
        _ => Lie::Missing(0..=rng.random_range(0..400)),
    };
    // A node that hides old logs while it knows the blocks would have to be believed; honest mishaps hide both.
    let method = if matches!(lie, Lie::Missing(_)) { "eth_getBlockByNumber" } else { methods[rng.random_range(0..4)] };
    (rng.random_range(1..4), method, lie)
}

async fn run(seed: u64) -> Result<()> {
    let mut rng = StdRng::seed_from_u64(seed);
    let world = World::new(PAYERS).await?;
    let liar = Liar::start(&world.chain.url()).await?;
    let book = Book::new().await?;
    let setup = Setup {
        poll_ms: 20,
        rpc_timeout_ms: 300,
        max_range: *[3, 40, 1_000].choose(&mut rng).context("not empty")?,
        lease_ms: 1_000,
        ..Setup::default()
    };
    let mut run = Run { world, rng, channels: Vec::new(), recent: Vec::new() };
    run.world.deployment.confirmations = run.rng.random_range(0..4);
    let deployment = run.world.deployment.clone();
    let target = [(&deployment, liar.url())];
    let mut watching = setup.watch(&book, &target)?;
    for step in 0..STEPS {
        run.step().await.with_context(|| format!("step {step}"))?;
        if run.rng.random_bool(0.3) {
            let (times, method, lie) = mishap(&mut run.rng);
            liar.tell_times(times, method, lie);
        }
        if run.rng.random_bool(0.1) {
            watching.stop().await?;
            watching = setup.watch(&book, &target)?;
        }
        if run.rng.random_bool(0.2) {
            liar.be_honest();
            book.caught_up(&run.world.rpc).await.with_context(|| format!("step {step}"))?;
            let fresh = setup.fresh_sync(&run.world.rpc, &[run.world.target()]).await?;
            assert_eq!(book.dump().await?, fresh, "step {step}");
        }
    }
    liar.be_honest();
    book.caught_up(&run.world.rpc).await?;
    assert_eq!(book.dump().await?, setup.fresh_sync(&run.world.rpc, &[run.world.target()]).await?);
    watching.stop().await
}

#[tokio::test]
async fn the_ledger_says_what_a_fresh_sync_would_after_anything() -> Result<()> {
    let seeds = match std::env::var("SLUICE_SEED") {
        Ok(seed) => vec![seed.parse()?],
        Err(_) => (0..rounds(2, 40)).map(|_| rand::rng().random_range(0..1_000_000)).collect(),
    };
    for seed in seeds {
        println!("SLUICE_SEED={seed}");
        run(seed).await.with_context(|| format!("seed {seed}"))?;
    }
    Ok(())
}
