//! A database that is reached over TLS alone, as managed ones are.

use std::fs;

use anyhow::Result;
use testkit::authority::Authority;
use testkit::postgres::{Options, Postgres, Tls};

use crate::world::sluice;

#[tokio::test(flavor = "multi_thread")]
async fn the_schema_its_lists_a_backup_and_a_restore_go_over_tls() -> Result<()> {
    let authority = Authority::new("ours")?;
    let tls = Tls { server: authority.server("127.0.0.1")?, clients: None };
    let server = Postgres::start_with(Options { tls: Some(tls), ..Options::default() }).await?;
    for database in ["sold", "restored"] {
        server.execute("postgres", &format!("CREATE DATABASE {database}")).await?;
    }
    let folder = tempfile::tempdir()?;
    let path = |name: &str| folder.path().join(name).display().to_string();
    fs::write(path("ca.pem"), authority.pem())?;
    fs::write(path("other.pem"), Authority::new("somebody else's")?.pem())?;
    let url = |database, root| format!("{}?sslmode=verify-full&sslrootcert={}", server.url(database), path(root));
    let (sold, restored) = (url("sold", "ca.pem"), url("restored", "ca.pem"));

    sluice(&["migrate", "--database-url", &sold]).await?.ok()?;
    sluice(&["list", "channels", "--database-url", &sold]).await?.ok()?;
    sluice(&["backup", &path("a.dump"), "--database-url", &sold]).await?.ok()?;
    sluice(&["restore", &path("a.dump"), "--database-url", &restored]).await?.ok()?;

    for command in [&["migrate"][..], &["list", "channels"], &["backup", &path("b.dump")]] {
        let ran = sluice(&[command, &["--database-url", &url("sold", "other.pem")]].concat()).await?;
        let why = "the server's certificate is signed by no authority in ";
        assert!(ran.code == 1 && ran.err.contains(why) && ran.err.contains("other.pem"), "{ran:?}");
        assert!(ran.err.contains("next: ") && ran.err.matches(why).count() == 1, "{ran:?}");
    }
    Ok(())
}
