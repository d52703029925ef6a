//! A cluster whose processes send their spans to a collector of ours.

use std::fs;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use channel::Amount;
use reqwest::RequestBuilder;
use testkit::cluster::{Cluster, Options, Service};
use testkit::collector::{Collector, Span};
use testkit::{http, wait};
use tests::ByHand;
use tokio::sync::{Mutex, MutexGuard};

/// For everything that is not measured.
pub const PATIENCE: Duration = Duration::from_secs(60);
/// What every channel holds.
pub const DEPOSIT: Amount = Amount::new(100_000);
/// The operator's, in the front's file of that name.
pub const PASSWORD: &str = "a password that nobody guesses";

/// The machine, for one test.
pub async fn alone() -> MutexGuard<'static, ()> {
    static MACHINE: Mutex<()> = Mutex::const_new(());
    MACHINE.lock().await
}

pub struct World {
    pub cluster: Cluster,
    pub collector: Collector,
}

impl World {
    /// A front, a watcher and a wallet. `telemetry`: keys of that section beside the endpoint; `env`: for the front.
    pub async fn new(rabbit: u32, telemetry: &str, env: &[(&str, &str)]) -> Result<World> {
        let collector = Collector::start().await?;
        let admin = "[front.admin]\nuser = \"operator\"\npassword_file = \"admin.password\"";
        let more = format!("{admin}\n\n[telemetry]\notlp_endpoint = \"{}\"\n{telemetry}\n", collector.url());
        let mut cluster = Cluster::prepare(Options { rabbit, more, ..Options::default() }).await?;
        let password = cluster.dir().join("admin.password");
        let mut password = fs::File::options().create_new(true).write(true).mode(0o600).open(password)?;
        writeln!(password, "{PASSWORD}")?;
        cluster.add_watcher(&[])?;
        cluster.add_wallet(&[("SLUICE_WALLET__CONFIRMATIONS", "2")])?;
        cluster.add_front(env)?;
        cluster.ready().await?;
        cluster.sells().await?;
        Ok(World { cluster, collector })
    }

    /// What was collected of a trace, once this is in it.
    pub async fn trace(&self, id: &str, what: &str, is_there: impl Fn(&[Span]) -> bool) -> Result<Vec<Span>> {
        wait::until(what, PATIENCE, async || {
            let spans = self.collector.trace(id);
            let names: Vec<_> = spans.iter().map(|span| &*span.name).collect();
            ensure!(is_there(&spans), "it is not there, but {names:?}");
            Ok(spans)
        })
        .await
    }

    /// An operator's close of a payer's channel, without the payer.
    pub fn close_by_operator(&self, payer: &ByHand) -> Result<RequestBuilder> {
        let url = format!("{}/api/1/admin/{}", self.cluster.url(), payer.path());
        Ok(http::client()?.delete(url).basic_auth("operator", Some(PASSWORD)))
    }
}

/// What a client says that wants its request traced: it is this span of its own, in this trace.
pub fn traceparent(trace: &str, span: &str, flags: &str) -> String {
    format!("00-{trace}-{span}-{flags}")
}

/// The only span of this name in a trace, or below this one of its spans.
pub fn only<'a>(spans: &'a [Span], name: &str, parent: Option<&Span>) -> Result<&'a Span> {
    let mut found = spans.iter().filter(|span| span.name == name && parent.is_none_or(|of| span.parent == of.id));
    let first = found.next().with_context(|| format!("no {name} below {parent:?} in {spans:#?}"))?;
    ensure!(found.next().is_none(), "there are several {name} in {spans:#?}");
    Ok(first)
}

/// The way from a span up to whom we do not know: names, the last first.
pub fn way_up<'a>(spans: &'a [Span], from: &'a Span) -> Vec<&'a str> {
    let mut way = vec![&*from.name];
    let mut at = from;
    while let Some(parent) = spans.iter().find(|span| span.id == at.parent) {
        way.push(&parent.name);
        at = parent;
    }
    way
}

/// The value of a metric: the sum of all lines that begin so.
pub async fn metric(service: &Service, line: &str) -> Result<f64> {
    let page = http::client()?.get(format!("http://{}/metrics", service.health)).send().await?.text().await?;
    let values = page.lines().filter(|found| found.starts_with(line)).filter_map(|found| found.rsplit(' ').next());
    let values = values.map(str::parse).collect::<Result<Vec<f64>, _>>()?;
    ensure!(!values.is_empty(), "there is no metric {line}");
    Ok(values.iter().sum())
}
