//! A cluster that has seen everything that happens on a good day, and a Prometheus that scrapes it.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use channel::Amount;
use reqwest::StatusCode;
use serde_json::Value;
use testkit::cluster::{self, Cluster, PAYER, Service};
use testkit::prometheus::Prometheus;
use testkit::{http, paths, wait};
use tests::ByHand;
use tokio::sync::OnceCell;

/// Sales are summed up every half a minute.
pub const PATIENCE: Duration = Duration::from_secs(90);
const DEPOSIT: Amount = Amount::new(1_000);

/// What shows more metrics than a cluster must have.
const MORE: &str = r#"
[deployments.main.claim]
coin_units = 1000
min_amount = 20

[wallet.gas.61]
low = "1 ether"
high = "2 ether"

[[front.routes]]
path = "/given"
file = "file.txt"
price = 1
free = { requests = 2, per = "day" }
"#;

pub struct World {
    pub cluster: Cluster,
    pub prometheus: Prometheus,
}

impl World {
    /// The one that all tests of this program share: two of each process, a broker, and a few requests of each kind.
    pub async fn shared() -> Result<&'static World> {
        static SHARED: OnceCell<World> = OnceCell::const_new();
        SHARED.get_or_try_init(World::start).await
    }

    async fn start() -> Result<World> {
        let options = cluster::Options { rabbit: 1, more: MORE.to_owned(), ..cluster::Options::default() };
        let mut cluster = Cluster::prepare(options).await?;
        // The same node twice: there are metrics for nodes that are compared.
        let again = format!("[\"{}\"]", cluster.chain.url());
        let env = [
            ("SLUICE_DEPLOYMENTS__MAIN__RPC_URLS", again.as_str()),
            ("SLUICE_DEPLOYMENTS__MAIN__MAX_EXPOSURE_TOTAL", "1000000"),
        ];
        for _ in 0..2 {
            cluster.add_watcher(&env)?;
            cluster.add_wallet(&env)?;
            cluster.add_front(&env)?;
        }
        cluster.ready().await?;
        cluster.sells().await?;
        cluster.balance().await?;
        let ports = |of: &[Service]| of.iter().map(|service| service.health).collect::<Vec<_>>();
        let jobs = [
            ("front", ports(&cluster.fronts)),
            ("watcher", ports(&cluster.watchers)),
            ("wallet", ports(&cluster.wallets)),
        ];
        let prometheus = Prometheus::start(&jobs, &rules()?).await?;
        let world = World { cluster, prometheus };
        world.busy_day().await?;
        Ok(world)
    }

    /// Paid, free, unpaid, refused and faulty requests, a claim and a close.
    async fn busy_day(&self) -> Result<()> {
        let url = self.cluster.url();
        let payers = tokio::try_join!(
            ByHand::open(&self.cluster, PAYER, DEPOSIT),
            ByHand::open(&self.cluster, PAYER + 1, DEPOSIT)
        );
        let (payer, leaver) = payers?;
        let buy = async |payer: &ByHand, path: &str, balance: u128| -> Result<StatusCode> {
            Ok(payer.pay(&format!("{url}{path}"), Amount::new(balance)).send().await?.status())
        };
        let get = async |path: &str| -> Result<StatusCode> {
            Ok(http::client()?.get(format!("{url}{path}")).send().await?.status())
        };
        wait::until("the first sum of what is owed", PATIENCE, async || {
            let status = buy(&payer, "/page", 1).await?;
            ensure!(status == 200, "nothing is sold without: {status}");
            Ok(())
        })
        .await?;
        for balance in 2..=30 {
            let status = buy(&payer, "/page", balance).await?;
            ensure!(status == 200, "the page is not sold: {status} for {balance}");
        }
        ensure!(buy(&leaver, "/file.txt", 10).await? == 200, "the file is not sold");
        ensure!(buy(&payer, "/page", 99).await? == 402, "too large a step is not refused");
        let odd = leaver.pay(&format!("{url}/page"), Amount::new(11)).header("Idempotency-Key", "x".repeat(300));
        ensure!(odd.send().await?.status() == 400, "any name of a request is taken");
        ensure!(get("/page").await? == 402 && get("/free").await? == 200, "what is free is free");
        while get("/given").await? == 200 {} // twice at most
        let asked = leaver.ask_to_close(&url, Amount::new(10)).send().await?;
        ensure!(asked.status() == 200, "no closing signature: {asked:?}");
        Ok(())
    }

    /// All of our programs.
    pub fn programs(&self) -> impl Iterator<Item = &Service> {
        let Cluster { fronts, watchers, wallets, .. } = &self.cluster;
        fronts.iter().chain(watchers).chain(wallets)
    }

    /// Waits until an expression comes to something.
    pub async fn until_there_is(&self, expression: &str) -> Result<Vec<Value>> {
        wait::until(expression, PATIENCE, async || {
            let found = self.prometheus.query(expression).await?;
            ensure!(!found.is_empty(), "there is nothing");
            Ok(found)
        })
        .await
    }
}

/// The files of alert rules.
pub fn rules() -> Result<Vec<PathBuf>> {
    listed("helm/sluice/rules", "yaml")
}

/// The files in a folder of the project that end so, in order.
pub fn listed(folder: &str, ending: &str) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(paths::root().join(folder)).with_context(|| format!("cannot list {folder}"))?;
    let mut files = entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<PathBuf>>>()?;
    files.retain(|file| file.extension().is_some_and(|found| found == ending));
    files.sort();
    ensure!(!files.is_empty(), "there is no .{ending} in {folder}");
    Ok(files)
}

/// What `sluice ready` says of a port, and its exit code.
pub async fn ready(port: &str) -> Result<(Option<i32>, String)> {
    let mut command = Command::new(paths::program("sluice")?);
    command.args(["ready", port]);
    let output = tokio::task::spawn_blocking(move || command.output()).await??;
    Ok((output.status.code(), String::from_utf8([output.stdout, output.stderr].concat())?))
}
