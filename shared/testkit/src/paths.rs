//! Where things are: the clone, its target directory, our programs, and what `cargo xtask setup` installed.

use std::env;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

const SET_UP: &str = "run `cargo xtask setup`";

/// The root of the clone.
pub fn root() -> &'static Path {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).unwrap_or(here)
}

/// The target directory this program was built into, found from its own place in it; `CARGO_TARGET_DIR` for a program
/// that was copied out of it. It may lie outside the clone: tools and data live under it wherever it is.
pub fn target_dir() -> Result<PathBuf> {
    let exe = env::current_exe().context("this program cannot find its own file")?;
    let built_into = exe.ancestors().find(|dir| dir.join(".rustc_info.json").is_file());
    built_into
        .map(Path::to_path_buf)
        .or_else(|| env::var_os("CARGO_TARGET_DIR").map(PathBuf::from))
        .with_context(|| format!("{} is in no target directory; set CARGO_TARGET_DIR", exe.display()))
}

/// One of our own programs (`front`, `watcher`, `wallet`, `sluice`), from the build this program belongs to.
pub fn program(name: &str) -> Result<PathBuf> {
    let exe = env::current_exe().context("this program cannot find its own file")?;
    let mut places = exe.ancestors().skip(1).take(2).map(|dir| dir.join(name));
    let found = places.find(|file| file.is_file());
    found.with_context(|| format!("the program `{name}` is not built; run `cargo build --workspace`"))
}

/// The development chain.
pub fn anvil() -> Result<PathBuf> {
    let installed = tools()?.join("anvil/node_modules/@foundry-rs/anvil-linux-amd64/bin/anvil");
    let found = Some(installed).filter(|file| file.is_file()).or_else(|| on_path("anvil"));
    found.with_context(|| format!("anvil, the development chain, is not installed; {SET_UP}"))
}

/// The Python that the original µRaiden client is installed in.
pub fn raiden_client_python() -> Result<PathBuf> {
    let python = tools()?.join("raiden-client/bin/python");
    ensure!(python.is_file(), "the original µRaiden client is not installed; {SET_UP}");
    Ok(python)
}

/// The `node_modules` that hold the original µRaiden client for JavaScript.
pub fn raiden_client_modules() -> Result<PathBuf> {
    let modules = tools()?.join("raiden-client-js/node_modules");
    let client = modules.join("@raiden_network/microraiden");
    ensure!(client.is_dir(), "the original µRaiden client for JavaScript is not installed; {SET_UP}");
    Ok(modules)
}

/// The `node_modules` that hold the official x402 server for Express.
pub fn x402_express_modules() -> Result<PathBuf> {
    let modules = tools()?.join("x402-express/node_modules");
    ensure!(modules.join("@x402/express").is_dir(), "the x402 server for Express is not installed; {SET_UP}");
    Ok(modules)
}

/// The original µRaiden contracts, as the Python package carries them.
pub fn original_contracts() -> Result<PathBuf> {
    let file = target_dir()?.join("original/contracts.json");
    ensure!(file.is_file(), "{} is missing; {SET_UP}", file.display());
    Ok(file)
}

/// A program of PostgreSQL; Debian keeps its server programs off PATH.
pub fn postgres(program: &str) -> Result<PathBuf> {
    let debian = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut versions: Vec<PathBuf> = debian.map(|entry| entry.path().join("bin").join(program)).collect();
    versions.retain(|file| file.is_file());
    versions.sort();
    let found = versions.pop().or_else(|| on_path(program));
    found.with_context(|| format!("PostgreSQL's `{program}` is not installed; {SET_UP}"))
}

/// The load balancer.
pub fn haproxy() -> Result<PathBuf> {
    let sbin = Path::new("/usr/sbin/haproxy");
    let found = on_path("haproxy").or_else(|| sbin.is_file().then(|| sbin.to_path_buf()));
    found.with_context(|| format!("HAProxy is not installed; {SET_UP}"))
}

/// A program of Prometheus: the server or `promtool`.
pub fn prometheus(program: &str) -> Result<PathBuf> {
    on_path(program).with_context(|| format!("Prometheus's `{program}` is not installed; {SET_UP}"))
}

/// The tool that reads `docker-compose.yml`.
pub fn docker_compose() -> Result<PathBuf> {
    on_path("docker-compose").with_context(|| format!("docker-compose is not installed; {SET_UP}"))
}

/// The tool that reads the plain manifests.
pub fn kubectl() -> Result<PathBuf> {
    on_path("kubectl").with_context(|| format!("kubectl is not installed; {SET_UP}"))
}

/// The real helm, which renders the chart.
pub fn helm() -> Result<PathBuf> {
    let helm = tools()?.join("chart/node_modules/.bin/helm");
    ensure!(helm.is_file(), "helm is not installed; {SET_UP}");
    Ok(helm)
}

/// What reads the chart beside it: `kubernetes-validate`, and a `python` that has Helm 4.
pub fn chart_reader(program: &str) -> Result<PathBuf> {
    let reader = tools()?.join("chart-readers/bin").join(program);
    ensure!(reader.is_file(), "`{program}`, which reads the chart, is not installed; {SET_UP}");
    Ok(reader)
}

/// The web browser.
pub fn chromium() -> Result<PathBuf> {
    let found = ["chromium", "chromium-browser", "google-chrome"].into_iter().find_map(on_path);
    found.with_context(|| format!("Chromium is not installed; {SET_UP}"))
}

/// The page of the original client that a browser pays on: `index.html` and the folder `js`.
pub fn original_page() -> Result<PathBuf> {
    let pythons = fs::read_dir(tools()?.join("raiden-client/lib")).into_iter().flatten().flatten();
    let mut pages = pythons.map(|python| python.path().join("site-packages/microraiden/webui"));
    let found = pages.find(|dir| dir.join("index.html").is_file());
    found.with_context(|| format!("the original µRaiden client is not installed; {SET_UP}"))
}

/// A file of an npm package that pages in tests load.
pub fn page_library(file: &str) -> Result<PathBuf> {
    let file = tools()?.join("pages/node_modules").join(file);
    ensure!(file.is_file(), "{} is missing; {SET_UP}", file.display());
    Ok(file)
}

/// A program of RabbitMQ. The scripts on PATH switch to a system user; those behind them run as whoever calls.
pub fn rabbitmq(program: &str) -> Result<PathBuf> {
    let debian = Path::new("/usr/lib/rabbitmq/bin").join(program);
    let found = Some(debian).filter(|file| file.is_file()).or_else(|| on_path(program));
    found.with_context(|| format!("RabbitMQ's `{program}` is not installed; {SET_UP}"))
}

/// The name service of Erlang, which RabbitMQ is written in.
pub fn epmd() -> Result<PathBuf> {
    let erlang = fs::read_dir("/usr/lib/erlang").into_iter().flatten().flatten();
    let bundled = erlang.map(|entry| entry.path().join("bin/epmd")).find(|file| file.is_file());
    on_path("epmd").or(bundled).with_context(|| format!("Erlang's `epmd` is not installed; {SET_UP}"))
}

/// Where servers keep their data: `data` under the target directory. Root's PostgreSQL runs as another user, who must
/// be able to get there; where that user cannot (a clone under /root), it is a directory of our own under /var/tmp.
pub fn data_dir() -> Result<PathBuf> {
    let target = target_dir()?;
    if !is_root() || target.ancestors().all(open_to_others) {
        let dir = target.join("data");
        fs::create_dir_all(&dir).with_context(|| format!("cannot create {}", dir.display()))?;
        return Ok(dir);
    }
    let mut name = DefaultHasher::new();
    target.hash(&mut name);
    let dir = PathBuf::from(format!("/var/tmp/sluice-{:016x}", name.finish()));
    fs::create_dir_all(&dir).with_context(|| format!("cannot create {}", dir.display()))?;
    let owner = fs::symlink_metadata(&dir)?;
    ensure!(owner.is_dir() && owner.uid() == 0, "{} belongs to somebody else; remove it", dir.display());
    fs::set_permissions(&dir, fs::Permissions::from_mode(0o755))?;
    Ok(dir)
}

pub(crate) fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

fn open_to_others(dir: &Path) -> bool {
    fs::metadata(dir).is_ok_and(|meta| meta.permissions().mode() & 0o001 != 0)
}

fn tools() -> Result<PathBuf> {
    Ok(target_dir()?.join("tools"))
}

fn on_path(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    env::split_paths(&path).map(|dir| dir.join(program)).find(|file| file.is_file())
}
