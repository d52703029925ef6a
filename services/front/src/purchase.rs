//! What a request asks for, in the words of the ledger: its name and its hash.

use alloy_primitives::{KECCAK256_EMPTY, Keccak256, keccak256};
use channel::{Request, RequestHash};
use http::header::{CONTENT_LENGTH, HeaderName};
use http::request::Parts;

use crate::fault::Fault;

/// The payer's own name for a request: sent again with the same name, it is charged once.
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
const MAX_ID: usize = 255;

/// The request's name, if it has one.
pub(crate) fn request_id(head: &Parts) -> Result<Option<String>, Fault> {
    let mut values = head.headers.get_all(IDEMPOTENCY_KEY).iter();
    let Some(value) = values.next() else { return Ok(None) };
    match value.to_str() {
        Ok(text) if values.next().is_none() && (1..=MAX_ID).contains(&text.len()) => Ok(Some(text.to_owned())),
        _ => Err(Fault::BadRequestId),
    }
}

/// The request with its whole body: what makes a repetition the same request is method, path with query, and body.
pub(crate) fn whole(head: &Parts, id: Option<String>, body: &[u8]) -> Request {
    let body = if body.is_empty() { KECCAK256_EMPTY } else { keccak256(body) };
    request(head, id, body.as_slice())
}

/// The request whose body is not here yet: its length stands for it.
pub(crate) fn streamed(head: &Parts, id: Option<String>) -> Request {
    let length = head.headers.get(CONTENT_LENGTH).map_or(&b"chunked"[..], |length| length.as_bytes());
    request(head, id, length)
}

fn request(head: &Parts, id: Option<String>, body: &[u8]) -> Request {
    let path = head.uri.path_and_query().map_or("", |path| path.as_str());
    let mut hash = Keccak256::new();
    for part in [head.method.as_str().as_bytes(), path.as_bytes(), body] {
        // Neither a method nor a path contains a zero byte.
        hash.update(part);
        hash.update([0]);
    }
    Request { id, hash: RequestHash(hash.finalize()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(method: &str, uri: &str, headers: &[(&str, &str)]) -> Parts {
        let mut request = http::Request::builder().method(method).uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap().into_parts().0
    }

    #[test]
    fn another_method_path_query_or_body_is_another_request() {
        let hash = |method, uri, body: &[u8]| whole(&head(method, uri, &[]), None, body).hash;
        let first = hash("GET", "/a?b", b"c");
        assert_eq!(first, hash("GET", "/a?b", b"c"));
        for other in
            [hash("HEAD", "/a?b", b"c"), hash("GET", "/a?bc", b""), hash("GET", "/a", b"c"), hash("GET", "/a?b", b"d")]
        {
            assert_ne!(first, other);
        }
    }

    #[test]
    fn a_streamed_request_is_known_by_its_length() {
        let hash = |length| streamed(&head("POST", "/a", &[("content-length", length)]), None).hash;
        assert_eq!(hash("3"), hash("3"));
        assert_ne!(hash("3"), hash("4"));
        assert_ne!(hash("3"), streamed(&head("POST", "/a", &[]), None).hash);
    }

    #[test]
    fn a_request_id_is_given_once_and_is_visible() {
        let id = |headers: &[(&str, &str)]| request_id(&head("GET", "/", headers));
        assert_eq!(id(&[]), Ok(None));
        assert_eq!(id(&[("idempotency-key", "abc")]), Ok(Some("abc".to_owned())));
        assert_eq!(id(&[("idempotency-key", "")]), Err(Fault::BadRequestId));
        assert_eq!(id(&[("idempotency-key", &"x".repeat(256))]), Err(Fault::BadRequestId));
        assert_eq!(id(&[("idempotency-key", "a"), ("idempotency-key", "a")]), Err(Fault::BadRequestId));
    }
}
