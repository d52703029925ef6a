//! The payer and a real cluster.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use bytes::Bytes;
use channel::Amount;
use http::Request;
use payer::{Allowed, Answer, ChannelKey, Limits, Options, Payer, PayerError, Settings};
use tempfile::TempDir;
use testkit::cluster::{self, Cluster, PAYER};
use testkit::paths;

use crate::world::{amount, key};

fn settings(cluster: &Cluster, state: &TempDir) -> Settings {
    let mut settings = Settings::new(cluster.chain.url(), cluster.chain.chain_id(), state.path());
    settings.limits = Limits {
        max_price: amount(10),
        max_deposit: amount(1_000),
        contracts: Allowed::These(vec![cluster.contracts.channels]),
        ..Limits::default()
    };
    settings.patience.poll = Duration::from_millis(200);
    settings.patience.confirmed = Duration::from_secs(60);
    settings.deposits.open = Some(amount(60));
    settings
}

async fn get(cluster: &Cluster, payer: &Payer, path: &str) -> Result<Answer, PayerError> {
    let request = Request::get(format!("{}{path}", cluster.url())).body(Bytes::new());
    payer.pay(request.expect("the cluster's address is one"), Options::default()).await
}

async fn tokens(cluster: &Cluster, payer: &Payer) -> Result<u128> {
    Ok(payer.tokens(cluster.contracts.token).await?.to())
}

/// What `sluice doctor` says to the operator: its exit code and words.
async fn doctor(cluster: &Cluster, payer: &Payer, key: &ChannelKey) -> Result<(i32, String)> {
    let mut command = Command::new(paths::program("sluice")?);
    command.args(["doctor", &key.to_string(), "--sender", &payer.address().to_string(), "--rpc", &cluster.chain.url()]);
    command.args(["--chain-id", &cluster.chain.chain_id().to_string(), "--config"]).arg(&cluster.config);
    let output = tokio::task::spawn_blocking(move || command.output()).await??;
    Ok((output.status.code().context("it was killed")?, String::from_utf8(output.stdout)?))
}

#[tokio::test(flavor = "multi_thread")]
async fn pays_two_fronts_tops_up_repeats_a_failed_call_and_closes() -> Result<()> {
    let cluster = Cluster::start(cluster::Options::default()).await?;
    let state = TempDir::new()?;
    let payer = Payer::new(settings(&cluster, &state), key(PAYER)).await?;
    let before = tokens(&cluster, &payer).await?;

    let first = get(&cluster, &payer, "/file.txt").await?;
    assert_eq!((first.response.status().as_u16(), first.receipt.cost), (200, amount(10)));
    assert_eq!(first.response.text().await?, "A file worth paying for.\n");
    for _ in 0..4 {
        assert_eq!(get(&cluster, &payer, "/file.txt").await?.receipt.exchanges, 1);
    }
    let teapot = get(&cluster, &payer, "/teapot.txt").await?;
    assert_eq!((teapot.response.status().as_u16(), teapot.receipt.cost), (418, amount(1)));

    let failed = get(&cluster, &payer, "/fail").await?;
    assert_eq!((failed.response.status().as_u16(), failed.receipt.cost), (500, Amount::ZERO));
    let again = get(&cluster, &payer, "/fail").await?;
    assert_eq!((again.receipt.balance, again.receipt.in_doubt), (amount(52), amount(1)), "tried with the same voucher");

    let topped_up = get(&cluster, &payer, "/file.txt").await?;
    assert_eq!((topped_up.response.status().as_u16(), topped_up.receipt.deposited), (200, amount(50)));

    let key = payer.channels().await.first().context("a channel")?.key;
    let (code, text) = doctor(&cluster, &payer, &key).await?;
    assert!(code == 0 && text.ends_with("Nothing is wrong.\n"), "{text}");
    assert!(text.contains("the connection is not encrypted"), "{text}");
    let ended = payer.close(&key, None).await?;
    assert_eq!(ended.balance, amount(61), "six files and a teapot; the failed call is asked back");
    assert_eq!(tokens(&cluster, &payer).await?, before - 61);
    let (code, text) = doctor(&cluster, &payer, &key).await?;
    assert!(code == 1 && text.contains("another channel is opened"), "{text}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_checks_and_migrates_what_a_cluster_is_configured_with() -> Result<()> {
    let cluster = Cluster::prepare(cluster::Options::default()).await?;
    let config = cluster.config.to_str().context("a path")?;
    for (arguments, says) in [
        (["config", "check", config], "fine; connections to the database are encrypted if the server offers it"),
        (["migrate", "--config", config], "the schema is up to date"),
    ] {
        let output = Command::new(paths::program("sluice")?).args(arguments).output()?;
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && said.contains(says), "{arguments:?}: {output:?}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payer_that_lost_its_state_goes_on_and_its_dishonest_close_is_answered() -> Result<()> {
    let cluster = Cluster::start(cluster::Options { fronts: 1, ..cluster::Options::default() }).await?;
    let unused = TempDir::new()?;
    let payer = Payer::new(settings(&cluster, &unused), key(PAYER)).await?;
    let before = tokens(&cluster, &payer).await?;
    payer.open_channel(cluster.contracts.channels, cluster.contracts.payee, amount(60)).await?;
    drop(payer);

    // Lost for the first time: the channel is found, and that nothing was paid from it yet.
    let state = TempDir::new()?;
    let payer = Payer::new(settings(&cluster, &state), key(PAYER)).await?;
    for _ in 0..3 {
        get(&cluster, &payer, "/file.txt").await?;
    }
    drop(payer);

    let lost = TempDir::new()?;
    let payer = Payer::new(settings(&cluster, &lost), key(PAYER)).await?;
    assert_eq!(get(&cluster, &payer, "/file.txt").await?.receipt.balance, amount(40));
    assert_eq!(payer.channels().await.len(), 1);

    // Closing below what was paid: the wallet answers with the best voucher, which settles at once.
    let key = payer.channels().await[0].key;
    payer.close_alone(&key, Some(Amount::ZERO)).await?;
    let settled = async {
        while payer.on_chain(&key).await?.is_some() {
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        anyhow::Ok(())
    };
    tokio::time::timeout(Duration::from_secs(60), settled).await.context("nobody answered")??;
    assert_eq!(tokens(&cluster, &payer).await?, before - 40);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn buys_the_goods_of_the_tutorial_at_their_prices() -> Result<()> {
    let cluster = Cluster::start(cluster::Options { fronts: 1, ..cluster::Options::default() }).await?;
    let state = TempDir::new()?;
    let payer = Payer::new(settings(&cluster, &state), key(PAYER)).await?;
    for (path, cost, content) in [
        ("/sqrt/16", 3, "4\n"),
        ("/sqrt/2.25", 3, "1.5\n"),
        ("/reserve_tokens/7", 7, "7 tokens are reserved\n"),
        ("/reserve_tokens/0", 0, "0 tokens are reserved\n"),
        ("/echofix/hello", 5, "hello"),
        ("/echodyn/4", 4, "4"),
        ("/cdn/index.html", 0, "this is index.html\n"),
        ("/cdn/film.mp4", 2, "this is film.mp4\n"),
        ("/cdn/members/news", 2, "this is members/news\n"),
    ] {
        let answer = get(&cluster, &payer, path).await?;
        assert_eq!((answer.receipt.cost, answer.response.text().await?.as_str()), (amount(cost), content), "{path}");
    }
    for path in ["/sqrt/x", "/sqrt/", "/echofix/a-b", "/sqrt/16/more"] {
        assert_eq!(get(&cluster, &payer, path).await?.response.status(), 404, "{path}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn deposits_as_much_as_a_front_wants_a_channel_to_hold() -> Result<()> {
    let mut cluster = Cluster::prepare(cluster::Options::default()).await?;
    cluster.add_watcher(&[])?;
    cluster.add_wallet(&[])?;
    cluster.add_front(&[("SLUICE_DEPLOYMENTS__MAIN__MIN_DEPOSIT", "200")])?;
    cluster.ready().await?;
    cluster.sells().await?;
    let state = TempDir::new()?;
    let payer = Payer::new(settings(&cluster, &state), key(PAYER)).await?;
    let answer = get(&cluster, &payer, "/file.txt").await?;
    assert_eq!((answer.response.status().as_u16(), answer.receipt.cost), (200, amount(10)));
    assert_eq!((answer.receipt.deposited, answer.receipt.deposit), (amount(200), amount(200)));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn comes_back_when_the_ledger_is_away_and_is_charged_once() -> Result<()> {
    let mut cluster = Cluster::start(cluster::Options { fronts: 1, ..cluster::Options::default() }).await?;
    let state = TempDir::new()?;
    let payer = Payer::new(settings(&cluster, &state), key(PAYER)).await?;
    get(&cluster, &payer, "/page").await?;
    cluster.postgres.kill9()?;
    let (paying, url) = (payer.clone(), cluster.url());
    let answer = tokio::spawn(async move {
        let request = Request::get(format!("{url}/page")).body(Bytes::new()).expect("the cluster's address is one");
        paying.pay(request, Options::default()).await
    });
    tokio::time::sleep(Duration::from_secs(1)).await;
    cluster.postgres.start_again().await?;
    let answer = answer.await??;
    assert_eq!((answer.response.status().as_u16(), answer.receipt.cost), (200, amount(1)));
    assert!(answer.receipt.exchanges > 1, "{:?}", answer.receipt);
    assert_eq!(cluster.upstream_calls(Some("/page")).await?, 2);
    let key = payer.channels().await.first().context("a channel")?.key;
    assert_eq!(payer.close(&key, None).await?.balance, amount(2));
    Ok(())
}
