//! One measurement on a stage: sign ahead, send, compare all books.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use http::HeaderMap;

use crate::books;
use crate::figure::Figure;
use crate::load::{HERE, Load, Outcome, Pace, Request, Supply, Wire};
use crate::payers::{Payers, get};
use crate::scenario::{Flood, Payment, Scenario};
use crate::stage::{PROXIED_PATH, Stage};

/// The warm-up takes some, too.
const MORE: f64 = 0.6;
/// Connections of a flood.
const FLOODING: usize = 512;
/// More than any server answers.
const FEWEST: usize = 1_000;

/// Measures it.
///
/// # Errors
/// When something breaks, or the books do not agree afterwards.
pub async fn on_stage(stage: &mut Stage, scenario: &Scenario, time: Duration) -> Result<Figure> {
    let supply = sign(stage, scenario, time)?;
    let before = books::read(stage).await?;
    let (batches_before, watched) = (batches(stage).await?, stage.watched()?);
    let Scenario { connections, wire, pace, .. } = *scenario;
    let load = Load { targets: vec![stage.target()], connections, wire, from: HERE, pace, time, supply };
    let measured = load.run(move || watched.usage());
    let (measured, flooded) = tokio::join!(measured, flood(stage, scenario, time));
    let (outcome, [first, last]) = measured?;
    let Outcome { tally, warm_up, took, left } = outcome;
    let mut figure = Figure::new(scenario.name, &tally, took, &last.since(&first));
    let batches = batches(stage).await?.since(&batches_before);
    figure.payments_per_commit = batches.payments_each();
    figure.flooded = flooded?;
    if let Supply::Lines(lines) = &left {
        payers(stage, scenario).take_back(lines);
    }
    if let Some(error) = tally.last_break {
        bail!("{}: {} requests were not answered, the last: {error}", scenario.name, tally.broken);
    }
    let served = tally.served() + warm_up.served();
    let calls = if scenario.path.starts_with(PROXIED_PATH) { served } else { 0 };
    books::agree(stage, &before, served, calls).await.with_context(|| format!("after `{}`", scenario.name))?;
    let is_paid = matches!(scenario.payment, Payment::Exact | Payment::Credit);
    ensure!(!is_paid || figure.served > 0, "`{}` sold nothing: {:?}", scenario.name, figure.statuses);
    Ok(figure)
}

/// What else is asked meanwhile; how many answers a second that got.
async fn flood(stage: &Stage, scenario: &Scenario, time: Duration) -> Result<Option<f64>> {
    let Some(Flood { payment, per_second }) = scenario.flood else { return Ok(None) };
    let load = Load {
        targets: vec![stage.target()],
        connections: FLOODING,
        wire: Wire::Http1,
        from: Ipv4Addr::new(127, 0, 1, 1).into(),
        pace: Pace::Open { per_second },
        time,
        supply: Supply::Same(unpaid(stage, scenario.path, payment)?),
    };
    let (outcome, _) = load.run(|| Ok(())).await?;
    ensure!(outcome.tally.served() == 0, "a flood was served: {:?}", outcome.tally.statuses);
    Ok(Some(outcome.tally.answers() as f64 / outcome.took.as_secs_f64()))
}

fn payers<'a>(stage: &'a mut Stage, scenario: &Scenario) -> &'a mut Payers {
    if scenario.payment == Payment::Credit { &mut stage.credit } else { &mut stage.exact }
}

/// How many requests may be sent in that time.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a few hundred thousand")]
pub fn count(scenario: &Scenario, time: Duration) -> usize {
    let per_second = match scenario.pace {
        Pace::Closed => scenario.at_most,
        Pace::Open { per_second } => per_second.min(scenario.at_most) * 1.1,
    };
    FEWEST + (per_second * (time.as_secs_f64() + MORE)) as usize
}

/// What the scenario sends.
fn sign(stage: &mut Stage, scenario: &Scenario, time: Duration) -> Result<Supply> {
    let count = count(scenario, time);
    Ok(match scenario.payment {
        Payment::Exact => Supply::Lines(stage.exact.presign(scenario.path, count, scenario.connections)?),
        Payment::Credit => Supply::Lines(stage.credit.presign(scenario.path, count, 1)?),
        payment @ (Payment::Unpaid | Payment::Forged) => Supply::Same(unpaid(stage, scenario.path, payment)?),
    })
}

/// A request that buys nothing.
fn unpaid(stage: &Stage, path: &str, payment: Payment) -> Result<Request> {
    match payment {
        Payment::Forged => stage.exact.forge(path),
        _ => Ok(Request { bytes: get(path, &HeaderMap::new()), payment: None }),
    }
}

/// What the fronts say about their batches.
#[derive(Clone, Copy, Debug, Default)]
struct Batches {
    batches: f64,
    payments: f64,
}

async fn batches(stage: &Stage) -> Result<Batches> {
    let mut sum = Batches::default();
    for front in &stage.fronts {
        let page = metrics(front.health).await?;
        let number = |name: &str| {
            let line = page.lines().find_map(|line| line.strip_prefix(name));
            line.and_then(|value| value.trim().parse::<f64>().ok()).unwrap_or_default()
        };
        sum.batches += number("ledger_batch_entries_count");
        sum.payments += number("ledger_batch_entries_sum");
    }
    Ok(sum)
}

async fn metrics(health: SocketAddr) -> Result<String> {
    Ok(testkit::http::client()?.get(format!("http://{health}/metrics")).send().await?.text().await?)
}

impl Batches {
    fn since(self, before: &Batches) -> Batches {
        Batches { batches: self.batches - before.batches, payments: self.payments - before.payments }
    }

    fn payments_each(self) -> Option<f64> {
        (self.batches > 0.0).then(|| self.payments / self.batches)
    }
}
