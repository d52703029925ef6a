//! What the chart refuses, and in which words.

use std::collections::BTreeMap;

use anyhow::Result;

use crate::helm::{Helm4, helm_4, objects, refusal};

const TWO_DEPLOYMENTS: &str = r#"
  deployments:
    - &main { name: main, kind: raiden, chain_id: 100, rpc_url: "http://a", contract: "0x0000000000000000000000000000000000000001",
              token: "0x0000000000000000000000000000000000000002", payee: "0x0000000000000000000000000000000000000003", challenge_period: 500 }
    - { name: side, kind: raiden, chain_id: 61, rpc_url: "http://b", contract: "0x0000000000000000000000000000000000000001",
        token: "0x0000000000000000000000000000000000000002", payee: "0x0000000000000000000000000000000000000003", challenge_period: 500 }
"#;

/// Values that are wrong by themselves: the schema says so.
const WRONG: [(&str, &str); 26] = [
    ("replicas: 3", "Additional property replicas is not allowed"),
    ("front: { replica: 3 }", "front: Additional property replica is not allowed"),
    ("config: { front: { listen: 0.0.0.0:80 } }", "config.front: Additional property listen is not allowed"),
    ("config: { wallet: { key_file: /k } }", "config.wallet: Additional property key_file is not allowed"),
    ("config: { database: { url: postgres://a:b@c/d } }", "config.database: Additional property url is not allowed"),
    (
        "config: { front: { timeouts: { grace: 5 } } }",
        "config.front.timeouts: Additional property grace is not allowed",
    ),
    ("front: { replicas: 0 }", "front.replicas: Must be greater than or equal to 1"),
    ("front: { replicas: three }", "front.replicas: Invalid type. Expected: integer, given: string"),
    ("front: { service: { port: 70000 } }", "front.service.port: Must be less than or equal to 65535"),
    (
        "front: { service: { type: Cluster } }",
        "front.service.type: front.service.type must be one of the following: \"ClusterIP\"",
    ),
    ("image: { digest: sha256:abc }", "image.digest: Does not match pattern '^(sha256:[0-9a-f]{64})?$'"),
    ("image: { pullPolicy: Sometimes }", "image.pullPolicy must be one of the following: \"Always\""),
    ("commonLabels: { app.kubernetes.io/name: mine }", "commonLabels: "),
    ("podSecurityContext: null", "podSecurityContext is required"),
    ("config: { deployments: [] }", "config.deployments: Array must have at least 1 items"),
    ("config: { deployments: [{ name: main, kind: raiden, chain_id: 100 }] }", "contract is required"),
    (
        "config: { front: { routes: [{ prefix: /a, upstream: ftp://x, price: 1 }] } }",
        "Does not match pattern '^https?://[^/]'",
    ),
    (
        "config: { front: { routes: [{ prefix: a, upstream: http://x, price: 1 }] } }",
        "routes.0.prefix: Does not match pattern '^/'",
    ),
    ("config: { front: { routes: [{ prefix: /a, upstream: http://x }] } }", "config.front.routes.0: price is required"),
    ("config: { front: { routes: [{ prefix: /a, upstream: http://x, price: -1 }] } }", "config.front.routes.0.price"),
    // YAML's numbers are exact up to here; beyond, an amount is text.
    (
        "config: { front: { routes: [{ prefix: /a, upstream: http://x, price: 9007199254740993 }] } }",
        "config.front.routes.0.price",
    ),
    (
        "config: { wallet: { normal_fee_percent: 90 } }",
        "config.wallet.normal_fee_percent: Must be less than or equal to 75",
    ),
    ("config: { wallet: { keys: { main: { key_file: /etc/key } } } }", "Does not match pattern '^/secrets/wallet/"),
    ("database: { front: { poolSize: 0 } }", "database.front.poolSize: Must be greater than or equal to 1"),
    ("config: { telemetry: { sample: 2 } }", "config.telemetry.sample: Must be less than or equal to 1"),
    (
        "config: { telemetry: { otlp_endpoint: \"http://a:secret@b\" } }",
        "config.telemetry.otlp_endpoint: Does not match pattern '^(https?://",
    ),
];

/// Values that are fine one by one, and cannot work together: the chart says which, and why.
const IMPOSSIBLE: [(&str, &str); 27] = [
    (
        "database: { maxConnections: 60 }",
        "database.maxConnections: 85 connections may be open (fronts 56, watchers and wallets 28, migration 1), but the server has 50 for us",
    ),
    ("front: { autoscaling: { maxReplicas: 40 } }", "database.maxConnections: 589 connections may be open"),
    (
        "database: { front: { existingSecret: \"\" } }",
        "database.front.existingSecret: name the Secret that has the database's address",
    ),
    (
        "wallet: { key: { existingSecret: \"\" } }",
        "wallet.key.existingSecret: name the Secret that has the payee's key",
    ),
    (
        "front: { extraVolumes: [{ name: k, secret: { secretName: sluice-wallet } }] }",
        "front.extraVolumes, extraEnv: the wallet's key (Secret `sluice-wallet`) is for wallets alone",
    ),
    (
        "watcher: { extraEnv: [{ name: K, valueFrom: { secretKeyRef: { name: sluice-wallet, key: key.json } } }] }",
        "watcher.extraVolumes, extraEnv: the wallet's key",
    ),
    (
        "database: { tls: { existingSecret: sluice-wallet } }",
        "database.tls.existingSecret: the wallet's key (Secret `sluice-wallet`) is for wallets alone",
    ),
    ("wallet: { serviceAccount: { create: false } }", "wallet.serviceAccount.name: needed where none is created"),
    (
        "wallet: { serviceAccount: { name: sluice-front } }",
        "wallet.serviceAccount.name: `sluice-front` is that of the front; each needs one of its own",
    ),
    ("front: { tls: { enabled: true } }", "front.tls.existingSecret: name the Secret that has tls.crt and tls.key"),
    ("front: { admin: { enabled: true } }", "front.admin.existingSecret: name the Secret that has the password"),
    ("front: { ingress: { enabled: true } }", "front.ingress.hosts: name at least one"),
    ("front: { autoscaling: { minReplicas: 7 } }", "front.autoscaling.minReplicas: 7 is more than maxReplicas, 4"),
    ("config: { front: { proxy_protocol: true } }", "config.front.proxy_protocol: needs config.front.trusted_proxies"),
    (
        "queue: { existingSecret: \"\" }",
        "queue.existingSecret: name the Secret that has the broker's address, or set queue.enabled to false",
    ),
    (
        "config: { queue: { url: \"amqp://a:secret@b/c\" } }",
        "config.queue.url: a password does not belong into values; use queue.existingSecret or queue.password",
    ),
    (
        "queue: { tls: { clientCertificate: true } }",
        "queue.tls.existingSecret: name the Secret that has the certificate",
    ),
    ("rpcSecrets: { other: { existingSecret: node, key: url } }", "rpcSecrets.other: there is no such deployment"),
    (
        "config: { wallet: { keys: { other: { key_file: /secrets/wallet/k } } } }",
        "config.wallet.keys.other: there is no such deployment",
    ),
    (
        "config: { front: { routes: [{ prefix: /a, path: /b, upstream: \"http://x\", price: 1 }] } }",
        "config.front.routes[0]: exactly one of path, prefix and regex is needed",
    ),
    (
        "config: { front: { routes: [{ prefix: /a, price: 1 }] } }",
        "config.front.routes[0]: exactly one of upstream, file and folder is needed",
    ),
    (
        "config: { front: { routes: [{ prefix: /a, upstream: \"http://x\", price: 1 }, { prefix: /a, upstream: \"http://y\", price: 2 }] } }",
        "config.front.routes[1]: another route has the same prefix",
    ),
    (
        "config: { front: { routes: [{ prefix: /a, upstream: \"http://x\", price: 1, deployment: moon }] } }",
        "config.front.routes[0].deployment: there is no deployment `moon`",
    ),
    (
        "config: { front: { routes: [{ regex: /a/.*, upstream: \"http://x\", price: 1 }] } }",
        "helmTest.path: needed, since the first route is found by regex",
    ),
    ("helmTest: { paid: { enabled: true } }", "helmTest.paid.existingSecret: name the Secret that has a payer's key"),
    (
        "helmTest: { paid: { enabled: true, existingSecret: a, deployment: moon } }",
        "helmTest.paid.deployment: there is no deployment `moon`",
    ),
    (
        "front: { service: { type: ClusterIP, externalTrafficPolicy: Local } }",
        "front.service.externalTrafficPolicy: needs the type NodePort or LoadBalancer",
    ),
];

/// The same, where the deployments are others.
fn about_deployments() -> Vec<(String, &'static str)> {
    let one = |more: &str| {
        let address = "0x0000000000000000000000000000000000000001";
        format!(
            "config: {{ deployments: [{{ name: main, kind: raiden, chain_id: 100, contract: \"{address}\", token: \"{address}\", \
             payee: \"{address}\", challenge_period: 100, {more} }}] }}"
        )
    };
    vec![
        (one(""), "config.deployments[0].rpc_url: needed, or a Secret with it as rpcSecrets.main"),
        (
            one("safety_budget_s: 10, rpc_url: \"https://me:secret@node\""),
            "config.deployments[0].rpc_url: a password does not belong into values",
        ),
        (
            one("rpc_url: \"http://a\""),
            "config.deployments[0].safety_budget_s: 120 s leave nothing of the 100 s challenge period",
        ),
        (format!("config:{TWO_DEPLOYMENTS}"), "config.front.routes[0].deployment: name one of main, side"),
        (format!("config:{TWO_DEPLOYMENTS}    - *main\n"), "config.deployments[2].name: there is another `main`"),
    ]
}

fn all() -> Vec<(String, &'static str)> {
    let written = WRONG.into_iter().chain(IMPOSSIBLE).map(|(values, why)| (values.to_owned(), why));
    written.chain(about_deployments()).collect()
}

#[test]
fn what_cannot_work_is_refused_in_words_that_say_what_to_do() -> Result<()> {
    for (values, expected) in all() {
        let why = refusal(&values)?;
        assert!(why.contains(expected), "{values}\nexpected: {expected}\nsaid: {why}");
        assert!(!why.contains("nil pointer") && !why.contains("secret@"), "{values}: {why}");
    }
    Ok(())
}

/// In its own words where it is about a single value.
#[test]
fn helm_4_refuses_the_same() -> Result<()> {
    let values = all().into_iter().map(|(values, _)| Ok((values.clone(), objects(&values)?.remove(0))));
    let said = helm_4(values.collect::<Result<BTreeMap<_, _>>>()?)?;
    let ours: BTreeMap<String, &str> = all().into_iter().skip(WRONG.len()).collect();
    for (values, said) in said {
        match said {
            Helm4::Rendered(_) => panic!("it was rendered:\n{values}"),
            Helm4::Refused(why) => assert!(ours.get(&values).is_none_or(|ours| why.contains(ours)), "{values}\n{why}"),
        }
    }
    Ok(())
}
