//! What can be said about something for sale, and what is said about it when it makes no sense.

use std::fs;
use std::time::Duration;

use channel::Amount;
use http::Method;
use ledger::Window;
use runtime::Config;
use runtime::config::{Charge, FreeQuota, Goods, Matcher, Price, load};
use tempfile::TempDir;

const DEPLOYMENT: &str = r#"
[database]
url = "postgres://sluice@localhost/sluice"

[deployments.main]
kind = "raiden"
chain_id = 61
rpc_url = "http://127.0.0.1:8545"
contract = "0xe7f1725E7734CE288F8367e1Bb143E90bb3F0512"
token = "0x5FbDB2315678afecb367f032d93F642f64180aa3"
payee = "0x08c86B491A37C2FFC25072a17c7A97EF2D0357dd"
challenge_period = 500
"#;

/// Reads a configuration with these routes, in a folder with `goods.txt` and `site/`.
fn read(routes: &[&str]) -> Result<Config, String> {
    let folder = TempDir::new().expect("a folder");
    fs::write(folder.path().join("goods.txt"), "goods").expect("written");
    fs::create_dir(folder.path().join("site")).expect("made");
    let routes: String = routes.iter().map(|route| format!("[[front.routes]]\n{route}\n")).collect();
    let file = folder.path().join("sluice.toml");
    fs::write(&file, format!("{DEPLOYMENT}\n{routes}")).expect("written");
    load(&file).map_err(|error| error.to_string())
}

fn route(text: &str) -> runtime::config::Route {
    read(&[text]).expect("usable").front.routes.remove(0)
}

fn problem(routes: &[&str]) -> String {
    read(routes).expect_err("refused")
}

const UPSTREAM: &str = "upstream = \"http://127.0.0.1:9000\"";

#[test]
fn a_price_is_fixed_by_method_by_a_number_in_the_path_or_asked_for() {
    let amount = Amount::new;
    assert_eq!(route(&format!("path = \"/a\"\n{UPSTREAM}\nprice = \"7\"")).price, Price::Fixed(amount(7)));

    let by_method =
        route(&format!("path = \"/a\"\n{UPSTREAM}\nprice = {{ per_method = {{ GET = 1, POST = \"5\" }} }}"));
    assert_eq!(by_method.price, Price::PerMethod(vec![(Method::GET, amount(1)), (Method::POST, amount(5))]));
    assert_eq!(by_method.methods, [Method::GET, Method::POST, Method::HEAD]);

    let captured = route(&format!("regex = '/buy/(?P<n>[0-9]+)'\n{UPSTREAM}\nprice = {{ capture = \"n\", plus = 3 }}"));
    assert_eq!(captured.price, Price::Capture { group: "n".into(), times: amount(1), plus: amount(3) });

    let asked = route(&format!(
        "path = \"/a\"\n{UPSTREAM}\nprice = {{ callback = \"https://seller/price?x=1\", cache_ms = 0 }}"
    ));
    let Price::Callback { url, timeout, cache } = asked.price else { panic!("{:?}", asked.price) };
    assert_eq!(
        (url.to_string().as_str(), timeout, cache),
        ("https://seller/price?x=1", Duration::from_secs(1), Duration::ZERO)
    );
}

#[test]
fn a_price_that_makes_no_sense_is_refused_with_its_key() {
    for (price, expected) in [
        ("{}", "exactly one of `per_method`, `capture` and `callback`"),
        ("{ per_method = {} }", "exactly one of `per_method`, `capture` and `callback`"),
        ("{ capture = \"n\", callback = \"http://x/\" }", "exactly one of `per_method`, `capture` and `callback`"),
        ("{ per_method = { GET = -1 } }", "front.routes.0.price.per_method"),
        ("{ per_method = { \"G T\" = 1 } }", "`G T` is no method"),
        ("{ callback = \"http://x/\", times = 2 }", "`times` and `plus` belong to `capture`"),
        ("{ capture = \"n\", cache_ms = 2 }", "`timeout_ms` and `cache_ms` belong to `callback`"),
        ("{ capture = \"m\" }", "front.routes.0.price.capture: the regex has no group (?P<m>…)"),
        ("{ callback = \"ftp://x/\" }", "callback `ftp://x/` must be http://"),
        ("{ callback = \"http://x/\", timeout_ms = 0 }", "front.routes.0.price.timeout_ms: must be from 1 to 30000"),
        ("{ callback = \"http://x/\", cache_ms = 99999999999 }", "front.routes.0.price.cache_ms: must be at most"),
        ("{ fixed = 1 }", "fixed"),
        ("true", "an amount in base units"),
    ] {
        let error = problem(&[&format!("regex = '/(?P<n>[0-9]+)'\n{UPSTREAM}\nprice = {price}")]);
        assert!(error.contains(expected), "{price}: {error}");
        assert!(error.contains("front.routes.0"), "{price}: {error}");
    }
    let error = problem(&[&format!("prefix = \"/\"\n{UPSTREAM}\nprice = {{ capture = \"n\" }}")]);
    assert!(error.contains("front.routes.0.price.capture: needs a `regex`"), "{error}");
    let error = problem(&[&format!(
        "prefix = \"/\"\n{UPSTREAM}\nmethods = [\"GET\"]\nprice = {{ per_method = {{ GET = 1 }} }}"
    )]);
    assert!(error.contains("`price.per_method` names the methods"), "{error}");
}

#[test]
fn goods_are_a_file_a_folder_or_an_upstream() {
    let folder = route("prefix = \"/site\"\nfolder = \"site\"\nprice = 1");
    assert!(matches!(&folder.goods, Goods::Folder(path) if path.ends_with("site")), "{:?}", folder.goods);
    assert_eq!((folder.charge, folder.methods.as_slice()), (Charge::Before, &[Method::GET, Method::HEAD][..]));

    let upstream = route("prefix = \"/api\"\nupstream = \"https://api.internal/v1\"\nstrip_prefix = true\nprice = 1");
    let Goods::Upstream { url, strip_prefix } = upstream.goods else { panic!("{:?}", upstream.goods) };
    assert_eq!((url.to_string().as_str(), strip_prefix), ("https://api.internal/v1", true));
    assert!(upstream.methods.is_empty());
}

#[test]
fn goods_that_make_no_sense_are_refused_with_their_key() {
    for (text, expected) in [
        ("prefix = \"/a\"\nfile = \"goods.txt\"\nfolder = \"site\"", "exactly one of `file`, `folder` and `upstream`"),
        ("path = \"/a\"\nfolder = \"site\"", "front.routes.0.folder: needs `prefix`"),
        ("prefix = \"/a\"\nfolder = \"goods.txt\"", "is no folder"),
        ("prefix = \"/a\"\nfolder = \"nowhere\"", "front.routes.0.folder:"),
        ("prefix = \"/a\"\nfile = \"site\"", "is no file"),
        ("path = \"/a\"\nupstream = \"http://x\"\nstrip_prefix = true", "front.routes.0.strip_prefix: needs `prefix`"),
        ("path = \"/a\"\nfile = \"goods.txt\"\nstrip_prefix = true", "`strip_prefix` belongs to `upstream`"),
        ("path = \"/a\"\nupstream = \"http://x/?q\"", "no query"),
    ] {
        let error = problem(&[&format!("{text}\nprice = 1")]);
        assert!(error.contains(expected), "{text}: {error}");
    }
}

#[test]
fn a_regex_is_one_and_small_and_begins_at_the_slash() {
    let long = format!("/{}", "x".repeat(1_024));
    for (regex, expected) in [
        ("/(", "`/(` is no regex: unclosed group"),
        ("/a)|(?:/b", "is no regex: unopened group"),
        ("/(?P<n>a)(?P<n>b)", "duplicate capture group name"),
        (r"/(\w{100}){100}", "compiled, it is larger than 1048576 bytes"),
        (&long, "a regex has at most 1024 bytes"),
        ("echofix/[a-z]+", "with its leading slash"),
    ] {
        let error = problem(&[&format!("regex = '{regex}'\n{UPSTREAM}\nprice = 1")]);
        assert!(error.contains(expected), "{regex}: {error}");
        assert!(error.contains("front.routes.0"), "{regex}: {error}");
        let error = problem(&[&format!("prefix = \"/\"\n{UPSTREAM}\nprice = 1\npaid = ['{regex}']")]);
        assert!(error.contains(expected), "{regex}: {error}");
    }
}

#[test]
fn what_answers_the_same_requests_is_there_once() {
    for (first, second) in [
        ("path = \"/a\"", "path = \"/a\""),
        ("prefix = \"/a\"", "prefix = \"/a/\""),
        ("regex = '/a+'", "regex = '/a+'"),
    ] {
        let routes = [first, second].map(|matcher| format!("{matcher}\n{UPSTREAM}\nprice = 1"));
        let error = problem(&[&routes[0], &routes[1]]);
        assert!(error.contains("front.routes.1: the same path as front.routes.0"), "{error}");
    }
    let different = ["path = \"/a\"", "prefix = \"/a\"", "regex = '/a'"];
    let routes = different.map(|matcher| format!("{matcher}\n{UPSTREAM}\nprice = 1"));
    let config = read(&[&routes[0], &routes[1], &routes[2]]).expect("usable");
    assert!(matches!(config.front.routes[2].matcher, Matcher::Regex(_)));
}

#[test]
fn at_most_a_hundred_routes_have_a_regex() {
    let routes: Vec<_> = (0..101).map(|n| format!("regex = '/{n}'\n{UPSTREAM}\nprice = 1")).collect();
    let routes: Vec<_> = routes.iter().map(String::as_str).collect();
    assert!(read(&routes[..100]).is_ok());
    assert!(problem(&routes).contains("front.routes: at most 100 of them have a regex"));
}

#[test]
fn clients_may_have_some_for_nothing_and_routes_may_be_closed_for_a_while() {
    let free = route(&format!("path = \"/a\"\n{UPSTREAM}\nprice = 1\nfree = {{ requests = 100, per = \"day\" }}"));
    assert_eq!(free.free, Some(FreeQuota { requests: 100, per: Window::Day }));
    let closed = route(&format!("path = \"/a\"\n{UPSTREAM}\nprice = 1\nmaintenance = \"back at noon\""));
    assert_eq!(closed.maintenance.as_deref(), Some("back at noon"));

    for (more, expected) in [
        ("price = 1\nfree = { requests = 0, per = \"day\" }", "front.routes.0.free.requests: must be above 0"),
        ("price = 0\nfree = { requests = 1, per = \"day\" }", "front.routes.0.free: everything here is free already"),
        ("price = 1\npaid = []\nfree = { requests = 1, per = \"hour\" }", "everything here is free already"),
        ("price = 1\nfree = { requests = 1, per = \"week\" }", "week"),
        ("price = 1\nmaintenance = \"\"", "front.routes.0.maintenance: must be a sentence"),
    ] {
        let error = problem(&[&format!("path = \"/a\"\n{UPSTREAM}\n{more}")]);
        assert!(error.contains(expected), "{more}: {error}");
    }
}

#[test]
fn what_changed_is_told_by_its_key_wherever_it_stands_in_the_file() {
    let routes = |price: u8, more: &[&str]| {
        let mut routes = vec![
            format!("prefix = \"/a\"\n{UPSTREAM}\nprice = {price}"),
            format!("path = \"/b\"\n{UPSTREAM}\nprice = 2"),
        ];
        routes.splice(0..0, more.iter().map(|text| (*text).to_owned()));
        read(&routes.iter().map(String::as_str).collect::<Vec<_>>()).expect("usable")
    };
    let before = routes(1, &[]);
    assert!(before.changed_keys(&routes(1, &[])).is_empty());
    assert_eq!(before.changed_keys(&routes(3, &[])), ["front.routes[/a].price"]);
    let new = "regex = '/c+'\nfile = \"goods.txt\"\nprice = { capture = \"n\" }".replace("/c+", "/(?P<n>c+)");
    assert_eq!(
        before.changed_keys(&routes(1, &[&new])),
        [
            "front.routes",
            "front.routes[/(?P<n>c+)].file",
            "front.routes[/(?P<n>c+)].price.capture",
            "front.routes[/(?P<n>c+)].regex",
        ]
    );
}
