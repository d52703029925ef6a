//! What a wallet refuses to start with.

mod common;

use std::process::Command;

use anyhow::{Result, ensure};
use common::{PATIENCE, Scene, write_secret};
use testkit::anvil::KEYS;
use testkit::process::Process;
use testkit::wait;

/// What a wallet says that does not start.
fn complaint(mut wallet: Command) -> Result<String> {
    let output = wallet.output()?;
    assert!(!output.status.success());
    Ok(String::from_utf8(output.stderr)?)
}

#[tokio::test]
async fn a_key_file_that_others_may_read_is_refused() -> Result<()> {
    let scene = Scene::set().await?;
    write_secret(&scene.key_file(), KEYS[2], 0o644)?;
    let said = complaint(scene.wallet_command("wallet", &scene.chain.url())?)?;
    assert!(said.contains("deployments.main") && said.contains("payee.key") && said.contains("0644"), "{said}");
    assert!(!said.contains(&KEYS[2][2..]), "the key is in the log");
    Ok(())
}

#[tokio::test]
async fn another_accounts_key_is_refused() -> Result<()> {
    let scene = Scene::set().await?;
    write_secret(&scene.key_file(), KEYS[3], 0o600)?;
    let said = complaint(scene.wallet_command("wallet", &scene.chain.url())?)?;
    assert!(said.contains(&format!("deployments.main: its payee is {}", scene.deployment.payee)), "{said}");
    Ok(())
}

#[tokio::test]
async fn a_deployment_without_a_key_is_refused() -> Result<()> {
    let scene = Scene::set().await?;
    let mut wallet = scene.wallet_command("wallet", &scene.chain.url())?;
    let config = scene.folder.path().join("wallet.toml");
    let text = std::fs::read_to_string(&config)?.replace("key_file = \"payee.key\"", "");
    std::fs::write(&config, text)?;
    wallet.env_remove("SLUICE_WALLET__KEY_FILE");
    let said = complaint(wallet)?;
    assert!(said.contains("there is no key for its payee"), "{said}");
    Ok(())
}

#[tokio::test]
async fn a_deployments_own_encrypted_key_opens_with_its_password() -> Result<()> {
    let mut scene = Scene::set().await?;
    let folder = scene.folder.path().to_owned();
    let key = evm::keyfile::create(&folder.join("own.json"), Some("open sesame"))?;
    write_secret(&folder.join("password"), "open sesame\n", 0o600)?;
    scene.deployment.payee = key.address();
    let mut wallet = scene.wallet_command("wallet", &scene.chain.url())?;
    let config = folder.join("wallet.toml");
    let own = "[wallet.keys.main]\nkey_file = \"own.json\"\npassword_file = \"password\"\n";
    std::fs::write(&config, std::fs::read_to_string(&config)? + own)?;
    let log = folder.join("wallet.log");
    let _wallet = Process::spawn("wallet", &mut wallet, &log)?;
    wait::until("the wallet to run", PATIENCE, async || {
        let said = std::fs::read_to_string(&log)?;
        ensure!(said.contains("the wallet is running"), "it says {said}");
        Ok(())
    })
    .await
}
