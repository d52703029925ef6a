//! `sluice pay`: what it sends, writes, repeats and prints.

use std::fs;
use std::io::Write;
use std::process::Stdio;

use anyhow::{Context, Result};

use crate::cli::{Ran, Shell};
use crate::shop::Act;

#[tokio::test(flavor = "multi_thread")]
async fn sends_bodies_from_text_files_and_stdin_with_a_type() -> Result<()> {
    let shell = Shell::new().await?;
    let (json, photo) = (shell.path("q.json"), shell.path("photo.jpg"));
    fs::write(&json, "{\"a\":\n1}\n")?;
    fs::write(&photo, "jpeg")?;
    let (at_json, photo, url) = (format!("@{}", json.display()), photo.display().to_string(), shell.url("/x"));
    for (arguments, line, content_type) in [
        (&["-d", "a=b"][..], "POST /x a=b", "application/x-www-form-urlencoded"),
        (&["--data", &at_json], "POST /x {\"a\":\n1}", "application/json"),
        (&["--data-binary", &at_json, "-H", "Content-Type: text/x"], "POST /x {\"a\":\n1}", "text/x"),
        (&["-T", &photo], "PUT /x jpeg", "image/jpeg"),
        (&["-X", "PATCH", "-T", &photo], "PATCH /x jpeg", "image/jpeg"),
    ] {
        let ran = shell.pay(&[arguments, &[&url]].concat()).await?;
        assert_eq!(ran.code, 0, "{}", ran.err);
        assert_eq!(shell.world.shop.lines().last().context("nothing came")?, line);
        assert_eq!(shell.world.shop.seen().last().context("nothing came")?["content-type"], content_type);
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn sends_what_it_reads_from_stdin() -> Result<()> {
    let shell = Shell::new().await?;
    let mut command = shell.command()?;
    let contract = shell.world.contract.to_string();
    command.args(["pay", "--max-price", "10", "--max-deposit", "1000", "--contract", &contract, "-d", "@-"]);
    command.arg(shell.url("/x")).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let ran = tokio::task::spawn_blocking(move || {
        let mut child = command.spawn()?;
        child.stdin.take().context("no stdin")?.write_all(b"piped")?;
        Ran::of(child.wait_with_output()?)
    });
    assert_eq!(ran.await??.code, 0);
    assert_eq!(shell.world.shop.lines(), ["POST /x piped", "POST /x piped"]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_cannot_be_written_is_noticed_before_anything_is_paid() -> Result<()> {
    let shell = Shell::new().await?;
    let nowhere = shell.path("no/such/folder").display().to_string();
    let ran = shell.pay(&["-o", &nowhere, &shell.url("/file")]).await?;
    assert_eq!(ran.code, 1, "{}", ran.err);
    assert_eq!(shell.world.shop.seen().len(), 0);

    let (new, old) = (shell.path("new"), shell.path("old"));
    fs::write(&old, "kept, since nothing came")?;
    for file in [&new, &old] {
        let arguments = ["-o", &file.display().to_string(), &shell.url("/file")];
        assert_eq!(shell.pay_within(&["--max-price", "9"], &arguments).await?.code, 3);
    }
    assert!(!new.exists());
    assert_eq!(fs::read_to_string(&old)?, "kept, since nothing came");
    shell.pay(&["-o", &old.display().to_string(), &shell.url("/file")]).await?;
    assert_eq!(fs::read_to_string(&old)?, "bought");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn prints_what_it_cost_and_what_is_left() -> Result<()> {
    let shell = Shell::new().await?;
    let url = shell.url("/file");
    let text = shell.pay(&[&url]).await?.err;
    assert!(text.starts_with("200 OK: paid 10; 10 of 100 used, 90 left, in channel 0x"), "{text}");
    assert!(text.ends_with("; deposited 100\n"), "{text}");

    let json = shell.pay(&["--json", &url]).await?.aside()?;
    let field = |name: &str| json[name].as_str().unwrap_or_default().to_owned();
    assert_eq!(["cost", "total", "balance", "deposit", "left"].map(field), ["10", "10", "20", "100", "80"]);
    assert_eq!((&json["url"], &json["status"], &json["error"]), (&url.into(), &200.into(), &serde_json::Value::Null));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn follows_redirects_only_when_told_to_and_prints_each() -> Result<()> {
    let shell = Shell::new().await?;
    let moved = || Act::SellRedirect(303, "/there".to_owned());
    shell.world.shop.next([Act::Honest, moved()]);
    let stays = shell.pay(&["--json", &shell.url("/moved")]).await?;
    assert_eq!((stays.code, &stays.aside()?["status"]), (0, &303.into()));

    shell.world.shop.next([moved()]);
    let limits = ["--max-price", "20"];
    let ran = shell.pay_within(&limits, &["-L", &shell.url("/moved")]).await?;
    assert_eq!((ran.code, ran.out.as_str()), (0, "bought"), "{}", ran.err);
    let lines: Vec<&str> = ran.err.lines().collect();
    assert!(lines[0].starts_with("303 See Other: paid 10"), "{}", ran.err);
    assert_eq!(lines[1], format!("  to {}", shell.url("/there")));
    assert!(lines[2].starts_with("200 OK: paid 10") && lines[3] == "20 in all", "{}", ran.err);

    shell.world.shop.next([moved()]);
    let over = shell.pay_within(&["--max-price", "19"], &["-L", "--json", &shell.url("/moved")]).await?;
    assert_eq!(over.code, 3, "{}", over.err);
    assert_eq!(over.aside()?["total"], "10", "what was paid is told, although the end was not reached");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn comes_back_to_a_busy_server_with_the_same_voucher_for_as_long_as_it_may() -> Result<()> {
    let shell = Shell::new().await?;
    let url = shell.url("/file");
    shell.pay(&[&url]).await?;
    let busy = |status, seconds: &str| Act::Say(status, vec![("Retry-After", seconds.to_owned())]);
    shell.world.shop.next([busy(503, "1"), busy(429, "0"), busy(503, "0")]);
    assert_eq!(shell.pay(&[&url]).await?.code, 0);
    assert_eq!(shell.world.shop.vouchers(), [10, 20, 20, 20, 20]);
    assert_eq!(shell.world.shop.money(), (20, 20), "charged once");

    shell.world.shop.next([busy(503, "3")]);
    let impatient = shell.pay(&["--json", "--wait-busy", "2", &url]).await?;
    assert_eq!((impatient.code, &impatient.aside()?["in_doubt"]), (1, &"10".into()), "{}", impatient.err);
    assert_eq!(shell.world.shop.seen().len(), 7);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_that_shows_no_payment_is_not_called_paid() -> Result<()> {
    let shell = Shell::new().await?;
    let url = shell.url("/file");
    shell.pay(&[&url]).await?;
    for status in [400, 403, 404, 413, 429, 302] {
        shell.world.shop.next([Act::Say(status, vec![])]);
        let json = shell.pay(&["--json", &url]).await?.aside()?;
        assert_eq!((&json["cost"], &json["in_doubt"]), (&"0".into(), &"10".into()), "{json}");
    }
    shell.pay(&[&url]).await?;
    assert_eq!(shell.world.shop.money(), (20, 20));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn tells_why_the_server_refused_in_its_own_words() -> Result<()> {
    let shell = Shell::new().await?;
    let url = shell.url("/file");
    shell.pay(&[&url]).await?;
    let blocked = || Act::Say(403, vec![("Sluice-Refusal", "payer_blocked".to_owned())]);
    shell.world.shop.next([blocked(), blocked()]);
    let text = shell.pay(&[&url]).await?;
    assert_eq!(text.code, 4);
    assert!(text.err.trim_end().ends_with("; it says payer_blocked"), "{}", text.err);
    assert_eq!(shell.pay(&["--json", &url]).await?.aside()?["refusal"], "payer_blocked");
    Ok(())
}
