//! Both Helms: version 3 as a program, version 4 as a library; and what they render.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use serde_json::{Value, json};
use testkit::paths;

/// The oldest Kubernetes that the chart is for, one in between, and the newest.
pub const KUBERNETES: [&str; 3] = ["1.29", "1.32", "1.34"];
/// What the Prometheus operator brings.
pub const OPERATOR: &str = "monitoring.coreos.com/v1";

/// What the chart makes of values.
pub struct Rendering {
    /// The file of values, without its ending; `default` without any.
    pub name: String,
    pub kubernetes: &'static str,
    /// Whether the Prometheus operator is there.
    pub has_operator: bool,
    pub text: String,
    pub objects: Vec<Value>,
}

impl Rendering {
    pub fn of_kind(&self, kind: &str) -> impl Iterator<Item = &Value> {
        self.objects.iter().filter(move |object| object["kind"] == kind)
    }

    pub fn object(&self, kind: &str, name: &str) -> &Value {
        let found = self.objects.iter().find(|object| object["kind"] == kind && object["metadata"]["name"] == name);
        found.unwrap_or_else(|| panic!("{self}: no {kind} {name}"))
    }

    /// The object of a kind that belongs to a component, if there is one.
    pub fn find(&self, kind: &str, component: &str) -> Option<&Value> {
        self.objects.iter().find(|object| object["kind"] == kind && component_of(object) == component)
    }

    /// The specifications of all Pods, with whose they are.
    pub fn pods(&self) -> impl Iterator<Item = (&Value, &Value)> {
        self.objects.iter().filter_map(|object| match object["kind"].as_str()? {
            "Pod" => Some((object, &object["spec"])),
            "Deployment" | "Job" => Some((object, &object["spec"]["template"]["spec"])),
            _ => None,
        })
    }
}

impl std::fmt::Display for Rendering {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let operator = if self.has_operator { ", with the operator" } else { "" };
        write!(f, "{} for Kubernetes {}{operator}", self.name, self.kubernetes)
    }
}

/// What a part of the cluster an object belongs to.
pub fn component_of(object: &Value) -> &str {
    object["metadata"]["labels"]["app.kubernetes.io/component"].as_str().unwrap_or_default()
}

/// Which object it is.
pub fn identity(object: &Value) -> (String, String) {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    (text(&object["kind"]), text(&object["metadata"]["name"]))
}

/// Everything that the chart makes of each file of values and of none, for each Kubernetes, with and without the operator.
pub fn all() -> Result<&'static [Rendering]> {
    static ALL: OnceLock<Vec<Rendering>> = OnceLock::new();
    if let Some(all) = ALL.get() {
        return Ok(all);
    }
    let mut renderings = Vec::new();
    for (name, file) in values()? {
        for kubernetes in KUBERNETES {
            for has_operator in [false, true] {
                let text = render(file.as_deref(), kubernetes, has_operator)?;
                let objects = objects(&text).with_context(|| format!("what {name} makes is no YAML"))?;
                renderings.push(Rendering { name: name.clone(), kubernetes, has_operator, text, objects });
            }
        }
    }
    Ok(ALL.get_or_init(|| renderings))
}

/// One of [`all`].
pub fn one(name: &str, kubernetes: &str, has_operator: bool) -> Result<&'static Rendering> {
    let is_it = |it: &&Rendering| (&*it.name, it.kubernetes, it.has_operator) == (name, kubernetes, has_operator);
    all()?.iter().find(is_it).with_context(|| format!("there is no {name}"))
}

/// The files of values, by name.
pub fn values() -> Result<BTreeMap<String, Option<PathBuf>>> {
    let mut files = BTreeMap::from([("default".to_owned(), None)]);
    for entry in fs::read_dir(chart().join("ci"))? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str()).context("a name of bytes")?;
        let name = name.strip_suffix("-values.yaml").with_context(|| format!("{name} is no file of values"))?;
        files.insert(name.to_owned(), Some(path));
    }
    Ok(files)
}

pub fn chart() -> PathBuf {
    paths::root().join("helm/sluice")
}

/// The objects in a text of YAML.
pub fn objects(text: &str) -> Result<Vec<Value>> {
    let documents = serde_yaml_ng::Deserializer::from_str(text);
    let objects = documents.map(Value::deserialize).collect::<Result<Vec<_>, _>>()?;
    Ok(objects.into_iter().filter(|object| !object.is_null()).collect())
}

fn render(values: Option<&Path>, kubernetes: &str, has_operator: bool) -> Result<String> {
    let mut helm = Command::new(paths::helm()?);
    helm.args(["template", "sluice"]).arg(chart()).args(["--namespace", "shop", "--kube-version", kubernetes]);
    if has_operator {
        helm.args(["--api-versions", OPERATOR]);
    }
    helm.args(values.iter().flat_map(|file| [Path::new("--values"), file]));
    let output = helm.stdin(Stdio::null()).output().context("cannot start helm")?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?)
}

/// What the chart makes of these values.
pub fn rendered(values: &str) -> Result<Rendering> {
    rendered_for(values, KUBERNETES[2])
}

/// Likewise, for this Kubernetes.
pub fn rendered_for(values: &str, kubernetes: &'static str) -> Result<Rendering> {
    let file = tempfile::NamedTempFile::new()?;
    fs::write(file.path(), values)?;
    let has_operator = false;
    let text = render(Some(file.path()), kubernetes, has_operator)?;
    let objects = objects(&text)?;
    Ok(Rendering { name: "these values".to_owned(), kubernetes, has_operator, text, objects })
}

/// Why helm does not render these values.
pub fn refusal(values: &str) -> Result<String> {
    match rendered(values) {
        Ok(_) => anyhow::bail!("it was rendered:\n{values}"),
        Err(why) => Ok(why.to_string()),
    }
}

/// What Helm 4 says to values.
#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Helm4 {
    /// By template.
    Rendered(BTreeMap<String, String>),
    Refused(String),
}

/// Renders many values by Helm 4 at once; it takes no version of Kubernetes.
pub fn helm_4(values: BTreeMap<String, Value>) -> Result<BTreeMap<String, Helm4>> {
    let script = paths::root().join("tests/chart/helm4.py");
    let mut python = Command::new(paths::chart_reader("python")?);
    python.arg(script).arg(chart()).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut python = python.spawn().context("cannot start Python")?;
    python.stdin.take().context("no stdin")?.write_all(json!(values).to_string().as_bytes())?;
    let output = python.wait_with_output()?;
    ensure!(output.status.success(), "Helm 4 failed");
    Ok(serde_json::from_slice(&output.stdout)?)
}
