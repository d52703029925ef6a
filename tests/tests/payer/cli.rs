//! The command, as a person or a script uses it.

use std::fs;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::PathBuf;
use std::process::{Command, Output};

use anyhow::{Context, Result};
use serde_json::Value;
use testkit::anvil::{Anvil, KEYS};
use testkit::paths;

use crate::shop::Act;
use crate::world::World;

/// A shell with a world around it.
pub struct Shell {
    pub world: World,
}

/// What a command left.
pub struct Ran {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Ran {
    pub fn of(output: Output) -> Result<Ran> {
        let code = output.status.code().context("it was killed")?;
        Ok(Ran { code, out: String::from_utf8(output.stdout)?, err: String::from_utf8(output.stderr)? })
    }

    /// What it printed as JSON, if it ended with 0.
    fn json(&self) -> Result<Value> {
        assert_eq!(self.code, 0, "{}{}", self.out, self.err);
        Ok(serde_json::from_str(&self.out)?)
    }

    /// What it printed as JSON on stderr.
    pub fn aside(&self) -> Result<Value> {
        Ok(serde_json::from_str(&self.err)?)
    }
}

fn sluice() -> Result<Command> {
    let mut command = Command::new(paths::program("sluice")?);
    command.env_clear().env("PATH", "/usr/bin:/bin");
    Ok(command)
}

impl Shell {
    pub async fn new() -> Result<Shell> {
        let world = World::new().await?;
        let key = world.state.path().join("payer.key");
        secret(&key, KEYS[0])?;
        Ok(Shell { world })
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.world.state.path().join(name)
    }

    pub fn command(&self) -> Result<Command> {
        let mut command = sluice()?;
        command
            .env("SLUICE_RPC", self.world.anvil.url())
            .env("SLUICE_CHAIN_ID", self.world.anvil.chain_id().to_string());
        command.env("SLUICE_KEY_FILE", self.path("payer.key")).env("SLUICE_STATE", self.path("state"));
        Ok(command)
    }

    async fn run(&self, arguments: &[&str]) -> Result<Ran> {
        let mut command = self.command()?;
        command.args(arguments);
        Ran::of(tokio::task::spawn_blocking(move || command.output()).await??)
    }

    /// `sluice pay` with limits that let it pass.
    pub async fn pay(&self, arguments: &[&str]) -> Result<Ran> {
        self.pay_within(&["--max-price", "10"], arguments).await
    }

    /// `sluice pay` with these limits, and others that let it pass.
    pub async fn pay_within(&self, limits: &[&str], arguments: &[&str]) -> Result<Ran> {
        let contract = self.world.contract.to_string();
        self.run(&[&["pay", "--max-deposit", "1000", "--contract", &contract], limits, arguments].concat()).await
    }

    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.world.shop.url())
    }
}

fn secret(file: &PathBuf, text: &str) -> Result<()> {
    use std::io::Write;
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(file)?;
    Ok(writeln!(file, "{text}")?)
}

#[tokio::test(flavor = "multi_thread")]
async fn says_what_a_request_costs_and_pays_nothing() -> Result<()> {
    let shell = Shell::new().await?;
    let quote = shell.run(&["quote", "--json", &shell.url("/file")]).await?.json()?;
    assert_eq!((&quote["status"], &quote["offer"]["price"]), (&402.into(), &"10".into()), "{quote}");
    assert_eq!(quote["offer"]["contract"], format!("{:#x}", shell.world.contract));
    shell.world.shop.next([Act::Say(204, vec![]), Act::Say(503, vec![])]);
    let free = shell.run(&["quote", &shell.url("/file")]).await?;
    assert_eq!((free.code, free.out.trim()), (0, "204 No Content: free"));
    assert_eq!(shell.run(&["quote", &shell.url("/file")]).await?.code, 1);
    assert_eq!(shell.world.shop.seen().len(), 3);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn pays_shows_the_channel_tops_it_up_and_closes_it() -> Result<()> {
    let shell = Shell::new().await?;
    let first = shell.pay(&[&shell.url("/file")]).await?;
    assert_eq!((first.code, first.out.as_str()), (0, "bought"));
    assert!(first.err.contains("200 OK: paid 10; 10 of 100 used, 90 left"), "{}", first.err);

    let second = shell.pay(&["--json", &shell.url("/file")]).await?;
    assert_eq!((second.code, second.out.as_str()), (0, "bought"));
    let receipt = second.aside()?;
    assert_eq!((&receipt["status"], &receipt["cost"], &receipt["exchanges"]), (&200.into(), &"10".into(), &1.into()));

    let list = shell.run(&["channel", "list", "--json"]).await?.json()?;
    assert_eq!((list.as_array().map(Vec::len), &list[0]["balance"]), (Some(1), &"20".into()));
    let block = list[0]["key"]["open_block"].to_string();

    let topped_up = shell.run(&["channel", "top-up", "--amount", "50", &block, "--json"]).await?.json()?;
    assert_eq!(topped_up["deposit"], "150");
    let shown = shell.run(&["channel", "show", &block, "--json"]).await?.json()?;
    assert_eq!((&shown["on_chain"]["deposit"], &shown["remembered"]["balance"]), (&"150".into(), &"20".into()));

    let healthy = shell.run(&["doctor", &block, "--url", &shell.url("/file"), "--json"]).await?.json()?;
    assert_eq!(healthy["healthy"], true, "{healthy}");

    let closed = shell.run(&["channel", "close", &block, "--json"]).await?.json()?;
    assert_eq!((&closed["balance"], &closed["refund"]), (&"20".into(), &"130".into()));
    assert_eq!(shell.run(&["channel", "list"]).await?.out, "no channels\n");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn opens_to_whom_a_url_names_and_closes_alone() -> Result<()> {
    let shell = Shell::new().await?;
    let opened = shell.run(&["channel", "open", "--deposit", "70", &shell.url("/file"), "--json"]).await?.json()?;
    assert_eq!(opened["deposit"], "70");
    let block = opened["key"]["open_block"].to_string();
    let closing = shell.run(&["channel", "close", "--alone", &block, "--json"]).await?.json()?;
    assert_eq!((&closing["balance"], &closing["refund"]), (&"0".into(), &"70".into()));
    let sick = shell.run(&["doctor", &block]).await?;
    assert_eq!(sick.code, 1);
    assert!(sick.out.contains("settles after block"), "{}", sick.out);
    let early = shell.run(&["channel", "settle", &block]).await?;
    assert_eq!(early.code, 1);
    shell.world.anvil.mine(500).await?;
    assert_eq!(shell.run(&["channel", "settle", &block, "--json"]).await?.json()?["refund"], "70");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn sends_methods_headers_and_bodies_and_writes_where_told() -> Result<()> {
    let shell = Shell::new().await?;
    fs::write(shell.path("question.json"), "{}")?;
    let (data, out) = (format!("@{}", shell.path("question.json").display()), shell.path("answer"));
    let (url, out) = (shell.url("/ask"), out.display().to_string());
    let ran = shell
        .pay(&["-X", "PUT", "-H", "X-Color: blue", "-d", &data, "-o", &out, "-i", "--idempotency-key", "k1", &url])
        .await?;
    assert_eq!((ran.code, ran.out.as_str()), (0, ""), "{}", ran.err);
    let answer = fs::read_to_string(out)?;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("\r\n\r\nbought"), "{answer:?}");
    for headers in shell.world.shop.seen() {
        assert_eq!(headers["x-color"], "blue");
        assert_eq!(headers["idempotency-key"], "k1");
        assert_eq!(headers["content-length"], "2");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_exit_code_says_what_went_wrong() -> Result<()> {
    let shell = Shell::new().await?;
    let url = shell.url("/file");

    let usage = shell.run(&["pay"]).await?;
    assert_eq!(usage.code, 2);
    let no_key = Ran::of(sluice()?.args(["pay", &url]).output()?)?;
    assert_eq!(no_key.code, 2, "{}", no_key.err);
    assert!(no_key.err.contains("--key-file") && no_key.err.contains("SLUICE_KEY_FILE"), "{}", no_key.err);

    let limit =
        shell.run(&["pay", "--json", "--contract", "any", "--max-price", "9", "--max-deposit", "90", &url]).await?;
    assert_eq!(limit.code, 3, "{}", limit.err);
    let error = limit.aside()?;
    assert_eq!((&error["limit"], &error["exit_code"]), (&"max_price".into(), &3.into()));
    assert!(error["next"].as_str().is_some_and(|next| next.contains("--max-price")), "{error}");

    let no_node = shell.pay(&["--rpc", "http://127.0.0.1:1", &url]).await?;
    assert_eq!(no_node.code, 5, "{}", no_node.err);
    let other_chain = shell.pay(&["--chain-id", "1", &url]).await?;
    assert_eq!(other_chain.code, 5, "{}", other_chain.err);

    shell.pay(&[&url]).await?;
    let lie = shell.world.shop.challenge(&[("RDN-Invalid-Amount", "1".into()), ("RDN-Sender-Balance", "90".into())]);
    shell.world.shop.next([Act::Say(402, lie)]);
    let refused = shell.pay(&[&url]).await?;
    assert_eq!(refused.code, 4, "{}", refused.err);
    shell.world.shop.next([Act::Say(500, vec![])]);
    assert_eq!(shell.pay(&[&url]).await?.code, 1);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn deploys_contracts_and_checks_them() -> Result<()> {
    let shell = Shell::new().await?;
    let deployed = shell.run(&["contract", "deploy", "--challenge-period", "600", "--json"]).await?.json()?;
    let (contract, token) = (deployed["contract"].as_str().unwrap_or(""), deployed["token"].as_str().unwrap_or(""));
    let check = ["contract", "check", contract, "--token", token, "--challenge-period", "600", "--json"];
    let checked = shell.run(&check).await?.json()?;
    assert_eq!((&checked["code_is_ours"], &checked["version"]), (&true.into(), &"0.2.0".into()));
    let wrong = shell.run(&["contract", "check", contract, "--challenge-period", "500"]).await?;
    assert_eq!(wrong.code, 1);
    assert!(wrong.out.contains("its challenge period is 600 blocks, not 500"), "{}", wrong.out);
    assert_eq!(shell.run(&["contract", "check", token]).await?.code, 1, "a token is no channel contract");

    let account = shell.run(&["account", "--token", token, "--json"]).await?.json()?;
    assert_eq!(account["tokens"][0]["balance"], "1000000000000000000000000");

    let again = shell.run(&["contract", "deploy", "--unless", contract]).await?;
    assert_eq!((again.code, again.out.contains("is there already")), (0, true), "{}", again.err);
    let nowhere = "0x00000000000000000000000000000000000000ff";
    let anew = shell.run(&["contract", "deploy", "--unless", nowhere, "--json"]).await?.json()?;
    assert_ne!(anew["contract"], contract);
    Ok(())
}

#[tokio::test]
async fn makes_keys_that_nobody_else_can_read_and_never_overwrites_one() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let (raw, store, password) = (dir.path().join("raw"), dir.path().join("store"), dir.path().join("password"));
    secret(&password, "correct horse")?;
    let new = |arguments: &[&str], file: &PathBuf| -> Result<Ran> {
        Ran::of(sluice()?.args(["key", "new", "--json"]).args(arguments).arg(file).output()?)
    };
    let address = new(&["--raw"], &raw)?.json()?["address"].clone();
    assert_eq!(fs::metadata(&raw)?.permissions().mode() & 0o777, 0o600);
    let before = fs::read(&raw)?;
    assert_eq!(new(&["--raw"], &raw)?.code, 1);
    assert_eq!(fs::read(&raw)?, before);
    assert!(address.as_str().is_some_and(|address| address.starts_with("0x")));

    let address = new(&["--password-file", &password.display().to_string()], &store)?.json()?["address"].clone();
    assert_eq!(fs::metadata(&store)?.permissions().mode() & 0o777, 0o600);
    let anvil = Anvil::start().await?;
    let mut account = sluice()?;
    account.args(["account", "--json", "--rpc", &anvil.url(), "--chain-id", &anvil.chain_id().to_string()]);
    account.arg("--key-file").arg(&store).arg("--password-file").arg(&password).arg("--state").arg(dir.path());
    assert_eq!(Ran::of(account.output()?)?.json()?["address"], address);
    assert_eq!(new(&[], &dir.path().join("neither"))?.code, 2, "a keystore needs a password");
    Ok(())
}

#[tokio::test]
async fn checks_a_configuration_and_names_file_and_key_of_each_error() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let file = dir.path().join("sluice.toml");
    fs::write(&file, "[database]\nurl = \"postgresql://localhost/x\"\ncolour = 1\n")?;
    let ran = Ran::of(sluice()?.args(["config", "check", "--json"]).arg(&file).output()?)?;
    assert_eq!(ran.code, 1);
    let json: Value = serde_json::from_str(&ran.out)?;
    let problem = json["problems"][0].as_str().unwrap_or_default().to_owned();
    assert!(problem.contains("sluice.toml") && problem.contains("colour"), "{problem}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payer_file_serves_as_well_as_options() -> Result<()> {
    let shell = Shell::new().await?;
    let file = shell.path("payer.toml");
    let world = &shell.world;
    fs::write(
        &file,
        format!(
            "rpc = {:?}\nchain_id = {}\nkey_file = \"payer.key\"\nstate = \"elsewhere\"\n\
             [limits]\nmax_price = 10\nmax_deposit = 50\ncontracts = [\"{}\"]\n[deposits]\nopen = 30\n",
            world.anvil.url(),
            world.anvil.chain_id(),
            world.contract
        ),
    )?;
    let pay = |url: String| -> Result<Command> {
        let mut command = sluice()?;
        command.args(["pay", "--json", &url]).env("SLUICE_PAYER", &file);
        Ok(command)
    };
    let mut command = pay(shell.url("/file"))?;
    let ran = Ran::of(tokio::task::spawn_blocking(move || command.output()).await??)?;
    assert_eq!((ran.code, &ran.aside()?["deposited"]), (0, &"30".into()), "{}", ran.err);
    assert!(shell.path("elsewhere").is_dir());
    fs::write(&file, "chain_id = 1\ncolour = 2\n")?;
    let ran = Ran::of(pay(shell.url("/file"))?.output()?)?;
    assert_eq!(ran.code, 2);
    assert!(ran.err.contains("payer.toml") && ran.err.contains("colour"), "{}", ran.err);
    Ok(())
}
