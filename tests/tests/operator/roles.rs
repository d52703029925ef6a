//! Roles of the database that may no more than they need, by the statements in docs/operating.md.

use std::fs;

use anyhow::{Context, Result, ensure};
use channel::Amount;
use testkit::anvil;
use testkit::cluster::{self, Cluster};
use tokio_postgres::{Client, NoTls};

use crate::world::{PATIENCE, World, sluice};

/// What an administrator says, and what the owner says.
fn statements() -> Result<[String; 2]> {
    let document = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/operating.md"))?;
    let (_, roles) = document.split_once("*Roles.*").context("it says something of roles")?;
    let mut blocks = roles.split("```sql\n").skip(1).filter_map(|block| block.split_once("```"));
    let mut next = || blocks.next().map(|(sql, _)| sql.to_owned()).context("it has two blocks");
    Ok([next()?, next()?])
}

async fn client(url: &str) -> Result<Client> {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
    tokio::spawn(connection);
    Ok(client)
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_works_with_the_roles_in_the_document_and_none_but_the_owner_changes_tables() -> Result<()> {
    let chain = anvil::Options { block_time: None, ..anvil::Options::default() };
    let options = cluster::Options { confirmations: 0, chain, ..cluster::Options::default() };
    let mut cluster = Cluster::prepare(options).await?;
    let [administrator, owner] = statements()?;
    cluster.postgres.execute("postgres", "DROP DATABASE sluice").await?;
    for statement in administrator.split_terminator(";\n") {
        cluster.postgres.execute("postgres", statement).await?;
    }
    let url = |role: &str| cluster.postgres.url("sluice").replace("postgres@", &format!("{role}@"));
    let urls = ["sluice_owner", "sluice_front", "sluice_background"].map(url);
    let [owners, fronts, backgrounds] = &urls;
    client(owners).await?.batch_execute(&owner).await?;
    sluice(&["migrate", "--database-url", owners]).await?.ok()?;

    cluster.add_watcher(&[("SLUICE_DATABASE__URL", backgrounds)])?;
    cluster.add_wallet(&[("SLUICE_DATABASE__URL", backgrounds)])?;
    cluster.add_front(&[("SLUICE_DATABASE__URL", fronts)])?;
    cluster.ready().await?;
    cluster.sells().await?;
    let world = World { cluster };
    let payer = world.payer(0, 100).await?;
    world.bought(&payer, &[10, 20]).await?;
    let before = world.earned().await?;
    let claim = ["claim", "--all", "--at-any-cost", "--patience-s", &PATIENCE.as_secs().to_string()];
    world.sluice(&[&claim[..], &["--database-url", backgrounds]].concat()).await?.ok()?;
    ensure!(world.earned().await? == before + 20, "the claim was mined");
    let closing = payer.ask_to_close(&world.cluster.url(), Amount::new(20)).send().await?;
    ensure!(closing.status() == 200, "the wallet signed: {closing:?}");

    // Days come and go, and nothing else.
    let old = "CREATE TABLE holds_20200101 PARTITION OF holds FOR VALUES FROM ('2020-01-01') TO ('2020-01-02')";
    client(owners).await?.batch_execute(old).await?;
    for role in [fronts, backgrounds] {
        let role = client(role).await?;
        role.batch_execute("SELECT maintain_holds('1 day')").await?;
        for change in
            ["CREATE TABLE mine (n int)", "DROP TABLE sales", "ALTER TABLE holds ADD mine int", "TRUNCATE epochs"]
        {
            let error = role.batch_execute(change).await.expect_err(change);
            let says = error.as_db_error().context("the server refuses it")?.message();
            ensure!(says.contains("permission denied") || says.contains("must be owner"), "{change}: {says}");
        }
    }
    let gone = client(owners).await?.query_one("SELECT to_regclass('holds_20200101') IS NULL", &[]).await?;
    ensure!(gone.get::<_, bool>(0), "the old day went");
    Ok(())
}
