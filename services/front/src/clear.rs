//! A request's head must be clear about whom it is for and how the rest of it comes: what can be read in two ways is read in
//! the other one by somebody behind us. What HTTP itself forbids never comes here; hyper has refused it.

use http::header::{HOST, TRANSFER_ENCODING, UPGRADE};
use http::request::Parts;
use http::uri::Authority;
use http::{HeaderValue, Method, Version};

use crate::fault::Fault;

/// Lets a head through that is clear.
///
/// # Errors
/// [`Fault::BadHost`], [`Fault::Upgrade`] or [`Fault::EncodingUnsupported`].
pub(crate) fn check(head: &Parts) -> Result<(), Fault> {
    if !names_one_host(head) {
        return Err(Fault::BadHost);
    }
    // HTTP/2 may be offered to any server, which then stays with HTTP/1.
    let is_offer = |upgrade: &HeaderValue| upgrade.as_bytes().eq_ignore_ascii_case(b"h2c");
    if head.method == Method::CONNECT || head.headers.get_all(UPGRADE).iter().any(|upgrade| !is_offer(upgrade)) {
        return Err(Fault::Upgrade);
    }
    let mut encodings = head.headers.get_all(TRANSFER_ENCODING).iter();
    let is_chunked = |encoding: &HeaderValue| encoding.as_bytes().eq_ignore_ascii_case(b"chunked");
    if encodings.next().is_some_and(|first| !is_chunked(first)) || encodings.next().is_some() {
        return Err(Fault::EncodingUnsupported);
    }
    Ok(())
}

/// A host must be named once, by HTTP/1.1 at least, and be one (RFC 9112, 3.2).
fn names_one_host(head: &Parts) -> bool {
    let mut hosts = head.headers.get_all(HOST).iter();
    match (hosts.next(), hosts.next()) {
        (None, _) => head.version != Version::HTTP_11,
        (Some(host), None) => host.is_empty() || Authority::try_from(host.as_bytes()).is_ok_and(|host| is_plain(&host)),
        (Some(_), Some(_)) => false,
    }
}

/// A host, perhaps with a port, and nothing else.
fn is_plain(authority: &Authority) -> bool {
    let is_host = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~[]:".contains(&byte);
    authority.as_str().bytes().all(is_host)
        && (authority.host() == authority.as_str() || authority.port_u16().is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(version: Version, headers: &[(&str, &str)]) -> Result<(), Fault> {
        let mut request = http::Request::builder().uri("/").version(version);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        check(&request.body(()).unwrap().into_parts().0)
    }

    #[test]
    fn a_host_is_a_name_or_an_address_and_perhaps_a_port() {
        for host in ["x", "shop.example", "my_service", "127.0.0.1:8080", "[::1]", "[::1]:80", ""] {
            assert_eq!(checked(Version::HTTP_11, &[("host", host)]), Ok(()), "{host}");
        }
        for host in ["x/y", "x, y", "me@x", "x:http", "x:99999", "x?y", "x#y", "<x>"] {
            assert_eq!(checked(Version::HTTP_11, &[("host", host)]), Err(Fault::BadHost), "{host}");
        }
    }

    #[test]
    fn only_http_1_1_must_name_one() {
        assert_eq!(checked(Version::HTTP_11, &[]), Err(Fault::BadHost));
        for version in [Version::HTTP_10, Version::HTTP_2] {
            assert_eq!(checked(version, &[]), Ok(()));
            assert_eq!(checked(version, &[("host", "x"), ("host", "x")]), Err(Fault::BadHost));
        }
    }
}
