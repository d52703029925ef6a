//! What is for the Prometheus operator and for Grafana.

use std::collections::BTreeSet;
use std::fs;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::helm::{all, chart, objects, one};

#[test]
fn the_operator_s_objects_are_there_where_it_is_and_only_if_they_are_wanted() -> Result<()> {
    for rendering in all()? {
        let wanted = rendering.name == "monitoring" && rendering.has_operator;
        for kind in ["ServiceMonitor", "PrometheusRule"] {
            assert_eq!(rendering.of_kind(kind).count(), usize::from(wanted), "{rendering}: {kind}");
        }
    }
    Ok(())
}

#[test]
fn every_alert_and_every_dashboard_is_handed_on_as_it_is() -> Result<()> {
    let rendering = one("monitoring", "1.34", true)?;
    let mut groups = Vec::new();
    for (_, text) in files("rules")? {
        let file = objects(&text)?.remove(0);
        groups.extend(file["groups"].as_array().context("a file of rules without groups")?.clone());
    }
    assert!(!groups.is_empty());
    assert_eq!(rendering.object("PrometheusRule", "sluice-metrics")["spec"]["groups"], Value::from(groups));

    let dashboards = files("dashboards")?;
    assert!(!dashboards.is_empty());
    for (file, text) in &dashboards {
        let name = format!("sluice-dashboard-{}", file.trim_end_matches(".json"));
        let handed_on = rendering.object("ConfigMap", &name)["data"][file].as_str().context("no text")?;
        assert_eq!(serde_json::from_str::<Value>(handed_on)?, serde_json::from_str::<Value>(text)?, "{file}");
    }
    Ok(())
}

/// Rules and dashboards call each scraped process after its program.
#[test]
fn a_scraped_process_is_called_after_its_program() -> Result<()> {
    let rendering = one("monitoring", "1.34", true)?;
    let endpoint = &rendering.object("ServiceMonitor", "sluice-metrics")["spec"]["endpoints"][0];
    assert_eq!(endpoint["relabelings"][0]["targetLabel"], "job");
    let label = "__meta_kubernetes_pod_label_app_kubernetes_io_component";
    assert_eq!(endpoint["relabelings"][0]["sourceLabels"][0], label);
    let deployments = rendering.of_kind("Deployment");
    let programs: BTreeSet<_> = deployments
        .map(|deployment| &deployment["spec"]["template"]["metadata"]["labels"]["app.kubernetes.io/component"])
        .map(|component| component.as_str().unwrap_or_default())
        .collect();
    assert_eq!(programs, BTreeSet::from(["front", "wallet", "watcher"]));
    Ok(())
}

fn files(folder: &str) -> Result<Vec<(String, String)>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(chart().join(folder))? {
        let entry = entry?;
        files.push((entry.file_name().to_string_lossy().into_owned(), fs::read_to_string(entry.path())?));
    }
    files.sort();
    Ok(files)
}
