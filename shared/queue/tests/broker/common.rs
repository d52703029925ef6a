use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use ledger::{DeploymentRow, JobId, JobKind, Ledger, NewJob, Ring};
use queue::{Broker, Call, Rings, Rung};
use runtime::config::Queue;
use testkit::postgres::Postgres;
use testkit::rabbit::Rabbit;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub(crate) const CHAIN: u64 = 1337;
/// How often a worker without a broker looks.
pub(crate) const POLL: Duration = Duration::from_millis(200);

/// A broker and a ledger of the test's own.
pub(crate) struct Scene {
    pub(crate) settings: Queue,
    pub(crate) broker: Broker,
    pub(crate) ledger: Ledger,
}

impl Scene {
    /// On the broker that the tests of this process share.
    pub(crate) async fn shared() -> Scene {
        Scene::at(Rabbit::shared().await.unwrap().fresh_host().await.unwrap()).await
    }

    pub(crate) async fn at(url: String) -> Scene {
        Scene::with(settings(url)).await
    }

    pub(crate) async fn with(settings: Queue) -> Scene {
        Scene { broker: Broker::new(&settings).unwrap(), settings, ledger: ledger().await }
    }

    pub(crate) fn rings(&self) -> Rings {
        Rings::new(Some(&self.broker), &self.ledger, CHAIN, &[JobKind::Sync])
    }

    /// A relay that runs until it is dropped.
    pub(crate) fn relay(&self) -> Relay {
        let (broker, ledger, term) = (self.broker.clone(), self.ledger.clone(), CancellationToken::new());
        let running = tokio::spawn({
            let term = term.clone();
            async move { queue::ring_what_is_due(&ledger, &broker, &term).await }
        });
        Relay { term, running }
    }

    pub(crate) async fn add(&self, key: u32) -> JobId {
        self.ledger.enqueue(&job(key)).await.unwrap()
    }
}

pub(crate) struct Relay {
    term: CancellationToken,
    running: JoinHandle<()>,
}

impl Relay {
    pub(crate) async fn stop(self) {
        self.term.cancel();
        self.running.await.unwrap();
    }
}

/// Looks are far apart, so that what is heard was rung.
pub(crate) fn settings(url: String) -> Queue {
    Queue { url: url.into(), timeout: Duration::from_secs(2), look: Duration::from_secs(60), ..Queue::default() }
}

pub(crate) async fn ledger() -> Ledger {
    let mut settings = ledger::Settings::new(Postgres::shared().await.unwrap().fresh_database().await.unwrap());
    settings.single_node = true;
    let ledger = Ledger::connect(&settings).await.unwrap();
    let (contract, token, payee) = ([1; 20].into(), [2; 20].into(), [3; 20].into());
    ledger.register(&DeploymentRow { id: "main".into(), chain_id: CHAIN, contract, token, payee }).await.unwrap();
    ledger
}

pub(crate) fn job(key: u32) -> NewJob {
    NewJob { kind: JobKind::Sync, key: key.to_string(), deployment: "main".into(), channel: None, amount: None }
}

pub(crate) fn ring(job: i64) -> Ring {
    let trace = Some(format!("00-{job:032x}-{job:016x}-01"));
    Ring { job: JobId(job), kind: JobKind::Sync, chain_id: CHAIN, trace }
}

/// The next ring, past the looks.
pub(crate) async fn next(rings: &mut Rings) -> Rung {
    let heard = tokio::time::timeout(Duration::from_secs(40), async {
        loop {
            if let Call::Rung(rung) = rings.next(POLL).await {
                return rung;
            }
        }
    });
    heard.await.unwrap_or_else(|_| panic!("nothing rings: {rings:?}"))
}

/// Whether nothing rings for this long.
pub(crate) async fn is_silent(rings: &mut Rings, for_this_long: Duration) -> bool {
    let heard = async { while !matches!(rings.next(POLL).await, Call::Rung(_)) {} };
    tokio::time::timeout(for_this_long, heard).await.is_err()
}

/// Brokers of their own are big: three at a time.
pub(crate) async fn alone() -> SemaphorePermit<'static> {
    static TURNS: Semaphore = Semaphore::const_new(3);
    TURNS.acquire().await.unwrap()
}

/// What a worker of a test did: how often it found each job open.
pub(crate) type Effects = Arc<Mutex<HashMap<JobId, u32>>>;

/// A worker as the wallet's: the row, the effect, the commit, the ack; and looks.
pub(crate) async fn work(scene: &Scene, effects: &Effects) {
    let mut rings = scene.rings();
    loop {
        match rings.next(POLL).await {
            Call::Rung(rung) => {
                if scene.ledger.due_job(rung.job, &["main"]).await.unwrap().is_some() {
                    do_it(scene, effects, rung.job).await;
                }
                rung.done().await;
            }
            Call::Look => {
                for job in scene.ledger.due(JobKind::Sync, &["main"], 500).await.unwrap() {
                    do_it(scene, effects, job.id).await;
                }
            }
        }
    }
}

async fn do_it(scene: &Scene, effects: &Effects, job: JobId) {
    *effects.lock().unwrap().entry(job).or_default() += 1;
    scene.ledger.finish(job, &serde_json::Value::Null).await.unwrap();
}

/// Waits until a job has ended; says how long that took from when it was added.
pub(crate) async fn added_and_done(scene: &Scene, key: u32) -> Duration {
    let began = Instant::now();
    let job = scene.add(key).await;
    assert!(scene.ledger.wait(job, Duration::from_secs(40)).await.unwrap().is_some(), "job {key} is not done");
    began.elapsed()
}
