//! What is planned on chain, as the operator's policy has it: a job for the wallet, and only one.

mod common;

use std::sync::Arc;
use std::time::Duration;

use alloy_primitives::keccak256;
use anyhow::{Context, Result, ensure};
use channel::{Amount, ChannelId, Request, RequestHash, Step, Terms, Voucher};
use common::book::Book;
use common::watching::{Setup, Watching};
use common::{World, key};
use contracts::Opening;
use ledger::{Order, When};

const PATIENCE: Duration = Duration::from_secs(15);
/// Long enough for many rounds of planning.
const ROUNDS: Duration = Duration::from_millis(1_200);

/// Gas is worth nothing; 50 units are worth a claim.
const POLICY: &str = "coin_units = 0\nmin_amount = 50";

fn setup(claim: &'static str) -> Setup {
    Setup { plan_ms: 100, claim, ..Setup::default() }
}

/// A chain with a payer's channel over 100, and a watcher with this policy.
struct Scene {
    world: World,
    book: Book,
    opening: Opening,
    channel: ChannelId,
    watching: Watching,
}

impl Scene {
    async fn with(claim: &'static str) -> Result<Scene> {
        let mut world = World::new(1).await?;
        let opening = world.open(2, 100).await?;
        world.chain.mine(1).await?;
        let book = Book::new().await?;
        let watching = setup(claim).watch(&book, &[world.target()])?;
        book.caught_up(&world.rpc).await?;
        let channel = world.channel(&opening);
        Ok(Scene { world, book, opening, channel, watching })
    }

    /// Sells a unit with a voucher over so much, charged or held.
    async fn sell(&self, cumulative: u64, settle: When) -> Result<()> {
        let amount = Amount::new(cumulative.into());
        let digest = self.world.contract().digest(&self.world.deployment, &self.opening, amount);
        let signature = self.world.voucher(2, &self.opening, cumulative);
        let voucher =
            Voucher { channel: self.channel, epoch: 0, amount, signature }.verify(digest, key(2).address())?;
        let request = Request { id: None, hash: RequestHash(keccak256(cumulative.to_be_bytes())) };
        let terms = Terms { step: Step::Any, ..Terms::default() };
        let (_, epoch) = self.book.ledger.view(self.channel).await?.context("it is known")?;
        let price = amount.saturating_sub(epoch.spent);
        let (deployment, route) = (Arc::from("main"), Arc::from("goods"));
        let order = Order { deployment, route, voucher, price, terms, request, settle };
        let sold = self.book.ledger.sell(order).await?;
        ensure!(sold.is_ok(), "it is not sold: {sold:?}");
        Ok(())
    }

    /// The jobs there are, with their amounts and states, without those of fronts.
    async fn jobs(&self) -> Result<String> {
        let sql = "SELECT coalesce(string_agg(concat_ws(' ', kind, amount, state), ', ' ORDER BY id), '') FROM jobs
            WHERE kind <> 'sync'";
        self.book.ask(sql).await
    }

    async fn until_jobs(&self, expected: &str) -> Result<()> {
        testkit::wait::until("the plan", PATIENCE, async || {
            let jobs = self.jobs().await?;
            ensure!(jobs == expected, "the jobs are {jobs:?}");
            Ok(())
        })
        .await?;
        // And nothing comes of further rounds.
        self.never_any_but(expected).await
    }

    async fn never_any_but(&self, expected: &str) -> Result<()> {
        tokio::time::sleep(ROUNDS).await;
        let jobs = self.jobs().await?;
        ensure!(jobs == expected, "the jobs are {jobs:?}");
        Ok(())
    }

    /// So much later.
    async fn later(&self, seconds: u64) -> Result<()> {
        let sql = format!(
            "UPDATE epochs SET unclaimed_since = unclaimed_since - interval '{seconds} s';
             UPDATE channels SET agreed_at = agreed_at - interval '{seconds} s'"
        );
        self.book.run(&sql).await
    }
}

#[tokio::test]
async fn a_claim_is_planned_from_its_least_amount_on() -> Result<()> {
    let scene = Scene::with(POLICY).await?;
    scene.sell(49, When::Now).await?;
    scene.never_any_but("").await?;
    scene.sell(50, When::Now).await?;
    scene.until_jobs("claim 50 open").await
}

#[tokio::test]
async fn a_claim_is_planned_for_whatever_has_been_owed_for_long_and_again_only_for_what_came_after() -> Result<()> {
    let mut scene = Scene::with(POLICY).await?;
    scene.sell(10, When::Now).await?;
    scene.later(86_000).await?;
    scene.sell(11, When::Now).await?;
    scene.never_any_but("").await?;
    scene.later(400).await?;
    scene.until_jobs("claim 11 open").await?;
    // As the wallet does it, while the payer goes on.
    scene.sell(12, When::Now).await?;
    let opening = scene.opening.clone();
    scene.world.withdraw(2, &opening, 11).await?;
    scene.book.caught_up(&scene.world.rpc).await?;
    scene.book.run("UPDATE jobs SET state = 'done', ended_at = now() WHERE kind = 'claim'").await?;
    scene.never_any_but("claim 11 done").await?;
    scene.later(86_400).await?;
    scene.until_jobs("claim 11 done, claim 12 open").await
}

#[tokio::test]
async fn a_claim_waits_for_calls_in_flight_but_not_for_more_than_half_of_the_time() -> Result<()> {
    let scene = Scene::with(POLICY).await?;
    scene.sell(60, When::Later).await?;
    scene.never_any_but("").await?;
    scene.later(43_200).await?;
    scene.until_jobs("claim 60 open").await
}

#[tokio::test]
async fn nothing_is_planned_that_gas_would_eat_or_while_nobody_said_what_gas_is_worth() -> Result<()> {
    for policy in ["coin_units = 1\ncoin = 1\nmin_amount = 1", "min_amount = 1"] {
        let scene = Scene::with(policy).await?;
        scene.sell(60, When::Now).await?;
        scene.later(10 * 86_400).await?;
        scene.never_any_but("").await?;
    }
    Ok(())
}

#[tokio::test]
async fn an_unused_closing_signature_and_an_unsettled_close_become_work_after_a_while() -> Result<()> {
    let scene = Scene::with(POLICY).await?;
    scene.sell(30, When::Now).await?;
    scene.book.ledger.agree_close(scene.channel, Amount::new(30)).await?.context("agreed")?;
    scene.later(3_500).await?;
    scene.never_any_but("").await?;
    scene.later(100).await?;
    scene.until_jobs("close 30 open").await?;

    let mut scene = Scene::with("coin_units = 0\nunsettled_s = 100").await?;
    scene.sell(30, When::Now).await?;
    let opening = scene.opening.clone();
    scene.world.request_close(2, &opening, 30).await?;
    scene.world.chain.mine(550).await?;
    scene.book.caught_up(&scene.world.rpc).await?;
    scene.never_any_but("").await?;
    scene.world.chain.mine(50).await?;
    scene.until_jobs("settle 30 open").await
}

#[tokio::test]
async fn an_accepted_close_is_ended_before_its_deadline_when_the_operator_wants_it_so() -> Result<()> {
    let mut scene = Scene::with("coin_units = 0\nbefore_deadline_s = 100").await?;
    scene.sell(30, When::Now).await?;
    let opening = scene.opening.clone();
    scene.world.request_close(2, &opening, 30).await?;
    scene.world.chain.mine(390).await?;
    scene.book.caught_up(&scene.world.rpc).await?;
    scene.never_any_but("").await?;
    scene.world.chain.mine(20).await?;
    scene.until_jobs("settle 30 open").await
}

#[tokio::test]
async fn an_answer_whose_job_is_gone_is_asked_for_again_until_the_close_is_settled() -> Result<()> {
    let mut scene = Scene::with("").await?;
    scene.sell(30, When::Now).await?;
    let opening = scene.opening.clone();
    scene.world.request_close(2, &opening, 10).await?;
    scene.until_jobs("challenge 30 open").await?;
    scene.book.run("UPDATE jobs SET state = 'failed', ended_at = now()").await?;
    scene.until_jobs("challenge 30 failed, challenge 30 open").await?;
    scene.world.close_together(2, &opening, 30).await?;
    scene.book.caught_up(&scene.world.rpc).await?;
    scene.book.run("UPDATE jobs SET state = 'done', ended_at = now()").await?;
    scene.never_any_but("challenge 30 done, challenge 30 done").await
}

#[tokio::test]
async fn nothing_is_planned_for_a_deployment_that_a_person_has_to_look_at() -> Result<()> {
    let scene = Scene::with(POLICY).await?;
    scene.book.ledger.halt("main", "a test").await?;
    scene.book.run("UPDATE deployments SET safe_until = now() + interval '1 hour'").await?;
    scene.sell(60, When::Now).await?;
    scene.never_any_but("").await
}

#[tokio::test]
async fn operators_see_what_is_claimable_and_what_was_planned_by_one_of_two_watchers() -> Result<()> {
    let scene = Scene::with("").await?;
    let folder = tempfile::TempDir::new()?;
    let ports = [testkit::ports::free()?, testkit::ports::free()?];
    scene.sell(60, When::Now).await?;
    let Scene { world, book, watching, .. } = &scene;
    watching.end();
    let start = |port| Setup { ops_port: port, ..setup(POLICY) };
    let name = |port: u16| format!("watcher-{port}");
    let _watchers = [
        start(ports[0]).spawn(folder.path(), &name(ports[0]), book, &[world.target()])?,
        start(ports[1]).spawn(folder.path(), &name(ports[1]), book, &[world.target()])?,
    ];
    testkit::wait::until("the metrics", PATIENCE, async || {
        let mut pages = String::new();
        for port in ports {
            pages += &reqwest::get(format!("http://127.0.0.1:{port}/metrics")).await?.text().await?;
        }
        for line in [
            "claimable_base_units{deployment=\"main\"} 60",
            "claims_planned_total{deployment=\"main\",reason=\"amount\"} 1",
        ] {
            ensure!(pages.matches(line).count() == 1, "{line} is not once in\n{pages}");
        }
        Ok(())
    })
    .await?;
    scene.until_jobs("claim 60 open").await
}
