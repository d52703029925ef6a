//! When requests are due.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::sync::Semaphore;

/// When requests are sent.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Pace {
    /// When the last one is answered.
    Closed,
    /// So many a second, at random moments: those of many payers who do not know of each other.
    Open {
        /// Requests a second.
        per_second: f64,
    },
}

/// The same for one run.
pub(super) struct Due {
    until: Instant,
    arrivals: Option<Arrivals>,
}

/// What is due when, and how many are due by now and taken by nobody.
struct Arrivals {
    times: Arc<[Instant]>,
    due: Arc<Semaphore>,
    taken: AtomicUsize,
}

impl Due {
    pub(super) fn new(pace: &Pace, from: Instant, until: Instant) -> Result<Due> {
        let Pace::Open { per_second } = *pace else { return Ok(Due { until, arrivals: None }) };
        ensure!(per_second > 0.0, "an open loop needs a rate above 0");
        let times: Arc<[Instant]> = arrivals(per_second, from, until).into();
        let due = Arc::new(Semaphore::new(0));
        let (times_too, due_too) = (times.clone(), due.clone());
        // A thread that sleeps is exact to some 50 µs, a timer of tokio's to a millisecond.
        thread::Builder::new().name("pace".to_owned()).spawn(move || {
            for at in times_too.iter() {
                thread::sleep(at.saturating_duration_since(Instant::now()));
                due_too.add_permits(1);
            }
            due_too.close();
        })?;
        Ok(Due { until, arrivals: Some(Arrivals { times, due, taken: AtomicUsize::new(0) }) })
    }

    /// Waits for the next request to be due, and says since when it is; `None` when the time is over.
    pub(super) async fn next(&self) -> Option<Instant> {
        let Some(Arrivals { times, due, taken }) = &self.arrivals else {
            let now = Instant::now();
            return (now < self.until).then_some(now);
        };
        // After the last one the semaphore is closed, though requests may still be due: they are taken all the same.
        if let Ok(permit) = due.acquire().await {
            permit.forget();
        }
        times.get(taken.fetch_add(1, Ordering::Relaxed)).copied()
    }
}

/// The moments of a Poisson process, the same in each run.
fn arrivals(per_second: f64, from: Instant, until: Instant) -> Vec<Instant> {
    let mut dice = StdRng::seed_from_u64(1);
    let mut times = Vec::new();
    let mut at = from;
    loop {
        let gap = -(1.0 - dice.random::<f64>()).ln() / per_second;
        at += Duration::from_secs_f64(gap);
        if at >= until {
            return times;
        }
        times.push(at);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_requests_are_due_as_the_rate_says() {
        let now = Instant::now();
        let times = arrivals(1_000.0, now, now + Duration::from_secs(10));
        assert!((9_500..10_500).contains(&times.len()), "{}", times.len());
        assert!(times.is_sorted());
    }

    #[tokio::test]
    async fn each_request_is_due_once_however_many_wait_for_it() {
        let now = Instant::now();
        let until = now + Duration::from_millis(200);
        let expected = arrivals(2_000.0, now, until);
        let due = Arc::new(Due::new(&Pace::Open { per_second: 2_000.0 }, now, until).unwrap());
        let takers = (0..8).map(|_| {
            let due = due.clone();
            tokio::spawn(async move {
                let mut taken = Vec::new();
                while let Some(at) = due.next().await {
                    taken.push(at);
                }
                taken
            })
        });
        let mut taken = futures::future::try_join_all(takers).await.unwrap().concat();
        taken.sort();
        assert_eq!(taken, expected);
    }

    #[tokio::test]
    async fn a_closed_loop_ends_with_its_time() {
        let due = Due::new(&Pace::Closed, Instant::now(), Instant::now() + Duration::from_millis(20)).unwrap();
        assert!(due.next().await.is_some());
        tokio::time::sleep(Duration::from_millis(30)).await;
        assert!(due.next().await.is_none());
    }
}
