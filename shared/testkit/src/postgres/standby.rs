//! A second server that follows the first, and takes over.

use std::fs::File;
use std::io::Write;
use std::process::Command;

use anyhow::{Context, Result};

use super::{Options, Postgres, as_server, own, run};
use crate::scratch::Scratch;
use crate::{paths, ports};

impl Postgres {
    /// A server that follows this one under the name `name`, over `port`: this server's own, or that of a proxy before it.
    /// Make it before [`Postgres::wait_for_standbys`]: it copies that setting, and would wait for itself once promoted.
    pub async fn standby(&self, name: &str, port: u16) -> Result<Postgres> {
        let scratch = Scratch::new(name)?;
        own(scratch.path())?;
        let mut copy = Command::new(paths::postgres("pg_basebackup")?);
        copy.args(["-h", "127.0.0.1", "-U", "postgres", "-D", "data", "-X", "stream", "-c", "fast", "-R", "--no-sync"]);
        copy.args(["-p", &self.port.to_string()]);
        run(as_server(&mut copy, scratch.path())?)?;
        let settings = scratch.path().join("data/postgresql.auto.conf");
        let mut settings = File::options().append(true).open(&settings).context("no copy was made")?;
        writeln!(
            settings,
            "primary_conninfo = 'host=127.0.0.1 port={port} user=postgres application_name={name}'\n\
             wal_retrieve_retry_interval = '200ms'"
        )?;
        let options = Options { durable: true, ..self.options.clone() };
        Postgres::start_in(scratch, ports::free()?, options).await
    }

    /// From now on a commit is acknowledged when one of `names` has it on its disk too.
    pub async fn wait_for_standbys(&self, names: &[&str]) -> Result<()> {
        let any = format!("ALTER SYSTEM SET synchronous_standby_names = 'ANY 1 ({})'", names.join(", "));
        self.execute("postgres", &any).await?;
        self.execute("postgres", "SELECT pg_reload_conf()").await
    }

    /// Makes a standby the primary; when this returns, it takes commits.
    pub async fn promote(&self) -> Result<()> {
        self.execute("postgres", "DO $$ BEGIN ASSERT pg_promote(true, 30), 'not promoted in time'; END $$").await
    }
}
