//! `cargo xtask chart`: what is made from the Helm chart and committed: `k8s/`, and the table of values in its README.

mod table;

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};

use crate::{paths, run, setup};

/// The Kubernetes that `k8s/` is written for: the newest that the tests render for.
const KUBERNETES: &str = "1.34.0";
const NAMESPACE: &str = "sluice";

/// What each file is to hold, by its path from the root of the clone.
type Files = BTreeMap<String, String>;

/// Writes all of it.
pub(crate) fn write() -> Result<()> {
    setup::run(&setup::CHART)?;
    let made = made()?;
    for stale in manifests()?.into_iter().filter(|file| !made.contains_key(file)) {
        fs::remove_file(paths::root().join(&stale)).with_context(|| format!("cannot remove {stale}"))?;
    }
    fs::create_dir_all(paths::root().join("k8s"))?;
    for (file, text) in &made {
        fs::write(paths::root().join(file), text).with_context(|| format!("cannot write {file}"))?;
    }
    println!("    {} files are up to date", made.len());
    Ok(())
}

/// The files that `write` would change.
pub(crate) fn stale() -> Result<Vec<String>> {
    let made = made()?;
    let differs = |(file, text): (&String, &String)| {
        let written = fs::read_to_string(paths::root().join(file));
        (!written.is_ok_and(|written| written == *text)).then(|| file.clone())
    };
    let left_over = manifests()?.into_iter().filter(|file| !made.contains_key(file));
    Ok(made.iter().filter_map(differs).chain(left_over).collect())
}

/// The helm that `setup` installs.
pub(crate) fn helm() -> Result<Command> {
    let mut command = Command::new(paths::tools()?.join("chart/node_modules/.bin/helm"));
    command.current_dir(paths::root());
    Ok(command)
}

fn made() -> Result<Files> {
    let render = ["template", "sluice", "helm/sluice", "--skip-tests", "--namespace", NAMESPACE];
    let rendered = run::read(helm()?.args(render).args(["--kube-version", KUBERNETES]))?;
    let mut files = by_template(&rendered);
    let names: String =
        files.keys().filter_map(|file| file.strip_prefix("k8s/")).map(|file| format!("  - {file}\n")).collect();
    let kustomization = format!(
        "# Written by `cargo xtask chart`, as the files it names: the chart with its default values.\n\
         apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nnamespace: {NAMESPACE}\nresources:\n{names}"
    );
    files.insert("k8s/kustomization.yaml".to_owned(), kustomization);
    let readme = "helm/sluice/README.md";
    let read = |file: &str| fs::read_to_string(paths::root().join(file)).with_context(|| format!("cannot read {file}"));
    let with_table = table::put(&read(readme)?, &read("helm/sluice/values.yaml")?)?;
    files.insert(readme.to_owned(), with_table);
    Ok(files)
}

/// A file for each template: `# Source: sluice/templates/front/service.yaml` goes to `k8s/front-service.yaml`.
fn by_template(rendered: &str) -> Files {
    let mut files = Files::new();
    for document in rendered.split("---\n# Source: sluice/templates/").skip(1) {
        let Some((template, text)) = document.split_once('\n') else { continue };
        let file = files.entry(format!("k8s/{}", template.replace('/', "-"))).or_default();
        if !file.is_empty() {
            file.push_str("---\n");
        }
        file.push_str(text.trim());
        file.push('\n');
    }
    files
}

/// The files in `k8s/`.
fn manifests() -> Result<Vec<String>> {
    let Ok(folder) = fs::read_dir(paths::root().join("k8s")) else { return Ok(Vec::new()) };
    let name = |path: PathBuf| Some(format!("k8s/{}", path.file_name()?.to_str()?));
    Ok(folder.collect::<Result<Vec<_>, _>>()?.into_iter().filter_map(|entry| name(entry.path())).collect())
}

#[cfg(test)]
mod tests {
    use super::by_template;

    #[test]
    fn objects_of_one_template_share_a_file() {
        let rendered = "---\n# Source: sluice/templates/a/x.yaml\nkind: A\n---\n# Source: sluice/templates/b.yaml\nkind: B\n\
                        ---\n# Source: sluice/templates/a/x.yaml\nkind: C\n";
        let files: Vec<_> = by_template(rendered).into_iter().collect();
        let expected = [("k8s/a-x.yaml", "kind: A\n---\nkind: C\n"), ("k8s/b.yaml", "kind: B\n")];
        assert_eq!(files, expected.map(|(file, text)| (file.to_owned(), text.to_owned())));
    }
}
