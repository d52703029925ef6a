//! A whole cluster of containers, whose neighbours have names and no addresses.

use std::fs::{self, Permissions};
use std::net::SocketAddr;
use std::os::unix::fs::{PermissionsExt, chown};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use channel::Amount;
use reqwest::StatusCode;
use testkit::anvil::KEYS;
use testkit::cluster::{Cluster, Options, PAYEE, PAYER};
use testkit::scratch::Scratch;
use testkit::{http, ports, wait};
use tests::{ByHand, Place};

use crate::container::{Container, Pod};
use crate::names::{IN_FULL, NEIGHBOUR, Names};

const PATIENCE: Duration = Duration::from_secs(30);
/// The group that a Pod's volumes belong to.
const FS_GROUP: u32 = 65_532;

/// What containers share: a name service, a folder with their configuration, and a ledger.
struct Shop {
    names: Names,
    folder: Scratch,
    ledger: String,
}

/// A container, and where it listens.
struct Started {
    container: Container,
    ops: SocketAddr,
    listen: SocketAddr,
}

impl Shop {
    /// The servers are this cluster's, by another name; the ledger is empty.
    async fn new(cluster: &Cluster) -> Result<Shop> {
        let folder = Scratch::new("image")?;
        fs::write(folder.path().join("sluice.toml"), renamed(&fs::read_to_string(&cluster.config)?))?;
        fs::write(folder.path().join("file.txt"), "A file worth paying for.\n")?;
        let key = folder.path().join("payee.key");
        fs::write(&key, KEYS[PAYEE])?;
        fs::set_permissions(&key, Permissions::from_mode(0o440))?;
        lend(&key)?;
        cluster.postgres.execute("postgres", "CREATE DATABASE shop").await?;
        Ok(Shop { names: Names::start().await?, folder, ledger: renamed(&cluster.postgres.url("shop")) })
    }

    fn pod(&self, manifest: &str) -> Result<Pod> {
        Ok(Pod::of(manifest)?.configured(self.folder.path()).with(self.names.flags()))
    }

    async fn start(&self, component: &str) -> Result<Started> {
        let [listen, ops] = [ports::free()?, ports::free()?].map(|port| SocketAddr::from(([127, 0, 0, 1], port)));
        let section = component.to_uppercase();
        let mut variables =
            vec![format!("SLUICE_DATABASE__URL={}", self.ledger), format!("SLUICE_{section}__OPS_LISTEN={ops}")];
        if component == "front" {
            variables.push(format!("SLUICE_FRONT__LISTEN={listen}"));
        }
        let pod = self.pod(&format!("{component}-deployment"))?.with(variables.iter().map(|it| format!("--env={it}")));
        let mut container = pod.start(&self.folder.path().join(component).with_extension("log"))?;
        let (client, ready) = (http::client()?, format!("http://{ops}/readyz"));
        let ask = async || Ok(client.get(&ready).send().await?.error_for_status()?);
        container.process.answers(PATIENCE, ask).await?;
        Ok(Started { container, ops, listen })
    }
}

/// Every server is on this machine, and nobody is told.
fn renamed(text: &str) -> String {
    ["://", "@"].into_iter().fold(text.to_owned(), |text, before| {
        text.replace(&format!("{before}127.0.0.1:"), &format!("{before}{NEIGHBOUR}:"))
    })
}

/// To root and the Pod's group, whoever we are; podman's own root is who has started it.
fn lend(file: &std::path::Path) -> Result<()> {
    if nix::unistd::geteuid().is_root() {
        return Ok(chown(file, Some(0), Some(FS_GROUP))?);
    }
    let status = Command::new("podman").args(["unshare", "chown", &format!("0:{FS_GROUP}")]).arg(file).status()?;
    ensure!(status.success(), "podman unshare ended with {status}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn containers_of_the_image_migrate_sell_and_end_as_they_are_told() -> Result<()> {
    let cluster = Cluster::prepare(Options { rabbit: 1, ..Options::default() }).await?;
    let shop = Shop::new(&cluster).await?;
    shop.pod("migration-job")?.with([format!("--env=SLUICE_DATABASE_URL={}", shop.ledger)]).run_own()?;
    let (watcher, wallet, front) = tokio::try_join!(shop.start("watcher"), shop.start("wallet"), shop.start("front"))?;
    ensure!(shop.names.was_asked(IN_FULL), "nobody asked for a name");

    let page = format!("http://{}/page", front.listen);
    let client = http::client()?;
    wait::until("a price", PATIENCE, async || {
        let status = client.get(&page).send().await?.status();
        ensure!(status == StatusCode::PAYMENT_REQUIRED, "{status}");
        Ok(())
    })
    .await?;
    let place = Place { url: page.clone(), ..Place::main(&cluster) };
    let payer = ByHand::open_at(&place, PAYER, Amount::new(20)).await?;
    let sold = payer.pay(&page, Amount::new(1)).send().await?;
    assert_eq!((sold.status(), sold.text().await?.contains("worth paying for")), (StatusCode::OK, true));

    for Started { container, ops, .. } in [&watcher, &wallet, &front] {
        for (key, expected) in [("CapEff", "0000000000000000"), ("NoNewPrivs", "1"), ("Seccomp", "2")] {
            assert_eq!(container.status(key)?, expected, "{key}");
        }
        let user = container.status("Uid")?;
        ensure!(!user.split(' ').any(|user| user == "0"), "it runs as root: {user}");
        let said = shop.pod("front-deployment")?.prints(&["sluice", "ready", &format!("http://{ops}")])?;
        ensure!(said.starts_with("ready"), "{said}");
    }
    for ended in [front, wallet, watcher] {
        ended.container.ends().await.context("SIGTERM ends the first process of a container")?;
    }
    Ok(())
}
