//! Watchers and wallets are exchanged, all of them at once by what the chart says, while channels are opened, paid on and closed.

use std::process::{Command, Output};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use channel::{Amount, ChannelId};
use futures::future::try_join_all;
use serde_json::json;
use testkit::cluster::{Cluster, Options, PAYER};
use testkit::{paths, wait};
use tests::{ByHand, Place};

use crate::helm::rendered;
use crate::kubernetes::{Deployment, Node, values};

const DEPOSIT: Amount = Amount::new(100);
const PAID: u128 = 3;

/// Opens a channel, which takes a watcher; pays; and has the payee close it, which takes a wallet, a transaction, and a watcher.
async fn errand(cluster: &Cluster, shop: &str, account: usize) -> Result<Duration> {
    let began = Instant::now();
    let Cluster { chain, contracts, database, .. } = cluster;
    let place = Place { deployment: "main", chain, contracts, url: format!("{shop}/page") };
    let payer = ByHand::open_at(&place, account, DEPOSIT).await?;
    for voucher in 1..=PAID {
        payer.pay(&place.url, Amount::new(voucher)).send().await?.error_for_status()?;
    }
    let closed = close(payer.channel(), database.clone()).await?;
    let said = String::from_utf8_lossy(&closed.stdout);
    ensure!(closed.status.success() && said.contains(&format!("closed; {PAID} was taken in all")), "{closed:?}");
    Ok(began.elapsed())
}

async fn close(channel: ChannelId, database: String) -> Result<Output> {
    let mut sluice = Command::new(paths::program("sluice")?);
    sluice.args(["close", "--patience-s", "60", "--channel", &channel.to_string(), "--database-url", &database]);
    Ok(tokio::task::spawn_blocking(move || sluice.output()).await??)
}

/// How many of a Deployment's Pods say that they are the active one.
async fn active(deployment: &Deployment<'_>, metric: &str) -> Result<usize> {
    let mut active = 0;
    for service in deployment.services() {
        active += usize::from(service.metric(metric).await? > 0.0);
    }
    Ok(active)
}

#[tokio::test(flavor = "multi_thread")]
async fn while_watchers_and_wallets_are_exchanged_their_work_goes_on() -> Result<()> {
    let cluster = Cluster::prepare(Options::default()).await?;
    let mut values = values(&cluster, &json!([{ "path": "/page", "upstream": cluster.upstream.url(), "price": 1 }]));
    values["front"] = json!({ "autoscaling": { "minReplicas": 1 } });
    let node = Node::new(rendered(&values.to_string())?, &cluster)?;
    ensure!(node.migrate().await?.status.success(), "no schema");
    let (mut watchers, mut wallets, fronts) = tokio::try_join!(
        Deployment::start(&node, "watcher", None),
        Deployment::start(&node, "wallet", None),
        Deployment::start(&node, "front", None),
    )?;
    let mut shop = String::new();
    for front in fronts.services() {
        front.sells().await?;
        shop = front.url();
    }

    let over = AtomicBool::new(false);
    let errands = async |account| {
        let mut took = Vec::new();
        while took.is_empty() || !over.load(Ordering::Relaxed) {
            took.push(errand(&cluster, &shop, account).await?);
        }
        anyhow::Ok(took)
    };
    let rolls = async {
        let began = Instant::now();
        tokio::try_join!(watchers.roll(), wallets.roll())?;
        let took = began.elapsed();
        let ends = [watchers.ends().await?, wallets.ends().await?].concat();
        over.store(true, Ordering::Relaxed);
        Ok((took, ends))
    };
    let (done, (rolled, ends)) = tokio::try_join!(try_join_all((PAYER..PAYER + 4).map(errands)), rolls)?;
    let (done, longest) = (done.concat(), ends.iter().max().copied().unwrap_or_default());
    println!(
        "4 Pods exchanged in {rolled:?}, ended within {longest:?}; {} errands meanwhile, the longest {:?}",
        done.len(),
        done.iter().max()
    );
    ensure!(ends.len() == 4, "{ends:?}");
    wait::until("one of each to be active", Duration::from_secs(30), async || {
        let both = (active(&watchers, "watcher_active").await?, active(&wallets, "wallet_active").await?);
        ensure!(both == (1, 1), "{both:?} are active");
        Ok(())
    })
    .await
}
