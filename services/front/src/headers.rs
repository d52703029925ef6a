//! Which headers cross the house, and which end here.

use http::header::{self, CONNECTION, COOKIE, EXPECT, HOST, SET_COOKIE};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::forwarded::Peer;

/// Headers of our own; nobody else may set one.
const OURS: [&str; 2] = ["sluice-", "x-sluice-"];

/// Headers about one connection; those that `Connection` names come on top.
const HOP_BY_HOP: [HeaderName; 9] = [
    CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

/// A request's headers as an upstream gets them.
pub(crate) fn for_upstream(head: &Parts, peer: &Peer, prefixes: &[&str]) -> HeaderMap {
    let mut headers = head.headers.clone();
    drop_hop_by_hop(&mut headers);
    drop_reserved(&mut headers, prefixes);
    headers.remove(EXPECT); // answered by us
    let authority = head.uri.authority().and_then(|authority| HeaderValue::from_str(authority.as_str()).ok());
    // Where a request names a host in its target too, that one counts (RFC 9112, 3.2.2).
    let host = authority.or(headers.remove(HOST));
    headers.remove(HOST);
    peer.describe(&mut headers, host);
    headers
}

/// Removes what concerns the last connection alone.
pub(crate) fn drop_hop_by_hop(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        // Naming these would take away what we say about the client, or where the request ends.
        .filter(|name| *name != HOST && *name != header::CONTENT_LENGTH)
        .collect();
    for name in named.iter().chain(&HOP_BY_HOP) {
        headers.remove(name);
    }
}

/// Removes whatever only we or the payment protocols may say: headers and cookies, in any case, with `_` for `-` too.
pub(crate) fn drop_reserved(headers: &mut HeaderMap, prefixes: &[&str]) {
    let reserved: Vec<HeaderName> =
        headers.keys().filter(|name| is_reserved(name.as_str(), prefixes)).cloned().collect();
    for name in reserved {
        headers.remove(name);
    }
    // A value that is no text cannot be looked into: it is dropped.
    let texts = |name| headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    let foreign = |pair: &&str| !is_reserved_cookie(pair, prefixes);
    let cookies =
        texts(COOKIE).flat_map(|text| text.split(';')).map(str::trim).filter(foreign).collect::<Vec<_>>().join("; ");
    let set: Vec<HeaderValue> = texts(SET_COOKIE).filter(foreign).filter_map(|text| text.parse().ok()).collect();
    headers.remove(COOKIE);
    if let Some(cookies) = HeaderValue::try_from(cookies).ok().filter(|cookies| !cookies.is_empty()) {
        headers.insert(COOKIE, cookies);
    }
    headers.remove(SET_COOKIE);
    for cookie in set {
        headers.append(SET_COOKIE, cookie);
    }
}

fn is_reserved(name: &str, prefixes: &[&str]) -> bool {
    let name = name.to_ascii_lowercase().replace('_', "-");
    OURS.iter().chain(prefixes).any(|prefix| name.starts_with(prefix))
}

fn is_reserved_cookie(pair: &str, prefixes: &[&str]) -> bool {
    let name = pair.split('=').next().unwrap_or_default();
    is_reserved(name.trim(), prefixes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, HeaderValue::from_static(value));
        }
        headers
    }

    #[test]
    fn drops_what_connection_names_but_never_the_length() {
        let mut headers = map(&[
            ("connection", "close, X-Secret, content-length"),
            ("x-secret", "1"),
            ("content-length", "3"),
            ("te", "trailers"),
            ("accept", "*/*"),
        ]);
        drop_hop_by_hop(&mut headers);
        assert_eq!(headers, map(&[("content-length", "3"), ("accept", "*/*")]));
    }

    #[test]
    fn drops_reserved_headers_in_every_spelling() {
        let mut headers = map(&[
            ("rdn-balance", "1"),
            ("rdn_balance", "1"),
            ("sluice-payer", "0x0"),
            ("sluice_payer", "0x0"),
            ("x-sluice_payer", "0x0"),
            ("x_sluice_payer", "0x0"),
            ("idempotency-key", "mine"),
        ]);
        drop_reserved(&mut headers, &["rdn-"]);
        assert_eq!(headers, map(&[("idempotency-key", "mine")]));
    }

    #[test]
    fn drops_reserved_cookies_and_keeps_the_others() {
        let mut headers = map(&[
            ("cookie", "RDN-Sender-Balance=1; session=abc; rdn_x=2"),
            ("cookie", "RDN-Open-Block=3"),
            ("cookie", "theme=dark"),
            ("set-cookie", "RDN-Sender-Balance=9; Path=/"),
            ("set-cookie", "session=def"),
        ]);
        drop_reserved(&mut headers, &["rdn-"]);
        assert_eq!(headers, map(&[("cookie", "session=abc; theme=dark"), ("set-cookie", "session=def")]));
    }
}
