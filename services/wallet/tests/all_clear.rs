//! The all-clear: the wallet says that it could answer a dishonest close, and says nothing while it could not.

mod common;

use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, ensure};
use common::*;
use nix::sys::signal::Signal;
use serde_json::json;
use testkit::liar::{Liar, Lie};
use testkit::process::Process;
use testkit::{http, wait};

/// What the configuration makes of it: a challenge period of 500 blocks of a second, less the safety budget.
const USABLE: u64 = 500 - 120;
/// A few all-clears could be given in it.
const A_WHILE: Duration = Duration::from_secs(5);

/// Until when fronts may sell, as far as the wallet said.
async fn clear_until(scene: &Scene) -> Result<Option<SystemTime>> {
    Ok(scene.ledger.safety().await?.first().context("the deployment is known")?.clear_until)
}

/// Takes back what was said so far; what is said from now on is new.
async fn forget(scene: &Scene) -> Result<()> {
    let (client, connection) = tokio_postgres::connect(&scene.database, tokio_postgres::NoTls).await?;
    tokio::spawn(connection);
    Ok(client.batch_execute("UPDATE deployments SET clear_until = NULL").await?)
}

/// Waits for an all-clear that is given from now on; says how many seconds it lasts.
async fn given(scene: &Scene) -> Result<u64> {
    forget(scene).await?;
    wait::until("the all-clear", PATIENCE, async || {
        let until = clear_until(scene).await?.context("nothing was said")?;
        Ok(until.duration_since(SystemTime::now())?.as_secs())
    })
    .await
}

/// Makes sure that none is given for a while.
async fn withheld(scene: &Scene) -> Result<()> {
    forget(scene).await?;
    tokio::time::sleep(A_WHILE).await;
    ensure!(clear_until(scene).await?.is_none(), "all is clear");
    Ok(())
}

/// Waits until the wallet tells operators so: in its metric for this reason, and in its verbose readiness in words.
async fn told(ops: &str, reason: &str, words: &str) -> Result<()> {
    let client = http::client()?;
    let line = format!("wallet_all_clear{{deployment=\"main\",reason=\"{reason}\"}} 1");
    wait::until("the metric", PATIENCE, async || {
        let metrics = client.get(format!("http://{ops}/metrics")).send().await?.text().await?;
        ensure!(
            metrics.contains(&line),
            "{:?}",
            metrics.lines().filter(|line| line.contains("clear")).collect::<Vec<_>>()
        );
        Ok(())
    })
    .await?;
    wait::until("the check to run again", PATIENCE, async || {
        let ready = client.get(format!("http://{ops}/readyz?verbose")).send().await?;
        let ready: serde_json::Value = ready.json().await?;
        let checks = ready["checks"].as_object().context("it lists its checks")?;
        let (_, said) = checks.iter().find(|(name, _)| name.starts_with("all clear")).context("it is one of them")?;
        let said = said.as_str().context("it is text")?;
        ensure!(said.contains(words), "it says {said}");
        Ok(())
    })
    .await
}

/// The wallet, and where it tells operators.
fn start(scene: &Scene, name: &str, node: &str, keys: &[(&str, &str)]) -> Result<(Process, String)> {
    let ops = format!("127.0.0.1:{}", testkit::ports::free()?);
    let mut command = scene.wallet_command(name, node)?;
    command.env("SLUICE_WALLET__OPS_LISTEN", &ops);
    command.envs(keys.iter().map(|(key, value)| (format!("SLUICE_{key}"), value)));
    let log = scene.folder.path().join(format!("{name}.log"));
    Ok((Process::spawn(name, &mut command, &log)?, ops))
}

#[tokio::test]
async fn while_all_is_clear_it_says_so_for_the_window_less_the_budget_and_a_standby_says_nothing() -> Result<()> {
    let scene = Scene::set().await?;
    forget(&scene).await?;
    let (one, ops) = start(&scene, "one", &scene.chain.url(), &[])?;
    until_active(&one).await?;
    let (_two, standby) = start(&scene, "two", &scene.chain.url(), &[])?;
    let lasts = given(&scene).await?;
    assert!((USABLE - 5..=USABLE).contains(&lasts), "{lasts} s");
    told(&ops, "clear", "ok").await?;
    told(&standby, "standby", "another wallet is the active one").await?;
    // Paused, it says nothing; the other one takes over, and says so.
    one.signal(Signal::SIGSTOP)?;
    given(&scene).await?;
    told(&standby, "clear", "ok").await?;
    one.signal(Signal::SIGCONT)?;
    told(&ops, "standby", "another wallet is the active one").await?;
    Ok(())
}

#[tokio::test]
async fn without_gas_for_the_answers_nothing_is_clear_until_there_is() -> Result<()> {
    let scene = Scene::set().await?;
    let (_wallet, ops) = start(&scene, "wallet", &scene.chain.url(), &[("WALLET__ALL_CLEAR_CHALLENGES", "4")])?;
    given(&scene).await?;
    let price = 10 * scene.rpc.fees().await?.max_fee;
    let needed = 4 * 300_000 * price;
    let set = async |wei: u128| {
        scene.chain.rpc("anvil_setBalance", json!([scene.payee.address(), format!("{wei:#x}")])).await
    };
    // Plenty for one answer, and not for four of them.
    set(needed - 1).await?;
    told(&ops, "gas", &needed.to_string()).await?;
    withheld(&scene).await?;
    set(needed).await?;
    given(&scene).await?;
    told(&ops, "clear", "ok").await?;
    Ok(())
}

#[tokio::test]
async fn an_answer_takes_less_gas_than_is_reckoned_with() -> Result<()> {
    let scene = Scene::set().await?;
    let channel = scene.used_channel().await?;
    let _wallet = scene.wallet("wallet")?;
    scene.close_alone(&channel, 0).await?;
    scene.until_closed(&channel).await?;
    let block = scene.chain.rpc("eth_getBlockByNumber", json!(["latest", true])).await?;
    let hash = &block["transactions"][0]["hash"];
    let receipt = scene.chain.rpc("eth_getTransactionReceipt", json!([hash])).await?;
    let used = testkit::rpc::quantity(&receipt["gasUsed"])?;
    println!("an answer took {used} gas");
    assert!((50_000..300_000).contains(&(used + used / 4)), "{used}");
    Ok(())
}

#[tokio::test]
async fn without_a_node_nothing_is_clear() -> Result<()> {
    let scene = Scene::set().await?;
    let node = Liar::start(&scene.chain.url()).await?;
    let (_wallet, ops) = start(&scene, "wallet", &node.url(), &[])?;
    given(&scene).await?;
    node.tell("", Lie::Hang);
    told(&ops, "node", "no node answers").await?;
    withheld(&scene).await?;
    node.be_honest();
    given(&scene).await?;
    Ok(())
}

#[tokio::test]
async fn while_an_answer_is_stuck_nothing_is_clear() -> Result<()> {
    let scene = Scene::set().await?;
    let channel = scene.used_channel().await?;
    let (_wallet, ops) = start(&scene, "wallet", &scene.chain.url(), &[("WALLET__BUMP_MS", "1000")])?;
    given(&scene).await?;
    scene.close_unnoticed(&channel, 0).await?;
    scene.chain.set_automine(false).await?;
    scene.follow().await?;
    told(&ops, "stuck", "something urgent is not mined").await?;
    withheld(&scene).await?;
    scene.chain.mine(1).await?;
    scene.chain.set_automine(true).await?;
    scene.until_closed(&channel).await?;
    given(&scene).await?;
    told(&ops, "clear", "ok").await?;
    Ok(())
}
