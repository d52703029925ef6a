//! A test for each row.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use channel::Amount;
use testkit::cluster::{Options, PAYER};
use testkit::liar::{Liar, Lie};
use testkit::wait;
use tests::ByHand;

use crate::town::{PATIENCE, Payer, Town, logged, readiness, until_mode};

/// The first deployment's window: 500 blocks of a second, less the safety budget of 120.
const USABLE: u64 = 380;

fn options() -> Options {
    Options::default()
}

#[tokio::test(flavor = "multi_thread")]
async fn without_rabbitmq_everything_goes_on_and_jobs_are_polled_for() -> Result<()> {
    let mut town = Town::new(Options { rabbit: 1, ..options() }, &[]).await?;
    town.cluster.rabbit.as_mut().context("there is a broker")?.stop().await?;
    town.sells().await?;
    // A front enqueues, the wallet answers: nobody rang.
    let Town { payer, cluster, .. } = &town;
    let answer = payer.by_hand.ask_to_close(&cluster.fronts[0].url(), Amount::new(payer.paid)).send().await?;
    assert_eq!(answer.status(), 200, "{}", answer.text().await?);
    for front in &cluster.fronts {
        assert_eq!(readiness(front).await?.0, 200);
    }
    // A channel that the watcher sees without a ring.
    let newcomer = ByHand::open(cluster, PAYER + 1, Amount::new(100)).await?;
    Payer::new(newcomer, "/page").buys(&cluster.fronts).await
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_watcher_a_deployment_is_sold_on_until_its_safe_until_and_no_other_is_touched() -> Result<()> {
    let mut town = Town::new(options(), &[]).await?;
    town.cluster.watchers[0].kill9()?;
    town.sells().await?;
    town.passes(USABLE - 60).await?;
    town.sells().await?;
    town.passes(60).await?;
    town.is_stale("watcher_stale").await?;
    town.cluster.watchers[0].start_again()?;
    town.payer.buys_again(&town.cluster.fronts).await?;
    until_mode(&town.cluster.fronts[0], "main", "selling").await
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_wallet_a_deployment_is_sold_on_until_its_all_clear_ends_and_closes_wait() -> Result<()> {
    let mut town = Town::new(options(), &[("SLUICE_FRONT__TIMEOUTS__CLOSE_MS", "500")]).await?;
    town.cluster.wallets[0].kill9()?;
    town.sells().await?;
    let newcomer = ByHand::open(&town.cluster, PAYER + 1, Amount::new(100)).await?;
    let answer = newcomer.ask_to_close(&town.cluster.fronts[0].url(), Amount::ZERO).send().await?;
    assert_eq!((answer.status().as_u16(), answer.headers().contains_key("retry-after")), (503, true));
    town.passes(USABLE - 60).await?;
    town.sells().await?;
    town.passes(60).await?;
    town.is_stale("wallet_stale").await?;
    town.cluster.wallets[0].start_again()?;
    town.payer.buys_again(&town.cluster.fronts).await?;
    let answer = newcomer.ask_to_close(&town.cluster.fronts[0].url(), Amount::ZERO).send().await?;
    assert_eq!(answer.status(), 200, "what was asked for is done meanwhile");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn without_one_of_two_nodes_watcher_and_wallet_ask_the_other_one() -> Result<()> {
    let patience = [("SLUICE_WATCHER__RPC_TIMEOUT_MS", "1000"), ("SLUICE_WALLET__RPC_TIMEOUT_MS", "1000")];
    let mut town = Town::new(options(), &patience).await?;
    let node = Liar::start(&town.cluster.chain.url()).await?;
    let urls = format!("[{:?}]", town.cluster.chain.url());
    town.restart_on(&node.url(), &[("SLUICE_DEPLOYMENTS__MAIN__RPC_URLS", &urls), patience[0], patience[1]]).await?;
    for (index, lie) in (PAYER + 1..).zip([Lie::Http(502), Lie::Hang]) {
        node.tell("", lie);
        town.sells().await?;
        // The watcher sees a new channel, and the wallet answers its dishonest close.
        let payer = ByHand::open(&town.cluster, index, Amount::new(100)).await?;
        let mut buyer = Payer::new(payer.clone(), "/page");
        buyer.buys(&town.cluster.fronts).await?;
        payer.close_alone(&town.cluster.chain, Amount::ZERO).await?;
        town.until_closed(&payer).await?;
        node.be_honest();
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn without_any_node_a_chain_is_sold_on_until_its_safe_until_and_the_other_one_is_followed() -> Result<()> {
    let patience = [("SLUICE_WATCHER__RPC_TIMEOUT_MS", "1000"), ("SLUICE_WALLET__RPC_TIMEOUT_MS", "1000")];
    let mut town = Town::new(options(), &patience).await?;
    let node = Liar::start(&town.cluster.chain.url()).await?;
    town.restart_on(&node.url(), &patience).await?;
    node.tell("", Lie::Hang);
    town.sells().await?;
    let wallet = &town.cluster.wallets[0];
    wait::until("the wallet to miss its node", PATIENCE, async || {
        ensure!(logged(wallet, &["WARN", "main", "no node answers"])? == 1, "it said nothing, or too much");
        Ok(())
    })
    .await?;
    town.passes(USABLE).await?;
    town.is_stale("watcher_stale").await?;
    node.be_honest();
    town.payer.buys_again(&town.cluster.fronts).await
}

#[tokio::test(flavor = "multi_thread")]
async fn without_postgresql_nothing_is_served_that_costs_and_clients_are_told_when_to_come_back() -> Result<()> {
    let mut town = Town::new(options(), &[]).await?;
    let calls = town.cluster.upstream_calls(None).await?;
    town.cluster.postgres.kill9()?;
    town.payer.is_refused(&town.cluster.fronts, 503, "ledger_unavailable").await?;
    town.other.is_refused(&town.cluster.fronts, 503, "ledger_unavailable").await?;
    assert_eq!(town.cluster.upstream_calls(None).await?, calls);
    for front in &town.cluster.fronts {
        until_mode(front, "main", "ledger_away").await?;
        assert_eq!(readiness(front).await?.0, 200, "it bears with it for a while");
    }
    town.cluster.postgres.start_again().await?;
    let back = Instant::now();
    town.payer.buys_again(&town.cluster.fronts).await?;
    println!("sold again {:?} after PostgreSQL was back", back.elapsed());
    town.other.buys_again(&town.cluster.fronts).await?;
    until_mode(&town.cluster.fronts[0], "main", "selling").await
}

#[tokio::test(flavor = "multi_thread")]
async fn with_a_postgresql_that_cannot_be_written_it_is_the_same() -> Result<()> {
    let mut town = Town::new(options(), &[]).await?;
    let calls = town.cluster.upstream_calls(None).await?;
    let read_only = async |town: &Town, on: &str| {
        town.cluster
            .postgres
            .execute("postgres", &format!("ALTER SYSTEM SET default_transaction_read_only = {on}"))
            .await?;
        town.cluster.postgres.execute("postgres", "SELECT pg_reload_conf()").await?;
        tokio::time::sleep(Duration::from_millis(500)).await;
        anyhow::Ok(())
    };
    read_only(&town, "on").await?;
    town.payer.is_refused(&town.cluster.fronts, 503, "ledger_unavailable").await?;
    assert_eq!(town.cluster.upstream_calls(None).await?, calls);
    read_only(&town, "off").await?;
    town.payer.buys_again(&town.cluster.fronts).await?;
    town.other.buys_again(&town.cluster.fronts).await
}

#[tokio::test(flavor = "multi_thread")]
async fn without_an_upstream_the_price_is_credit_again() -> Result<()> {
    let mut town = Town::new(options(), &[]).await?;
    town.cluster.upstream.kill9()?;
    town.payer.is_refused(&town.cluster.fronts[..1], 502, "upstream_unreachable").await?;
    assert_eq!(readiness(&town.cluster.fronts[0]).await?.0, 200);
    town.cluster.upstream.start_again()?;
    // The same voucher, the same request: from the credit that is left.
    town.payer.buys_again(&town.cluster.fronts[..1]).await?;
    let paid = Amount::new(town.payer.paid);
    let ledger = town.ledger().await?;
    wait::until("what was held to be charged", PATIENCE, async || {
        let (_, epoch) = ledger.view(town.payer.by_hand.channel()).await?.context("it is known")?;
        ensure!((epoch.spent, epoch.authorised, epoch.held) == (paid, paid, Amount::ZERO), "{epoch:?}");
        Ok(())
    })
    .await
}
