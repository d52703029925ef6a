//! A request's headers on their way to an upstream.

use std::net::IpAddr;

use http::HeaderMap;

use crate::head;

/// Never forwarded: about the connection, or about payments.
const ENDS_HERE: [&str; 7] =
    ["connection", "keep-alive", "transfer-encoding", "upgrade", "te", "forwarded", "proxy-authorization"];

/// Header lines. Nothing of ours or of a payment's, and nothing about the connection, crosses; the client's address does.
pub fn read(input: &[u8]) -> bool {
    let headers = head::headers(input);
    let crossed = |peer: &str| {
        let peer: IpAddr = peer.parse().expect("an address");
        let head = head::with(headers.clone());
        front::reading::for_upstream(&["10.0.0.0/8"], peer, &head).expect("a network")
    };
    let (stranger, proxy) = (crossed("192.0.2.1"), crossed("10.0.0.1"));
    for crossed in [&stranger, &proxy] {
        assert!(ENDS_HERE.iter().all(|name| !crossed.contains_key(*name)), "{crossed:?}");
        assert!(crossed.keys().all(|name| !is_ours(name.as_str())), "{crossed:?}");
        assert!(cookies(crossed).iter().all(|name| !is_ours(name)), "{crossed:?}");
    }
    assert_eq!(text(&stranger, "x-forwarded-for"), ["192.0.2.1"]);
    assert_eq!(text(&stranger, "x-forwarded-proto"), ["http"]);
    assert!(text(&proxy, "x-forwarded-for").concat().ends_with("10.0.0.1"));
    headers.contains_key("cookie") && stranger.contains_key("cookie")
}

fn is_ours(name: &str) -> bool {
    let name = name.to_ascii_lowercase().replace('_', "-");
    ["rdn-", "sluice-", "x-sluice-"].iter().any(|prefix| name.starts_with(prefix))
}

/// The names of cookies.
fn cookies(headers: &HeaderMap) -> Vec<String> {
    let pairs = text(headers, "cookie").join(";");
    pairs.split(';').map(|pair| pair.split('=').next().unwrap_or_default().trim().to_owned()).collect()
}

fn text(headers: &HeaderMap, name: &str) -> Vec<String> {
    headers.get_all(name).iter().map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned()).collect()
}
