//! What a front does on a deployment, and says about it: in its readiness, in metrics, and once in the log.

use std::time::Duration;

use channel::Amount;
use reqwest::StatusCode;
use serde_json::Value;
use testkit::wait;

use crate::program::Program;
use crate::world::{World, fault, header};

/// Waits until the second port says so of the deployment: this begins its line, and this is its mode.
async fn until_says(program: &Program, begins: &str, mode: &str) -> String {
    let line = format!("front_mode{{deployment=\"main\",mode=\"{mode}\"}} 1");
    wait::until("what is said of the deployment", Duration::from_secs(10), async || {
        let said: Value =
            program.client.get(format!("http://{}/readyz?verbose", program.ops)).send().await?.json().await?;
        let said = said["checks"]["deployment main"].as_str().unwrap_or_default().to_owned();
        anyhow::ensure!(said.starts_with(begins), "it says {said}");
        let page = program.client.get(format!("http://{}/metrics", program.ops)).send().await?.text().await?;
        let modes: Vec<_> =
            page.lines().filter(|line| line.starts_with("front_mode") && line.ends_with(" 1")).collect();
        anyhow::ensure!(modes == [line.as_str()], "{modes:?}");
        Ok(said)
    })
    .await
    .unwrap()
}

fn logged(program: &Program, mode: &str) -> usize {
    let text = std::fs::read_to_string(program.process.log()).unwrap();
    let is_it = |line: &&str| line.contains("WARN") && line.contains(&format!("\"mode\":\"{mode}\""));
    text.lines().filter(is_it).count()
}

#[tokio::test]
async fn each_change_is_said_once_with_which_bound_is_over_and_no_front_becomes_unready_for_it() {
    let world = World::new().await;
    let payer = world.payer(100).await;
    let program = Program::start(&world);
    let said = until_says(&program, "ok: ", "selling").await;
    assert!(said.contains("watcher: 35") && said.contains("wallet: 35") && said.contains("s left"), "{said}");
    assert_eq!(logged(&program, "selling"), 0, "that is as it should be");

    world.goes_stale().await;
    let said = until_says(&program, "stale: watcher_stale: ", "watcher_stale").await;
    assert!(said.contains("watcher: over since") && said.contains("wallet: 35"), "{said}");
    let answer = program.client.get(format!("http://{}/page", program.listen)).headers(payer.voucher(1)).send();
    assert_eq!(fault(answer.await.unwrap()).await, (503, "chain_stale".to_owned(), true));
    assert_eq!(program.probe("/readyz").await, Some(StatusCode::OK));

    world.opened(&world.stranger().await, 1).await;
    until_says(&program, "ok: ", "selling").await;
    world.sql("UPDATE deployments SET clear_until = NULL").await;
    let said = until_says(&program, "stale: wallet_stale: ", "wallet_stale").await;
    assert!(said.contains("wallet: nothing"), "{said}");
    world.ledger.halt("main", "finality is broken").await.unwrap();
    let said = until_says(&program, "stale: halted: ", "halted").await;
    assert!(said.contains("finality is broken"), "{said}");
    assert_eq!(program.probe("/readyz").await, Some(StatusCode::OK));
    let times = ["selling", "watcher_stale", "wallet_stale", "halted"].map(|mode| logged(&program, mode));
    assert_eq!(times, [1, 1, 1, 1]);
}

#[tokio::test]
async fn until_when_each_of_the_two_lets_us_sell_is_a_metric() {
    let world = World::new().await;
    world.payer(100).await;
    let program = Program::start(&world);
    until_says(&program, "ok: ", "selling").await;
    let page =
        program.client.get(format!("http://{}/metrics", program.ops)).send().await.unwrap().text().await.unwrap();
    let now = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs_f64();
    for bound in ["watcher", "wallet"] {
        let line = format!("front_safe_until_timestamp_seconds{{deployment=\"main\",bound=\"{bound}\"}} ");
        let value =
            page.lines().find_map(|found| found.strip_prefix(&line)).unwrap_or_else(|| panic!("{line}\n{page}"));
        let left = value.parse::<f64>().unwrap() - now;
        assert!((3_500.0..3_610.0).contains(&left), "{left} s left");
    }
}

#[tokio::test]
async fn what_all_channels_owe_together_is_limited_and_a_payer_is_not_told_how_far() {
    let world = World::new().await;
    let (one, two) = (world.payer(100).await, world.payer(100).await);
    let front = world.front_with(|config| {
        config.deployments.get_mut("main").unwrap().max_exposure_total = Amount::new(25);
    });
    let front = front.await;
    // Until it was summed up for the first time, nobody knows.
    wait::until("the first sale", Duration::from_secs(5), async || {
        let status = front.pay("/file.txt", &one, 10).await.status();
        anyhow::ensure!(status == StatusCode::OK, "{status}");
        Ok(())
    })
    .await
    .unwrap();
    assert_eq!(front.pay("/file.txt", &two, 10).await.status(), StatusCode::OK);
    for payer in [&one, &two] {
        let refused = front.pay("/file.txt", payer, 20).await;
        assert_eq!(header(&refused, "sluice-refusal"), Some("too_exposed"));
        assert_eq!(fault(refused).await, (503, "too_exposed".to_owned(), true));
    }
    assert_eq!(front.pay("/page", &one, 11).await.status(), StatusCode::OK, "there is room for a smaller price");
    assert_eq!((world.books(&one).await.0, world.books(&two).await.0), (11, 10));
}
