use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use serde::Serialize;

/// An HTTP answer, whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Its status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Bytes,
}

/// A request that makes no sense in the protocol.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Malformed {
    /// What kind of nonsense it is.
    pub status: StatusCode,
    /// A sentence for the client, as a JSON value.
    pub reason: serde_json::Value,
}

impl Answer {
    /// An answer of type `application/json`.
    pub(crate) fn json(status: StatusCode, body: &impl Serialize) -> Answer {
        let body = serde_json::to_vec(body).expect("what has text for keys always serialises");
        Answer { body: body.into(), ..Answer::empty(status) }
    }

    /// An empty answer of type `application/json`.
    pub(crate) fn empty(status: StatusCode) -> Answer {
        let headers = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static("application/json"))]);
        Answer { status, headers, body: Bytes::new() }
    }

    /// The same with a header.
    pub(crate) fn with(mut self, name: HeaderName, value: HeaderValue) -> Answer {
        self.headers.insert(name, value);
        self
    }
}

impl Malformed {
    pub(crate) fn new(status: StatusCode, reason: impl Into<serde_json::Value>) -> Malformed {
        Malformed { status, reason: reason.into() }
    }
}
