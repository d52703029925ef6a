//! Every kind of values, for every Kubernetes.

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;

use anyhow::{Context, Result};
use serde_json::{Value, json};
use testkit::paths;

use crate::helm::{Helm4, KUBERNETES, OPERATOR, all, helm_4, identity, objects, one, values};

#[test]
fn kubernetes_takes_every_rendering_and_knows_every_field_in_it() -> Result<()> {
    let folder = tempfile::tempdir()?;
    for kubernetes in KUBERNETES {
        let mut validate = Command::new(paths::chart_reader("kubernetes-validate")?);
        validate.args(["--strict", "--quiet", "--kubernetes-version", kubernetes]);
        for rendering in all()?.iter().filter(|rendering| rendering.kubernetes == kubernetes) {
            let file = folder.path().join(format!("{rendering}.yaml"));
            fs::write(&file, &rendering.text)?;
            validate.arg(file);
        }
        let output = validate.output().context("cannot start kubernetes-validate")?;
        let said = String::from_utf8(output.stdout)? + &String::from_utf8(output.stderr)?;
        // It says so where it knows no schema, which it can of the operator's kinds alone.
        let problems: Vec<_> = said.lines().filter(|line| !line.contains(OPERATOR)).collect();
        assert!(output.status.success() && problems.is_empty(), "{problems:#?}");
    }
    Ok(())
}

#[test]
fn each_object_is_rendered_once_and_in_the_release_s_namespace() -> Result<()> {
    for rendering in all()? {
        let mut names: Vec<_> = rendering.objects.iter().map(identity).collect();
        let all = names.len();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), all, "{rendering}");
        for object in rendering.objects.iter().filter(|_| rendering.name != "extra-objects") {
            assert_eq!(object["metadata"]["namespace"], "shop", "{rendering}: {:?}", identity(object));
        }
    }
    Ok(())
}

#[test]
fn helm_4_renders_the_same_as_helm_3() -> Result<()> {
    let read = |(name, file)| {
        let file: Option<_> = file;
        let values =
            file.map_or(Ok(json!({})), |file| objects(&fs::read_to_string(file)?).map(|mut all| all.remove(0)));
        Ok::<_, anyhow::Error>((name, values?))
    };
    let values: BTreeMap<String, Value> = values()?.into_iter().map(read).collect::<Result<_>>()?;
    assert!(values.len() > 10);
    for (name, said) in helm_4(values)? {
        let templates = match said {
            Helm4::Rendered(templates) => templates,
            Helm4::Refused(why) => panic!("{name}: {why}"),
        };
        let manifests = templates.iter().filter(|(template, _)| template.ends_with(".yaml"));
        let ours = manifests.map(|(_, text)| objects(text)).collect::<Result<Vec<_>>>()?;
        let by_identity = |objects: Vec<Value>| -> BTreeMap<_, _> {
            objects.into_iter().map(|object| (identity(&object), object)).collect()
        };
        let theirs = one(&name, "1.34", false)?.objects.clone();
        assert_eq!(by_identity(ours.concat()), by_identity(theirs), "{name}");
    }
    Ok(())
}

#[test]
fn who_installs_it_is_told_what_is_missing() -> Result<()> {
    let values = BTreeMap::from([
        ("example".to_owned(), json!({})),
        (
            "one".to_owned(),
            json!({ "wallet": { "replicas": 1 }, "front": { "ingress": { "enabled": true, "hosts": ["a"] } } }),
        ),
    ]);
    let notes = |said: &Helm4| match said {
        Helm4::Rendered(templates) => templates["sluice/templates/NOTES.txt"].clone(),
        Helm4::Refused(why) => panic!("{why}"),
    };
    let said = helm_4(values)?;
    let (example, one) = (notes(&said["example"]), notes(&said["one"]));
    for part in [
        "sluice-database (front-url)",
        "sluice-wallet (key.json, password)",
        "main is the example",
        "no claim.coin_units",
    ] {
        assert!(example.contains(part), "{part}: {example}");
    }
    for part in ["trusted_proxies is empty", "nobody stands by"] {
        assert!(one.contains(part) && !example.contains(part), "{part}: {one}");
    }
    Ok(())
}
