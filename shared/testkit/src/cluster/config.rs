//! The configuration that all of a cluster's programs read; what differs between them is in their environment.

use std::net::SocketAddr;

use super::{Contracts, Options};
use crate::anvil::Anvil;
use crate::haproxy::Client;

/// What a request costs, by path: a file, a teapot, and whatever else the upstream does.
pub(super) const PRICES: [(&str, u128); 3] = [("/file.txt", 10), ("/teapot.txt", 1), ("/page", 1)];

/// Pages of the upstream that cost 1, and what is below them.
const PREFIXES: [&str; 6] = ["/fail", "/status", "/slow", "/echo", "/upload", "/events"];

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
    let pages = PRICES.iter().skip(1).map(|(path, price)| ("path", *path, *price));
    let prefixes = PREFIXES.iter().map(|path| ("prefix", *path, 1));
    for (how, path, price) in pages.chain(prefixes).chain([("path", "/free", 0)]) {
        text += &format!("\n[[front.routes]]\n{how} = \"{path}\"\nupstream = \"http://{upstream}\"\nprice = {price}\n");
    }
    text + "\n" + more
}
