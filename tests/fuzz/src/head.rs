//! A request's head as the targets are given it: a line for each header.

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Request};

/// `name: value` lines as headers; what HTTP would not let through is left out.
pub(crate) fn headers(lines: &[u8]) -> HeaderMap {
    let header = |line: &[u8]| {
        let colon = line.iter().position(|byte| *byte == b':')?;
        let name = HeaderName::from_bytes(&line[..colon]).ok()?;
        let value = line[colon + 1..].trim_ascii();
        Some((name, HeaderValue::from_maybe_shared(Bytes::copy_from_slice(value)).ok()?))
    };
    let mut headers = HeaderMap::new();
    for (name, value) in lines.split(|byte| *byte == b'\n').filter_map(header).take(64) {
        headers.append(name, value);
    }
    headers
}

/// A GET with these headers.
pub(crate) fn with(headers: HeaderMap) -> Parts {
    let mut head = Request::new(()).into_parts().0;
    head.headers = headers;
    head
}

/// The first line, and what follows it.
pub(crate) fn first_line(input: &[u8]) -> (&[u8], &[u8]) {
    match input.iter().position(|byte| *byte == b'\n') {
        Some(end) => (&input[..end], &input[end + 1..]),
        None => (input, &[]),
    }
}
