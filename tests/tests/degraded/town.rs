//! A cluster that sells on two chains. On the second one closes take so long that it is never stale here.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use channel::{Amount, Status};
use ledger::{Ledger, Settings};
use serde_json::Value;
use testkit::anvil::{self, Anvil};
use testkit::cluster::{Cluster, Options, PAYER, Service};
use testkit::{http, wait};
use tests::{ByHand, Place, add_deployment, warp};
use tokio::sync::{Mutex, MutexGuard};

/// How long anything may take that is not measured.
pub const PATIENCE: Duration = Duration::from_secs(30);
const DEPOSIT: Amount = Amount::new(100_000);

/// The cluster, a payer on each chain, and what they paid so far.
pub struct Town {
    pub cluster: Cluster,
    pub second: Anvil,
    pub payer: Payer,
    pub other: Payer,
    _alone: MutexGuard<'static, ()>,
}

/// Somebody who buys one unit after the other.
pub struct Payer {
    pub by_hand: ByHand,
    path: &'static str,
    /// What was paid for and served.
    pub paid: u128,
}

impl Payer {
    pub fn new(by_hand: ByHand, path: &'static str) -> Payer {
        Payer { by_hand, path, paid: 0 }
    }

    /// Buys at this front: the status, and the reason if it is none of a payment dialect.
    pub async fn buy(&mut self, front: &Service) -> Result<(u16, String)> {
        let url = format!("{}{}", front.url(), self.path);
        let answer = self.by_hand.pay(&url, Amount::new(self.paid + 1)).send().await?;
        let status = answer.status().as_u16();
        self.paid += u128::from(status == 200);
        let patient = answer.headers().contains_key("retry-after");
        ensure!(status != 503 || patient, "{answer:?} does not say when to come back");
        let reason = answer.headers().get("sluice-refusal").map(|reason| reason.to_str().map(str::to_owned));
        match reason.transpose()? {
            Some(reason) => Ok((status, reason)),
            None => {
                let said: Value = serde_json::from_str(&answer.text().await?).unwrap_or_default();
                Ok((status, said["reason"].as_str().unwrap_or_default().to_owned()))
            }
        }
    }

    /// Buys once at each front.
    pub async fn buys(&mut self, fronts: &[Service]) -> Result<()> {
        for front in fronts {
            let answer = self.buy(front).await?;
            ensure!(answer.0 == 200, "{} answered {answer:?}", front.name);
        }
        Ok(())
    }

    /// Is refused at each front, for this reason.
    pub async fn is_refused(&mut self, fronts: &[Service], status: u16, reason: &str) -> Result<()> {
        for front in fronts {
            let answer = self.buy(front).await?;
            ensure!(answer == (status, reason.to_owned()), "{} answered {answer:?}", front.name);
        }
        Ok(())
    }

    /// Waits until it can buy.
    pub async fn buys_again(&mut self, fronts: &[Service]) -> Result<()> {
        for front in fronts {
            wait::until("sales to go on", PATIENCE, async || {
                let answer = self.buy(front).await?;
                ensure!(answer.0 == 200, "{} answered {answer:?}", front.name);
                Ok(())
            })
            .await?;
        }
        Ok(())
    }
}

impl Town {
    /// Everything runs, one of each but two fronts; these variables are in everybody's environment.
    pub async fn new(options: Options, env: &[(&str, &str)]) -> Result<Town> {
        static MACHINE: Mutex<()> = Mutex::const_new(());
        let alone = MACHINE.lock().await;
        let mut cluster = Cluster::prepare(options).await?;
        let options = anvil::Options { chain_id: 62, block_time: Some(1), ..anvil::Options::default() };
        let second = Anvil::start_with(options).await?;
        let contracts = add_deployment(&cluster, "second", &second, "fastest_block_s = 60").await?;
        cluster.add_watcher(env)?;
        cluster.add_wallet(env)?;
        cluster.add_front(env)?;
        cluster.add_front(env)?;
        cluster.ready().await?;
        cluster.sells().await?;
        let url = format!("{}/second/page", cluster.url());
        let place = Place { deployment: "second", chain: &second, contracts: &contracts, url };
        let (payer, other) =
            tokio::try_join!(ByHand::open(&cluster, PAYER, DEPOSIT), ByHand::open_at(&place, PAYER, DEPOSIT))?;
        let (payer, other) = (Payer::new(payer, "/page"), Payer::new(other, "/second/page"));
        let mut town = Town { cluster, second, payer, other, _alone: alone };
        town.sells().await?;
        Ok(town)
    }

    /// Both deployments sell at each front.
    pub async fn sells(&mut self) -> Result<()> {
        self.payer.buys(&self.cluster.fronts).await?;
        self.other.buys(&self.cluster.fronts).await
    }

    /// The first deployment is stale for this reason, and that one alone; each front stays ready, and says why.
    pub async fn is_stale(&mut self, mode: &str) -> Result<()> {
        self.payer.is_refused(&self.cluster.fronts, 503, "chain_stale").await?;
        self.other.buys(&self.cluster.fronts).await?;
        for front in &self.cluster.fronts {
            until_mode(front, "main", mode).await?;
            until_mode(front, "second", "selling").await?;
            until_said(front, "main", "stale: ", mode).await?;
            until_said(front, "second", "ok: ", "s left").await?;
            ensure!(readiness(front).await?.0 == 200, "{} is not ready", front.name);
            let said = modes_since_it_sold(front, "main")?;
            ensure!(said.last().is_some_and(|last| last == mode), "{} said {said:?}", front.name);
            ensure!(said.iter().filter(|said| *said == mode).count() == 1, "{} said {said:?}", front.name);
        }
        Ok(())
    }

    /// Another watcher and another wallet, which ask this node of the first chain, with these variables.
    pub async fn restart_on(&mut self, node: &str, env: &[(&str, &str)]) -> Result<()> {
        let cluster = &mut self.cluster;
        cluster.watchers[0].stop().await?;
        cluster.wallets[0].stop().await?;
        cluster.watchers.clear();
        cluster.wallets.clear();
        let env = [env, &[("SLUICE_DEPLOYMENTS__MAIN__RPC_URL", node)]].concat();
        cluster.add_watcher(&env)?;
        cluster.add_wallet(&env)?;
        cluster.ready().await
    }

    pub async fn ledger(&self) -> Result<Ledger> {
        Ok(Ledger::connect(&Settings { single_node: true, ..Settings::new(&self.cluster.database) }).await?)
    }

    /// Waits until the ledger says that the payer's channel is closed.
    pub async fn until_closed(&self, payer: &ByHand) -> Result<()> {
        let ledger = self.ledger().await?;
        wait::until("the channel to be closed", PATIENCE, async || {
            let (channel, _) = ledger.view(payer.channel()).await?.context("it is known")?;
            ensure!(channel.facts.status == Status::Closed, "it is {:?}", channel.facts.status);
            Ok(())
        })
        .await
    }

    /// Lets this much time pass.
    pub async fn passes(&self, seconds: u64) -> Result<()> {
        warp(&self.cluster.database, Duration::from_secs(seconds), &[(&self.cluster.chain, 1)]).await
    }
}

/// Waits until the front's metric says that this is what it does on a deployment.
pub async fn until_mode(front: &Service, deployment: &str, mode: &str) -> Result<()> {
    let line = format!("front_mode{{deployment=\"{deployment}\",mode=\"{mode}\"}} 1");
    wait::until("the front's mode", PATIENCE, async || {
        let page = http::client()?.get(format!("http://{}/metrics", front.health)).send().await?.text().await?;
        let modes: Vec<_> =
            page.lines().filter(|line| line.starts_with("front_mode") && line.ends_with(" 1")).collect();
        ensure!(modes.contains(&line.as_str()), "{} says {modes:?}", front.name);
        Ok(())
    })
    .await
}

/// Waits until the front's verbose readiness says this of a deployment.
async fn until_said(front: &Service, deployment: &str, begins: &str, contains: &str) -> Result<()> {
    wait::until("what the front says", PATIENCE, async || {
        let (_, said) = readiness(front).await?;
        let said = said["checks"][format!("deployment {deployment}")].as_str().context("it lists deployments")?;
        ensure!(said.starts_with(begins) && said.contains(contains), "it says {said}");
        Ok(())
    })
    .await
}

/// Whether a program calls itself ready, and what it says of each of its dependencies.
pub async fn readiness(service: &Service) -> Result<(u16, Value)> {
    let answer = http::client()?.get(format!("http://{}/readyz?verbose", service.health)).send().await?;
    Ok((answer.status().as_u16(), answer.json().await?))
}

/// What the front has logged that it does on a deployment, since it sold last.
fn modes_since_it_sold(front: &Service, deployment: &str) -> Result<Vec<String>> {
    let text = std::fs::read_to_string(front.process()?.log())?;
    let of_it = |line: &&str| line.contains("WARN") && line.contains(&format!("\"deployment\":\"{deployment}\""));
    let mode = |line: &str| Some(line.split_once("\"mode\":\"")?.1.split_once('"')?.0.to_owned());
    let modes: Vec<String> = text.lines().filter(of_it).filter_map(mode).collect();
    let sold = modes.iter().rposition(|mode| mode == "selling").map_or(0, |last| last + 1);
    Ok(modes[sold..].to_vec())
}

/// How many lines with all of these words a program has logged.
pub fn logged(service: &Service, words: &[&str]) -> Result<usize> {
    let text = std::fs::read_to_string(service.process()?.log())?;
    Ok(text.lines().filter(|line| words.iter().all(|word| line.contains(word))).count())
}
