//! Backups, and to the unit what an old one loses.

use std::fs;

use anyhow::{Context, Result, ensure};
use channel::{EventKind, Refusal, Step};
use ledger::{Order, When};
use serde_json::Value;
use testkit::postgres::Postgres;
use testkit::wait;
use tests::ByHand;

use crate::fixtures::*;
use crate::world::{PATIENCE, World, sluice};

/// A database with nothing in it, on the server that the tests share.
async fn new_database(name: &str) -> Result<String> {
    let server = Postgres::shared().await?;
    server.execute("postgres", &format!("CREATE DATABASE {name}")).await?;
    Ok(server.url(name))
}

/// Everything that is not housekeeping, as text.
async fn contents(url: &str) -> Result<String> {
    let client = sql(url).await;
    let mut text = String::new();
    for table in ["channels", "epochs", "events", "jobs", "closings", "holds", "sales", "sales_log", "cursors"] {
        let rows = client.query(&format!("SELECT t::text FROM {table} t ORDER BY 1"), &[]).await?;
        let rows: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
        text += &format!("{table}\n{}\n", rows.join("\n"));
    }
    Ok(text)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_is_one_moment_and_is_restored_whole_or_not_at_all() -> Result<()> {
    let (ledger, url) = ledger_with(3, 100).await;
    sell(&ledger, order(voucher(0, 1))).await.expect("it is paid for");
    let held = Order { settle: When::Later, request: request(2), ..order(voucher(1, 1)) };
    sell(&ledger, held).await.expect("it is paid for");
    let folder = tempfile::tempdir()?;
    let (dump, damaged) = (folder.path().join("a.dump"), folder.path().join("b.dump"));
    let (dump, damaged) = (dump.to_str().context("a path")?, damaged.to_str().context("a path")?);
    sluice(&["backup", dump, "--database-url", &url]).await?.ok()?;
    let mode = std::os::unix::fs::PermissionsExt::mode(&fs::metadata(dump)?.permissions());
    assert_eq!(mode & 0o777, 0o600, "it holds vouchers");
    let ran = sluice(&["backup", dump, "--database-url", &url]).await?;
    assert!(ran.code == 1 && ran.err.contains("is there already"), "{ran:?}");

    // Into a new database, and into one that was migrated and never used.
    let fresh = new_database("restored").await?;
    for target in [&fresh, &database().await] {
        sluice(&["restore", dump, "--database-url", target]).await?.ok()?;
        assert_eq!(contents(target).await?, contents(&url).await?);
        let safe: Option<i64> = sql(target)
            .await
            .query_one("SELECT extract(epoch FROM safe_until)::int8 FROM deployments", &[])
            .await?
            .get(0);
        assert_eq!(safe, None, "nothing is sold before a watcher has caught up");
        let open = "SELECT has_function_privilege('public', 'maintain_holds(interval)', 'EXECUTE')";
        assert!(!sql(target).await.query_one(open, &[]).await?.get::<_, bool>(0), "it runs as the owner");
        connect(target).await.close().await;
    }
    // Never over a ledger, and never in part.
    let before = contents(&url).await?;
    let ran = sluice(&["restore", dump, "--database-url", &url]).await?;
    assert!(ran.code == 1 && ran.err.contains("the database is in use") && ran.err.contains("next:"), "{ran:?}");
    assert_eq!(contents(&url).await?, before);
    let bytes = fs::read(dump)?;
    fs::write(damaged, &bytes[..bytes.len() * 9 / 10])?;
    let target = new_database("in_part").await?;
    let ran = sluice(&["restore", damaged, "--database-url", &target]).await?;
    assert_eq!(ran.code, 1, "{ran:?}");
    let tables = "SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'";
    let count: i64 = sql(&target).await.query_one(tables, &[]).await?.get(0);
    assert_eq!(count, 0, "{ran:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_without_a_ledger_or_its_programs_says_what_to_do() -> Result<()> {
    let empty = new_database("empty").await?;
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("a.dump");
    let file = file.to_str().context("a path")?;
    let ran = sluice(&["backup", file, "--database-url", &empty]).await?;
    assert!(ran.code == 1 && ran.err.contains("schema version 0") && ran.err.contains("next:"), "{ran:?}");
    fs::write(file, "no archive")?;
    let ran = sluice(&["restore", file, "--database-url", &empty]).await?;
    assert!(ran.code == 1 && ran.err.contains("pg_restore failed"), "{ran:?}");
    let mut command = std::process::Command::new(testkit::paths::program("sluice")?);
    let url = database().await;
    command.env_clear().env("PATH", "/nowhere").args(["backup", "/tmp/none.dump", "--database-url", &url]);
    let output = command.output()?;
    let said = String::from_utf8(output.stderr)?;
    assert!(said.contains("pg_dump cannot be used") && said.contains("next:"), "{said}");
    Ok(())
}

/// What was credit at the backup can be spent once more: the ledger cannot know that it was. What stands in calldata cannot.
#[tokio::test(flavor = "multi_thread")]
async fn credit_of_the_backup_is_credit_again_but_a_claimed_voucher_buys_nothing() -> Result<()> {
    let (ledger, url) = ledger_with(2, 100).await;
    let credit = |n, units, price, content| Order {
        price: amount(price),
        terms: terms(Step::Any),
        request: request(content),
        ..order(voucher(n, units))
    };
    for n in [0, 1] {
        sell(&ledger, credit(n, 50, 30, 1)).await.expect("it is paid for");
    }
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("a.dump");
    let file = file.to_str().context("a path")?;
    sluice(&["backup", file, "--database-url", &url]).await?.ok()?;
    // After it, both spend their credit of 20 and 40 more; one is claimed.
    for n in [0, 1] {
        sell(&ledger, credit(n, 50, 20, 2)).await.expect("it is paid for");
        sell(&ledger, credit(n, 90, 40, 3)).await.expect("it is paid for");
    }
    let target = new_database("credit").await?;
    sluice(&["restore", file, "--database-url", &target]).await?.ok()?;
    let restored = connect(&target).await;
    let refused = sell(&restored, credit(0, 50, 1, 4)).await.expect_err("no watcher has caught up");
    assert_eq!(refused.refusal, Refusal::Stale);
    let claimed = event(0, block(2, 0), 0, EventKind::Claimed { taken: amount(90) });
    restored.advance(&advance(Some(block(1, 0)), block(2, 0), 2, vec![claimed])).await?;

    // Claimed at 90: what was missed is spent, and the credit of the backup, 20, is there again, for a new voucher only.
    for units in [50, 90] {
        let refused = sell(&restored, credit(0, units, 1, 5)).await.expect_err("it stands in calldata");
        assert_eq!(refused.refusal, Refusal::Published, "{units}");
    }
    let (_, epoch) = restored.view(channel_id(0)).await?.context("it is there")?;
    assert_eq!((epoch.authorised, epoch.spent, epoch.credit()), (amount(90), amount(70), amount(20)));
    sell(&restored, credit(0, 91, 21, 6)).await.expect("a new voucher, and the credit");
    sell(&restored, credit(0, 91, 1, 7)).await.expect_err("and no more than that");

    // Not claimed: the credit, and all that was authorised since.
    sell(&restored, credit(1, 50, 20, 8)).await.expect("the credit");
    sell(&restored, credit(1, 50, 1, 9)).await.expect_err("and no more than that");
    sell(&restored, credit(1, 90, 40, 10)).await.expect("vouchers that the backup does not know");
    sell(&restored, credit(1, 90, 1, 11)).await.expect_err("and no more than that");
    let client = sql(&target).await;
    assert_eq!((violations(&client).await, unexplained(&client).await), (0, 0));
    Ok(())
}

/// A payer's old vouchers, each sent again: which of them buy.
async fn buy_again(world: &World, payer: &ByHand) -> Result<Vec<u128>> {
    let mut bought = Vec::new();
    for balance in [10, 20, 30, 40, 50] {
        if world.buy(payer, balance).await? == 200 {
            bought.push(balance);
        }
    }
    Ok(bought)
}

async fn exposures(world: &World) -> Result<Value> {
    let json = world.sluice(&["list", "channels", "--json"]).await?.json()?;
    let channels = json["channels"].as_array().context("a list")?.iter();
    Ok(channels.map(|channel| (channel["channel"].to_string().replace('"', ""), channel["exposure"].clone())).collect())
}

/// Three channels with 30 paid at the backup and 50 in the end: claimed at 50, never claimed, claimed at 40.
#[tokio::test(flavor = "multi_thread")]
async fn an_old_backup_loses_what_was_sold_after_it_and_not_claimed_to_the_unit() -> Result<()> {
    let mut world = World::start().await?;
    let payers = [world.payer(0, 100).await?, world.payer(1, 100).await?, world.payer(2, 100).await?];
    let before = world.earned().await?;
    for payer in &payers {
        world.bought(payer, &[10, 20, 30]).await?;
    }
    let file = world.file("old.dump");
    let file = file.to_str().context("a path")?;
    world.sluice(&["backup", file]).await?.ok()?;
    let [claimed, unclaimed, partly] = &payers;
    world.bought(claimed, &[40, 50]).await?;
    world.bought(unclaimed, &[40, 50]).await?;
    world.bought(partly, &[40]).await?;
    for payer in [claimed, partly] {
        world.sluice(&["claim", "--channel", &payer.channel().to_string()]).await?.ok()?;
    }
    world.bought(partly, &[50]).await?;
    let served = 150;
    assert_eq!(world.earned().await? - before, 90);
    let exposed = exposures(&world).await?;
    for (payer, exposure) in payers.iter().zip(["0", "50", "10"]) {
        assert_eq!(exposed[payer.channel().to_string()], exposure);
    }

    // The disk dies. The backup is seconds old, so its own safe-until is not over.
    for service in world.cluster.services() {
        service.kill9()?;
    }
    world.cluster.fronts.clear();
    world.cluster.balancer = None;
    world.cluster.postgres.execute("postgres", "CREATE DATABASE restored").await?;
    world.cluster.database = world.cluster.postgres.url("restored");
    let database = world.cluster.database.clone();
    let there = [("SLUICE_DATABASE__URL", database.as_str())];
    sluice(&["restore", file, "--database-url", &database]).await?.ok()?;
    world.cluster.add_front(&there)?;
    world.cluster.fronts[0].ready().await?;
    assert_eq!(world.buy(unclaimed, 40).await?, 503, "no watcher has caught up");
    world.cluster.add_watcher(&there)?;
    world.cluster.add_wallet(&there)?;
    wait::until("fronts to sell again", PATIENCE, async || {
        let status = world.buy(claimed, 50).await?;
        ensure!(status == 402, "the claimed voucher is answered {status}");
        Ok(())
    })
    .await?;

    // With exact terms, who goes on where it was is told where the ledger is.
    assert_eq!(world.buy(unclaimed, 60).await?, 402, "the ledger knows 30");
    // Every voucher of the past, once more: what is sold again is what was authorised and not claimed since.
    assert_eq!(buy_again(&world, claimed).await?, [0; 0], "claimed: nothing is lost");
    assert_eq!(buy_again(&world, unclaimed).await?, [40, 50], "never claimed: all since the backup, 20");
    assert_eq!(buy_again(&world, partly).await?, [50], "claimed in part: what was not, 10");
    for payer in &payers {
        assert_eq!(buy_again(&world, payer).await?, [0; 0], "and never a second time");
        world.bought(payer, &[60]).await?;
    }
    let served = served + 20 + 10 + 30;
    let ran = sluice(&["claim", "--all", "--config", config(&world)?, "--database-url", &database]).await?;
    ran.ok()?;
    assert_eq!(world.earned().await? - before, 180);
    assert_eq!(served - 180, 30, "lost: 50 - 50, 50 - 30, and 50 - 40");

    // The audit agrees, but for the two transactions that the backup's journal does not know.
    let ran = sluice(&["verify", "--json", "--config", config(&world)?, "--database-url", &database]).await?;
    let found = ran.json()?["differences"].as_array().cloned().unwrap_or_default();
    let unknown = |line: &&Value| line.as_str().is_some_and(|line| line.contains("not in the journal"));
    assert_eq!((found.len(), found.iter().filter(unknown).count()), (2, 2), "{found:#?}");
    Ok(())
}

fn config(world: &World) -> Result<&str> {
    world.cluster.config.to_str().context("a path")
}
