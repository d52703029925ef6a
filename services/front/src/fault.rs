//! Answers that are nobody's payment: the request's own faults, ours, and the upstream's.
//!
//! *Invariant:* none of them is a 402, and 502 and 504 mean the upstream alone.

use channel::Refusal;
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, Response, StatusCode};
use ledger::LedgerError;
use serde_json::json;

use crate::body::{self, Body};
use crate::rates::TooOften;

/// Why a request gets no answer from what is for sale.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Fault {
    #[error("the path must be plain: no dot segments, empty segments, backslashes, semicolons or encoded slashes")]
    BadPath,
    #[error("an Idempotency-Key is 1 to 255 visible characters, given once")]
    BadRequestId,
    #[error("the request's body ended early")]
    BodyBroken,
    #[error("the request's body took too long")]
    BodyTimeout,
    #[error("the request's body is too large")]
    BodyTooLarge,
    #[error("the path and query are too long")]
    UriTooLong,
    #[error("nothing is for sale here")]
    NotFound,
    #[error("the price depends on the number in the path, and it is none, or too large")]
    BadNumber,
    #[error("nothing is sold here at the moment")]
    Maintenance,
    #[error("the price cannot be found out at the moment; nothing was charged")]
    PriceUnavailable,
    #[error("this is not for sale by that method")]
    MethodNotAllowed,
    #[error("a request names the host that it is for, once")]
    BadHost,
    #[error("of transfer encodings we know chunked alone")]
    EncodingUnsupported,
    #[error("requests from this network are not answered")]
    ClientBlocked,
    #[error("nothing is sold to this payer here; its channels can be closed")]
    PayerBlocked,
    #[error("connections are not upgraded, and tunnels not made")]
    Upgrade,
    #[error("the same request is being answered right now")]
    Busy,
    #[error("the request id was used for another request")]
    RequestReused,
    #[error("the request was paid and answered before; its answer was not kept")]
    AlreadyPaid,
    #[error("it is not known whether the payment was recorded; repeat the request as it is")]
    OutcomeUnknown,
    #[error("the ledger is away; nothing was charged")]
    LedgerUnavailable,
    #[error("too much to do; nothing was charged")]
    Overloaded,
    #[error("too many payments from this client were nobody's; nothing was charged")]
    TooManyChecks(TooOften),
    #[error("too many requests from this client")]
    TooManyRequests(TooOften),
    #[error("too many calls of this channel are in flight; nothing was charged")]
    TooManyCalls,
    #[error("our view of the chain is too old to sell on; nothing was charged")]
    ChainStale,
    #[error("too much is owed to us already; nothing was charged")]
    TooExposed,
    #[error("the wallet is away; the channel stays open")]
    WalletUnavailable,
    #[error("what is for sale is missing; nothing was charged")]
    GoodsMissing,
    #[error("something broke that should not")]
    Internal,
    #[error("the upstream cannot be reached")]
    UpstreamUnreachable,
    #[error("the upstream asks to be paid itself")]
    UpstreamUnpaid,
    #[error("the upstream took too long")]
    UpstreamTimeout,
}

impl Fault {
    /// The status, the reason as programs read it, and the seconds after which to try again.
    const fn parts(self) -> (StatusCode, &'static str, Option<u32>) {
        use StatusCode as S;
        match self {
            Fault::BadPath => (S::BAD_REQUEST, "bad_path", None),
            Fault::BadRequestId => (S::BAD_REQUEST, "bad_request_id", None),
            Fault::BodyBroken => (S::BAD_REQUEST, "body_broken", None),
            Fault::BodyTimeout => (S::REQUEST_TIMEOUT, "body_timeout", None),
            Fault::BodyTooLarge => (S::PAYLOAD_TOO_LARGE, "body_too_large", None),
            Fault::UriTooLong => (S::URI_TOO_LONG, "uri_too_long", None),
            Fault::NotFound => (S::NOT_FOUND, "not_found", None),
            Fault::BadNumber => (S::BAD_REQUEST, "bad_number", None),
            Fault::Maintenance => (S::SERVICE_UNAVAILABLE, "maintenance", Some(60)),
            Fault::PriceUnavailable => (S::SERVICE_UNAVAILABLE, "price_unavailable", Some(1)),
            Fault::MethodNotAllowed => (S::METHOD_NOT_ALLOWED, "method_not_allowed", None),
            Fault::BadHost => (S::BAD_REQUEST, "bad_host", None),
            Fault::EncodingUnsupported => (S::NOT_IMPLEMENTED, "encoding_unsupported", None),
            Fault::ClientBlocked => (S::FORBIDDEN, "client_blocked", None),
            Fault::PayerBlocked => (S::FORBIDDEN, "payer_blocked", None),
            Fault::Upgrade => (S::NOT_IMPLEMENTED, "upgrade_unsupported", None),
            Fault::Busy => (S::CONFLICT, "busy", Some(1)),
            Fault::RequestReused => (S::CONFLICT, "request_id_reused", None),
            Fault::AlreadyPaid => (S::CONFLICT, "already_paid", None),
            Fault::OutcomeUnknown => (S::SERVICE_UNAVAILABLE, "outcome_unknown", Some(1)),
            Fault::LedgerUnavailable => (S::SERVICE_UNAVAILABLE, "ledger_unavailable", Some(2)),
            Fault::Overloaded => (S::SERVICE_UNAVAILABLE, "overloaded", Some(1)),
            Fault::TooManyChecks(TooOften { retry_after }) => {
                (S::TOO_MANY_REQUESTS, "too_many_checks", Some(retry_after))
            }
            Fault::TooManyRequests(TooOften { retry_after }) => {
                (S::TOO_MANY_REQUESTS, "too_many_requests", Some(retry_after))
            }
            Fault::TooManyCalls => (S::SERVICE_UNAVAILABLE, "too_many_calls", Some(1)),
            Fault::ChainStale => (S::SERVICE_UNAVAILABLE, "chain_stale", Some(5)),
            Fault::TooExposed => (S::SERVICE_UNAVAILABLE, "too_exposed", Some(30)),
            Fault::WalletUnavailable => (S::SERVICE_UNAVAILABLE, "wallet_unavailable", Some(5)),
            Fault::GoodsMissing => (S::INTERNAL_SERVER_ERROR, "goods_missing", None),
            Fault::Internal => (S::INTERNAL_SERVER_ERROR, "internal", None),
            Fault::UpstreamUnreachable => (S::BAD_GATEWAY, "upstream_unreachable", None),
            Fault::UpstreamUnpaid => (S::BAD_GATEWAY, "upstream_unpaid", None),
            Fault::UpstreamTimeout => (S::GATEWAY_TIMEOUT, "upstream_timeout", None),
        }
    }

    /// The reason as programs read it: in the answer, in metrics.
    pub(crate) const fn reason(self) -> &'static str {
        self.parts().1
    }

    /// The answer: `{"reason": …, "message": …}`.
    pub(crate) fn answer(self) -> Response<Body> {
        self.answer_saying(&self.to_string())
    }

    /// The answer, with this message.
    pub(crate) fn answer_saying(self, message: &str) -> Response<Body> {
        let (status, reason, retry_after) = self.parts();
        let body = json!({ "reason": reason, "message": message }).to_string();
        let mut answer = Response::new(body::full(body.into()));
        *answer.status_mut() = status;
        answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if let Some(seconds) = retry_after {
            answer.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        answer
    }

    /// The refusals that no payer can mend by paying: they are never answered in a payment dialect.
    pub(crate) const fn of_refusal(refusal: &Refusal) -> Option<Fault> {
        match refusal {
            Refusal::Stale => Some(Fault::ChainStale),
            Refusal::Busy => Some(Fault::Busy),
            Refusal::RequestReused => Some(Fault::RequestReused),
            Refusal::Held { .. } => Some(Fault::TooManyCalls),
            // It is our risk, and none of a payer's business how large it is.
            Refusal::TotalExposure { .. } => Some(Fault::TooExposed),
            _ => None,
        }
    }
}

impl From<TooOften> for Fault {
    fn from(too_often: TooOften) -> Fault {
        Fault::TooManyRequests(too_often)
    }
}

impl From<LedgerError> for Fault {
    fn from(error: LedgerError) -> Fault {
        crate::metrics::ledger_error(&error);
        match error {
            LedgerError::OutcomeUnknown => Fault::OutcomeUnknown,
            LedgerError::Overloaded => Fault::Overloaded,
            LedgerError::Unavailable(_) => Fault::LedgerUnavailable,
            _ => {
                tracing::error!(error = &error as &dyn std::error::Error, "the ledger refused what it should not");
                Fault::LedgerUnavailable
            }
        }
    }
}
