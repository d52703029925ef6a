use std::time::Duration;

use anyhow::{Result, ensure};
use testkit::cut::{Cut, Fault};
use testkit::postgres::Postgres;
use testkit::wait;

#[tokio::test]
async fn a_synchronous_standby_takes_over_with_every_commit_and_an_asynchronous_one_without_the_last() -> Result<()> {
    for is_synchronous in [true, false] {
        let mut primary = Postgres::start().await?;
        primary.execute("postgres", "CREATE TABLE said (n int)").await?;
        let link = Cut::start(([127, 0, 0, 1], primary.port()).into()).await?;
        let standby = primary.standby("second", link.address().port()).await?;
        if is_synchronous {
            primary.wait_for_standbys(&["second"]).await?;
        }
        primary.execute("postgres", "INSERT INTO said VALUES (1)").await?;
        wait::until("the standby to follow", Duration::from_secs(10), async || {
            standby.execute("postgres", "SELECT 1 / count(*) FROM said").await
        })
        .await?;
        link.set(Fault::Blackhole);
        let second = primary.execute("postgres", "INSERT INTO said VALUES (2)");
        let acknowledged = tokio::time::timeout(Duration::from_millis(500), second).await.is_ok();
        ensure!(acknowledged != is_synchronous, "acknowledged: {acknowledged}");
        primary.kill9()?;
        standby.promote().await?;
        standby.execute("postgres", "INSERT INTO said VALUES (3)").await?;
        // What was not acknowledged may be there or not; what was is, if the standby was asked.
        let lost = standby.execute("postgres", "SELECT 1 / (count(*) - 2) FROM said").await.is_err();
        assert!(lost, "the second row cannot have come over a dead link");
    }
    Ok(())
}
