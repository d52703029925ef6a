//! RabbitMQ of one's own: one node or three, on free loopback ports, with a name service (epmd) of its own.
//!
//! A node takes about ten seconds to start, so tests that only need a broker share one ([`Rabbit::shared`]) and take a
//! virtual host each ([`Rabbit::fresh_host`]).

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use futures::future::try_join_all;
use tokio::net::TcpStream;
use tokio::sync::OnceCell;

use crate::process::Process;
use crate::scratch::Scratch;
use crate::{paths, ports};

const START: Duration = Duration::from_secs(60);
const STOP: Duration = Duration::from_secs(30);
/// How long a command of `rabbitmqctl` may take.
const CONTROL: Duration = Duration::from_secs(60);
const COOKIE: &str = "sluice-test";

/// How to run it.
#[derive(Clone, Debug)]
pub struct Options {
    /// How many nodes.
    pub nodes: u32,
    /// Further lines of each node's `rabbitmq.conf`.
    pub more: String,
}

impl Default for Options {
    fn default() -> Self {
        Self { nodes: 1, more: String::new() }
    }
}

/// A broker. Dropped, it and its data are gone.
#[derive(Debug)]
pub struct Rabbit {
    // Ended in this order: a node that cannot find its name service waits for it.
    nodes: Vec<Node>,
    epmd: Process,
    hosts: AtomicU32,
}

/// What a broker can run out of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Alarm {
    /// Its share of the machine's memory.
    Memory,
    /// Space on its disk.
    Disk,
}

/// One node of a broker.
#[derive(Debug)]
pub struct Node {
    process: Option<Process>,
    name: String,
    port: u16,
    distribution: u16,
    epmd: u16,
    scratch: Scratch,
}

impl Rabbit {
    /// The broker that all tests of this process share; it ends with the process. Take a [`Rabbit::fresh_host`].
    pub async fn shared() -> Result<&'static Rabbit> {
        static SHARED: OnceCell<Rabbit> = OnceCell::const_new();
        SHARED.get_or_try_init(|| Rabbit::start(Options::default())).await
    }

    /// A broker of the test's own.
    pub async fn start(options: Options) -> Result<Rabbit> {
        let scratch = (0..options.nodes).map(|_| Scratch::new("rabbit")).collect::<Result<Vec<_>>>()?;
        Self::start_on(scratch, &options).await
    }

    /// Likewise, in a given directory.
    pub async fn start_in(dir: &Path, options: Options) -> Result<Rabbit> {
        let scratch = (0..options.nodes).map(|number| Scratch::lasting(&dir.join(format!("rabbit-{number}"))));
        Self::start_on(scratch.collect::<Result<Vec<_>>>()?, &options).await
    }

    async fn start_on(homes: Vec<Scratch>, options: &Options) -> Result<Rabbit> {
        let port = ports::free()?;
        let log = homes.first().context("a broker needs a node")?.path().join("epmd.log");
        let mut command = Command::new(paths::epmd()?);
        command.args(["-address", "127.0.0.1", "-port", &port.to_string()]);
        let mut epmd = Process::spawn("epmd", &mut command, &log)?;
        epmd.answers(START, async || Ok(TcpStream::connect(("127.0.0.1", port)).await?)).await?;
        let nodes = homes.into_iter().map(|home| Node::new(port, home, &options.more)).collect::<Result<Vec<_>>>()?;
        let mut rabbit = Rabbit { nodes, epmd, hosts: AtomicU32::new(0) };
        rabbit.start_again().await?;
        rabbit.join().await?;
        Ok(rabbit)
    }

    /// Starts all its nodes, of which none runs: together, because each waits for the others.
    pub async fn start_again(&mut self) -> Result<()> {
        try_join_all(self.nodes.iter_mut().map(Node::start_again)).await.map(drop)
    }

    /// Makes one broker of nodes that know nothing of each other.
    pub async fn join(&self) -> Result<()> {
        let (first, others) = self.nodes.split_first().context("a broker needs a node")?;
        for node in others {
            for step in [&["stop_app"][..], &["join_cluster", &first.name], &["start_app"]] {
                node.control(step).await?;
            }
        }
        Ok(())
    }

    /// Parts a node from the others, as a network does that breaks between them; or lets it come back. They refuse each
    /// other's cookies.
    pub async fn isolate(&self, number: usize, on: bool) -> Result<()> {
        let alone = self.node(number);
        let others: Vec<&Node> = self.nodes.iter().filter(|other| other.name != alone.name).collect();
        for other in &others {
            for (node, from, cookie) in [(other, &alone, "there"), (&alone, other, "here")] {
                let cookie = if on { cookie } else { COOKIE };
                node.control(&["eval", &format!("erlang:set_cookie('{}', '{cookie}').", from.name)]).await?;
            }
        }
        if on {
            // From all others at once: nodes that see each other through a third one part from that, too.
            let names: Vec<String> = others.iter().map(|other| format!("'{}'", other.name)).collect();
            let part = format!("lists:foreach(fun erlang:disconnect_node/1, [{}]).", names.join(", "));
            alone.control(&["eval", &part]).await?;
        }
        Ok(())
    }

    /// A virtual host of the test's own on a broker that others use too; gives its address.
    pub async fn fresh_host(&self) -> Result<String> {
        let name = format!("t{}", self.hosts.fetch_add(1, Ordering::Relaxed));
        let node = self.node(0);
        node.control(&["add_vhost", &name]).await?;
        node.control(&["set_permissions", "-p", &name, "guest", ".*", ".*", ".*"]).await?;
        Ok(node.url(&name))
    }

    /// A node.
    pub fn node(&self, number: usize) -> &Node {
        &self.nodes[number]
    }

    /// A node, to kill it or to start it again.
    pub fn node_mut(&mut self, number: usize) -> &mut Node {
        &mut self.nodes[number]
    }

    /// All nodes.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// All nodes, to kill them or to start them again.
    pub fn nodes_mut(&mut self) -> &mut [Node] {
        &mut self.nodes
    }

    /// Stops those that run, in good order.
    pub async fn stop(&mut self) -> Result<()> {
        try_join_all(self.nodes.iter_mut().filter(|node| node.process.is_some()).map(Node::stop)).await.map(drop)
    }

    /// Lets it outlive us; gives the names and ids of its processes.
    pub fn keep(self) -> Result<Vec<(String, u32)>> {
        let mut pids = Vec::new();
        for (number, node) in self.nodes.into_iter().enumerate() {
            let process = node.process.context("RabbitMQ is not running")?;
            pids.push((format!("rabbit-{number}"), process.keep()?));
        }
        pids.push(("epmd".to_owned(), self.epmd.keep()?));
        Ok(pids)
    }
}

impl Node {
    fn new(epmd: u16, scratch: Scratch, more: &str) -> Result<Node> {
        let (port, distribution) = (ports::free()?, ports::free()?);
        let name = format!("sluice{port}@localhost");
        let config = format!(
            "listeners.tcp.1 = 127.0.0.1:{port}
loopback_users = none
disk_free_limit.absolute = 50MB
log.console = true
log.console.level = info
log.file = false
{more}"
        );
        fs::write(scratch.path().join("rabbitmq.conf"), config)?;
        fs::write(scratch.path().join("enabled_plugins"), "[].\n")?;
        Ok(Node { process: None, name, port, distribution, epmd, scratch })
    }

    /// The address of a virtual host (`%2f` is the usual one).
    pub fn url(&self, host: &str) -> String {
        format!("amqp://guest:guest@127.0.0.1:{}/{host}", self.port)
    }

    /// The port that it takes AMQP on.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The process, while it runs: to pause it, or to look at it.
    pub fn process(&self) -> Result<&Process> {
        self.process.as_ref().context("RabbitMQ is not running")
    }

    /// Starts it on the same data and the same port, and waits until it takes connections.
    pub async fn start_again(&mut self) -> Result<()> {
        ensure!(self.process.is_none(), "RabbitMQ is running already");
        let mut command = Command::new(paths::rabbitmq("rabbitmq-server")?);
        self.environment(&mut command);
        let mut process = Process::spawn("RabbitMQ", &mut command, &self.scratch.path().join("log"))?;
        // It takes connections a moment before it is done; and one that was killed, a moment longer than it lives.
        let up = async || {
            TcpStream::connect(("127.0.0.1", self.port)).await?;
            self.control(&["await_startup"]).await
        };
        process.answers(START, up).await?;
        self.process = Some(process);
        Ok(())
    }

    /// Kills it.
    pub fn kill9(&mut self) -> Result<()> {
        self.process.take().context("RabbitMQ is not running")?.kill9()
    }

    /// Stops it in good order.
    pub async fn stop(&mut self) -> Result<()> {
        let mut process = self.process.take().context("RabbitMQ is not running")?;
        process.stop(STOP).await.map(drop)
    }

    /// Removes everything that it stored. It must not run.
    pub fn wipe(&self) -> Result<()> {
        ensure!(self.process.is_none(), "RabbitMQ is running");
        let data = self.data();
        if data.exists() {
            fs::remove_dir_all(&data).with_context(|| format!("cannot remove {}", data.display()))?;
        }
        Ok(())
    }

    /// Publishers are blocked from now on, as when this runs out; or no longer.
    pub async fn alarm(&self, of: Alarm, on: bool) -> Result<()> {
        let limit = match (of, on) {
            (Alarm::Memory, true) => ["set_vm_memory_high_watermark", "0"],
            (Alarm::Memory, false) => ["set_vm_memory_high_watermark", "0.8"],
            (Alarm::Disk, true) => ["set_disk_free_limit", "1000000GB"],
            (Alarm::Disk, false) => ["set_disk_free_limit", "50MB"],
        };
        self.control(&limit).await.map(drop)
    }

    /// How many messages wait in a queue of a virtual host (`/` is the usual one), acknowledged by nobody yet.
    pub async fn waiting(&self, host: &str, queue: &str) -> Result<u64> {
        let said = self.control(&["-q", "list_queues", "-p", host, "--no-table-headers", "name", "messages"]).await?;
        let found = said.lines().filter_map(|line| line.split_once('\t')).find(|(name, _)| *name == queue);
        let (_, number) = found.with_context(|| format!("there is no queue {queue}"))?;
        Ok(number.trim().parse()?)
    }

    /// Runs a command of `rabbitmqctl`; gives what it says.
    pub async fn control(&self, arguments: &[&str]) -> Result<String> {
        let mut command = Command::new(paths::rabbitmq("rabbitmqctl")?);
        command.arg("-n").arg(&self.name).args(arguments);
        self.environment(&mut command);
        let output = tokio::time::timeout(CONTROL, tokio::process::Command::from(command).kill_on_drop(true).output());
        let output = output.await.with_context(|| format!("rabbitmqctl {arguments:?} does not end"))??;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        ensure!(output.status.success(), "rabbitmqctl {arguments:?}: {said}");
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    fn data(&self) -> PathBuf {
        self.scratch.path().join("mnesia")
    }

    fn environment(&self, command: &mut Command) {
        let home: &Path = self.scratch.path();
        command
            .current_dir(home)
            .env("HOME", home)
            .env("ERL_EPMD_PORT", self.epmd.to_string())
            .env("ERL_EPMD_ADDRESS", "127.0.0.1")
            .env("RABBITMQ_NODENAME", &self.name)
            .env("RABBITMQ_DIST_PORT", self.distribution.to_string())
            .env("RABBITMQ_CONFIG_FILE", home.join("rabbitmq"))
            .env("RABBITMQ_ENABLED_PLUGINS_FILE", home.join("enabled_plugins"))
            .env("RABBITMQ_MNESIA_BASE", self.data())
            .env("RABBITMQ_LOG_BASE", home.join("logs"))
            .env("RABBITMQ_ERLANG_COOKIE", COOKIE)
            // A small machine is shared by many servers: one scheduler each, which sleeps when there is nothing to do.
            .env("RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS", "+S 1:1 +sbwt none +sbwtdcpu none +sbwtdio none");
    }
}
