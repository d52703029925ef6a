//! A request's head from its bytes, as hyper does it: by httparse, and without copying the values.

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri, Version};

/// As many as hyper takes.
const MAX_HEADERS: usize = 100;

/// `None` if it is not the whole head of an HTTP/1.1 request.
pub(crate) fn parse(bytes: &Bytes) -> Option<Parts> {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut head = httparse::Request::new(&mut headers);
    if !head.parse(bytes).ok()?.is_complete() || head.version != Some(1) {
        return None;
    }
    let shared = |part: &[u8]| bytes.slice_ref(part);
    let mut map = HeaderMap::with_capacity(head.headers.len());
    for header in head.headers.iter() {
        let name = HeaderName::from_bytes(header.name.as_bytes()).ok()?;
        map.append(name, HeaderValue::from_maybe_shared(shared(header.value)).ok()?);
    }
    let (mut parts, ()) = Request::new(()).into_parts();
    parts.method = Method::from_bytes(head.method?.as_bytes()).ok()?;
    parts.uri = Uri::from_maybe_shared(shared(head.path?.as_bytes())).ok()?;
    parts.version = Version::HTTP_11;
    parts.headers = map;
    Some(parts)
}
