//! What our own programs say to the configuration that the chart renders.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use anyhow::{Context, Result};
use serde_json::Value;
use testkit::paths;
use toml::Table;

use crate::helm::{all, one};

/// As the Pods have it: the file, and their variables, with something in place of what stands in Secrets.
#[test]
fn every_configuration_is_one_that_our_programs_take() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let site = folder.path().join("srv");
    fs::create_dir_all(site.join("site"))?;
    for file in ["page.html", "ca.pem"] {
        fs::write(site.join(file), "there")?;
    }
    for rendering in all()?.iter().filter(|rendering| rendering.kubernetes == "1.34" && !rendering.has_operator) {
        for deployment in rendering.of_kind("Deployment") {
            let pod = &deployment["spec"]["template"]["spec"];
            let map = pod["volumes"][0]["configMap"]["name"].as_str().context("no configuration")?;
            let text = rendering.object("ConfigMap", map)["data"]["sluice.toml"].as_str().context("an empty one")?;
            let file = folder.path().join("sluice.toml");
            // What is for sale is in volumes, at /srv.
            fs::write(&file, text.replace("\"/srv/", &format!("\"{}/", site.display())))?;
            let mut check = Command::new(paths::program("sluice")?);
            check.env_clear().args(["config", "check"]).arg(&file).envs(variables(pod));
            let output = check.output()?;
            let said = String::from_utf8_lossy(&output.stdout);
            assert!(output.status.success(), "{rendering}: {map}: {said}{}", String::from_utf8_lossy(&output.stderr));
        }
    }
    Ok(())
}

fn variables(pod: &Value) -> impl Iterator<Item = (&str, &str)> {
    let variables = pod["containers"][0]["env"].as_array().into_iter().flatten();
    variables.filter_map(|variable| {
        let name = variable["name"].as_str()?;
        let secret = match name {
            "SLUICE_DATABASE__URL" => "postgres://user:password@db/sluice",
            "SLUICE_QUEUE__URL" => "amqps://user:password@rabbit/sluice",
            _ => "https://node.example/key",
        };
        Some((name, variable["value"].as_str().unwrap_or(secret)))
    })
}

#[test]
fn whatever_the_sample_shows_can_be_said_by_values() -> Result<()> {
    let sample = fs::read_to_string(paths::root().join("docs/sluice.toml"))?;
    let all: String = sample.lines().map(|line| format!("{}\n", uncommented(line))).collect();
    let wanted = keys(&toml::from_str(&all).context("the sample with everything in it")?);
    assert!(wanted.len() > 150, "{} keys", wanted.len());
    let rendering = one("every-key", "1.34", false)?;
    let mut said = BTreeSet::new();
    for map in ["sluice-front", "sluice-background"] {
        let text = rendering.object("ConfigMap", map)["data"]["sluice.toml"].as_str().context("empty")?;
        said.extend(keys(&toml::from_str(text)?));
    }
    let missing: Vec<_> = wanted.difference(&said).collect();
    assert!(missing.is_empty(), "cannot be said: {missing:#?}");
    Ok(())
}

/// `# key = value`, `#key = value` and `#[section]` without their signs; other comments as they are.
fn uncommented(line: &str) -> &str {
    let is_key =
        |text: &str| text.split(' ').next().is_some_and(|key| key.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'));
    let key =
        line.strip_prefix("# ").or_else(|| line.strip_prefix('#')).filter(|text| text.contains(" = ") && is_key(text));
    key.or_else(|| line.strip_prefix('#').filter(|text| text.starts_with('['))).unwrap_or(line)
}

/// The paths of all keys; those of list's tables together.
fn keys(table: &Table) -> BTreeSet<String> {
    fn add(path: &str, value: &toml::Value, keys: &mut BTreeSet<String>) {
        match value {
            toml::Value::Table(table) => {
                table.iter().for_each(|(key, value)| add(&format!("{path}.{key}"), value, keys));
            }
            toml::Value::Array(items) if items.iter().any(toml::Value::is_table) => {
                items.iter().for_each(|item| add(path, item, keys));
            }
            _ => _ = keys.insert(path.to_owned()),
        }
    }
    let mut keys = BTreeSet::new();
    table.iter().for_each(|(key, value)| add(key, value, &mut keys));
    keys
}
