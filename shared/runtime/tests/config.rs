//! A configuration is checked whole, and what is wrong is named with its file and key.

use std::fs;
use std::path::PathBuf;

use channel::{Amount, Step};
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
