//! The configuration that all of a cluster's programs read; what differs between them is in their environment.

use std::net::SocketAddr;

use super::{Contracts, Options};
use crate::anvil::Anvil;
use crate::haproxy::Client;

/// What the upstream sells beside the file, which costs 10.
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

pub(super) fn text(
    options: &Options,
    database: &str,
    chain: &Anvil,
    contracts: &Contracts,
    upstream: SocketAddr,
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
payee = "{payee}"
challenge_period = {challenge_period}
from_block = {from_block}
confirmations = {confirmations}
terms = "{terms}"

[watcher]
poll_ms = 200
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
    for (how, path, price) in PAGES {
        text += &format!("\n[[front.routes]]\n{how} = \"{path}\"\nupstream = \"http://{upstream}\"\nprice = {price}\n");
    }
    text + "\n" + more
}
