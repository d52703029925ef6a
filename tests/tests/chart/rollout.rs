//! How a front ends: taken out of the Service, still accepting, finishing, and only then killed.

use anyhow::{Context, Result};
use serde_json::Value;

use crate::helm::{all, one};

#[test]
fn a_front_has_time_for_its_sleep_its_drain_delay_and_its_grace_and_ten_seconds_more() -> Result<()> {
    // public: 12.5 s and 60 s; pods: a sleep of 15 s.
    for (name, kubernetes, sleep, grace) in [
        ("default", "1.29", None, 40),
        ("default", "1.32", Some(5), 45),
        ("public", "1.29", None, 83),
        ("public", "1.34", Some(5), 88),
        ("pods", "1.34", Some(15), 55),
    ] {
        let rendering = one(name, kubernetes, false)?;
        let pod = &rendering.find("Deployment", "front").context("no front")?["spec"]["template"]["spec"];
        assert_eq!(pod["terminationGracePeriodSeconds"], grace, "{rendering}");
        assert_eq!(pod["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"].as_u64(), sleep, "{rendering}");
    }
    Ok(())
}

#[test]
fn no_rollout_ever_leaves_fewer_fronts_and_one_background_process_ends_at_a_time() -> Result<()> {
    for rendering in all()? {
        for deployment in rendering.of_kind("Deployment") {
            let is_front = crate::helm::component_of(deployment) == "front";
            let (surge, away) = if is_front { (1, 0) } else { (0, 1) };
            let rollout = &deployment["spec"]["strategy"]["rollingUpdate"];
            assert_eq!(
                (&rollout["maxSurge"], &rollout["maxUnavailable"]),
                (&surge.into(), &away.into()),
                "{rendering}"
            );
        }
    }
    Ok(())
}

#[test]
fn who_scales_fronts_is_either_the_autoscaler_or_the_deployment() -> Result<()> {
    for rendering in all()? {
        let front = rendering.find("Deployment", "front").context("no front")?;
        let is_scaled = rendering.of_kind("HorizontalPodAutoscaler").next().is_some();
        assert_eq!(front["spec"]["replicas"] == Value::Null, is_scaled, "{rendering}");
    }
    Ok(())
}

#[test]
fn the_schema_is_brought_up_to_date_before_anything_that_needs_it() -> Result<()> {
    let job = one("default", "1.34", false)?.find("Job", "migration").context("no migration")?;
    assert_eq!(job["metadata"]["annotations"]["helm.sh/hook"], "pre-install,pre-upgrade");
    let pod = &job["spec"]["template"]["spec"];
    // Nothing of the release is there yet: it needs a Secret of the user's, and nothing else.
    assert_eq!((&pod["volumes"], &pod["serviceAccountName"]), (&Value::Null, &Value::Null));
    assert_eq!(pod["containers"][0]["env"][0]["name"], "SLUICE_DATABASE_URL");
    Ok(())
}
