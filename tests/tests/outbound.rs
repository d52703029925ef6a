//! What `sluice outbound` prints, and takes down.

#[path = "../../shared/ledger/tests/common/mod.rs"]
mod common;

use std::process::Command;

use anyhow::Result;
use common::*;
use ledger::OutboundRow;
use serde_json::Value;
use testkit::paths;

fn outbound(url: &str, arguments: &[&str]) -> Result<(i32, String, String)> {
    let mut command = Command::new(paths::program("sluice")?);
    let output = command.env_clear().arg("outbound").args(arguments).args(["--database-url", url]).output()?;
    let code = output.status.code().expect("it was not killed");
    Ok((code, String::from_utf8(output.stdout)?, String::from_utf8(output.stderr)?))
}

#[tokio::test(flavor = "multi_thread")]
async fn channels_that_we_pay_from_are_listed_and_what_was_spent_is_reported() -> Result<()> {
    let url = database().await;
    let ledger = connect(&url).await;
    assert_eq!(outbound(&url, &["list"])?.1, "no channels are kept filled\n");
    let (code, _, err) = outbound(&url, &["report", "reports", "60"])?;
    assert_eq!(code, 2, "{err}");
    assert!(err.contains("no wallet keeps a channel reports filled"), "{err}");

    let (deposit, claimed, reported) = (amount(100), amount(20), amount(0));
    let channel = channel_id(1);
    ledger
        .note_outbound(&OutboundRow { name: "reports".to_owned(), channel, deposit, claimed, is_open: true, reported })
        .await?;
    assert_eq!(outbound(&url, &["report", "reports", "60"])?.1, "reports: 60 of 100 spent, 40 left\n");
    assert_eq!(
        outbound(&url, &["list"])?.1,
        "name     state  deposit  spent  left\nreports  open       100     60    40\n"
    );
    let json: Value = serde_json::from_str(&outbound(&url, &["list", "--json"])?.1)?;
    assert_eq!((&json[0]["claimed"], &json[0]["reported"]), (&"20".into(), &"60".into()));
    Ok(())
}
