//! Web pages of other origins: which of them may ask, and what of our answers they may read.
//!
//! A preflight is answered before anything else is looked at: it carries no payment, and asks only whether it may. Answers
//! never allow credentials, so a page gains nothing that its visitor's browser would not let any program have; what an
//! upstream says about origins is replaced, because it knows nothing of our headers.

use http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_HEADERS,
    ACCESS_CONTROL_REQUEST_METHOD, AUTHORIZATION, CONTENT_TYPE, LINK, ORIGIN, RETRY_AFTER, VARY,
};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use runtime::config;

use crate::{quota, refusal};

const METHODS: HeaderValue = HeaderValue::from_static("GET, HEAD, POST, PUT, PATCH, DELETE");
/// Seconds for which a browser need not ask again; browsers allow two hours at most.
const MAX_AGE: HeaderValue = HeaderValue::from_static("7200");
/// What any request may carry, beside the protocols' own.
static ALLOWED: [HeaderName; 3] = [CONTENT_TYPE, AUTHORIZATION, HeaderName::from_static("idempotency-key")];
/// What of our answers any page may read, beside the protocols' own.
static EXPOSED: [HeaderName; 4] = [RETRY_AFTER, LINK, quota::REMAINING, refusal::REFUSAL];
/// Ours alone to set.
static OURS: [HeaderName; 6] = [
    ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_ALLOW_CREDENTIALS,
    ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_HEADERS,
    ACCESS_CONTROL_EXPOSE_HEADERS,
    ACCESS_CONTROL_MAX_AGE,
];

/// Which origins may read what.
pub(crate) struct Cors {
    origins: Origins,
    allowed: String,
    exposed: Option<HeaderValue>,
}

enum Origins {
    /// Nothing is said, and upstreams speak for themselves.
    Silent,
    Any,
    These(Vec<String>),
}

impl Cors {
    pub(crate) fn new(config: &config::Cors) -> Cors {
        let origins = match config.origins.as_slice() {
            [] => Origins::Silent,
            [any] if any == "*" => Origins::Any,
            these => Origins::These(these.to_vec()),
        };
        let allowed = protocols::ALL.iter().flat_map(|protocol| protocol.request_headers()).chain(&ALLOWED);
        let exposed = protocols::ALL.iter().flat_map(|protocol| protocol.answer_headers()).chain(&EXPOSED);
        Cors { origins, allowed: listed(allowed), exposed: HeaderValue::try_from(listed(exposed)).ok() }
    }

    /// Whether a browser asks if a page may send a request. Its path does not matter.
    pub(crate) fn is_preflight(&self, head: &Parts) -> bool {
        head.method == Method::OPTIONS
            && head.headers.contains_key(ORIGIN)
            && head.headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD)
            && !matches!(self.origins, Origins::Silent)
    }

    /// Says on an answer who may read what of it, or who may send what.
    pub(crate) fn mark(&self, head: &Parts, headers: &mut HeaderMap) {
        if matches!(self.origins, Origins::Silent) {
            return;
        }
        for name in &OURS {
            headers.remove(name);
        }
        headers.append(VARY, HeaderValue::from_name(ORIGIN));
        let Some(origin) = self.allowed_origin(head) else { return };
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        if self.is_preflight(head) {
            headers.insert(ACCESS_CONTROL_ALLOW_METHODS, METHODS);
            headers.insert(ACCESS_CONTROL_MAX_AGE, MAX_AGE);
            headers.append(VARY, HeaderValue::from_name(ACCESS_CONTROL_REQUEST_HEADERS));
            headers.extend(self.allowed_headers(head).map(|allowed| (ACCESS_CONTROL_ALLOW_HEADERS, allowed)));
        } else {
            headers.extend(self.exposed.clone().map(|exposed| (ACCESS_CONTROL_EXPOSE_HEADERS, exposed)));
        }
    }

    /// The origin that asks, if it may. Without an origin nobody asks.
    fn allowed_origin(&self, head: &Parts) -> Option<HeaderValue> {
        let origin = head.headers.get(ORIGIN)?;
        match &self.origins {
            Origins::Silent => None,
            Origins::Any => Some(HeaderValue::from_static("*")),
            Origins::These(these) => {
                these.iter().any(|known| known.as_bytes() == origin.as_bytes()).then(|| origin.clone())
            }
        }
    }

    /// Ours, and whatever the page asks for: what is for sale may want headers that we know nothing of.
    fn allowed_headers(&self, head: &Parts) -> Option<HeaderValue> {
        let asked = head.headers.get(ACCESS_CONTROL_REQUEST_HEADERS).and_then(|asked| asked.to_str().ok());
        let allowed = asked.map_or_else(|| self.allowed.clone(), |asked| format!("{}, {asked}", self.allowed));
        HeaderValue::try_from(allowed).ok()
    }
}

fn listed<'a>(names: impl Iterator<Item = &'a HeaderName>) -> String {
    names.map(HeaderName::as_str).collect::<Vec<_>>().join(", ")
}
