//! A cluster with payers, every process of it behind a proxy of its own on the way to PostgreSQL.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use channel::Amount;
use futures::future::try_join_all;
use testkit::anvil::KEYS;
use testkit::cluster::{Cluster, Options, PAYER};
use testkit::cut::Cut;
use testkit::history::{Ask, Books, History, Told, Verdict, check};
use testkit::scratch::Scratch;
use testkit::wait;
use tests::{ByHand, Load, hear};
use tokio::sync::{Mutex, MutexGuard};
use tokio_postgres::{Client, NoTls};

/// What each channel is opened with: more than any run spends.
pub const DEPOSIT: Amount = Amount::new(100_000_000);
/// How soon every sale must be charged or given back.
pub const SETTLED: Duration = Duration::from_secs(60);
/// What costs one unit.
pub const PAGE: &str = "/page";
/// Seconds that a hold lives unless it is renewed: short, so that tests need not wait long for the holds of the dead.
const HOLD_TTL_S: &str = "3";

/// Several tests measure, so they run one after the other.
static ALONE: Mutex<()> = Mutex::const_new(());

/// What a scenario needs beside the usual.
#[derive(Debug)]
pub struct Setting<'a> {
    /// The cluster.
    pub options: Options,
    /// Variables of all fronts' environment.
    pub fronts: Vec<(&'a str, &'a str)>,
    /// How many channels each payer has.
    pub channels: usize,
    /// Where the cluster lives, if not just anywhere.
    pub scratch: Option<Scratch>,
}

impl Default for Setting<'_> {
    fn default() -> Self {
        let options = Options { fronts: 3, ..Options::default() };
        Setting { options, fronts: Vec::new(), channels: 1, scratch: None }
    }
}

/// The cluster and what happens to it.
pub struct Scene {
    /// Itself.
    pub cluster: Cluster,
    /// Each front's way to PostgreSQL.
    pub links: Vec<Cut>,
    /// The watcher's and the wallet's.
    pub background: Cut,
    /// Who pays.
    pub payers: Vec<ByHand>,
    /// What they do, and are told.
    pub history: Arc<History>,
    _alone: MutexGuard<'static, ()>,
}

impl Scene {
    /// Sends a payer's request to a front, and notes what it asked and heard in the history.
    pub async fn send(&self, payer: &ByHand, front: usize, ask: &Ask, path: &str) -> Result<Told> {
        let number = self.history.asks(ask.clone());
        let url = format!("{}{path}", self.cluster.fronts[front].url());
        let heard = hear(payer.pay(&url, ask.voucher).header("Idempotency-Key", &ask.request).send().await).await?;
        self.history.hears(number, heard.told);
        Ok(heard.told)
    }

    /// Three fronts, eight payers.
    pub async fn new() -> Result<Scene> {
        Scene::set(Setting::default()).await
    }

    /// As it is asked for.
    pub async fn set(setting: Setting<'_>) -> Result<Scene> {
        let alone = ALONE.lock().await;
        let fronts = setting.options.fronts;
        let mut cluster = match setting.scratch {
            Some(scratch) => Cluster::prepare_in(scratch, setting.options).await?,
            None => Cluster::prepare(setting.options).await?,
        };
        let server = SocketAddr::from(([127, 0, 0, 1], cluster.postgres.port()));
        let background = Cut::start(server).await?;
        let url = through(&background, &cluster);
        cluster.add_watcher(&[("SLUICE_DATABASE__URL", &url)])?;
        cluster.add_wallet(&[("SLUICE_DATABASE__URL", &url)])?;
        let mut links = Vec::new();
        for _ in 0..fronts {
            let link = Cut::start(server).await?;
            let url = through(&link, &cluster);
            let own = [("SLUICE_DATABASE__URL", url.as_str()), ("SLUICE_DATABASE__HOLD_TTL_S", HOLD_TTL_S)];
            cluster.add_front(&[&own, setting.fronts.as_slice()].concat())?;
            links.push(link);
        }
        cluster.ready().await?;
        cluster.balance().await?;
        let payers = open(&cluster, setting.channels).await?;
        Ok(Scene { cluster, links, background, payers, history: Arc::default(), _alone: alone })
    }

    /// The page, through the load balancer.
    pub fn page(&self) -> String {
        format!("{}{PAGE}", self.cluster.url())
    }

    /// The page at each front.
    pub fn pages(&self) -> Vec<String> {
        self.cluster.fronts.iter().map(|front| format!("{}{PAGE}", front.url())).collect()
    }

    /// All payers pay, through the load balancer.
    pub fn load(&self) -> Load {
        Load::start(&self.payers, &[self.page()], &self.history)
    }

    /// A connection past everything.
    pub async fn sql(&self) -> Result<Client> {
        let (client, connection) = tokio_postgres::connect(&self.cluster.database, NoTls).await?;
        tokio::spawn(connection);
        Ok(client)
    }

    /// Waits until somebody is served again; gives how long that took.
    pub async fn served_within(&self, since: Duration, within: Duration) -> Result<Duration> {
        let served = wait::until("somebody to be served", within, async || {
            self.history.first_served_after(since).context("nobody was")
        });
        Ok(served.await? - since)
    }

    /// The books once every sale is charged or given back.
    pub async fn books(&self) -> Result<Books> {
        self.books_at(&self.cluster.database).await
    }

    /// Likewise, of the ledger at this address.
    pub async fn books_at(&self, database: &str) -> Result<Books> {
        let log = self.cluster.dir().join("upstream.calls");
        wait::until("every sale to end", SETTLED, async || {
            let books = Books::read(database, &log).await?;
            ensure!(books.held() == 0, "{} are held", books.held());
            Ok(books)
        })
        .await
    }

    /// Whether the books agree with what payers were told, once every sale has ended.
    pub async fn verdict(&self) -> Result<Verdict> {
        Ok(check(&self.history.lines(), &self.books().await?))
    }
}

/// Fails with everything that is wrong.
pub fn clean(verdict: &Verdict) -> Result<()> {
    println!("{verdict}");
    ensure!(verdict.violations.is_empty(), "{verdict}");
    ensure!(verdict.served > 0, "nobody was served");
    Ok(())
}

fn through(link: &Cut, cluster: &Cluster) -> String {
    let direct = format!("127.0.0.1:{}", cluster.postgres.port());
    cluster.database.replace(&direct, &link.address().to_string())
}

/// Every account that is free pays, from so many channels each.
async fn open(cluster: &Cluster, channels: usize) -> Result<Vec<ByHand>> {
    let of_one = async |index: usize| {
        let mut opened = Vec::new();
        for _ in 0..channels {
            opened.push(ByHand::open(cluster, index, DEPOSIT).await?);
        }
        anyhow::Ok(opened)
    };
    Ok(try_join_all((PAYER..KEYS.len()).map(of_one)).await?.concat())
}
