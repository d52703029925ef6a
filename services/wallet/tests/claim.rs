//! Claims: what is owed is taken on chain without closing, always with the newest voucher, and once.

mod common;

use std::time::Duration;

use alloy_primitives::U256;
use anyhow::{Context, Result, bail, ensure};
use channel::{Channel, Refusal, Status};
use common::{DEPLOYMENT, Opened, PATIENCE, Scene, amount, until_active};
use contracts::raiden;
use ledger::{ClaimCause, ClaimFilter, IntentState, JobId, JobKind, JobOutcome, Lane, NewJob, When};
use serde_json::{Value, json};
use testkit::liar::Liar;
use testkit::process::{Process, is_stopped};
use testkit::wait;

/// Gas is worth nothing, and everything is worth claiming.
const EAGER: [(&str, &str); 5] = [
    ("DEPLOYMENTS__MAIN__CLAIM__COIN_UNITS", "0"),
    ("DEPLOYMENTS__MAIN__CLAIM__MIN_AMOUNT", "1"),
    ("WALLET__RESEND_MS", "500"),
    ("WALLET__CONFIRMATIONS", "3"),
    ("WALLET__LEASE_MS", "1000"),
];

fn eager(further: &[(&'static str, &'static str)]) -> Vec<(&'static str, &'static str)> {
    [&EAGER, further].concat()
}

impl Scene {
    async fn channel(&self, channel: &Opened) -> Result<Channel> {
        Ok(self.ledger.view(channel.id).await?.context("the ledger knows the channel")?.0)
    }

    /// Adds a job as the planner does, which comes again as long as an earlier one is open.
    async fn add(&self, job: NewJob) -> Result<JobId> {
        wait::until("an earlier job to end", PATIENCE, async || {
            let added = self.ledger.add_jobs(std::slice::from_ref(&job)).await?;
            ensure!(added == [0], "it is open");
            Ok(())
        })
        .await?;
        let sql = "SELECT max(id) FROM jobs WHERE kind = $1 AND key = $2";
        let (client, connection) = tokio_postgres::connect(&self.database, tokio_postgres::NoTls).await?;
        tokio::spawn(connection);
        Ok(JobId(client.query_one(sql, &[&job.kind.as_str(), &job.key]).await?.get(0)))
    }

    async fn claim(&self, channel: &Opened, cause: ClaimCause) -> Result<JobId> {
        self.add(NewJob::claim(&self.channel(channel).await?, cause)).await
    }

    async fn planned(&self, channel: &Opened, cumulative: u128) -> Result<JobId> {
        self.claim(channel, ClaimCause::Planned(amount(cumulative))).await
    }

    async fn outcome(&self, job: JobId) -> Result<Value> {
        match self.ledger.wait(job, PATIENCE).await? {
            Some(JobOutcome::Done(outcome)) => Ok(outcome),
            other => bail!("the job ended with {other:?}"),
        }
    }

    /// Follows the chain until this much was claimed.
    async fn until_claimed(&self, channel: &Opened, cumulative: u128) -> Result<()> {
        wait::until("the claim", PATIENCE, async || {
            self.follow().await?;
            let claimed = self.channel(channel).await?.facts.claimed;
            ensure!(claimed == amount(cumulative), "{claimed} was claimed");
            Ok(())
        })
        .await
    }

    /// What each claim took that the chain shows, oldest first.
    async fn claims(&self) -> Result<Vec<u128>> {
        let filter = ClaimFilter { deployment: DEPLOYMENT.to_owned(), channel: None, before: None, limit: 100 };
        let claims = self.ledger.claims(&filter).await?;
        Ok(claims.iter().rev().map(|claim| claim.amount.units()).collect())
    }

    async fn earned(&self) -> Result<u128> {
        self.tokens(self.deployment.payee).await
    }
}

#[tokio::test]
async fn what_is_owed_is_taken_and_the_payer_goes_on_paying() -> Result<()> {
    let scene = Scene::set().await?;
    let _wallet = scene.wallet_with("wallet", &EAGER)?;
    let channel = scene.used_channel().await?;
    let job = scene.planned(&channel, 30).await?;
    scene.until_claimed(&channel, 30).await?;
    assert_eq!(scene.outcome(job).await?, json!({ "claimed": "30" }));
    assert_eq!((scene.earned().await?, scene.status(&channel).await?), (30, Status::Open));
    assert_eq!(scene.refusal(&channel, 30, 10).await?, Some(Refusal::Published), "anybody can read that voucher");

    scene.pay(&channel, 40, 10).await?;
    scene.pay(&channel, 50, 10).await?;
    scene.planned(&channel, 50).await?;
    scene.until_claimed(&channel, 50).await?;
    assert_eq!(scene.claims().await?, [30, 20]);
    let refused = scene.ask_to_close(&channel, 45).await?;
    assert_eq!(refused, json!({ "refused": "amount", "least": "50", "most": "50" }), "the contract would not pay it");
    let slot = scene.slot_of(&channel, |slot| slot.intents[0].state == IntentState::Mined).await?;
    let receipt = scene.chain.rpc("eth_getTransactionReceipt", json!([slot.signed[0].hash])).await?;
    println!("a claim takes {} gas", testkit::rpc::quantity(&receipt["gasUsed"])?);
    Ok(())
}

#[tokio::test]
async fn a_voucher_that_comes_while_the_claim_is_built_is_in_it() -> Result<()> {
    let scene = Scene::set().await?;
    let liar = Liar::start(&scene.chain.url()).await?;
    let mut command = scene.wallet_command("wallet", &liar.url())?;
    command.envs(EAGER.map(|(key, value)| (format!("SLUICE_{key}"), value)));
    let wallet = Process::spawn("wallet", &mut command, &scene.folder.path().join("wallet.log"))?;
    until_active(&wallet).await?;
    let channel = scene.used_channel().await?;
    // The node answers nothing: the wallet has read the ledger, and waits for what gas costs.
    scene.chain.process()?.pause()?;
    scene.planned(&channel, 30).await?;
    tokio::time::sleep(Duration::from_millis(700)).await;
    scene.pay(&channel, 40, 10).await?;
    scene.chain.process()?.resume()?;
    scene.until_claimed(&channel, 40).await?;
    let log = std::fs::read_to_string(wallet.log())?;
    ensure!(log.contains(r#""least":"30""#), "it was to be in the midst of it: {log}");
    assert_eq!(scene.claims().await?, [40]);
    Ok(())
}

#[tokio::test]
async fn it_may_die_at_any_point_of_a_claim_and_no_claim_is_below_what_was_held_when_it_was_signed() -> Result<()> {
    let scene = Scene::set().await?;
    let channel = scene.open(1_000).await?;
    let points =
        ["after_commit_before_sign", "after_sign_before_store", "after_store_before_send", "after_send_before_mark"];
    let mut paid = 0;
    for point in points {
        paid += 10;
        scene.pay(&channel, paid, 10).await?;
        let (log, mut command) =
            (scene.folder.path().join(format!("{point}.log")), scene.wallet_command(point, &scene.chain.url())?);
        command.envs(EAGER.map(|(key, value)| (format!("SLUICE_{key}"), value)));
        command.env("FAILPOINTS", format!("{point}=1*return(abort)"));
        let mut first = Process::spawn(point, &mut command, &log)?;
        let job = scene.planned(&channel, paid).await?;
        wait::until("the wallet to die", PATIENCE, async || {
            ensure!(first.check_running().is_err(), "it runs");
            Ok(())
        })
        .await?;
        let signed_with = paid;
        paid += 10;
        scene.pay(&channel, paid, 10).await?;
        let second = scene.wallet_with(&format!("after {point}"), &EAGER)?;
        // What was journalled is sent as it is; what was not is made anew.
        let is_journalled = point.starts_with("after_store") || point.starts_with("after_send");
        scene.until_claimed(&channel, if is_journalled { signed_with } else { paid }).await?;
        scene.outcome(job).await.with_context(|| point)?;
        scene.planned(&channel, paid).await?;
        scene.until_claimed(&channel, paid).await?;
        scene.chain.mine(4).await?;
        drop(second);
    }
    assert_eq!(scene.claims().await?, [20, 20, 10, 10, 10, 10]);
    assert_eq!(scene.earned().await?, paid);
    wait::until("the journal", PATIENCE, async || scene.check_line().await).await
}

#[tokio::test]
async fn an_old_claim_does_nothing_however_often_it_comes() -> Result<()> {
    let scene = Scene::set().await?;
    let _wallet = scene.wallet_with("wallet", &EAGER)?;
    let channel = scene.used_channel().await?;
    scene.planned(&channel, 30).await?;
    scene.until_claimed(&channel, 30).await?;
    for old in [10, 30] {
        let job = scene.planned(&channel, old).await?;
        assert_eq!(scene.outcome(job).await?, json!({ "claimed": "30" }));
    }
    scene.pay(&channel, 40, 10).await?;
    let job = scene.planned(&channel, 30).await?;
    assert_eq!(scene.outcome(job).await?, json!({ "claimed": "30" }), "what came later is the planner's to see");
    let job = scene.claim(&channel, ClaimCause::Asked).await?;
    scene.until_claimed(&channel, 40).await?;
    assert_eq!(scene.outcome(job).await?, json!({ "claimed": "40" }));
    let job = scene.claim(&channel, ClaimCause::Forced).await?;
    assert_eq!(scene.outcome(job).await?, json!({ "stale": true }), "there is nothing to claim");
    assert_eq!(scene.sent().await?, 2);
    Ok(())
}

#[tokio::test]
async fn what_the_payee_took_by_itself_is_not_claimed_again() -> Result<()> {
    let scene = Scene::set().await?;
    let channel = scene.used_channel().await?;
    let data = scene.contract().claim(&channel.opening, amount(30), &scene.voucher(&channel, 30))?;
    let payee = evm::Account::new(scene.rpc.clone(), scene.payee.clone());
    payee.send(Some(scene.deployment.contract), data, U256::ZERO).await?;
    scene.follow().await?;
    let _wallet = scene.wallet_with("wallet", &EAGER)?;
    let job = scene.planned(&channel, 30).await?;
    assert_eq!(scene.outcome(job).await?, json!({ "claimed": "30" }));
    assert_eq!(scene.sent().await?, 1);
    Ok(())
}

#[tokio::test]
async fn a_claim_that_a_reorganisation_takes_back_is_made_again_up_to_the_newest_voucher() -> Result<()> {
    let scene = Scene::set().await?;
    let _wallet = scene.wallet_with("wallet", &EAGER)?;
    let channel = scene.used_channel().await?;
    scene.planned(&channel, 30).await?;
    scene.until_claimed(&channel, 30).await?;
    scene.slot_of(&channel, |slot| slot.intents[0].state == IntentState::Mined).await?;
    scene.pay(&channel, 40, 10).await?;
    scene.chain.reorg(1).await?;
    scene.follow().await?;
    assert_eq!(scene.channel(&channel).await?.facts.claimed, amount(0));
    wait::until("the newest voucher to be claimed", PATIENCE, async || {
        scene.follow().await?;
        let now = scene.channel(&channel).await?;
        // As the planner does, round after round.
        scene.ledger.add_jobs(&[NewJob::claim(&now, ClaimCause::Planned(amount(40)))]).await?;
        ensure!(now.facts.claimed == amount(40), "{} was claimed", now.facts.claimed);
        Ok(())
    })
    .await?;
    assert_eq!((scene.claims().await?, scene.earned().await?), (vec![30, 10], 40));
    Ok(())
}

#[tokio::test]
async fn of_two_wallets_one_claims_and_one_that_hung_does_not_claim_again() -> Result<()> {
    let scene = Scene::set().await?;
    let old = scene.wallet_with("old", &EAGER)?;
    until_active(&old).await?;
    let _new = scene.wallet_with("new", &EAGER)?;
    let channel = scene.used_channel().await?;
    scene.planned(&channel, 30).await?;
    scene.until_claimed(&channel, 30).await?;
    assert_eq!(scene.sent().await?, 1);
    scene.pay(&channel, 40, 10).await?;
    old.pause()?;
    ensure!(is_stopped(old.pid()), "it runs");
    scene.planned(&channel, 40).await?;
    scene.until_claimed(&channel, 40).await?;
    old.resume()?;
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!((scene.sent().await?, scene.claims().await?), (2, vec![30, 10]));
    Ok(())
}

#[tokio::test]
async fn gas_above_its_share_is_paid_only_when_an_operator_insists() -> Result<()> {
    let scene = Scene::set().await?;
    // A wei is worth a unit: a claim would cost millions of millions.
    let keys = eager(&[("DEPLOYMENTS__MAIN__CLAIM__COIN_UNITS", "1"), ("DEPLOYMENTS__MAIN__CLAIM__COIN", "1")]);
    let _wallet = scene.wallet_with("wallet", &keys)?;
    let channel = scene.used_channel().await?;
    let job = scene.planned(&channel, 30).await?;
    assert_eq!(scene.outcome(job).await?, json!({ "refused": "gas" }));
    let job = scene.claim(&channel, ClaimCause::Asked).await?;
    assert_eq!(scene.outcome(job).await?, json!({ "refused": "gas" }));
    assert_eq!(scene.sent().await?, 0);
    let job = scene.claim(&channel, ClaimCause::Forced).await?;
    scene.until_claimed(&channel, 30).await?;
    assert_eq!(scene.outcome(job).await?, json!({ "claimed": "30" }));
    Ok(())
}

#[tokio::test]
async fn a_call_in_flight_is_not_disturbed_unless_an_operator_asks() -> Result<()> {
    let scene = Scene::set().await?;
    let _wallet = scene.wallet_with("wallet", &EAGER)?;
    let channel = scene.used_channel().await?;
    scene.order(&channel, 40, 10, When::Later).await?.expect("it is sold");
    let job = scene.planned(&channel, 40).await?;
    assert_eq!(scene.outcome(job).await?, json!({ "stale": true }), "the planner comes back to it");
    assert_eq!(scene.sent().await?, 0);
    scene.claim(&channel, ClaimCause::Asked).await?;
    scene.until_claimed(&channel, 40).await
}

#[tokio::test]
async fn a_closing_signature_that_is_not_used_is_used_by_us_and_one_that_is_makes_no_work() -> Result<()> {
    let scene = Scene::set().await?;
    let _wallet = scene.wallet_with("wallet", &EAGER)?;
    let (lazy, busy) = (scene.used_channel().await?, scene.used_channel().await?);
    scene.ask_to_close(&lazy, 30).await?;
    let closed = NewJob::about(JobKind::Close, &scene.channel(&lazy).await?, Some(amount(30)));
    let job = scene.add(closed).await?;
    scene.until_closed(&lazy).await?;
    assert_eq!(scene.outcome(job).await?, json!({ "closed": "30" }));
    assert_eq!((scene.earned().await?, scene.sent().await?), (30, 1));

    let outcome = scene.ask_to_close(&busy, 30).await?;
    let closing = alloy_primitives::hex::decode(outcome["signature"].as_str().context("a signature")?)?;
    let (closing, voucher) = (channel::Signature::parse(&closing)?, scene.voucher(&busy, 30));
    let data = scene.contract().cooperative_close(&scene.deployment, &busy.opening, amount(30), &voucher, &closing)?;
    scene.payer.send(Some(scene.deployment.contract), data, U256::ZERO).await?;
    scene.follow().await?;
    let job = scene.add(NewJob::about(JobKind::Close, &scene.channel(&busy).await?, Some(amount(30)))).await?;
    assert_eq!(scene.outcome(job).await?, json!({ "closed": "30" }));
    assert_eq!((scene.earned().await?, scene.sent().await?), (60, 1));
    Ok(())
}

#[tokio::test]
async fn an_accepted_close_that_the_payer_never_settles_is_ended_by_us_with_the_money() -> Result<()> {
    let scene = Scene::set().await?;
    let _wallet = scene.wallet_with("wallet", &eager(&[("DEPLOYMENTS__MAIN__CLAIM__UNSETTLED_S", "100")]))?;
    let rich = scene.tokens(scene.payer.address()).await?;
    let channel = scene.used_channel().await?;
    scene.close_alone(&channel, 30).await?;
    let settle = NewJob::about(JobKind::Settle, &scene.channel(&channel).await?, Some(amount(30)));
    scene.chain.mine(500 + 50).await?;
    scene.follow().await?;
    let job = scene.add(settle.clone()).await?;
    assert_eq!(scene.outcome(job).await?, json!({ "stale": true }), "it is the payer's to settle for a while");
    scene.chain.mine(50).await?;
    scene.follow().await?;
    let job = scene.add(settle.clone()).await?;
    scene.until_closed(&channel).await?;
    assert_eq!(scene.outcome(job).await?, json!({ "closed": "30" }));
    assert_eq!((scene.earned().await?, scene.tokens(scene.payer.address()).await?), (30, rich - 30));

    let other = scene.used_channel().await?;
    scene.close_alone(&other, 30).await?;
    scene.chain.mine(700).await?;
    let data = raiden::settle(&other.opening, scene.deployment.payee)?;
    scene.payer.send(Some(scene.deployment.contract), data, U256::ZERO).await?;
    scene.follow().await?;
    let job = scene.add(NewJob::about(JobKind::Settle, &scene.channel(&other).await?, Some(amount(30)))).await?;
    assert_eq!(scene.outcome(job).await?, json!({ "closed": "30" }), "somebody did it");
    assert_eq!((scene.earned().await?, scene.sent().await?), (60, 1));
    Ok(())
}

#[tokio::test]
async fn an_answer_to_a_dishonest_close_goes_before_claims_that_fill_the_line() -> Result<()> {
    let scene = Scene::set().await?;
    let _wallet =
        scene.wallet_with("wallet", &eager(&[("WALLET__UNMINED_MAX", "2"), ("WALLET__BUMP_MS", "600000")]))?;
    let attacked = scene.used_channel().await?;
    let mut honest = Vec::new();
    for _ in 0..4 {
        honest.push(scene.used_channel().await?);
    }
    scene.close_unnoticed(&attacked, 0).await?;
    scene.chain.set_automine(false).await?;
    for channel in &honest {
        scene.planned(channel, 30).await?;
    }
    wait::until("the line to be full", PATIENCE, async || {
        let slots = scene.slots().await?;
        ensure!(slots.len() == 2 && slots.iter().all(|slot| slot.intents[0].lane == Lane::Normal), "{slots:?}");
        Ok(())
    })
    .await?;
    scene.follow().await?;
    let answer = scene.slot_of(&attacked, |slot| slot.intents.len() == 2).await?;
    assert_eq!((answer.nonce, answer.intents[1].lane), (0, Lane::Urgent), "it took the first place");
    scene.until_waiting(answer.signed[1].hash).await?;
    scene.chain.mine(1).await?;
    scene.until_closed(&attacked).await?;
    scene.chain.set_automine(true).await?;
    for channel in &honest {
        wait::until("the claims", PATIENCE, async || {
            scene.chain.mine(1).await?;
            scene.follow().await?;
            ensure!(scene.channel(channel).await?.facts.claimed == amount(30), "it was not");
            Ok(())
        })
        .await?;
    }
    assert_eq!(scene.earned().await?, 150);
    Ok(())
}
