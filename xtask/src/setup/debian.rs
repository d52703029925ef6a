//! Programs of the system: used where they are, installed by apt when we are root on a Debian, otherwise asked for.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::{Tool, python};
use crate::{paths, run};

/// Asked by package scripts before they start a service: 101 is "no".
const POLICY: &str = "/usr/sbin/policy-rc.d";

/// Makes sure of the programs behind these tools.
pub(super) fn ensure(tools: &[Tool]) -> Result<()> {
    let packages: Vec<&str> = tools.iter().filter_map(|tool| missing(*tool)).flatten().copied().collect();
    if packages.is_empty() {
        return Ok(());
    }
    let list = packages.join(" ");
    if !is_root()? || paths::on_path("apt-get").is_none() {
        bail!("this machine lacks some programs; install them (on Debian: `apt-get install {list}`), then try again");
    }
    run::step(&format!("install Debian packages: {list}"), || install(&packages))?;
    match tools.iter().find(|tool| missing(**tool).is_some()) {
        Some(tool) => {
            bail!("apt-get installed {list}, but {tool:?} is still not there; install it by hand")
        }
        None => Ok(()),
    }
}

/// The packages to install for a tool, when it is not there.
fn missing(tool: Tool) -> Option<&'static [&'static str]> {
    let (there, packages): (bool, &'static [&'static str]) = match tool {
        Tool::Postgres => (postgres().is_some(), &["postgresql"]),
        Tool::Rabbit => (rabbitmq().is_some() && epmd().is_some(), &["rabbitmq-server"]),
        Tool::Haproxy => (haproxy().is_some(), &["haproxy"]),
        Tool::Node => (paths::on_path("node").is_some() && paths::on_path("npm").is_some(), &["nodejs", "npm"]),
        Tool::RaidenClient | Tool::ChartReaders => (python::interpreter().is_ok(), &["python3.11", "python3.11-venv"]),
        Tool::Chromium => (chromium().is_some(), &["chromium"]),
        Tool::Valgrind => (paths::on_path("valgrind").is_some(), &["valgrind"]),
        Tool::Prometheus => {
            (paths::on_path("prometheus").is_some() && paths::on_path("promtool").is_some(), &["prometheus"])
        }
        Tool::Compose => (paths::on_path("docker-compose").is_some(), &["docker-compose"]),
        Tool::Kubectl => (paths::on_path("kubectl").is_some(), &["kubernetes-client"]),
        Tool::Podman => (paths::on_path("podman").is_some() && runc().is_some(), &["podman", "runc", "uidmap"]),
        Tool::Anvil | Tool::Solc | Tool::PageLibraries | Tool::X402Express | Tool::Helm => (true, &[]),
    };
    (!there).then_some(packages)
}

/// `initdb` and `postgres` side by side; Debian keeps them off PATH. `testkit::paths` looks in the same places.
fn postgres() -> Option<PathBuf> {
    let debian =
        fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten().map(|entry| entry.path().join("bin"));
    let path = paths::on_path("postgres").and_then(|file| file.parent().map(Path::to_path_buf));
    debian.chain(path).find(|dir| dir.join("initdb").is_file() && dir.join("postgres").is_file())
}

/// The scripts behind those on PATH, which switch to a system user. `testkit::paths` looks in the same places.
fn rabbitmq() -> Option<PathBuf> {
    let debian = Path::new("/usr/lib/rabbitmq/bin/rabbitmq-server");
    debian.is_file().then(|| debian.to_path_buf()).or_else(|| paths::on_path("rabbitmq-server"))
}

/// Erlang's name service comes with RabbitMQ.
fn epmd() -> Option<PathBuf> {
    let erlang = fs::read_dir("/usr/lib/erlang").into_iter().flatten().flatten();
    let mut bundled = erlang.map(|entry| entry.path().join("bin/epmd"));
    paths::on_path("epmd").or_else(|| bundled.find(|file| file.is_file()))
}

fn haproxy() -> Option<PathBuf> {
    let sbin = Path::new("/usr/sbin/haproxy");
    paths::on_path("haproxy").or_else(|| sbin.is_file().then(|| sbin.to_path_buf()))
}

/// It starts containers also where podman's usual `crun` does not, such as in a container.
fn runc() -> Option<PathBuf> {
    let sbin = Path::new("/usr/sbin/runc");
    paths::on_path("runc").or_else(|| sbin.is_file().then(|| sbin.to_path_buf()))
}

/// `testkit::paths` looks for the same names.
fn chromium() -> Option<PathBuf> {
    ["chromium", "chromium-browser", "google-chrome"].into_iter().find_map(paths::on_path)
}

fn install(packages: &[&str]) -> Result<()> {
    let _no_services = NoServices::new()?;
    let apt = || {
        let mut command = Command::new("apt-get");
        command.env("DEBIAN_FRONTEND", "noninteractive").args(["-y", "-o", "Dpkg::Use-Pty=0"]);
        command
    };
    run::logged(apt().arg("update"), "apt-update")?;
    run::logged(apt().args(["install", "--no-install-recommends"]).args(packages), "apt-install")
}

fn is_root() -> Result<bool> {
    Ok(fs::metadata("/proc/self").context("cannot read /proc")?.uid() == 0)
}

/// While it lives, installing a package starts no service: we run servers of our own, on ports of our own.
struct NoServices {
    ours: bool,
}

impl NoServices {
    fn new() -> Result<Self> {
        let ours = !Path::new(POLICY).exists();
        if ours {
            fs::write(POLICY, "#!/bin/sh\nexit 101\n").with_context(|| format!("cannot write {POLICY}"))?;
            fs::set_permissions(POLICY, fs::Permissions::from_mode(0o755))?;
        }
        Ok(Self { ours })
    }
}

impl Drop for NoServices {
    fn drop(&mut self) {
        if self.ours {
            let _ = fs::remove_file(POLICY);
        }
    }
}
