//! The servers that are measured: PostgreSQL, fronts, HAProxy, an upstream; each a process of its own, on this machine.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use contracts::Deployment;
use ledger::{Ledger, Settings};
use testkit::cluster::Service;
use testkit::haproxy::{Backend, Client, Haproxy};
use testkit::postgres::{self, Postgres};
use testkit::process::Process;
use testkit::scratch::Scratch;
use testkit::{paths, ports};
use tokio_postgres::NoTls;

use crate::helpers::PAGE;
use crate::payers::{Payers, deployment, keys};
use crate::seed;
use crate::usage::Watched;

/// Where the static answer is, paid for at once.
pub const STATIC_PATH: &str = "/static";
/// What the upstream answers, paid for after the call.
pub const PROXIED_PATH: &str = "/proxied";
/// What it says in two halves.
pub const STREAMED_PATH: &str = "/proxied/streamed";
/// As static, paid on the deployment whose terms are `credit`.
pub const CREDIT_PATH: &str = "/credit";

/// What PostgreSQL keeps of its tables in memory, in MiB: less than a tenth of what is usual on a machine like this, and
/// enough for the channels that pay.
const SHARED_BUFFERS: u32 = 512;
const READY: Duration = Duration::from_secs(30);

/// Everything that a measurement needs.
pub struct Stage {
    /// The fronts.
    pub fronts: Vec<Service>,
    /// Who pays, step by step.
    pub exact: Payers,
    /// Who pays where vouchers may run ahead.
    pub credit: Payers,
    /// Where they pay: `exact`, `credit`, and one for who asks the ledger without a front.
    pub deployments: [Deployment; 3],
    /// The ledger's address.
    pub database: String,
    /// The configuration of the fronts.
    pub config: PathBuf,
    balancer: Option<(Haproxy, SocketAddr)>,
    upstream: Helper,
    postgres: Postgres,
    // Last: what is in it outlives those who write there.
    _scratch: Scratch,
}

/// How a stage is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Setting {
    /// How many fronts; more than one get a load balancer.
    pub fronts: usize,
    /// How many channels payers use.
    pub channels: usize,
    /// How many the ledger knows beside them.
    pub idle_channels: usize,
    /// How much longer a disk flush takes than on this machine.
    pub slow_disk: Option<Duration>,
}

/// This program again, as a server.
pub struct Helper {
    process: Process,
    /// Where it listens.
    pub listen: SocketAddr,
}

impl Stage {
    /// Starts everything.
    ///
    /// # Errors
    /// When something does not start.
    pub async fn set(setting: Setting) -> Result<Stage> {
        let scratch = Scratch::new("loadtest")?;
        let options = postgres::Options {
            slow_fsync: setting.slow_disk,
            shared_buffers: SHARED_BUFFERS,
            ..postgres::Options::default()
        };
        let (postgres, upstream) = tokio::try_join!(Postgres::start_with(options), Helper::start(&["upstream"]))?;
        postgres.database("sluice").await?;
        let database = postgres.socket_url("sluice");
        let ledger = Ledger::connect(&Settings { single_node: true, ..Settings::new(&database) }).await?;
        let deployments = [("exact", 1), ("credit", 2), ("ledger", 3)].map(|(name, number)| deployment(name, number));
        let mut payers = Vec::new();
        for (deployment, channels) in deployments.iter().zip([setting.channels, 1, setting.channels]) {
            let keys = keys(deployment, channels)?;
            seed::open(&ledger, deployment, keys.iter().map(|(key, _)| key)).await?;
            payers.push(Payers::new(keys));
        }
        ledger.close().await;
        if setting.idle_channels > 0 {
            seed::add_idle(&connect(&database).await?, setting.idle_channels).await?;
        }
        let (credit, exact) = (payers.remove(1), payers.remove(0));
        let config = scratch.path().join("sluice.toml");
        fs::write(scratch.path().join("static.txt"), PAGE)?;
        fs::write(&config, configuration(&database, &deployments, upstream.listen))?;
        let fronts = (0..setting.fronts).map(|number| Service::program("front", number, &config, &[]));
        let fronts = fronts.collect::<Result<_>>()?;
        let balancer = None;
        let mut stage = Stage {
            fronts,
            exact,
            credit,
            deployments,
            database,
            config,
            balancer,
            upstream,
            postgres,
            _scratch: scratch,
        };
        for front in &mut stage.fronts {
            front.ready().await?;
            front.sells().await?;
        }
        if setting.fronts > 1 {
            stage.balance().await?;
        }
        Ok(stage)
    }

    /// Where requests go.
    pub fn target(&self) -> SocketAddr {
        self.balancer.as_ref().map_or(self.fronts[0].listen, |(_, listen)| *listen)
    }

    /// What uses processors and memory.
    ///
    /// # Errors
    /// When something has ended.
    pub fn watched(&self) -> Result<Watched> {
        let mut watched = Watched::default()
            .and("postgresql", self.postgres.process()?.pid())
            .and("upstream", self.upstream.process.pid())
            .and_us();
        for front in &self.fronts {
            watched = watched.and("front", front.process()?.pid());
        }
        if let Some((balancer, _)) = &self.balancer {
            watched = watched.and("haproxy", balancer.process().pid());
        }
        Ok(watched)
    }

    /// How often the upstream was called.
    ///
    /// # Errors
    /// When it does not say.
    pub async fn upstream_calls(&self) -> Result<u64> {
        let url = format!("http://{}/calls", self.upstream.listen);
        Ok(testkit::http::client()?.get(url).send().await?.text().await?.parse()?)
    }

    /// A connection past the ledger.
    ///
    /// # Errors
    /// When PostgreSQL does not answer.
    pub async fn sql(&self) -> Result<tokio_postgres::Client> {
        connect(&self.database).await
    }

    async fn balance(&mut self) -> Result<()> {
        let backends: Vec<Backend> =
            self.fronts.iter().map(|front| Backend { listen: front.listen, health: front.health }).collect();
        let port = ports::free()?;
        let balancer = Haproxy::start_in(Scratch::new("haproxy")?, port, &backends, Client::ForwardedFor).await?;
        let listen = SocketAddr::from(([127, 0, 0, 1], port));
        let url = format!("http://{listen}{STATIC_PATH}");
        testkit::wait::until("an answer through the load balancer", READY, async || {
            let status = testkit::http::client()?.get(&url).send().await?.status();
            ensure!(status == http::StatusCode::PAYMENT_REQUIRED, "{status}");
            Ok(())
        })
        .await?;
        self.balancer = Some((balancer, listen));
        Ok(())
    }
}

impl Helper {
    /// Starts this program as one of its servers, and waits until it listens.
    ///
    /// # Errors
    /// When it does not.
    pub async fn start(arguments: &[&str]) -> Result<Helper> {
        let listen = SocketAddr::from(([127, 0, 0, 1], ports::free()?));
        let mut command = Command::new(std::env::current_exe().context("this program cannot find its own file")?);
        command.args(arguments).args(["--listen", &listen.to_string()]);
        let log = paths::data_dir()?.join(format!("{}.log", arguments[0]));
        let mut process = Process::spawn(arguments[0], &mut command, &log)?;
        process.answers(READY, async || Ok(tokio::net::TcpStream::connect(listen).await?)).await?;
        Ok(Helper { process, listen })
    }

    /// Its process.
    pub fn process(&self) -> &Process {
        &self.process
    }
}

async fn connect(database: &str) -> Result<tokio_postgres::Client> {
    let (client, connection) = tokio_postgres::connect(database, NoTls).await?;
    tokio::spawn(connection);
    Ok(client)
}

fn configuration(database: &str, deployments: &[Deployment], upstream: SocketAddr) -> String {
    let mut text = format!("[database]\nurl = \"{database}\"\nsingle_node = true\n");
    for (deployment, terms) in deployments.iter().zip(["exact", "credit"]) {
        let Deployment { name, chain_id, contract, token, payee, challenge_period, .. } = deployment;
        text += &format!(
            "
[deployments.{name}]
kind = \"raiden\"
chain_id = {chain_id}
rpc_url = \"http://127.0.0.1:1\"
contract = \"{contract}\"
token = \"{token}\"
payee = \"{payee}\"
challenge_period = {challenge_period}
terms = \"{terms}\"
"
        );
    }
    text + &format!(
        "
[front.limits]
connections_per_client = 10000

[[front.routes]]
path = \"{STATIC_PATH}\"
file = \"static.txt\"
price = 1
charge = \"before\"
deployment = \"exact\"

[[front.routes]]
path = \"{CREDIT_PATH}\"
file = \"static.txt\"
price = 1
charge = \"before\"
deployment = \"credit\"

[[front.routes]]
prefix = \"{PROXIED_PATH}\"
upstream = \"http://{upstream}\"
price = 1
charge = \"after\"
deployment = \"exact\"
"
    )
}
