//! One request that is to be paid, and how far it got.

use std::time::Duration;

use bytes::Bytes;
use channel::Amount;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request};
use reqwest::Url;
use tokio::time::Instant;

use crate::error::PayerError;
use crate::settings::Patience;
use crate::state::ChannelKey;

/// How often one request may make payer and server correct each other. Two do for everything that honest servers do.
const CORRECTIONS_MAX: u32 = 8;
/// The first pause before a retry that the caller asked for; it doubles.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
/// The longest pause before a retry.
const PAUSE_MAX: Duration = Duration::from_secs(5);

/// Names a request.
pub(crate) const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// How to pay a request.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Names the request, so that repeating it is not paid twice. Generated when `retries` are asked for.
    pub idempotency_key: Option<String>,
    /// How often to repeat the request when no answer comes, or 502, 503 or 504.
    pub retries: u32,
    /// How many redirects to follow, paying where they lead.
    ///
    /// [`crate::Limits::max_price`] bounds what all of them cost together. Another server than the one that was asked is
    /// paid only if [`crate::Limits::hosts`] names it.
    pub redirects: u32,
}

pub(crate) struct Call {
    pub(crate) method: Method,
    pub(crate) url: Url,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    /// Without port.
    pub(crate) host: String,
    /// Method and address without query: what quotes are remembered by.
    pub(crate) resource: String,
    pub(crate) channel: Option<ChannelKey>,
    /// The voucher signed for this very request. There is at most one, unless the server proves that it never took it.
    pub(crate) signed: Option<Amount>,
    /// Whether that voucher may have left.
    pub(crate) left: bool,
    pub(crate) deposited: Amount,
    pub(crate) exchanges: u32,
    /// What was paid for the requests whose redirects led here.
    pub(crate) paid_before: Amount,
    /// Whether a redirect led here from another server.
    pub(crate) led_astray: bool,
    corrections: u32,
    retries: u32,
    pause: Duration,
    confirmed_by: Option<Instant>,
    ready_by: Option<Instant>,
}

impl Call {
    pub(crate) fn new(request: Request<Bytes>, options: Options) -> Result<Call, PayerError> {
        let (head, body) = request.into_parts();
        let bad = |why: &str| PayerError::BadRequest(why.to_owned());
        let url: Url = head.uri.to_string().parse().map_err(|_| bad("the address is no absolute URL"))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(bad("only http and https can be paid"));
        }
        let host = url.host_str().ok_or_else(|| bad("the address names no host"))?.to_owned();
        let mut headers = head.headers;
        if let Some(name) = headers.keys().find(|name| name.as_str().starts_with("rdn-")) {
            return Err(PayerError::BadRequest(format!("{name} is the payer's own to set")));
        }
        let generated = || (options.retries > 0).then(|| uuid::Uuid::now_v7().to_string());
        if let Some(key) = options.idempotency_key.or_else(generated) {
            let key = HeaderValue::from_str(&key).map_err(|_| bad("an Idempotency-Key is visible ASCII"))?;
            headers.insert(IDEMPOTENCY_KEY, key);
        }
        let mut resource = url.clone();
        resource.set_query(None);
        resource.set_fragment(None);
        Ok(Call {
            resource: format!("{} {resource}", head.method),
            method: head.method,
            url,
            headers,
            body,
            host,
            channel: None,
            signed: None,
            left: false,
            deposited: Amount::ZERO,
            exchanges: 0,
            paid_before: Amount::ZERO,
            led_astray: false,
            corrections: 0,
            retries: options.retries,
            pause: FIRST_PAUSE,
            confirmed_by: None,
            ready_by: None,
        })
    }

    /// Whether it has a name under which it is paid once.
    pub(crate) fn is_named(&self) -> bool {
        self.headers.contains_key(IDEMPOTENCY_KEY)
    }

    /// Counts a correction.
    pub(crate) fn correct(&mut self) -> Result<(), PayerError> {
        self.corrections += 1;
        if self.corrections > CORRECTIONS_MAX {
            return Err(PayerError::lied(format!("{CORRECTIONS_MAX} corrections led to no agreement")));
        }
        Ok(())
    }

    /// Waits for the server to see what is on chain; in vain once patience is over.
    pub(crate) async fn wait(&mut self, patience: &Patience, why: &str) -> Result<(), PayerError> {
        let by = *self.confirmed_by.get_or_insert_with(|| Instant::now() + patience.confirmed);
        if Instant::now() + patience.poll > by {
            return Err(PayerError::refused(why));
        }
        tokio::time::sleep(patience.poll).await;
        Ok(())
    }

    /// Waits as long as a busy server asks for. False when it asks for more than patience allows.
    pub(crate) async fn come_back(&mut self, patience: &Patience, after: Duration) -> bool {
        let by = *self.ready_by.get_or_insert_with(|| Instant::now() + patience.busy);
        if Instant::now() + after > by {
            return false;
        }
        tokio::time::sleep(after).await;
        true
    }

    /// Uses up one of the retries that the caller allowed, after a pause. False when none is left.
    pub(crate) async fn retry(&mut self) -> bool {
        if self.retries == 0 {
            return false;
        }
        self.retries -= 1;
        tokio::time::sleep(self.pause).await;
        self.pause = (self.pause * 2).min(PAUSE_MAX);
        true
    }
}
