//! The audit trail: exported, verified, and falsified in every way that must be noticed.

use std::fs;

use anyhow::{Context, Result};
use channel::Amount;
use serde_json::{Value, json};
use tokio_postgres::NoTls;

use crate::world::World;

/// Two channels in use, one closed by its payer's request, and a claim.
async fn world() -> Result<World> {
    let world = World::start().await?;
    let (one, two) = (world.payer(0, 100).await?, world.payer(1, 200).await?);
    world.bought(&one, &[10, 20, 30]).await?;
    world.bought(&two, &[10]).await?;
    world.sluice(&["claim", "--channel", &one.channel().to_string()]).await?.ok()?;
    let signed = two.ask_to_close(&world.cluster.url(), Amount::new(10)).send().await?;
    anyhow::ensure!(signed.status() == 200, "{signed:?}");
    Ok(world)
}

/// What verify finds: its exit code and the differences.
async fn differences(world: &World, arguments: &[&str]) -> Result<(i32, Vec<String>)> {
    let ran = world.sluice(&[&["verify", "--json"], arguments].concat()).await?;
    let json = ran.json()?;
    let lines = json["differences"].as_array().context("a list")?;
    Ok((ran.code, lines.iter().filter_map(|line| Some(line.as_str()?.to_owned())).collect()))
}

async fn execute(world: &World, sql: &str) -> Result<()> {
    let (client, connection) = tokio_postgres::connect(&world.cluster.database, NoTls).await?;
    tokio::spawn(connection);
    Ok(client.batch_execute(sql).await?)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_holds_all_that_is_money_and_verifies() -> Result<()> {
    let world = world().await?;
    let file = world.file("trail.jsonl");
    let path = file.to_str().context("a path")?;
    let ran = world.sluice(&["export", "--out", path]).await?;
    assert!(ran.code == 0 && ran.out.is_empty() && ran.err.contains("2 channels"), "{ran:?}");
    let mode = std::os::unix::fs::PermissionsExt::mode(&fs::metadata(&file)?.permissions());
    assert_eq!(mode & 0o777, 0o600, "it holds vouchers");
    let lines: Vec<Value> =
        fs::read_to_string(&file)?.lines().map(serde_json::from_str).collect::<Result<_, serde_json::Error>>()?;
    let of = |kind: &str| lines.iter().filter(|line| line["type"] == kind).collect::<Vec<_>>();
    assert_eq!((of("trail").len(), of("deployment").len(), of("channel").len()), (1, 1, 2));
    let vouchers = of("channel").iter().filter(|line| line["epochs"][0]["voucher"]["signature"].is_string()).count();
    let closings = of("channel").iter().filter(|line| line["closing"]["amount"] == "10").count();
    assert_eq!((vouchers, closings), (2, 1));
    assert!(of("event").iter().any(|line| line["kind"]["claimed"] == json!({ "taken": "30" })), "{lines:#?}");
    let sold: u64 = of("sale").iter().filter_map(|line| line["amount"].as_str()?.parse::<u64>().ok()).sum();
    assert_eq!(sold, 40);
    assert_eq!(of("transaction").len(), 1);
    assert_eq!(lines.last().context("lines")?["type"], "end");

    let text = world.sluice(&["verify"]).await?.ok()?;
    assert!(text.ends_with("1 transactions: all agree\n"), "{text}");
    assert_eq!(differences(&world, &["--export", path]).await?, (0, vec![]));
    assert_eq!(differences(&world, &["--export", path, "--offline"]).await?, (0, vec![]));
    let ran = world.sluice(&["export", "--out", path]).await?;
    assert!(ran.code == 1 && ran.err.contains("is there already"), "{ran:?}");

    // A day in the future leaves what is open, and nothing that was sold or sent.
    let later = world.sluice(&["export", "--since", "2999-01-01"]).await?.ok()?;
    let kinds: Vec<Value> = later.lines().map(serde_json::from_str).collect::<Result<_, serde_json::Error>>()?;
    assert!(kinds.iter().all(|line| line["type"] != "sale" && line["type"] != "transaction"), "{later}");
    assert_eq!(kinds.iter().filter(|line| line["type"] == "channel").count(), 2);

    // Cut off, or from elsewhere.
    let whole = fs::read_to_string(&file)?;
    let cut = world.file("cut.jsonl");
    fs::write(&cut, whole.lines().take(4).map(|line| format!("{line}\n")).collect::<String>())?;
    let ran = world.sluice(&["verify", "--export", cut.to_str().context("a path")?, "--offline"]).await?;
    assert!(ran.code == 1 && ran.err.contains("cut off"), "{ran:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_is_falsified_by_one_unit_is_a_difference_with_its_numbers() -> Result<()> {
    let mut world = world().await?;
    for service in world.cluster.services() {
        service.stop().await?;
    }
    let claimed = "channel = (SELECT channel FROM events WHERE kind = 'claimed')";
    for (falsify, mend, expected) in [
        (
            format!("UPDATE epochs SET spent = spent - 1 WHERE {claimed}"),
            format!("UPDATE epochs SET spent = spent + 1 WHERE {claimed}"),
            &["39 was spent over all channels, 40 was sold"][..],
        ),
        (
            format!("UPDATE epochs SET authorised = 31 WHERE {claimed}"),
            format!("UPDATE epochs SET authorised = 30 WHERE {claimed}"),
            &["31 is authorised, the voucher is over 30 and 30 was claimed"],
        ),
        (
            format!("UPDATE epochs SET voucher_amount = 29 WHERE {claimed}"),
            format!("UPDATE epochs SET voucher_amount = 30 WHERE {claimed}"),
            &["the voucher over 29: "],
        ),
        (
            "UPDATE closings SET amount = 11".to_owned(),
            "UPDATE closings SET amount = 10".to_owned(),
            &["the closing signature over 11: ", "a close at 11 was signed, 10 was agreed"],
        ),
        (
            "UPDATE channels SET deposit = 101 WHERE deposit = 100".to_owned(),
            "UPDATE channels SET deposit = 100 WHERE deposit = 101".to_owned(),
            &["its events say", "101 is deposited by the ledger, 100 by the contract"],
        ),
        (
            "UPDATE events SET amount = 31 WHERE kind = 'claimed'".to_owned(),
            "UPDATE events SET amount = 30 WHERE kind = 'claimed'".to_owned(),
            &["its events say", "is in the ledger and not on chain", "is on chain and not in the ledger"],
        ),
        (
            "UPDATE events SET orphaned = true WHERE kind = 'claimed'".to_owned(),
            "UPDATE events SET orphaned = false WHERE kind = 'claimed'".to_owned(),
            &["its events say", "is on chain and not in the ledger"],
        ),
        (
            "ALTER TABLE epochs DROP CONSTRAINT sound; UPDATE epochs SET held = 1".to_owned(),
            "UPDATE epochs SET held = 0".to_owned(),
            &["30 spent and 1 held are more than 30 authorised", "10 spent and 1 held are more than 10 authorised"],
        ),
        (
            "UPDATE deployments SET payee = contract".to_owned(),
            "UPDATE deployments SET payee = decode(substr(PAYEE, 3), 'hex')".to_owned(),
            &["the configuration another"],
        ),
        ("DELETE FROM transactions".to_owned(), "SELECT 1".to_owned(), &["30 was claimed by 0x"]),
    ] {
        let payee = format!("'{:#x}'", world.cluster.contracts.payee);
        execute(&world, &falsify).await?;
        let (code, mut found) = differences(&world, &[]).await?;
        found.sort_by_key(|line| expected.iter().position(|part| line.contains(part)));
        let told = found.len() == expected.len() && found.iter().zip(expected).all(|(line, part)| line.contains(part));
        assert!(code == 1 && told, "{falsify}: {found:#?}");
        execute(&world, &mend.replace("PAYEE", &payee)).await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_that_the_journal_does_not_know_is_a_difference_and_no_node_is_exit_code_5() -> Result<()> {
    let mut world = world().await?;
    for service in world.cluster.services() {
        service.stop().await?;
    }
    // Somebody has the key: the payee's account sends by itself.
    let payee = world.cluster.contracts.payee;
    let transfer = json!([{ "from": payee, "to": payee, "value": "0x1" }]);
    world.cluster.chain.rpc("eth_sendTransaction", transfer.clone()).await?;
    assert_eq!(differences(&world, &[]).await?, (0, vec![]), "the ledger has not read so far");
    world.cluster.add_watcher(&[])?;
    let head = world.cluster.head().await?;
    let ledger = world.ledger().await?;
    testkit::wait::until("the watcher to catch up", crate::world::PATIENCE, async || {
        let cursor = ledger.cursor("main").await?.context("it reads")?;
        anyhow::ensure!(cursor.block.number >= head, "it is at {}", cursor.block.number);
        Ok(())
    })
    .await?;
    let (code, found) = differences(&world, &[]).await?;
    assert!(code == 1 && found.len() == 1 && found[0].contains("was used, and is not in the journal"), "{found:#?}");
    assert_eq!(differences(&world, &["--offline"]).await?, (0, vec![]));
    world.cluster.chain.stop().await?;
    assert_eq!(world.sluice(&["verify"]).await?.code, 5);
    Ok(())
}

/// The most memory that an export takes, in kB.
async fn peak_of_an_export(url: &str) -> Result<u64> {
    let mut command = std::process::Command::new(testkit::paths::program("sluice")?);
    command.args(["export", "--database-url", url]).stdout(std::process::Stdio::null());
    let mut child = command.spawn()?;
    let (status, mut peak) = (format!("/proc/{}/status", child.id()), 0);
    while child.try_wait()?.is_none() {
        let said = fs::read_to_string(&status).unwrap_or_default();
        let line = said.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        peak = peak.max(line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(0));
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    anyhow::ensure!(child.wait()?.success(), "the export failed");
    Ok(peak)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_takes_the_same_memory_however_many_channels_there_are() -> Result<()> {
    use crate::fixtures::{database, ledger_with, sql};
    let (_, few) = ledger_with(10, 100).await;
    let many = database().await;
    sql(&many)
        .await
        .batch_execute(
            "INSERT INTO deployments (id, chain_id, contract, token, payee)
             SELECT 'test', 1, c, c, c FROM decode(repeat('01', 20), 'hex') AS c;
             INSERT INTO channels (id, deployment, payer, params, confirmed, deposit, pending, claimed, status)
             SELECT sha256(n::text::bytea), 'test', decode(repeat('02', 20), 'hex'), '', true, 5, 0, 0, 'open'
             FROM generate_series(1, 30000) AS n;
             INSERT INTO epochs (channel, number) SELECT id, 0 FROM channels;
             INSERT INTO events (deployment, block, block_hash, log_index, tx_hash, channel, kind, amount)
             SELECT 'test', row_number() OVER (), id, 0, id, id, 'opened', 5 FROM channels",
        )
        .await?;
    let (few, many) = (peak_of_an_export(&few).await?, peak_of_an_export(&many).await?);
    assert!(few > 0 && many < few + 10_000, "{few} kB for 10 channels, {many} kB for 30 000");
    Ok(())
}
