//! The commands that the documents give, as far as they go without a cluster.

use std::fs;
use std::process::{Command, Output};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use testkit::paths;

use crate::helm::{KUBERNETES, identity, objects};

/// What stands in blocks of code, one after the other, in a document.
fn blocks(document: &str, language: &str) -> Result<Vec<String>> {
    let text = fs::read_to_string(paths::root().join(document))?;
    let blocks = text.split("\n```").skip(1).step_by(2);
    let of_language = blocks.filter_map(|block| block.strip_prefix(language)?.strip_prefix('\n'));
    Ok(of_language.map(str::to_owned).collect())
}

/// The commands in a document that begin like this, without their first word.
fn commands(document: &str, beginning: &str) -> Result<Vec<Vec<String>>> {
    let blocks = blocks(document, "")?.join("\n");
    let lines = blocks.lines().filter(|line| line.starts_with(beginning));
    let commands: Vec<Vec<String>> =
        lines.map(|line| line.split_whitespace().skip(1).map(str::to_owned).collect()).collect();
    ensure!(!commands.is_empty(), "{document} has no command that begins with {beginning}");
    Ok(commands)
}

fn run(command: &mut Command) -> Result<String> {
    let Output { status, stdout, stderr } = command.output().with_context(|| format!("cannot start {command:?}"))?;
    ensure!(status.success(), "{command:?} ended with {status}: {}", String::from_utf8_lossy(&stderr));
    Ok(String::from_utf8(stdout)?)
}

/// What `helm upgrade --install` or `helm install` would install, with the values of the chart's own page.
fn would_install(arguments: &[String]) -> Result<Vec<Value>> {
    let page = blocks("helm/sluice/README.md", "yaml")?;
    let shop = page.iter().find(|block| block.starts_with("# shop.yaml")).context("there is no shop.yaml")?;
    let file = tempfile::NamedTempFile::new()?;
    // An ellipsis stands for an address.
    fs::write(file.path(), shop.replace("0x…", &format!("0x{}", "1".repeat(40))))?;
    let path = file.path().to_str().context("a name of bytes")?;
    let named = arguments.iter().skip_while(|argument| *argument != "sluice");
    let named = named.map(|argument| if argument == "shop.yaml" { path } else { argument });
    let mut helm = Command::new(paths::helm()?);
    helm.args(["template", "--kube-version", KUBERNETES[2]]).args(named).current_dir(paths::root());
    objects(&run(&mut helm)?)
}

#[test]
fn helm_installs_what_the_documents_say_and_has_something_to_test() -> Result<()> {
    let commands = [commands("README.md", "helm upgrade")?, commands("helm/sluice/README.md", "helm install")?];
    for arguments in commands.iter().flatten() {
        let installed = would_install(arguments)?;
        let front = installed.iter().find(|object| identity(object) == ("Deployment".into(), "sluice-front".into()));
        let image = &front.context("there is no front")?["spec"]["template"]["spec"]["containers"][0]["image"];
        assert_eq!(*image, "registry.example/sluice:0.1.0", "{arguments:?}");
        let hook = |object: &Value| object["metadata"]["annotations"]["helm.sh/hook"] == "test";
        assert!(installed.iter().any(hook), "{arguments:?}");
    }
    Ok(())
}

#[test]
fn kubectl_applies_everything_that_is_in_the_plain_manifests() -> Result<()> {
    let mut written = Vec::new();
    for entry in fs::read_dir(paths::root().join("k8s"))? {
        written.extend(objects(&fs::read_to_string(entry?.path())?)?);
    }
    let mut written: Vec<_> = written.iter().map(identity).filter(|(kind, _)| kind != "Kustomization").collect();
    written.sort();
    for arguments in commands("README.md", "kubectl")? {
        let folder = arguments.last().context("kubectl is told a folder")?;
        let applied = run(Command::new(paths::kubectl()?).args(["kustomize", folder]).current_dir(paths::root()))?;
        let applied = objects(&applied)?;
        let elsewhere = applied.iter().find(|object| object["metadata"]["namespace"] != "sluice");
        assert_eq!(elsewhere, None);
        let mut applied: Vec<_> = applied.iter().map(identity).collect();
        applied.sort();
        assert_eq!(applied, written);
    }
    Ok(())
}
