//! A configuration is checked whole, and what is wrong is named with its file and key.

use std::fs;
use std::path::PathBuf;

use channel::{Amount, Coin, Step};
use runtime::config::{Charge, ConfigError, Goods, Matcher, Price, load};
use tempfile::TempDir;

const DEPLOYMENT: &str = r#"
[database]
url = "postgres://sluice@localhost/sluice"

[deployments.main]
kind = "raiden"
chain_id = 61
rpc_url = "http://127.0.0.1:8545/secret-token"
contract = "0xe7f1725E7734CE288F8367e1Bb143E90bb3F0512"
token = "0x5FbDB2315678afecb367f032d93F642f64180aa3"
payee = "0x08c86B491A37C2FFC25072a17c7A97EF2D0357dd"
challenge_period = 500
"#;

struct Folder(TempDir);

impl Folder {
    fn with(text: &str) -> Folder {
        let folder = Folder(TempDir::new().expect("a folder"));
        fs::write(folder.0.path().join("goods.txt"), "goods").expect("written");
        fs::write(folder.0.path().join("page.html"), "a page").expect("written");
        fs::write(folder.path(), text).expect("written");
        folder
    }

    fn path(&self) -> PathBuf {
        self.0.path().join("sluice.toml")
    }

    fn error(&self) -> String {
        load(&self.path()).expect_err("refused").to_string()
    }
}

fn with_route(route: &str) -> Folder {
    Folder::with(&format!("{DEPLOYMENT}\n[[front.routes]]\n{route}\n"))
}

#[test]
fn a_small_file_is_enough() {
    let folder = with_route("path = \"/file.txt\"\nfile = \"goods.txt\"\nprice = 10");
    let config = load(&folder.path()).expect("usable");
    let route = &config.front.routes[0];
    assert_eq!(route.matcher, Matcher::Exact("/file.txt".into()));
    assert_eq!(route.goods, Goods::File(folder.0.path().join("goods.txt")));
    assert_eq!(
        (route.price.clone(), route.charge, route.charge_below),
        (Price::Fixed(Amount::new(10)), Charge::Before, 500)
    );
    assert_eq!(config.deployments["main"].terms().step, Step::FromAuthorised);
    assert_eq!(config.contract_deployments()[0].challenge_period, 500);
}

#[test]
fn an_upstream_is_charged_after_the_call_unless_told_otherwise() {
    let folder =
        with_route("prefix = \"/api\"\nupstream = \"http://127.0.0.1:9000\"\nprice = \"1000000000000000000000\"");
    let route = load(&folder.path()).expect("usable").front.routes.remove(0);
    assert_eq!((route.charge, &route.price), (Charge::After, &Price::Fixed("1000000000000000000000".parse().unwrap())));
}

#[test]
fn an_unknown_key_is_refused_with_its_place() {
    let error = Folder::with(&format!("{DEPLOYMENT}\n[front]\nlissten = \"127.0.0.1:1\"\n")).error();
    assert!(error.contains("sluice.toml") && error.contains("front") && error.contains("lissten"), "{error}");
}

#[test]
fn a_value_of_the_wrong_kind_is_refused_with_its_key() {
    let error = Folder::with(&DEPLOYMENT.replace("= 61", "= \"sixty-one\"")).error();
    assert!(error.contains("sluice.toml: deployments.main.chain_id"), "{error}");
}

#[test]
fn every_contradiction_is_listed_not_only_the_first() {
    let text = DEPLOYMENT.replace("challenge_period = 500", "challenge_period = 100");
    let folder = Folder::with(&format!(
        "{text}\n[front]\nproxy_protocol = true\n\
         [[front.routes]]\npath = \"/a\"\nfile = \"nowhere.txt\"\nprice = 1\ndeployment = \"other\"\n\
         [[front.routes]]\npath = \"/a\"\nfile = \"goods.txt\"\nprice = 1\n"
    ));
    let error = folder.error();
    for expected in [
        "deployments.main.safety_budget_s",
        "front.routes.0.deployment: there is no deployment `other`",
        "front.routes.0.file",
        "front.routes.1: the same path as front.routes.0",
        "front.proxy_protocol",
    ] {
        assert!(error.contains(expected), "{expected} is missing in: {error}");
    }
}

#[test]
fn origins_rates_and_operators_that_make_no_sense_are_refused() {
    for (section, expected) in [
        ("[front.cors]\norigins = [\"*\", \"https://a.example\"]", "front.cors.origins: `*` stands alone"),
        ("[front.cors]\norigins = [\"https://a.example/\"]", "`https://a.example/` is no origin"),
        ("[front.cors]\norigins = [\"https://A.example\"]", "`https://A.example` is no origin"),
        ("[front.cors]\norigins = [\"a.example\"]", "`a.example` is no origin"),
        ("[front.rates]\nburst = 0", "front.rates.burst: must be above 0"),
        ("[front.rates]\ndeletes_burst = 0", "front.rates.deletes_burst: must be above 0"),
        ("[front.admin]\nuser = \"a:b\"\npassword_file = \"p\"", "front.admin.user: must be a name without colons"),
        ("[front.admin]\nuser = \"a\"", "password_file"),
    ] {
        let error = Folder::with(&format!("{DEPLOYMENT}\n{section}\n")).error();
        assert!(error.contains(expected), "{section}: {error}");
    }
    let fine = "[front.cors]\norigins = [\"https://a.example\", \"http://localhost:3000\"]";
    load(&Folder::with(&format!("{DEPLOYMENT}\n{fine}\n")).path()).expect("usable");
}

#[test]
fn a_place_to_be_paid_at_has_one_name() {
    let (_, section) = DEPLOYMENT.split_once("[deployments.main]").expect("a deployment");
    let error = Folder::with(&format!("{DEPLOYMENT}\n[deployments.again]\n{section}")).error();
    assert!(error.contains("deployments.main: the same chain, contract and payee as deployments.again"), "{error}");
}

#[test]
fn tls_needs_a_port_of_its_own() {
    let tls = "[front.tls]\nlisten = \"127.0.0.1:8080\"\ncertificate = \"c.pem\"\nkey = \"k.pem\"\npoll_ms = 0";
    let error = Folder::with(&format!("{DEPLOYMENT}\n{tls}\n")).error();
    assert!(error.contains("front.tls.listen: must differ") && error.contains("front.tls.poll_ms"), "{error}");
}

#[test]
fn a_payer_is_blocked_or_allowed_not_both() {
    let payer = "0x8Bf640A099fE945DA46F354D3B49c48a125F48B6";
    let lists = format!("[front.access]\nblocked = [\"{payer}\"]\nallowed = [\"{payer}\"]");
    let error = Folder::with(&format!("{DEPLOYMENT}\n{lists}\n")).error();
    assert!(error.contains("front.access: ") && error.contains("is both blocked and allowed"), "{error}");
}

#[test]
fn a_wallet_that_could_not_act_in_time_is_refused() {
    for (setting, expected) in [
        ("max_fee_gwei = 0", "wallet.max_fee_gwei"),
        ("normal_fee_percent = 76", "wallet.normal_fee_percent: must be between 1 and 75"),
        ("confirmations = 101", "wallet.confirmations: at most 100"),
        ("unmined_max = 0", "wallet.unmined_max"),
    ] {
        let error = Folder::with(&format!("{DEPLOYMENT}\n[wallet]\n{setting}\n")).error();
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn refills_that_make_no_sense_are_refused() {
    let outbound = |change: &str| {
        let fine = "deployment = \"main\"\nreceiver = \"0x8Bf640A099fE945DA46F354D3B49c48a125F48B6\"\nopen_block = 7\n\
                    key_file = \"k\"\nthreshold = 2\namount = 10\ncap_per_day = 50\n";
        let (key, _) = change.split_once(" = ").expect("a key and a value");
        let others: String =
            fine.lines().filter(|line| !line.starts_with(key)).map(|line| format!("{line}\n")).collect();
        format!("[outbound.reports]\n{others}{change}")
    };
    for (section, expected) in [
        (
            "[wallet.gas.62]\nlow = 1\nhigh = 2".to_owned(),
            "wallet.gas.62: there is no deployment on a chain with this id",
        ),
        (
            "[wallet.gas.61]\nlow = 2\nhigh = \"2 wei\"".to_owned(),
            "wallet.gas.61: low must be above 0, and high above low",
        ),
        ("[wallet.gas.61]\nlow = 1\nhigh = \"1.5\"".to_owned(), "wallet.gas.61.high: \"1.5\" is no amount"),
        ("[wallet.gas.61]\nlow = 1\nhigh = 2\nkey_file = \"k\"".to_owned(), "key_file and cap_per_day go together"),
        (outbound("deployment = \"other\""), "outbound.reports.deployment: there is no deployment `other`"),
        (outbound("amount = 0"), "outbound.reports.amount: must be above 0"),
        (outbound("cap_per_day = 0"), "outbound.reports.cap_per_day: must be above 0"),
    ] {
        let error = Folder::with(&format!("{DEPLOYMENT}\n{section}\n")).error();
        assert!(error.contains(expected), "{section}: {error}");
    }
    let gas = "[wallet.gas.61]\nlow = 5\nhigh = \"2 gwei\"\nkey_file = \"k\"\ncap_per_day = \"0.5 ether\"";
    let folder = Folder::with(&format!("{DEPLOYMENT}\n{gas}\n{}\n", outbound("amount = 10")));
    let config = load(&folder.path()).expect("usable");
    let policy = config.wallet.gas_on(61).expect("it is said").policy();
    assert_eq!((policy.threshold, policy.cap_per_day), (Amount::new(5), Amount::new(500_000_000_000_000_000)));
    assert!(config.outbound["reports"].key_file.starts_with(folder.0.path()), "relative to the file");
}

#[test]
fn deployments_on_one_chain_share_their_nodes() {
    let (_, section) = DEPLOYMENT.split_once("[deployments.main]").expect("a deployment");
    let other =
        section.replace("0xe7f1725E7734CE288F8367e1Bb143E90bb3F0512", "0x5FbDB2315678afecb367f032d93F642f64180aa3");
    let folder = Folder::with(&format!("{DEPLOYMENT}rpc_urls = [\"http://b\"]\n[deployments.other]\n{other}"));
    let config = load(&folder.path()).expect("usable");
    assert_eq!(config.nodes_of(61), ["http://127.0.0.1:8545/secret-token", "http://b"]);
    assert!(config.nodes_of(62).is_empty());
    assert!(!format!("{config:?}").contains("http://b"), "it may be secret");
}

#[test]
fn a_route_that_makes_no_sense_is_refused() {
    for (route, expected) in [
        (
            "path = \"/a\"\nprefix = \"/b\"\nfile = \"goods.txt\"\nprice = 1",
            "exactly one of `path`, `prefix` and `regex`",
        ),
        ("path = \"/a\"\nprice = 1", "exactly one of `file`, `folder` and `upstream`"),
        ("path = \"/a\"\nfile = \"goods.txt\"\nprice = -1", "never negative"),
        ("path = \"/a\"\nfile = \"goods.txt\"\nprice = 1.5", "amount"),
        ("path = \"/a\"\nupstream = \"ftp://x/\"\nprice = 1", "must be http://"),
        ("path = \"/a\"\nupstream = \"http://user@x/\"\nprice = 1", "no user"),
        ("path = \"a\"\nfile = \"goods.txt\"\nprice = 1", "plain absolute path"),
        ("path = \"/a/../b\"\nfile = \"goods.txt\"\nprice = 1", "plain absolute path"),
    ] {
        let error = with_route(route).error();
        assert!(error.contains(expected), "{route}: {error}");
    }
}

#[test]
fn claims_follow_what_is_written_and_what_makes_no_sense_is_refused() {
    let section = "[deployments.main.claim]";
    for (line, expected) in [
        ("coin = 0", "deployments.main.claim.coin: must be above 0"),
        ("gas = 0", "deployments.main.claim.gas: must be above 0"),
        ("max_gas_percent = 0", "deployments.main.claim.max_gas_percent: must be between 1 and 100"),
        ("max_gas_percent = 101", "deployments.main.claim.max_gas_percent: must be between 1 and 100"),
        ("min_amount = 0", "deployments.main.claim.min_amount: must be above 0"),
        ("min = 7", "deployments.main.claim.min: unknown field"),
    ] {
        let error = Folder::with(&format!("{DEPLOYMENT}\n{section}\n{line}\n")).error();
        assert!(error.contains(expected), "{line}: {error}");
    }
    let policy = |text: &str| load(&Folder::with(text).path()).expect("usable").deployments["main"].policy();
    assert_eq!(policy(DEPLOYMENT).coin, None, "nothing by itself");
    let written = policy(&format!("{DEPLOYMENT}\n{section}\ncoin = \"1 gwei\"\ncoin_units = 5\nmin_amount = 700\n"));
    assert_eq!(written.coin, Some(Coin { wei: 1_000_000_000, units: Amount::new(5) }));
    assert_eq!(written.min_amount, Amount::new(700));
    let limited = format!("{DEPLOYMENT}max_exposure = 1001\n{section}\nmin_amount = 700\n");
    assert_eq!(policy(&limited).min_amount, Amount::new(501), "payers do not wait for it");
}

#[test]
fn a_missing_file_is_named() {
    let error = load(&PathBuf::from("/nowhere/sluice.toml")).expect_err("refused");
    assert!(matches!(error, ConfigError::Unreadable { .. }));
    assert!(error.to_string().contains("/nowhere/sluice.toml"));
}

#[test]
fn secrets_are_not_shown() {
    let config = load(&Folder::with(DEPLOYMENT).path()).expect("usable");
    assert!(!format!("{config:?}").contains("secret-token"));
}

#[test]
fn a_broker_is_left_out_or_named_with_files_beside_the_configuration() {
    assert!(load(&Folder::with(DEPLOYMENT).path()).expect("usable").queue.is_none());
    let queue = "[queue]\nurl = \"amqps://sluice:hush@mq/%2f\"\nurls = [\"amqp://mq2:5672\"]\nca_file = \"ca.pem\"";
    let folder = Folder::with(&format!("{DEPLOYMENT}\n{queue}\n"));
    let queue = load(&folder.path()).expect("usable").queue.expect("there");
    assert_eq!(queue.nodes().count(), 2);
    assert_eq!(queue.ca_file.as_deref(), Some(folder.0.path().join("ca.pem").as_path()));
    assert!(!format!("{queue:?}").contains("hush"));
}

#[test]
fn a_broker_that_makes_no_sense_is_refused_without_showing_its_password() {
    for (section, expected) in [
        ("prefetch = 1", "queue.url: must be amqp://"),
        ("url = \"http://hush@mq\"", "queue.url: must be amqp://"),
        ("url = \"amqp://mq\"\nurls = [\"hush\"]", "queue.url: must be amqp://"),
        ("url = \"amqp://mq\"\ncertificate = \"c.pem\"", "queue.certificate: needs queue.key"),
        ("url = \"amqp://mq\"\nprefetch = 0", "queue.prefetch: must be above 0"),
        ("url = \"amqp://mq\"\nlook_ms = 0", "queue.look_ms: must be above 0"),
        ("url = \"amqp://mq\"\npassword = \"hush\"", "password"),
    ] {
        let error = Folder::with(&format!("{DEPLOYMENT}\n[queue]\n{section}\n")).error();
        assert!(error.contains(expected) && !error.contains("hush"), "{section}: {error}");
    }
}

#[test]
fn nothing_is_traced_unless_there_is_a_collector() {
    let traces =
        |section: &str| load(&Folder::with(&format!("{DEPLOYMENT}\n{section}\n")).path()).expect("usable").telemetry;
    let silent = traces("");
    assert_eq!((silent.otlp_endpoint.as_str(), silent.sample, silent.requested_per_s), ("", 0.01, 10));
    let all = traces("[telemetry]\notlp_endpoint = \"https://collector/otlp\"\nsample = 1\nrequested_per_s = 0");
    assert_eq!((all.otlp_endpoint.as_str(), all.sample, all.requested_per_s), ("https://collector/otlp", 1.0, 0));
}

#[test]
fn a_collector_that_makes_no_sense_is_refused_without_showing_its_password() {
    for (section, expected) in [
        ("otlp_endpoint = \"collector:4318\"", "telemetry.otlp_endpoint: must be http://host:port"),
        ("otlp_endpoint = \"grpc://collector:4317\"", "telemetry.otlp_endpoint: must be"),
        ("otlp_endpoint = \"http://me:hush@collector\"", "telemetry.otlp_endpoint: must be"),
        ("otlp_endpoint = \"http://collector/?token=hush\"", "telemetry.otlp_endpoint: must be"),
        ("sample = 1.5", "telemetry.sample: 1.5 is no share from 0 to 1"),
        ("sample = -0.1", "telemetry.sample: -0.1 is"),
        ("sample = nan", "telemetry.sample: NaN is"),
        ("requested_per_s = -1", "telemetry.requested_per_s"),
        ("header = \"hush\"", "header"),
    ] {
        let error = Folder::with(&format!("{DEPLOYMENT}\n[telemetry]\n{section}\n")).error();
        assert!(error.contains(expected) && !error.contains("hush"), "{section}: {error}");
    }
}

/// What the sample shows as defaults is what the code does: with every default written out, nothing changes.
#[test]
fn the_documented_sample_names_the_real_defaults() {
    let sample = include_str!("../../../docs/sluice.toml");
    let written_out: String = sample.lines().map(|line| format!("{}\n", uncomment(line))).collect();
    assert!(written_out.contains("\npool_size = 8"), "defaults are written out");
    let (terse, explicit) = (Folder::with(sample), Folder::with(&written_out));
    let terse = format!("{:#?}", load(&terse.path()).expect("usable"));
    let explicit = format!("{:#?}", load(&explicit.path()).expect("usable"));
    assert_eq!(terse, explicit);
}

/// Sections that may be left out are written with `#[` and `#key`, and are usable as they stand there.
#[test]
fn the_optional_sections_of_the_sample_are_usable() {
    let sample = include_str!("../../../docs/sluice.toml");
    let all: String = sample.lines().map(|line| format!("{}\n", with_its_section(line))).collect();
    assert!(all.contains("\n[front.tls]"), "an optional section is written out");
    let folder = Folder::with(&all);
    for file in ["ca.pem", "page.html"] {
        fs::write(folder.0.path().join(file), "there").expect("written");
    }
    load(&folder.path()).expect("usable");
}

fn with_its_section(line: &str) -> &str {
    line.strip_prefix('#').filter(|rest| rest.starts_with(|c: char| c == '[' || c.is_lowercase())).unwrap_or(line)
}

/// `# key = value` as `key = value`; keys without a default stay away.
fn uncomment(line: &str) -> &str {
    let without_default = ["key_file", "password_file"];
    match line.strip_prefix("# ") {
        Some(setting) if setting.contains(" = ") && !setting.starts_with(|c: char| c.is_uppercase()) => {
            let key = setting.split(' ').next().unwrap_or_default();
            if without_default.contains(&key) { line } else { setting }
        }
        _ => line,
    }
}
