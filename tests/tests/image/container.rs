//! Containers of the image, run as the manifests in `k8s/` say.

use std::fs;
use std::path::Path;
use std::process::{self, Command, Output};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use nix::sys::signal::Signal;
use serde::Deserialize;
use serde_json::{Value, json};
use testkit::paths;
use testkit::process::Process;

/// `xtask` gives it this name.
const IMAGE: &str = "localhost/sluice:test";
/// Longer than a front's drain delay and grace together, shorter than the kubelet's patience.
const END: Duration = Duration::from_secs(15);

/// What a manifest says about the only container of its Pods: flags of `podman run`, and the command.
#[derive(Clone)]
pub struct Pod {
    flags: Vec<String>,
    command: Vec<String>,
}

impl Pod {
    /// Of a file in `k8s/`, without its ending.
    pub fn of(manifest: &str) -> Result<Pod> {
        let file = paths::root().join("k8s").join(manifest).with_extension("yaml");
        let text = fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
        let object = Value::deserialize(serde_yaml_ng::Deserializer::from_str(&text))?;
        let pod = &object["spec"]["template"]["spec"];
        let container = &pod["containers"][0];
        let mut flags = vec!["--network=host".to_owned()];
        for context in [&pod["securityContext"], &container["securityContext"]] {
            for (key, value) in context.as_object().context("everybody is confined")? {
                flags.extend(flag(key, value)?);
            }
        }
        let words = ["command", "args"].into_iter().flat_map(|key| container[key].as_array().into_iter().flatten());
        let command = words.map(|word| Ok(word.as_str().context("a word is text")?.to_owned()));
        Ok(Pod { flags, command: command.collect::<Result<_>>()? })
    }

    /// Likewise, with these flags of `podman run`.
    pub fn with(&self, flags: impl IntoIterator<Item = String>) -> Pod {
        let flags = self.flags.iter().cloned().chain(flags).collect();
        Pod { flags, ..self.clone() }
    }

    /// Likewise, with this folder mounted where programs look for their configuration.
    pub fn configured(&self, folder: &Path) -> Pod {
        self.with([format!("--volume={}:/etc/sluice:ro", folder.display())])
    }

    /// Runs another command than the manifest's, to its end.
    pub fn run(&self, command: &[&str]) -> Result<Output> {
        podman(&["run", "--rm", "--pull=never"])
            .args(&self.flags)
            .arg(IMAGE)
            .args(command)
            .output()
            .context("no podman")
    }

    /// Likewise; gives what it printed, and fails unless it ended well.
    pub fn prints(&self, command: &[&str]) -> Result<String> {
        let output = self.run(command)?;
        ensure!(output.status.success(), "{command:?}: {}", said(&output));
        Ok(String::from_utf8(output.stdout)?)
    }

    /// Runs the manifest's own command to its end.
    pub fn run_own(&self) -> Result<String> {
        self.prints(&self.command.iter().map(String::as_str).collect::<Vec<_>>())
    }

    /// Starts the manifest's own command; what it prints goes to `log`.
    pub fn start(&self, log: &Path) -> Result<Container> {
        static STARTED: AtomicU32 = AtomicU32::new(0);
        let number = STARTED.fetch_add(1, Ordering::Relaxed);
        let name = format!("sluice-test-{}-{number}", process::id());
        let mut command = podman(&["run", "--rm", "--pull=never", "--name", &name]);
        command.args(&self.flags).arg(IMAGE).args(&self.command);
        let process = Process::spawn(&name, &mut command, log)?.ends_with(Signal::SIGTERM);
        Ok(Container { name, process })
    }
}

/// A key of a security context, as podman calls it. One that is not known here is a confinement that nobody has tried.
fn flag(key: &str, value: &Value) -> Result<Vec<String>> {
    let (expected, flags): (Value, &[&str]) = match key {
        "runAsUser" => return Ok(vec![format!("--user={value}:{value}")]),
        "fsGroup" => return Ok(vec![format!("--group-add={value}")]),
        "fsGroupChangePolicy" => return Ok(Vec::new()), // volumes here belong to whom they are to
        "runAsGroup" => (json!(65_532), &[]),           // the user's number too
        "runAsNonRoot" => (json!(true), &[]),
        "seccompProfile" => (json!({ "type": "RuntimeDefault" }), &[]), // podman's default too
        "allowPrivilegeEscalation" => (json!(false), &["--security-opt=no-new-privileges"]),
        "capabilities" => (json!({ "drop": ["ALL"] }), &["--cap-drop=ALL"]),
        // The kubelet mounts nothing at /tmp and /run.
        "readOnlyRootFilesystem" => (json!(true), &["--read-only", "--read-only-tmpfs=false"]),
        _ => bail!("what is {key} to podman?"),
    };
    ensure!(*value == expected, "{key} is {value}; this runs containers with {expected}");
    Ok(flags.iter().copied().map(str::to_owned).collect())
}

/// A running container. Dropped, it ends.
pub struct Container {
    name: String,
    pub process: Process,
}

impl Container {
    /// What Linux says of its first process, by key.
    pub fn status(&self, key: &str) -> Result<String> {
        let pid = inspect(&["container", "inspect", "--format", "{{.State.Pid}}", &self.name])?;
        let status = fs::read_to_string(format!("/proc/{}/status", pid.trim()))?;
        let line = status.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'));
        Ok(line.with_context(|| format!("Linux says no {key}"))?.split_whitespace().collect::<Vec<_>>().join(" "))
    }

    /// Ends it as the kubelet does, and fails unless it took that well and in time.
    pub async fn ends(mut self) -> Result<()> {
        let status = self.process.terminate(END).await?; // podman hands the signal on, and ends as its container did
        ensure!(status.success(), "{} ended with {status}", self.name);
        Ok(())
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        let _ = podman(&["rm", "--force", "--ignore", "--time=0", &self.name]).output();
    }
}

/// What podman says about the image.
pub fn image(format: &str) -> Result<String> {
    Ok(inspect(&["image", "inspect", "--format", format, IMAGE])?.trim().to_owned())
}

/// The image's files, as tar lists them: mode, owner, size, date, time, name.
pub fn listing() -> Result<String> {
    let container = inspect(&["create", "--pull=never", IMAGE])?;
    let export = format!("podman export {} | tar --list --verbose --numeric-owner", container.trim());
    let listed = Command::new("sh").args(["-c", &export]).output()?;
    inspect(&["rm", container.trim()])?;
    ensure!(listed.status.success(), "{}", said(&listed));
    Ok(String::from_utf8(listed.stdout)?)
}

/// Both streams of what has ended.
pub fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

fn inspect(arguments: &[&str]) -> Result<String> {
    let output = podman(arguments).output().context("podman is not installed; run `cargo xtask setup`")?;
    ensure!(
        output.status.success(),
        "podman {arguments:?}: {}(`cargo xtask test -- -p tests --test image` builds it)",
        said(&output)
    );
    Ok(String::from_utf8(output.stdout)?)
}

fn podman(arguments: &[&str]) -> Command {
    let mut command = Command::new("podman");
    command.env("CONTAINERS_CONF", paths::root().join("tests/tests/image/containers.conf")).args(arguments);
    command
}
