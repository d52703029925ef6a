//! The same voucher at two fronts at the same moment.

use anyhow::{Context, Result};
use channel::Amount;
use futures::future::try_join_all;
use ledger::{Ledger, Settings};
use reqwest::StatusCode;
use testkit::cluster::{Cluster, Options, PAYER};
use tests::ByHand;

const CLIENTS: usize = 64;
const ROUNDS: u128 = 10;

#[tokio::test(flavor = "multi_thread")]
async fn a_voucher_that_64_clients_race_at_two_fronts_is_sold_once() -> Result<()> {
    let cluster = Cluster::start(Options::default()).await?;
    let payer = ByHand::open(&cluster, PAYER, Amount::new(1_000)).await?;
    let pages: Vec<String> = cluster.fronts.iter().map(|front| format!("{}/page", front.url())).collect();
    for round in 1..=ROUNDS {
        let buy = async |client: usize| {
            let answer = payer.pay(&pages[client % pages.len()], Amount::new(round)).send().await?;
            anyhow::Ok(answer.status())
        };
        let statuses = try_join_all((0..CLIENTS).map(buy)).await?;
        let sold = statuses.iter().filter(|status| **status == StatusCode::OK).count();
        let refused = statuses.iter().filter(|status| **status == StatusCode::PAYMENT_REQUIRED).count();
        assert_eq!((sold, refused), (1, CLIENTS - 1), "round {round}: {statuses:?}");
    }
    let ledger = Ledger::connect(&Settings { single_node: true, ..Settings::new(&cluster.database) }).await?;
    let (_, epoch) = ledger.view(payer.channel()).await?.context("the channel is known")?;
    assert_eq!((epoch.authorised, epoch.spent, epoch.held), (Amount::new(ROUNDS), Amount::new(ROUNDS), Amount::ZERO));
    assert_eq!(u128::from(cluster.upstream_calls(Some("/page")).await?), ROUNDS);
    println!("{ROUNDS} vouchers, {CLIENTS} clients each: sold {}, called {ROUNDS}", epoch.spent);
    Ok(())
}
