//! Watcher and wallet are gone for half an hour, and the chain goes on: payers notice nothing, and all is made up for.

use std::time::Duration;

use anyhow::Result;
use channel::Amount;
use testkit::anvil::KEYS;
use testkit::cluster::{Cluster, Options};
use tests::warp;

use crate::errands::{PAID, open_and_pay, until_closed};
use crate::world::{CHANGE, Figures, PATIENCE, agreed, alone, calm, measure, payers, traffic, until_no_job_is_open};

const HALF_AN_HOUR: Duration = Duration::from_secs(1_800);
/// Seconds between blocks: the challenge period is 7 500.
const BLOCK: u64 = 15;

#[tokio::test(flavor = "multi_thread")]
async fn half_an_hour_without_watcher_and_wallet_is_not_noticed_by_those_who_pay() -> Result<()> {
    let _alone = alone().await;
    let mut cluster = Cluster::prepare(Options { rabbit: 1, ..Options::default() }).await?;
    let slow = BLOCK.to_string();
    let slowly = [("SLUICE_DEPLOYMENTS__MAIN__FASTEST_BLOCK_S", slow.as_str())];
    cluster.add_watcher(&slowly)?;
    cluster.add_wallet(&slowly)?;
    for _ in 0..2 {
        cluster.add_front(&slowly)?;
    }
    cluster.ready().await?;
    cluster.balance().await?;
    let spare = KEYS.len() - 1;
    let (cheat, signer) = (open_and_pay(&cluster, spare).await?, open_and_pay(&cluster, spare - 1).await?);
    let payers = payers(&cluster, 2).await?;
    let traffic = traffic(&cluster, &payers);
    let name = "watcher and wallet gone for half an hour";
    calm(&traffic, name).await;
    traffic.enter(name);
    cluster.watchers[0].kill9()?;
    cluster.wallets[0].kill9()?;
    measure(&traffic, name).await;
    traffic.enter(CHANGE);
    cheat.close_alone(&cluster.chain, Amount::new(1)).await?;
    warp(&cluster.database, HALF_AN_HOUR, &[(&cluster.chain, BLOCK)]).await?;
    measure(&traffic, name).await;
    // What nobody can do now is asked for again later.
    let url = cluster.url();
    let refused = signer.ask_to_close(&url, Amount::new(PAID)).send().await?;
    assert_eq!((refused.status().as_u16(), refused.headers().contains_key("retry-after")), (503, true));

    traffic.enter(CHANGE);
    cluster.watchers[0].start_again()?;
    cluster.wallets[0].start_again()?;
    until_closed(&cluster, &cheat).await?;
    let signed = signer.ask_to_close(&url, Amount::new(PAID)).send().await?;
    assert_eq!(signed.status(), 200, "{signed:?}");
    let drained = until_no_job_is_open(&cluster, PATIENCE).await?;
    calm(&traffic, name).await;
    let figures = Figures::of(&traffic, name);
    println!("{figures}   the close was answered; drained {drained:.1?} after it");
    let failed = traffic.failed();
    assert!(failed.is_empty(), "{failed:?}");
    agreed(&cluster, traffic.stop().await?, &payers, PATIENCE).await?;
    figures.check()
}
