//! What holds for everything that the chart renders, whatever the values.

use std::collections::BTreeSet;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::helm::{Rendering, all, component_of, identity, one};

#[test]
fn nobody_is_root_or_can_write_or_may_more_than_anybody() -> Result<()> {
    for rendering in all()? {
        assert!(rendering.pods().count() >= 3, "{rendering}");
        for (owner, pod) in rendering.pods() {
            let who = format!("{rendering}: {:?}", identity(owner));
            assert_eq!(pod["automountServiceAccountToken"], false, "{who}");
            assert_eq!(pod["enableServiceLinks"], false, "{who}");
            assert_eq!(pod["securityContext"]["runAsNonRoot"], true, "{who}");
            assert_eq!(pod["securityContext"]["seccompProfile"]["type"], "RuntimeDefault", "{who}");
            for key in ["hostNetwork", "hostPID", "hostIPC"] {
                assert_eq!(pod[key], Value::Null, "{who}");
            }
            for container in containers(pod) {
                let may = &container["securityContext"];
                assert_eq!(may["allowPrivilegeEscalation"], false, "{who}");
                assert_eq!(may["readOnlyRootFilesystem"], true, "{who}");
                assert_eq!(may["capabilities"]["drop"], Value::from(["ALL"].as_slice()), "{who}");
                assert_eq!((&may["privileged"], &may["capabilities"]["add"]), (&Value::Null, &Value::Null), "{who}");
            }
        }
    }
    Ok(())
}

#[test]
fn every_container_says_what_it_needs_and_every_process_whether_it_is_well() -> Result<()> {
    for rendering in all()? {
        for (owner, pod) in rendering.pods() {
            for container in containers(pod) {
                let who = format!("{rendering}: {:?} {}", identity(owner), container["name"]);
                let resources = &container["resources"];
                for key in
                    [&resources["requests"]["cpu"], &resources["requests"]["memory"], &resources["limits"]["memory"]]
                {
                    assert!(key.is_string(), "{who}");
                }
                let ports: Vec<_> = list(&container["ports"]).map(|port| &port["name"]).collect();
                for (probe, path) in
                    [("startupProbe", "/startupz"), ("readinessProbe", "/readyz"), ("livenessProbe", "/livez")]
                {
                    let is_process = owner["kind"] == "Deployment";
                    assert_eq!(container[probe]["httpGet"]["path"] == path, is_process, "{who}");
                    assert!(!is_process || ports.contains(&&container[probe]["httpGet"]["port"]), "{who}");
                }
            }
        }
    }
    Ok(())
}

#[test]
fn wallets_alone_have_anything_to_do_with_the_key() -> Result<()> {
    for rendering in all()? {
        let wallet = rendering.find("Deployment", "wallet").context("no wallet")?;
        let volumes = &wallet["spec"]["template"]["spec"]["volumes"];
        let volume = list(volumes).find(|volume| volume["name"] == "wallet").context("no key")?;
        let secret = volume["secret"]["secretName"].as_str().context("no Secret")?;
        for (owner, pod) in rendering.pods().filter(|(owner, _)| component_of(owner) != "wallet") {
            let names = names_of_secrets(pod);
            assert!(!names.contains(secret), "{rendering}: {:?} has {names:?}", identity(owner));
        }
    }
    Ok(())
}

#[test]
fn who_has_the_database_s_address_has_the_authority_that_it_names() -> Result<()> {
    let rendering = one("every-key", "1.34", false)?;
    let has_address = |container: &Value| {
        list(&container["env"]).any(|variable| variable["name"].as_str().is_some_and(|name| name.contains("DATABASE")))
    };
    let mut who = BTreeSet::new();
    for (owner, pod) in rendering.pods().filter(|(_, pod)| containers(pod).any(has_address)) {
        let volume = list(&pod["volumes"]).find(|volume| volume["name"] == "database-tls").context("no volume")?;
        assert_eq!(volume["secret"]["secretName"], "database-tls");
        for container in containers(pod) {
            let mut mounts = list(&container["volumeMounts"]);
            let mount = mounts.find(|mount| mount["name"] == "database-tls").context("no mount")?;
            assert_eq!((&mount["mountPath"], &mount["readOnly"]), (&"/secrets/database-tls".into(), &true.into()));
        }
        who.insert(component_of(owner));
    }
    assert_eq!(who, ["front", "migration", "wallet", "watcher"].into());
    Ok(())
}

#[test]
fn each_process_has_an_account_of_its_own() -> Result<()> {
    for rendering in all()? {
        let accounts = rendering.of_kind("Deployment").map(|it| &it["spec"]["template"]["spec"]["serviceAccountName"]);
        let accounts: BTreeSet<_> = accounts.filter_map(Value::as_str).collect();
        assert_eq!(accounts.len(), 3, "{rendering}: {accounts:?}");
        for made in rendering.of_kind("ServiceAccount") {
            assert!(accounts.contains(made["metadata"]["name"].as_str().unwrap_or_default()), "{rendering}");
            assert_eq!(made["automountServiceAccountToken"], false, "{rendering}");
        }
    }
    Ok(())
}

#[test]
fn no_secret_is_rendered_and_none_stands_in_a_configuration() -> Result<()> {
    for rendering in all()? {
        assert_eq!(rendering.of_kind("Secret").count(), 0, "{rendering}");
        for map in rendering.of_kind("ConfigMap").filter_map(|map| map["data"]["sluice.toml"].as_str()) {
            for line in map.lines().filter(|line| line.contains("://")) {
                let authority = line.split("://").nth(1).and_then(|rest| rest.split('/').next()).unwrap_or_default();
                let user = authority.rsplit_once('@').map_or("", |(user, _)| user);
                assert!(!user.contains(':'), "{rendering}: {line}");
            }
            assert!(map.contains("url = \"postgres://in-the-environment.invalid\""), "{rendering}");
        }
    }
    Ok(())
}

#[test]
fn every_secret_that_is_a_file_is_lent_to_the_group_that_reads_it() -> Result<()> {
    for rendering in all()?.iter().filter(|rendering| rendering.name != "openshift") {
        for (owner, pod) in rendering.pods() {
            let who = format!("{rendering}: {:?}", identity(owner));
            let context = &pod["securityContext"];
            assert_eq!(context["fsGroup"], context["runAsGroup"], "{who}");
            for volume in list(&pod["volumes"]).filter(|volume| volume["secret"].is_object()) {
                // 0440 in YAML 1.1, as Kubernetes reads it; this reader knows 1.2.
                assert_eq!(volume["secret"]["defaultMode"], "0440", "{who}");
            }
        }
    }
    Ok(())
}

#[test]
fn whatever_selects_pods_selects_some_and_whatever_names_a_port_names_one_of_theirs() -> Result<()> {
    for rendering in all()? {
        let pods: Vec<_> = rendering.objects.iter().filter_map(labels_and_ports).collect();
        let selected = |wanted: &Value| -> Vec<_> {
            let wanted: Vec<_> = wanted.as_object().into_iter().flatten().collect();
            assert!(!wanted.is_empty(), "{rendering}: an empty selector");
            pods.iter()
                .filter(|(labels, _)| wanted.iter().all(|(key, value)| labels[key.as_str()] == **value))
                .collect()
        };
        for object in &rendering.objects {
            let (kind, name) = identity(object);
            let spec = &object["spec"];
            let (selector, how_many) = match kind.as_str() {
                "Deployment" | "PodDisruptionBudget" => (&spec["selector"]["matchLabels"], 1),
                "NetworkPolicy" => (&spec["podSelector"]["matchLabels"], 1),
                "Service" if name.ends_with("-metrics") => (&spec["selector"], 3),
                "Service" => (&spec["selector"], 1),
                _ => continue,
            };
            let found = selected(selector);
            let with_ports = found.iter().filter(|(_, ports)| !ports.is_empty() || kind != "Service");
            assert_eq!(with_ports.count(), how_many, "{rendering}: {kind} {name}");
            for port in list(&spec["ports"]) {
                let is_there = found.iter().any(|(_, ports)| ports.contains(&&port["targetPort"]));
                assert!(is_there, "{rendering}: {kind} {name} {port}");
            }
        }
        for scaler in rendering.of_kind("HorizontalPodAutoscaler") {
            let target = &scaler["spec"]["scaleTargetRef"];
            let name = target["name"].as_str().context("no name")?;
            assert_eq!(rendering.object("Deployment", name)["apiVersion"], target["apiVersion"]);
        }
        for ingress in rendering.of_kind("Ingress") {
            for path in list(&ingress["spec"]["rules"]).flat_map(|rule| list(&rule["http"]["paths"])) {
                let backend = &path["backend"]["service"];
                let service = rendering.object("Service", backend["name"].as_str().context("no name")?);
                let mut ports = list(&service["spec"]["ports"]);
                assert!(ports.any(|port| port["name"] == backend["port"]["name"]), "{rendering}");
            }
        }
    }
    Ok(())
}

/// The ports that a component may talk to.
fn reachable(rendering: &Rendering, component: &str) -> Result<BTreeSet<u64>> {
    let policy = rendering.find("NetworkPolicy", component).context("no policy")?;
    assert_eq!(policy["spec"]["policyTypes"], Value::from(["Ingress", "Egress"].as_slice()));
    let ports = list(&policy["spec"]["egress"]).map(|rule| {
        assert!(rule["ports"].is_array(), "{rendering}: {component} reaches any port");
        list(&rule["ports"]).filter_map(|port| port["port"].as_u64())
    });
    Ok(ports.flatten().collect())
}

#[test]
fn fronts_reach_the_database_and_upstreams_and_never_a_node_or_the_broker() -> Result<()> {
    for (name, fronts, background) in [
        ("default", &[53, 80, 5432][..], &[53, 5432, 5671, 5672, 8545][..]),
        ("two-chains", &[53, 80, 443, 5432, 8443, 9000], &[53, 443, 5432, 5671, 5672, 8545]),
        ("network", &[53, 4317, 4318, 5353, 6432, 8080], &[53, 4317, 4318, 5353, 5671, 5672, 6432, 8545]),
        ("broker", &[53, 80, 5432], &[53, 5432, 5671, 8545]),
        ("paid-test", &[53, 80, 5432], &[53, 443, 5432, 5671, 5672]),
    ] {
        let rendering = crate::helm::one(name, "1.34", false)?;
        for (component, ports) in [("front", fronts), ("watcher", background), ("wallet", background)] {
            assert_eq!(reachable(rendering, component)?, ports.iter().copied().collect(), "{name}: {component}");
        }
        assert!(reachable(rendering, "migration")?.len() <= 3, "{name}");
    }
    Ok(())
}

#[test]
fn fronts_are_not_even_told_where_nodes_and_the_broker_are() -> Result<()> {
    for rendering in all()? {
        let mut maps = rendering.of_kind("ConfigMap").filter(|map| component_of(map) == "front");
        let text = maps.next().and_then(|map| map["data"]["sluice.toml"].as_str()).context("no configuration")?;
        for line in text.lines().filter(|line| line.starts_with("rpc_url")) {
            assert_eq!(line, "rpc_url = \"http://not-for-fronts.invalid\"", "{rendering}");
        }
        assert!(
            ["[queue", "[wallet", "[watcher", "[outbound"].iter().all(|section| !text.contains(section)),
            "{rendering}"
        );
        let front = rendering.find("Deployment", "front").context("no front")?;
        let variables = list(&front["spec"]["template"]["spec"]["containers"][0]["env"]);
        let mut variables = variables.filter_map(|variable| variable["name"].as_str());
        assert!(variables.all(|name| !name.contains("QUEUE") && !name.contains("RPC")), "{rendering}");
    }
    Ok(())
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn containers(pod: &Value) -> impl Iterator<Item = &Value> {
    list(&pod["initContainers"]).chain(list(&pod["containers"]))
}

fn names_of_secrets(pod: &Value) -> BTreeSet<&str> {
    let volumes = list(&pod["volumes"]).map(|volume| &volume["secret"]["secretName"]);
    let variables = containers(pod).flat_map(|container| list(&container["env"]));
    let variables = variables.map(|variable| &variable["valueFrom"]["secretKeyRef"]["name"]);
    volumes.chain(variables).filter_map(Value::as_str).collect()
}

/// What an object's Pods are labelled, and the names of their ports.
fn labels_and_ports(object: &Value) -> Option<(&Value, Vec<&Value>)> {
    let pod = match object["kind"].as_str()? {
        "Pod" => object,
        "Deployment" | "Job" => &object["spec"]["template"],
        _ => return None,
    };
    let ports = containers(&pod["spec"]).flat_map(|container| list(&container["ports"]));
    Some((&pod["metadata"]["labels"], ports.map(|port| &port["name"]).collect()))
}
