//! Backups: PostgreSQL's own programs, driven so that what an owner needs is there and what would be dangerous is not.
//!
//! ```text
//! backup    pg_dump, one snapshot of all tables ─▶ file
//! restore   BEGIN ─ the database holds nothing ─ pg_restore ─ nothing is sold until a watcher has caught up ─ COMMIT ─ migrate
//! ```
//! The programs take the address from the environment, so that no password stands on a command line.

use std::path::Path;
use std::process::{Output, Stdio};

use tokio::io::AsyncWriteExt;
use tokio::process::Command;
use tokio_postgres::Client;

use crate::session::Session;
use crate::{LedgerError, Settings, migrate};

/// What a backup was taken from, or a restored one is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backup {
    /// The major version of PostgreSQL.
    pub server: u32,
    /// The version of the schema.
    pub schema: i64,
}

/// How long other statements may keep `pg_dump` from its locks, which it needs against changes of the schema only.
const LOCK_TIMEOUT: &str = "--lock-wait-timeout=10000";
/// The most of a program's complaint that is repeated.
const COMPLAINT_MAX: usize = 2_000;

/// Refuses a database that holds anything, and makes it as empty as a new one.
const MAKE_ROOM: &str = r#"-- make_room
DO $$
DECLARE
    it record;
    used boolean;
BEGIN
    FOR it IN SELECT oid::regclass AS name FROM pg_class
              WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p') AND relname <> '_sqlx_migrations'
    LOOP
        EXECUTE format('LOCK TABLE %s IN ACCESS EXCLUSIVE MODE', it.name);
        EXECUTE format('SELECT EXISTS (SELECT FROM %s)', it.name) INTO used;
        IF used THEN
            RAISE EXCEPTION 'the database is in use: the table % holds something', it.name;
        END IF;
    END LOOP;
    FOR it IN SELECT oid::regclass AS name FROM pg_class
              WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p') AND NOT relispartition
    LOOP
        EXECUTE format('DROP TABLE %s CASCADE', it.name);
    END LOOP;
    FOR it IN SELECT p.oid::regprocedure AS name FROM pg_proc p
              WHERE p.pronamespace = 'public'::regnamespace
                AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = p.oid AND d.deptype = 'e')
    LOOP
        EXECUTE format('DROP FUNCTION %s', it.name);
    END LOOP;
END $$;
"#;

/// What was claimed after the backup is not in it: a voucher that was claimed would buy again. So nothing is sold before a
/// watcher has read the chain to its end, and no process of the past is the active one.
const SELL_NOTHING: &str = "-- sell_nothing
UPDATE public.deployments SET safe_until = NULL;
DELETE FROM public.leases;
";

/// Privileges are not restored, and whoever owns the database grants them; but what runs as the owner is not for everybody.
const NOT_FOR_ALL: &str = "-- not_for_all
REVOKE EXECUTE ON FUNCTION public.maintain_holds(interval) FROM PUBLIC;
";

/// Writes a backup of the ledger: one moment of it, in `pg_dump`'s own format.
///
/// # Errors
/// [`LedgerError::Tool`] when `pg_dump` is missing, older than the server, or fails; [`LedgerError::Schema`] when there is no
/// ledger in the database.
pub async fn backup(settings: &Settings, file: &Path) -> Result<Backup, LedgerError> {
    let session = Session::open(&settings.address()?, "sluice backup").await.map_err(LedgerError::before_commit)?;
    let (server, schema) = (server(&session).await?, migrate::version(&session).await?);
    if schema == 0 {
        return Err(LedgerError::Schema { found: 0, wanted: migrate::newest() });
    }
    not_older("pg_dump", server).await?;
    let mut dump = program("pg_dump", settings)?;
    dump.args(["--format=custom", "--no-owner", "--no-privileges", LOCK_TIMEOUT, "--file"]).arg(file);
    succeeded("pg_dump", &run("pg_dump", &mut dump).await?)?;
    Ok(Backup { server, schema })
}

/// Puts a backup into a database that is new, or migrated and never used, and brings its schema up to date. In it nothing is
/// sold before a watcher has caught up. All or nothing; only the migration, which can be repeated, comes after.
///
/// # Errors
/// [`LedgerError::Tool`] when the programs are missing, too old, or fail: the database is in use, or the file is damaged.
pub async fn restore(settings: &Settings, file: &Path) -> Result<Backup, LedgerError> {
    let session = Session::open(&settings.address()?, "sluice restore").await.map_err(LedgerError::before_commit)?;
    let server = server(&session).await?;
    for tool in ["pg_restore", "psql"] {
        not_older(tool, server).await?;
    }
    let mut list = program("pg_restore", settings)?;
    let list = run("pg_restore", list.arg("--list").arg(file)).await?;
    succeeded("pg_restore", &list)?;
    let dumped = dumped_from(&String::from_utf8_lossy(&list.stdout));
    if dumped.is_none_or(|dumped| dumped > server) {
        let says = "the backup is of a newer PostgreSQL than the server";
        return Err(LedgerError::Tool(format!("{says}: {} and {server}", dumped.unwrap_or_default())));
    }
    pour(settings, file).await?;
    let schema = migrate::version(&session).await?;
    drop(session);
    crate::migrate(&settings.url).await?;
    Ok(Backup { server: dumped.unwrap_or(server), schema })
}

/// `pg_restore` into `psql`, in one transaction that is committed only when `pg_restore` came to its end.
async fn pour(settings: &Settings, file: &Path) -> Result<(), LedgerError> {
    let mut psql = program("psql", settings)?;
    psql.args(["--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", "--output=/dev/null", "--file=-"]);
    let mut psql = spawn("psql", psql.stdin(Stdio::piped()))?;
    let mut restore = program("pg_restore", settings)?;
    restore.args(["--no-owner", "--no-privileges", "--file=-"]).arg(file);
    let mut restore = spawn("pg_restore", &mut restore)?;

    let into = psql.stdin.take();
    let from = restore.stdout.take();
    let pouring = async {
        let (Some(mut into), Some(mut from)) = (into, from) else { return Ok(None) };
        into.write_all(format!("BEGIN;\n{MAKE_ROOM}").as_bytes()).await?;
        tokio::io::copy(&mut from, &mut into).await?;
        let output = restore.wait_with_output().await?;
        if output.status.success() {
            into.write_all(format!("{SELL_NOTHING}{NOT_FOR_ALL}COMMIT;\n").as_bytes()).await?;
        }
        // The end of the script: what was not committed is rolled back.
        into.shutdown().await?;
        Ok::<_, std::io::Error>(Some(output))
    };
    let (poured, ended) = tokio::join!(pouring, psql.wait_with_output());
    // psql stops at the first error, and says which; that pg_restore could not go on then is no news.
    succeeded("psql", &ended.map_err(|error| failed("psql", &error))?)?;
    let output = poured.map_err(|error| failed("pg_restore", &error))?;
    output.map_or(Ok(()), |output| succeeded("pg_restore", &output))
}

async fn server(client: &Client) -> Result<u32, LedgerError> {
    let sql = "-- server_version
        SELECT current_setting('server_version_num')::int4 / 10000";
    let row = client.query_one(sql, &[]).await.map_err(LedgerError::before_commit)?;
    let major: i32 = crate::rows::get(&row, 0)?;
    u32::try_from(major).map_err(|error| LedgerError::corrupt(&error))
}

/// Refuses a program that is older than the server: it would not know all there is.
async fn not_older(tool: &'static str, server: u32) -> Result<(), LedgerError> {
    let output = run(tool, Command::new(tool).arg("--version")).await?;
    let said = String::from_utf8_lossy(&output.stdout);
    match said.split_whitespace().find_map(major) {
        Some(version) if version >= server => Ok(()),
        version => {
            let version = version.unwrap_or_default();
            Err(LedgerError::Tool(format!(
                "{tool} is of PostgreSQL {version}, the server is {server}: install its client"
            )))
        }
    }
}

/// The server that a backup is of, by `pg_restore --list`.
fn dumped_from(list: &str) -> Option<u32> {
    let line = list.lines().find_map(|line| line.split_once("Dumped from database version:"))?;
    line.1.split_whitespace().find_map(major)
}

/// `15` of `15.18`, or of `16beta1`.
fn major(version: &str) -> Option<u32> {
    let end = version.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(version.len());
    version.get(..end)?.parse().ok()
}

/// A program that is told where the database is.
fn program(tool: &'static str, settings: &Settings) -> Result<Command, LedgerError> {
    let mut command = Command::new(tool);
    command
        .envs(settings.address()?.environment())
        .env("PGAPPNAME", "sluice backup")
        .kill_on_drop(true)
        .stdin(Stdio::null());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    Ok(command)
}

async fn run(tool: &'static str, command: &mut Command) -> Result<Output, LedgerError> {
    command.output().await.map_err(|error| failed(tool, &error))
}

fn spawn(tool: &'static str, command: &mut Command) -> Result<tokio::process::Child, LedgerError> {
    command.spawn().map_err(|error| failed(tool, &error))
}

fn failed(tool: &'static str, error: &std::io::Error) -> LedgerError {
    let missing = error.kind() == std::io::ErrorKind::NotFound;
    let hint = if missing { "; it comes with PostgreSQL's client programs" } else { "" };
    LedgerError::Tool(format!("{tool} cannot be used: {error}{hint}"))
}

fn succeeded(tool: &'static str, output: &Output) -> Result<(), LedgerError> {
    if output.status.success() {
        return Ok(());
    }
    let complaint: String = String::from_utf8_lossy(&output.stderr).trim().chars().take(COMPLAINT_MAX).collect();
    Err(LedgerError::Tool(format!("{tool} failed: {complaint}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_from_what_the_programs_say() {
        assert_eq!("pg_dump (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)".split_whitespace().find_map(major), Some(15));
        assert_eq!(dumped_from(";\n; Archive\n;     Dumped from database version: 16beta1\n"), Some(16));
        assert_eq!(dumped_from("no archive"), None);
    }
}
