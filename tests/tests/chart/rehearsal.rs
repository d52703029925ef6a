//! Fronts are exchanged one by one, by what the chart says about probes, preStop and grace, while payers pay: none of them notices.
//!
//! Payers keep their connections and ask nothing twice. Some come through a Service, whose connections stay with a Pod until it
//! ends them; some through an Ingress. Both hear late of Pods that end.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, ensure};
use channel::Amount;
use futures::future::try_join_all;
use http::Version;
use serde_json::{Value, json};
use testkit::anvil::KEYS;
use testkit::cluster::{Cluster, Options, PAYER};
use testkit::history::Books;
use testkit::wait;
use tests::{ByHand, Outcome, Place, Regulars, Wish};
use tokio::sync::Mutex;

use crate::helm::{KUBERNETES, rendered_for};
use crate::kubernetes::{Deployment, Network, Node, values};

/// Each takes all of the machine, so they run one after the other. And each on one thread: driven by two, hyper's client for HTTP/2 may
/// report a request as failed that it is just sending when the server says goodbye.
static ALONE: Mutex<()> = Mutex::const_new(());

const DEPOSIT: Amount = Amount::new(10_000_000);
/// So many paid requests have to be answered meanwhile.
const ENOUGH: usize = 20_000;
/// The chart's defaults.
const SLEEP: Duration = Duration::from_secs(5);
const DRAIN_DELAY: Duration = Duration::from_secs(5);
/// After so many exchanges of all fronts it is too slow a machine.
const MOST_ROUNDS: usize = 5;
/// How long slow answers take: longer than a Pod that ends goes on accepting, sleep included.
const SLOW: Duration = Duration::from_secs(12);
/// What there is of `/events`, 50 ms apart.
const EVENTS: u128 = SLOW.as_millis() / 50;
/// Between two requests of those who take their time: idle connections, but used within the drain delay.
const NOW_AND_THEN: Duration = Duration::from_secs(2);

/// What came of it.
struct Rehearsal {
    kubernetes: &'static str,
    enough: usize,
    outcome: Outcome,
    books: Books,
    /// How long each front took to end.
    ends: Vec<Duration>,
}

/// A cluster by the chart with these changes to its values, and all fronts exchanged under load, more than once if it takes that
/// for `enough` requests.
async fn rehearse(kubernetes: &'static str, change: impl FnOnce(&mut Value), enough: usize) -> Result<Rehearsal> {
    let _alone = ALONE.lock().await;
    let cluster = Cluster::prepare(Options::default()).await?;
    let upstream = cluster.upstream.url();
    let route = |path: &str| json!({ "prefix": path, "upstream": upstream, "price": 1 });
    let mut values = values(&cluster, &json!(["/page", "/slow", "/events"].map(route)));
    change(&mut values);
    let node = Node::new(rendered_for(&values.to_string(), kubernetes)?, &cluster)?;
    ensure!(node.migrate().await?.status.success(), "no schema");
    let network = Network::start().await?;
    let (_watchers, _wallets, mut fronts) = tokio::try_join!(
        Deployment::start(&node, "watcher", None),
        Deployment::start(&node, "wallet", None),
        Deployment::start(&node, "front", Some(&network)),
    )?;
    for front in fronts.services() {
        front.sells().await?;
    }

    let regulars = regulars(&cluster, &network).await?;
    wait::until("them to have begun", Duration::from_secs(20), async || {
        ensure!(regulars.served() >= enough / 20, "{} served", regulars.served());
        Ok(())
    })
    .await?;
    for round in 0..MOST_ROUNDS {
        if round > 0 && regulars.served() >= enough {
            break;
        }
        fronts.roll().await?;
    }
    let ends = fronts.ends().await?;
    let outcome = regulars.stop().await;
    let log = cluster.dir().join("upstream.calls");
    let books = wait::until("every sale to end", Duration::from_secs(60), async || {
        let books = Books::read(&cluster.database, &log).await?;
        ensure!(books.held() == 0, "{} are held", books.held());
        Ok(books)
    });
    Ok(Rehearsal { kubernetes, enough, outcome, books: books.await?, ends })
}

/// Payers of every kind, three channels of each account.
async fn regulars(cluster: &Cluster, network: &Arc<Network>) -> Result<Regulars> {
    let upstream = &cluster.upstream;
    let (slow, events) = (format!("/slow/{}", SLOW.as_millis()), format!("/events/{EVENTS}"));
    let (page, slow, events) =
        tokio::try_join!(Wish::of(upstream, "/page"), Wish::of(upstream, &slow), Wish::of(upstream, &events))?;
    let rare = Wish { pause: NOW_AND_THEN, ..page.clone() };
    let url = format!("{}/page", network.ingress());
    let place = Place { deployment: "main", chain: &cluster.chain, contracts: &cluster.contracts, url };
    let three = async |index: usize| {
        let mut opened = Vec::new();
        for _ in 0..3 {
            opened.push(ByHand::open_at(&place, index, DEPOSIT).await?);
        }
        anyhow::Ok(opened)
    };
    let mut payers = try_join_all((PAYER..KEYS.len()).map(three)).await?.concat().into_iter();

    let mut regulars = Regulars::default();
    for (way, server) in [("Service", network.service()), ("Ingress", network.ingress())] {
        let shared = regulars.line(&server, Version::HTTP_2)?;
        for (what, wish, alone, together) in
            [("pages", &page, 3, 3), ("now and then", &rare, 1, 1), ("slow", &slow, 1, 1), ("events", &events, 1, 1)]
        {
            for payer in payers.by_ref().take(alone) {
                let own = regulars.line(&server, Version::HTTP_11)?;
                regulars.add(&format!("{way}, HTTP/1.1, {what}"), payer, &own, wish.clone());
            }
            for payer in payers.by_ref().take(together) {
                regulars.add(&format!("{way}, HTTP/2, {what}"), payer, &shared, wish.clone());
            }
        }
    }
    Ok(regulars)
}

impl Rehearsal {
    /// No request failed, the books agree, and a front took longer to end than it went on accepting: slow answers were under way.
    fn went_well(&self, accepting: Duration) -> Result<()> {
        let Rehearsal { kubernetes, enough, outcome, books, ends } = self;
        let longest = ends.iter().max().copied().unwrap_or_default();
        println!("Kubernetes {kubernetes}: {} fronts ended, within {longest:?}\n{outcome}", ends.len());
        ensure!(outcome.failed.is_empty() && outcome.served >= *enough, "{outcome}");
        ensure!(outcome.kinds.values().all(|served| *served > 0), "{outcome}");
        ensure!(longest > accepting + Duration::from_millis(200), "no answer was under way: {longest:?}");
        outcome.agrees_with(books)
    }
}

#[tokio::test]
async fn a_rolling_upgrade_by_the_chart_fails_no_paid_request_and_kills_no_front() -> Result<()> {
    rehearse(KUBERNETES[2], |_| (), ENOUGH).await?.went_well(SLEEP + DRAIN_DELAY)
}

#[tokio::test]
async fn nor_does_one_where_kubernetes_cannot_sleep_before_sigterm() -> Result<()> {
    rehearse(KUBERNETES[0], |_| (), ENOUGH / 2).await?.went_well(DRAIN_DELAY)
}

/// So the two above can fail.
#[tokio::test]
async fn without_a_sleep_and_a_drain_delay_requests_fail() -> Result<()> {
    let hasty = |values: &mut Value| {
        values["config"]["front"]["timeouts"] = json!({ "drain_delay_ms": 0 });
        values["front"] = json!({ "preStopSleepSeconds": 0 });
    };
    let Rehearsal { outcome, .. } = rehearse(KUBERNETES[2], hasty, 0).await?;
    println!("{outcome}");
    ensure!(!outcome.failed.is_empty(), "nobody noticed");
    Ok(())
}
