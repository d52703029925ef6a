//! One run: the whole set, several times over, and the medians of it.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use channel::Amount;
use ledger::When;
use testkit::original_proxy::OriginalProxy;
use testkit::x402_express::{Store, X402Express};

use crate::figure::{Figure, median};
use crate::load::{HERE, Lines, Load, Outcome, Request, Supply};
use crate::payers::{Payers, get};
use crate::scenario::{Scenario, Server};
use crate::stage::{Helper, Setting, Stage};
use crate::usage::Watched;
use crate::{commits, measure};

/// Channels of the x402 server.
const PEER_CHANNELS: usize = 64;
/// What each channel of a peer can pay.
const PEER_DEPOSIT: Amount = Amount::new(1_000_000);

/// What to measure.
pub struct Plan {
    /// The scenarios.
    pub scenarios: Vec<Scenario>,
    /// How often each.
    pub rounds: usize,
    /// For how long each time.
    pub time: Duration,
}

/// Every figure, by scenario in the order of the plan.
pub type Figures = Vec<(Scenario, Vec<Figure>)>;

impl Plan {
    /// Measures everything, and says on the way what came out.
    ///
    /// # Errors
    /// When a server does not start, or books do not agree.
    pub async fn run(self) -> Result<Figures> {
        let mut figures: Figures = self.scenarios.iter().map(|scenario| (scenario.clone(), Vec::new())).collect();
        for round in 1..=self.rounds {
            for together in figures.chunk_by_mut(|(one, _), (next, _)| one.setting() == next.setting()) {
                let mut stage = match together[0].0.setting() {
                    Some(setting) => Some(Stage::set(setting).await.context("the stage could not be set")?),
                    None => None,
                };
                for (scenario, done) in together {
                    let began = Instant::now();
                    let figure = one(stage.as_mut(), scenario, self.time).await?;
                    println!("    round {round} of {}: {figure} ({:.0?})", self.rounds, began.elapsed());
                    done.push(figure);
                }
            }
        }
        Ok(figures)
    }
}

/// The middle one of each.
pub fn medians(figures: &Figures) -> Vec<Figure> {
    figures.iter().filter_map(|(_, figures)| median(figures.clone())).collect()
}

async fn one(stage: Option<&mut Stage>, scenario: &Scenario, time: Duration) -> Result<Figure> {
    let stage = stage.context("this one needs a stage");
    match scenario.server {
        Server::Fronts(_) => measure::on_stage(stage?, scenario, time).await,
        Server::Ledger(setting, settle) => on_the_ledger(stage?, scenario, setting, settle, time).await,
        Server::NoCommit(_) => without_commits(stage?, scenario, time).await,
        Server::Hello => hello(scenario, time).await,
        Server::Microraiden => on_the_original(scenario, time).await,
        Server::X402 => on_x402(scenario, time).await,
    }
}

async fn on_the_ledger(
    stage: &Stage,
    scenario: &Scenario,
    setting: Setting,
    settle: When,
    time: Duration,
) -> Result<Figure> {
    let watched = stage.watched()?;
    let (before, began) = (watched.usage()?, Instant::now());
    let deployment = &stage.deployments[2];
    let tally = commits::run(&stage.database, deployment, setting.channels, scenario.connections, settle, time).await?;
    Ok(Figure::new(scenario.name, &tally, began.elapsed(), &watched.usage()?.since(&before)))
}

/// A front that writes nothing down.
async fn without_commits(stage: &Stage, scenario: &Scenario, time: Duration) -> Result<Figure> {
    let server = Helper::start(&["no-commit", "--config", &stage.config.to_string_lossy()]).await?;
    // What it sells nobody hears of: the stage's own payers sign as if nothing had happened.
    let lines = stage.exact.clone().presign(scenario.path, measure::count(scenario, time), scenario.connections)?;
    let watched = Watched::default().and("front", server.process().pid()).and_us();
    let (figure, outcome) = at(scenario, server.listen, Supply::Lines(lines), time, watched).await?;
    ensure!(outcome.tally.served() == outcome.tally.answers(), "it refused: {:?}", figure.statuses);
    Ok(figure)
}

async fn hello(scenario: &Scenario, time: Duration) -> Result<Figure> {
    let server = Helper::start(&["hello"]).await?;
    let supply = Supply::Same(Request { bytes: get(scenario.path, &http::HeaderMap::new()), payment: None });
    let watched = Watched::default().and("front", server.process().pid()).and_us();
    at(scenario, server.listen, supply, time, watched).await.map(|(figure, _)| figure)
}

async fn on_the_original(scenario: &Scenario, time: Duration) -> Result<Figure> {
    // The more channels it has, the slower it is: with one for each connection it does best.
    let proxy = OriginalProxy::start(scenario.connections, PEER_DEPOSIT).await?;
    let (target, path) = address(&proxy.url())?;
    let mut payers = Payers::new(proxy.channels.clone());
    let lines = payers.presign(&path, measure::count(scenario, time), scenario.connections)?;
    let watched = Watched::default().and("µRaiden", proxy.process().pid()).and_us();
    let (figure, outcome) = at(scenario, target, Supply::Lines(lines), time, watched).await?;
    if let Supply::Lines(left) = &outcome.left {
        payers.take_back(left);
    }
    let paid = proxy.paid().await?;
    ensure!(paid == Amount::new(payers.paid().into()), "it says that {paid} were paid, the payers {}", payers.paid());
    Ok(figure)
}

async fn on_x402(scenario: &Scenario, time: Duration) -> Result<Figure> {
    let server = X402Express::start(PEER_CHANNELS, PEER_DEPOSIT, Store::Memory).await?;
    let (target, path) = address(&server.url())?;
    let each = measure::count(scenario, time).div_ceil(PEER_CHANNELS);
    let mut lines = vec![VecDeque::new(); scenario.connections];
    for balance in 1..=u64::try_from(each)? {
        for channel in 0..PEER_CHANNELS {
            let headers = server.presign(channel, Amount::new(balance.into()))?;
            let request = Request { bytes: get(&path, &headers), payment: Some((channel, balance)) };
            lines[channel % scenario.connections].push_back(request);
        }
    }
    let watched = Watched::default().and("x402", server.process().pid()).and_us();
    let (figure, outcome) = at(scenario, target, Supply::Lines(Lines(lines)), time, watched).await?;
    let (paid, served) = (server.paid().await?, outcome.tally.served() + outcome.warm_up.served());
    ensure!(paid == Amount::new(served.into()), "it says that {paid} were paid, and {served} were served");
    Ok(figure)
}

/// An `http` URL as the load takes it.
fn address(url: &str) -> Result<(SocketAddr, String)> {
    let (target, path) = url.strip_prefix("http://").and_then(|url| url.split_once('/')).context("no address")?;
    Ok((target.parse()?, format!("/{path}")))
}

async fn at(
    scenario: &Scenario,
    target: SocketAddr,
    supply: Supply,
    time: Duration,
    watched: Watched,
) -> Result<(Figure, Outcome)> {
    let Scenario { connections, wire, pace, .. } = *scenario;
    let load = Load { targets: vec![target], connections, wire, from: HERE, pace, time, supply };
    let (outcome, [first, last]) = load.run(move || watched.usage()).await?;
    Ok((Figure::new(scenario.name, &outcome.tally, outcome.took, &last.since(&first)), outcome))
}
