//! Whom proxies say they speak for.

use std::net::IpAddr;

use crate::head;

const PROXY: &str = "10.0.0.0/8";

/// Header lines. Only a trusted proxy is believed, and only an address that it names, or itself.
pub fn read(input: &[u8]) -> bool {
    let headers = head::headers(input);
    let client = |peer: &str| {
        let peer: IpAddr = peer.parse().expect("an address");
        front::reading::client(&[PROXY], peer, &headers).expect("a network")
    };
    assert_eq!(client("192.0.2.1").to_string(), "192.0.2.1");
    let named = client("10.0.0.1");
    if named.to_string() == "10.0.0.1" {
        return false;
    }
    let said: Vec<_> = headers.get_all("x-forwarded-for").iter().flat_map(|value| value.to_str().ok()).collect();
    let said = said.join(",");
    let names_it = |name: &str| {
        let name = name.trim();
        let alone: Option<IpAddr> = name.parse().ok();
        let with_port = name.parse::<std::net::SocketAddr>().ok().map(|address| address.ip());
        alone.or(with_port).is_some_and(|ip| ip.to_canonical() == named)
    };
    assert!(said.split(',').any(names_it), "nobody named {named}");
    // Whatever an untrusted client puts in front of it, the answer is the same.
    let mut forged = headers.clone();
    let chain = format!("203.0.113.66,{said}");
    forged.insert("x-forwarded-for", chain.parse().expect("it was a header before"));
    if !named.to_string().starts_with("10.") {
        assert_eq!(front::reading::client(&[PROXY], [10, 0, 0, 1].into(), &forged), Ok(named));
    }
    true
}
