//! Claims and closes that an operator asks for, made by a real wallet.

use anyhow::{Context, Result};
use serde_json::json;

use crate::world::World;

#[tokio::test(flavor = "multi_thread")]
async fn what_is_owed_is_claimed_on_request_and_a_channel_closed() -> Result<()> {
    let world = World::start().await?;
    let (one, two, idle) = (world.payer(0, 100).await?, world.payer(1, 100).await?, world.payer(2, 100).await?);
    world.bought(&one, &[10, 20, 30]).await?;
    world.bought(&two, &[10]).await?;
    let before = world.earned().await?;

    // One channel alone, then all: the thresholds of the policy do not matter.
    let ran = world.sluice(&["claim", "--channel", &one.channel().to_string(), "--json"]).await?;
    assert_eq!((ran.code, &ran.json()?["claimed"]), (0, &json!("30")), "{ran:?}");
    assert_eq!(world.earned().await? - before, 30);
    let ran = world.sluice(&["claim", "--channel", &idle.channel().to_string()]).await?;
    assert!(ran.code == 1 && ran.err.contains("nothing to claim") && ran.err.contains("next:"), "{ran:?}");
    world.bought(&one, &[40]).await?;
    let ran = world.sluice(&["claim", "--all"]).await?;
    assert!(ran.code == 0 && ran.out.ends_with("20 claimed from 2 channels\n"), "{ran:?}");
    assert_eq!(world.earned().await? - before, 50);
    assert_eq!(world.sluice(&["claim", "--all"]).await?.ok()?, "there is nothing to claim\n");
    world.bought(&one, &[50]).await?;

    let claims = world.sluice(&["list", "claims", "--json"]).await?.json()?;
    let made = claims["made"].as_array().context("a list")?;
    let amounts: u64 = made.iter().filter_map(|claim| claim["amount"].as_str()?.parse::<u64>().ok()).sum();
    assert_eq!((made.len(), amounts), (3, 50), "{claims}");
    assert!(made.iter().all(|claim| claim["state"].is_string()), "by transactions of ours: {claims}");
    let page =
        world.sluice(&["list", "claims", "--limit", "1", "--channel", &one.channel().to_string()]).await?.ok()?;
    assert!(page.contains("made") && page.contains("more: --before "), "{page}");

    let ran = world.sluice(&["close", "--channel", &one.channel().to_string()]).await?;
    assert!(ran.code == 0 && ran.out.contains("closed; 50 was taken in all"), "{ran:?}");
    assert_eq!(world.earned().await? - before, 60);
    world.sluice(&["verify"]).await?.ok()?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn with_the_wallet_away_what_was_asked_for_waits_and_is_done_later() -> Result<()> {
    let mut world = World::start().await?;
    let payer = world.payer(0, 100).await?;
    world.bought(&payer, &[10]).await?;
    world.cluster.wallets[0].stop().await?;
    let ran = world.sluice(&["claim", "--all", "--patience-s", "1"]).await?;
    assert!(ran.code == 1 && ran.out.contains("0 of 10 claimed: not yet"), "{ran:?}");
    let left = world.sluice(&["claim", "--all", "--no-wait"]).await?.ok()?;
    assert!(left.contains("10 left to the wallet as job"), "{left}");
    let open = world.sluice(&["list", "claims", "--json"]).await?.json()?;
    assert_eq!(open["open"].as_array().map(Vec::len), Some(1), "asked twice, it is one job: {open}");
    world.cluster.add_wallet(&[])?;
    world.until_claimed(&world.ledger().await?, payer.channel(), 10).await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_makes_no_sense_is_a_usage_error() -> Result<()> {
    for nonsense in [
        &["claim", "--database-url", "postgres://127.0.0.1:1/nowhere"][..],
        &["claim", "--all", "--channel", "0x00"],
        &["claim", "--channel", "7"],
        &["claim", "--deployment", "main"],
        &["close"],
        &["list", "claims", "--before", "yesterday"],
        &["verify", "--database-url", "postgres://127.0.0.1:1/nowhere"],
        &["export", "--since", "yesterday"],
    ] {
        let ran = crate::world::sluice(nonsense).await?;
        assert_eq!(ran.code, 2, "{nonsense:?}: {ran:?}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn every_command_of_the_operator_shows_examples() -> Result<()> {
    for command in [
        "list channels",
        "list claims",
        "claim",
        "close",
        "jobs list",
        "jobs show",
        "jobs retry",
        "jobs drop",
        "export",
        "verify",
        "backup",
        "restore",
    ] {
        let arguments: Vec<&str> = command.split(' ').chain(["--help"]).collect();
        let help = crate::world::sluice(&arguments).await?.ok()?;
        assert!(help.contains("Example") && help.contains(&format!("sluice {command}")), "{command}: {help}");
    }
    let help = crate::world::sluice(&["close", "--help"]).await?.ok()?;
    assert!(help.contains("`sluice channel close`"), "the payer's close is another command: {help}");
    Ok(())
}
