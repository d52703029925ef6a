//! `docker-compose.yml` and what it mounts. It is read by the real tools; what it starts is not pulled here.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;
use testkit::{paths, prometheus};

/// What lies beside it, as far as it names it.
const PARTS: [&str; 3] = ["docker-compose.yml", "compose", "helm/sluice"];

/// Runs a program to its end; gives what it printed.
fn run(command: &mut Command) -> Result<String> {
    let Output { status, stdout, stderr } = command.output().with_context(|| format!("cannot start {command:?}"))?;
    let (out, err) = (String::from_utf8(stdout)?, String::from_utf8(stderr)?);
    ensure!(status.success(), "{command:?} ended with {status}: {out}{err}");
    Ok(out)
}

/// A copy of it in a folder of its own, without anybody's secrets.
fn copied() -> Result<TempDir> {
    let folder = tempfile::tempdir()?;
    for part in PARTS {
        let (from, to) = (paths::root().join(part), folder.path().join(part));
        fs::create_dir_all(to.parent().context("a part is in a folder")?)?;
        run(Command::new("cp").arg("-r").args([from, to]))?;
    }
    let secrets = folder.path().join("compose/secrets");
    if secrets.exists() {
        fs::remove_dir_all(secrets)?;
    }
    Ok(folder)
}

fn make_secrets(folder: &Path) -> Result<String> {
    run(Command::new("sh").arg(folder.join("compose/secrets.sh")))
}

/// The files with secrets, by name: what is in them, and their mode.
fn secrets(folder: &Path) -> Result<BTreeMap<String, (String, u32)>> {
    let entries = fs::read_dir(folder.join("compose/secrets"))?;
    let read = |entry: std::io::Result<fs::DirEntry>| {
        let entry = entry?;
        let mode = entry.metadata()?.permissions().mode() & 0o777;
        Ok((entry.file_name().to_string_lossy().into_owned(), (fs::read_to_string(entry.path())?, mode)))
    };
    entries.map(read).collect()
}

/// `docker-compose` in this folder, with nothing of the user's in its environment.
fn compose(folder: &Path, arguments: &[&str]) -> Result<String> {
    let mut command = Command::new(paths::docker_compose()?);
    run(command.env_clear().env("PATH", "/usr/bin:/bin").args(arguments).current_dir(folder))
}

#[test]
fn compose_reads_the_file_once_its_secrets_are_made() -> Result<()> {
    let folder = copied()?;
    let without = compose(folder.path(), &["config", "-q"]).expect_err("there are no secrets yet");
    assert!(format!("{without:#}").contains("compose/secrets"), "{without:#}");
    make_secrets(folder.path())?;
    assert_eq!(compose(folder.path(), &["config", "-q"])?, "");
    Ok(())
}

#[test]
fn secrets_are_made_once_and_can_be_read_by_those_alone_who_need_them() -> Result<()> {
    let (folder, other) = (copied()?, copied()?);
    make_secrets(folder.path())?;
    make_secrets(other.path())?;
    let made = secrets(folder.path())?;
    assert_eq!(make_secrets(folder.path())?, "", "something was made a second time");
    assert_eq!(secrets(folder.path())?, made);
    assert_eq!(fs::metadata(folder.path().join("compose/secrets"))?.permissions().mode() & 0o777, 0o700);
    for (name, (text, mode)) in &made {
        // What our programs read is theirs alone; servers that run as users of their own get at the rest.
        let is_ours = name.ends_with(".key") || name == "queue.password" || name == "database.env";
        assert_eq!(*mode, if is_ours { 0o400 } else { 0o444 }, "{name}");
        let is_known_to_all = name.ends_with(".key");
        assert_eq!(secrets(other.path())?[name].0 == *text, is_known_to_all, "{name}");
    }
    let environment = fs::read_to_string(folder.path().join(".env"))?;
    assert_eq!(environment.matches("SLUICE_USER=").count(), 1, "{environment}");
    ensure!(!environment.contains("SLUICE_USER=0:"), "our programs would run as root");
    Ok(())
}

#[test]
fn nothing_but_the_load_balancer_and_grafana_is_published_and_they_to_this_machine_alone() -> Result<()> {
    let folder = copied()?;
    make_secrets(folder.path())?;
    let resolved = compose(folder.path(), &["config"])?;
    let mut published = Vec::new();
    let mut lines = resolved.lines().skip_while(|line| *line != "services:").peekable();
    while let Some(line) = lines.next() {
        if line.trim() != "ports:" {
            continue;
        }
        while let Some(port) = lines.next_if(|line| line.trim().starts_with("- ")) {
            published.push(port.trim().trim_start_matches("- "));
        }
    }
    published.sort_unstable();
    assert_eq!(published, ["127.0.0.1:3000:3000/tcp", "127.0.0.1:8080:8080/tcp"], "{resolved}");
    Ok(())
}

#[test]
fn all_that_is_mounted_is_there_and_understood_by_who_reads_it() -> Result<()> {
    let folder = copied()?;
    make_secrets(folder.path())?;
    let text = fs::read_to_string(folder.path().join("docker-compose.yml"))?;
    let starts: Vec<usize> = text.match_indices("./").map(|(at, _)| at).collect();
    let mounted = starts.iter().filter_map(|at| text[*at..].split([':', '"', '\n']).next());
    let missing: Vec<&str> = mounted.clone().filter(|path| !folder.path().join(path).exists()).collect();
    ensure!(mounted.count() >= 8 && missing.is_empty(), "not there: {missing:?}");

    let compose = folder.path().join("compose");
    run(Command::new(paths::haproxy()?).args(["-c", "-f"]).arg(compose.join("haproxy.cfg")))?;
    let config = compose.join("prometheus.yml");
    let (is_fine, said) = prometheus::promtool(&["check", "config", &config.to_string_lossy()], None)?;
    ensure!(is_fine, "{said}");
    let mut check = Command::new(paths::program("sluice")?);
    run(check.env_clear().args(["config", "check"]).arg(compose.join("sluice.toml")))?;
    Ok(())
}
