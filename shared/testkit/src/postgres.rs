//! A PostgreSQL of one's own: durable by default, because what is tested is what it promises.
//!
//! The cluster is made once by `initdb` and copied from then on; the migrated database is made once per server and
//! cloned per test. PostgreSQL refuses root, so under root it runs as `postgres`, or as `nobody`.

mod slow_disk;
mod standby;
mod tls;

use std::fs::{self, File};
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use nix::sys::signal::Signal;
use nix::unistd::User;
use tokio::sync::OnceCell;
use tokio_postgres::NoTls;

pub use tls::Tls;

use crate::process::Process;
use crate::scratch::Scratch;
use crate::{paths, ports, wait};

const START: Duration = Duration::from_secs(20);
const STOP: Duration = Duration::from_secs(20);
/// The longest path that a Unix socket may have, less what PostgreSQL appends.
const SOCKET_PATH: usize = 107 - "/.s.PGSQL.65535".len();
/// What every test database is cloned from.
const TEMPLATE: &str = "sluice_template";

/// How to run it.
#[derive(Clone, Debug)]
pub struct Options {
    /// Whether a commit is on disk when it is answered. Only tests that never look at durability may say no.
    pub durable: bool,
    /// The most connections at a time.
    pub max_connections: u16,
    /// How much longer every flush takes than this machine's disk needs, and so every commit; whole microseconds.
    pub slow_fsync: Option<Duration>,
    /// Whether it speaks TLS, and over TCP nothing else.
    pub tls: Option<Tls>,
    /// What it keeps of its tables in memory, in MiB.
    pub shared_buffers: u32,
}

impl Default for Options {
    fn default() -> Self {
        Self { durable: true, max_connections: 200, slow_fsync: None, tls: None, shared_buffers: 64 }
    }
}

/// A running server. Dropped, it and its data are gone.
#[derive(Debug)]
pub struct Postgres {
    process: Option<Process>,
    options: Options,
    port: u16,
    scratch: Scratch,
    migrated: OnceCell<()>,
    databases: AtomicU32,
    kept: bool,
}

impl Postgres {
    /// The server that all tests of this process share; it ends with the process. Take a [`Postgres::fresh_database`].
    pub async fn shared() -> Result<&'static Postgres> {
        static SHARED: OnceCell<Postgres> = OnceCell::const_new();
        SHARED.get_or_try_init(Postgres::start).await
    }

    /// A server of the test's own, for tests that kill it.
    pub async fn start() -> Result<Postgres> {
        Self::start_with(Options::default()).await
    }

    /// Likewise, with options.
    pub async fn start_with(options: Options) -> Result<Postgres> {
        Self::start_in(Scratch::new("postgres")?, ports::free()?, options).await
    }

    /// A server whose data live in `scratch`, made on the first start.
    pub async fn start_in(scratch: Scratch, port: u16, options: Options) -> Result<Postgres> {
        if !scratch.path().join("data").exists() {
            own(scratch.path())?;
            let mut copy = Command::new("cp");
            copy.args(["-a", "--reflink=auto"]).arg(template()?).arg("data");
            run(as_server(&mut copy, scratch.path())?)?;
        }
        if options.slow_fsync.is_some() {
            slow_disk::build(scratch.path())?;
        }
        if let Some(tls) = &options.tls {
            tls.write(scratch.path())?;
        }
        let (migrated, databases) = (OnceCell::new(), AtomicU32::new(0));
        let mut server = Postgres { process: None, options, port, scratch, migrated, databases, kept: false };
        server.start_again().await?;
        Ok(server)
    }

    /// The port it listens on, on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The address of a database, over TCP.
    pub fn url(&self, database: &str) -> String {
        format!("postgres://postgres@127.0.0.1:{}/{database}", self.port)
    }

    /// The address of a database, over the Unix socket where its path is short enough for one, over TCP otherwise.
    pub fn socket_url(&self, database: &str) -> String {
        match self.socket_dir() {
            Some(dir) => {
                let host = dir.replace('%', "%25").replace('/', "%2F");
                format!("postgres://postgres@{host}:{}/{database}", self.port)
            }
            None => self.url(database),
        }
    }

    /// The address of a database for ourselves: where TCP takes more than an address, the socket.
    fn inner_url(&self, database: &str) -> String {
        if self.options.tls.is_some() { self.socket_url(database) } else { self.url(database) }
    }

    /// A new database with every migration applied; gives its address.
    pub async fn fresh_database(&self) -> Result<String> {
        self.migrated.get_or_try_init(|| self.make_template()).await?;
        let name = format!("t{}", self.databases.fetch_add(1, Ordering::Relaxed));
        self.execute("postgres", &format!("CREATE DATABASE {name} TEMPLATE {TEMPLATE}")).await?;
        Ok(self.url(&name))
    }

    /// A new database with every migration applied, under this name, unless it is there already; gives its address.
    pub async fn database(&self, name: &str) -> Result<String> {
        if self.execute(name, "SELECT 1").await.is_err() {
            self.execute("postgres", &format!("CREATE DATABASE {name}")).await?;
        }
        migrate(&self.inner_url(name)).await?;
        Ok(self.url(name))
    }

    /// Runs statements without parameters, as the superuser.
    pub async fn execute(&self, database: &str, sql: &str) -> Result<()> {
        let (client, connection) = tokio_postgres::connect(&self.inner_url(database), NoTls).await?;
        let connection = tokio::spawn(connection);
        client.batch_execute(sql).await.with_context(|| sql.to_owned())?;
        drop(client);
        connection.await?.context("the connection to PostgreSQL broke")
    }

    /// The process, while it runs: to pause it, or to find it in /proc.
    pub fn process(&self) -> Result<&Process> {
        self.process.as_ref().context("PostgreSQL is not running")
    }

    /// Kills the postmaster and every backend at once, as a power cut does (short of losing the page cache).
    pub fn kill9(&mut self) -> Result<()> {
        let mut process = self.process.take().context("PostgreSQL is not running")?;
        process.kill9()
    }

    /// Stops it as an operator does: a checkpoint, then the end.
    pub async fn stop(&mut self) -> Result<()> {
        let mut process = self.process.take().context("PostgreSQL is not running")?;
        process.signal(Signal::SIGINT)?;
        process.stop(STOP).await.map(drop)
    }

    /// Starts it on the same data and the same port, and waits until it answers. After a `kill -9` the first attempts
    /// may be refused, while the shared memory of the dead is still held: it tries again.
    pub async fn start_again(&mut self) -> Result<()> {
        ensure!(self.process.is_none(), "PostgreSQL is running already");
        let url = self.inner_url("postgres");
        wait::until("PostgreSQL to answer", START, async || {
            let mut process = self.process.take().map_or_else(|| self.spawn(), Ok)?;
            process.check_running()?; // an error drops it, and the next attempt starts another
            self.process = Some(process);
            let (client, connection) = tokio_postgres::connect(&url, NoTls).await?;
            drop(client);
            Ok(connection.await?)
        })
        .await
    }

    /// Lets it and its data outlive us; gives its process id.
    pub fn keep(mut self) -> Result<u32> {
        self.scratch.keep();
        self.kept = true;
        self.process.take().context("PostgreSQL is not running")?.keep()
    }

    fn spawn(&self) -> Result<Process> {
        let mut settings = vec![
            ("port", self.port.to_string()),
            ("listen_addresses", "127.0.0.1".into()),
            ("unix_socket_directories", self.socket_dir().unwrap_or_default()),
            ("max_connections", self.options.max_connections.to_string()),
            ("shared_buffers", format!("{}MB", self.options.shared_buffers)),
            ("dynamic_shared_memory_type", "mmap".into()), // leaves nothing in /dev/shm when killed
            ("timezone", "UTC".into()),
            ("log_line_prefix", "%m [%p] %d ".into()),
        ];
        if !self.options.durable {
            // Durable is the default; said here, ALTER SYSTEM could not change it.
            let switches = ["fsync", "synchronous_commit", "full_page_writes"];
            settings.extend(switches.map(|name| (name, "off".into())));
        }
        if let Some(tls) = &self.options.tls {
            settings.extend(tls.settings(self.scratch.path()));
        }
        let mut command = Command::new(paths::postgres("postgres")?);
        command.arg("-D").arg(self.scratch.path().join("data"));
        for (name, value) in settings {
            command.arg("-c").arg(format!("{name}={value}"));
        }
        if let Some(longer) = self.options.slow_fsync {
            slow_disk::load(&mut command, longer);
        }
        let command = as_server(&mut command, self.scratch.path())?;
        let process = Process::spawn("PostgreSQL", command, &self.scratch.path().join("log"))?;
        Ok(process.ends_with(Signal::SIGQUIT))
    }

    fn socket_dir(&self) -> Option<String> {
        let path = self.scratch.path().to_str()?;
        (path.len() <= SOCKET_PATH && !path.contains(',')).then(|| path.to_owned())
    }

    async fn make_template(&self) -> Result<()> {
        self.execute("postgres", &format!("DROP DATABASE IF EXISTS {TEMPLATE}")).await?;
        self.execute("postgres", &format!("CREATE DATABASE {TEMPLATE}")).await?;
        migrate(&self.inner_url(TEMPLATE)).await
    }
}

impl Drop for Postgres {
    /// A server that was killed leaves its shared memory behind, and the machine has only so many pieces of it.
    fn drop(&mut self) {
        drop(self.process.take());
        let lock = fs::read_to_string(self.scratch.path().join("data/postmaster.pid")).unwrap_or_default();
        let segment = lock.lines().nth(6).and_then(|line| line.split_whitespace().nth(1));
        if let Some(segment) = segment.filter(|_| !self.kept) {
            let _ = Command::new("ipcrm").args(["-m", segment]).output(); // 56 bytes stay
        }
    }
}

async fn migrate(url: &str) -> Result<()> {
    ledger::migrate(url).await.context("the migrations do not apply")
}

/// A cluster as `initdb` leaves it, made once for every version of PostgreSQL and copied ever after.
fn template() -> Result<PathBuf> {
    let initdb = paths::postgres("initdb")?;
    let home = paths::data_dir()?;
    let said = Command::new(&initdb).arg("--version").output().context("cannot start initdb")?;
    let said = String::from_utf8_lossy(&said.stdout);
    let version = said.split_whitespace().find(|word| word.starts_with(|c: char| c.is_ascii_digit()));
    let template = home.join(format!("postgres-{}", version.context("initdb does not say its version")?));
    let _one_at_a_time = lock(&home.join("postgres.lock"))?;
    let cluster = template.join("data");
    if !cluster.exists() {
        fs::create_dir_all(&template).with_context(|| format!("cannot create {}", template.display()))?;
        own(&template)?;
        let mut command = Command::new(initdb);
        command.args(["-D", "new", "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync"]);
        run(as_server(&mut command, &template)?)?;
        fs::rename(template.join("new"), &cluster)?;
    }
    Ok(cluster)
}

fn lock(file: &Path) -> Result<File> {
    let lock = File::create(file).with_context(|| format!("cannot write {}", file.display()))?;
    lock.lock().with_context(|| format!("cannot lock {}", file.display()))?;
    Ok(lock)
}

/// The user that PostgreSQL runs as: ourselves, unless we are root.
fn server_user() -> Result<Option<User>> {
    if !paths::is_root() {
        return Ok(None);
    }
    let found = ["postgres", "nobody"].into_iter().find_map(|name| User::from_name(name).ok().flatten());
    found.map(Some).context("PostgreSQL refuses root, and there is neither a user `postgres` nor `nobody`")
}

fn own(dir: &Path) -> Result<()> {
    if let Some(user) = server_user()? {
        chown(dir, Some(user.uid.as_raw()), Some(user.gid.as_raw()))?;
    }
    Ok(fs::set_permissions(dir, fs::Permissions::from_mode(0o755))?)
}

fn as_server<'a>(command: &'a mut Command, dir: &Path) -> Result<&'a mut Command> {
    if let Some(user) = server_user()? {
        command.uid(user.uid.as_raw()).gid(user.gid.as_raw());
    }
    Ok(command.current_dir(dir).env("LC_ALL", "C.UTF-8"))
}

fn run(command: &mut Command) -> Result<()> {
    let output = command.output().with_context(|| format!("cannot start {:?}", command.get_program()))?;
    if !output.status.success() {
        bail!("{:?} ended with {}: {}", command.get_program(), output.status, String::from_utf8_lossy(&output.stderr));
    }
    Ok(())
}
