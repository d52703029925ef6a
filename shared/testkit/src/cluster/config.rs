//! The configuration that all of a cluster's programs read; what differs between them is in their environment.

use std::net::SocketAddr;

use super::{Contracts, HOST, Options};
use crate::anvil::Anvil;
use crate::haproxy::Client;
use crate::rabbit::Rabbit;

/// What the upstream sells beside the file, which costs 10, and the [`TUTORIAL`].
const PAGES: [(&str, &str, u32); 9] = [
    ("path", "/free", 0),
    ("path", "/teapot.txt", 1),
    ("path", "/page", 1),
    ("prefix", "/fail", 1),
    ("prefix", "/status", 1),
    ("prefix", "/slow", 1),
    ("prefix", "/echo", 1),
    ("prefix", "/upload", 1),
    ("prefix", "/events", 1),
];

/// What µRaiden's tutorial and examples sell: a fixed price, a price in the path, and a CDN of which a part costs money.
const TUTORIAL: &str = r#"
[[front.routes]]
name = "/sqrt"
regex = '/sqrt/[0-9]+(\.[0-9]+)?'
upstream = "UPSTREAM"
price = 3

[[front.routes]]
name = "/reserve_tokens"
regex = '/reserve_tokens/(?P<n>[0-9]+)'
upstream = "UPSTREAM"
price = { capture = "n" }

[[front.routes]]
name = "/echofix"
regex = '/echofix/[a-zA-Z0-9]+'
upstream = "UPSTREAM"
price = 5

[[front.routes]]
name = "/echodyn"
regex = '/echodyn/(?P<n>[0-9]+)'
upstream = "UPSTREAM"
price = { capture = "n" }

[[front.routes]]
prefix = "/cdn"
upstream = "UPSTREAM/origin"
strip_prefix = true
price = 2
paid = ['.*\.(pdf|mp4)', '/cdn/members/.*']
"#;

pub(super) fn text(
    options: &Options,
    database: &str,
    chain: &Anvil,
    contracts: &Contracts,
    upstream: SocketAddr,
    rabbit: Option<&Rabbit>,
) -> String {
    let Options { confirmations, terms, client, more, .. } = options;
    let Contracts { token, channels, payee, challenge_period, from_block, .. } = contracts;
    let proxy_protocol = *client == Client::ProxyV2;
    let mut text = format!(
        r#"# Written by the test kit for a cluster on this machine.
[database]
url = "{database}"
single_node = true

[deployments.main]
kind = "raiden"
chain_id = {chain_id}
rpc_url = "{rpc_url}"
contract = "{channels}"
token = "{token}"
token_symbol = "TKN"
token_decimals = 2
payee = "{payee}"
challenge_period = {challenge_period}
from_block = {from_block}
confirmations = {confirmations}
terms = "{terms}"

[watcher]
poll_ms = 200
plan_ms = 1000
lease_ms = 3000

[wallet]
key_file = "payee.key"
poll_ms = 200
lease_ms = 3000

[front]
trusted_proxies = ["127.0.0.1/32"]
proxy_protocol = {proxy_protocol}

[front.timeouts]
drain_delay_ms = 500
grace_ms = 5000

[[front.routes]]
path = "/file.txt"
file = "file.txt"
price = 10
"#,
        chain_id = chain.chain_id(),
        rpc_url = chain.url(),
    );
    text += &rabbit.map(queue).unwrap_or_default();
    for (how, path, price) in PAGES {
        text += &format!("\n[[front.routes]]\n{how} = \"{path}\"\nupstream = \"http://{upstream}\"\nprice = {price}\n");
    }
    text + &TUTORIAL.replace("UPSTREAM", &format!("http://{upstream}")) + "\n" + more
}

/// The broker's nodes, the first first.
fn queue(rabbit: &Rabbit) -> String {
    let urls: Vec<String> = rabbit.nodes().iter().map(|node| format!("{:?}", node.url(HOST))).collect();
    format!("\n[queue]\nurl = {}\nurls = [{}]\ntimeout_ms = 2000\n", urls[0], urls[1..].join(", "))
}
