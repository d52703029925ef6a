//! The disk is full.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use testkit::history::{Told, percentile};
use testkit::scratch::Scratch;
use testkit::{http, wait};

use crate::common::{Scene, Setting, clean};

/// Room for an empty cluster and a few thousand payments.
const SIZE: &str = "size=192m,mode=0755";
/// How long payers pay before and while.
const LOAD: Duration = Duration::from_secs(2);
/// How soon somebody is served again once there is space.
const BACK: Duration = Duration::from_secs(10);

/// A file system in memory, so that it can be full. Dropped, it is gone.
struct Small(PathBuf);

impl Small {
    /// `None` where nothing may be mounted.
    fn mount(at: &Path) -> Result<Option<Small>> {
        fs::create_dir_all(at)?;
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", SIZE, "sluice-test"]).arg(at).output();
        let is_mounted = mounted.is_ok_and(|output| output.status.success());
        Ok(is_mounted.then(|| Small(at.to_owned())))
    }

    /// Takes all the space there is; gives the file that has it.
    fn fill(&self) -> Result<PathBuf> {
        let path = self.0.join("filler");
        let mut file = File::create(&path)?;
        let mut piece = vec![0; 1 << 20];
        while !piece.is_empty() {
            if file.write_all(&piece).is_err() {
                piece.truncate(piece.len() / 2);
            }
        }
        Ok(path)
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).output();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_under_postgresql_is_503_and_loses_nothing() -> Result<()> {
    let scratch = Scratch::new("full")?;
    let Some(small) = Small::mount(&scratch.path().join("postgres"))? else {
        println!("not tested: a file system of its own for PostgreSQL cannot be mounted here (that takes root)");
        return Ok(());
    };
    let mut scene = Scene::set(Setting { scratch: Some(scratch), ..Setting::default() }).await?;
    let load = scene.load();
    tokio::time::sleep(LOAD).await;
    let failed = scene.history.count(Told::Failed);
    let filler = small.fill()?;
    let full = scene.history.nemesis("PostgreSQL's disk is full");
    // What it has written ahead goes into files that exist already: the next one does not.
    let _ = scene.cluster.postgres.execute("postgres", "SELECT pg_switch_wal()").await;
    wait::until("refusals", Duration::from_secs(30), async || {
        ensure!(scene.history.count(Told::Failed) > failed, "there are none");
        Ok(())
    })
    .await?;
    tokio::time::sleep(LOAD).await;
    let (still, until) =
        (scene.history.took(Told::Served, full, scene.history.now()).len(), scene.history.now() - full);
    fs::remove_file(filler)?;
    let freed = scene.history.nemesis("there is space again");
    if scene.cluster.postgres.execute("postgres", "CHECKPOINT").await.is_err() {
        scene.history.nemesis("PostgreSQL had ended, and is started again as its supervisor would");
        scene.cluster.postgres.kill9()?;
        scene.cluster.postgres.start_again().await?;
    }
    let back = scene.served_within(freed, BACK).await?;
    println!("           full for {until:?}, {still} served meanwhile; back {back:?} after there was space");
    tokio::time::sleep(LOAD).await;
    load.stop().await?;
    clean(&scene.verdict().await?.given_away_at_most(0))?;
    drop(small);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_under_the_access_log_drops_lines_and_delays_nobody() -> Result<()> {
    let mut figures = Vec::new();
    for log in ["/dev/null", "/dev/full"] {
        let fronts = vec![("SLUICE_FRONT__ACCESS_LOG", log)];
        let scene = Scene::set(Setting { fronts, ..Setting::default() }).await?;
        let (load, began) = (scene.load(), Instant::now());
        tokio::time::sleep(LOAD).await;
        load.stop().await?;
        let took = scene.history.took(Told::Served, Duration::ZERO, scene.history.now());
        let slowest = percentile(&took, 99);
        let dropped = dropped(&scene).await?;
        println!("{log}: {} served in {:?}, p99 {slowest:?}, {dropped} lines dropped", took.len(), began.elapsed());
        ensure!(scene.history.count(Told::Failed) + scene.history.count(Told::Unknown) == 0);
        clean(&scene.verdict().await?.given_away_at_most(0))?;
        figures.push((dropped, slowest));
    }
    let ((none, usual), (dropped, slowest)) = (figures[0], figures[1]);
    ensure!(none == 0 && dropped > 0, "{none} dropped without trouble, {dropped} with a full disk");
    ensure!(slowest <= usual * 3 + Duration::from_millis(100), "p99 {slowest:?}, {usual:?} without trouble");
    Ok(())
}

/// How many lines fronts say they dropped.
async fn dropped(scene: &Scene) -> Result<u64> {
    let mut sum = 0;
    for front in &scene.cluster.fronts {
        let page = http::client()?.get(format!("http://{}/metrics", front.health)).send().await?.text().await?;
        let line = page.lines().find_map(|line| line.strip_prefix("front_access_log_dropped_total "));
        sum += line.map_or(Ok(0), |count| count.trim().parse::<u64>().context("no number"))?;
    }
    Ok(sum)
}
