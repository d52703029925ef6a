//! What an operator asks a front, as Prometheus metrics. Labels never hold a channel, a payer or a path of a client's making.

use std::sync::Arc;
use std::time::Duration;

use channel::{Amount, Capture, Refusal};
use http::{Method, StatusCode};
use ledger::LedgerError;
use metrics::{counter, gauge, histogram};

/// A label's value that costs nothing to say again.
pub(crate) use metrics::SharedString;

/// Tells the registry what the metrics mean.
pub(crate) fn describe() {
    use metrics::{Unit, describe_counter, describe_gauge, describe_histogram};
    describe_counter!("front_http_requests_total", "Requests answered, by route, method and status.");
    describe_histogram!("front_http_request_duration_seconds", Unit::Seconds, "From a request's head to its answer's.");
    describe_gauge!("front_http_requests_in_flight", "Requests whose answer is not over.");
    describe_gauge!("front_connections", "Open connections of clients.");
    describe_counter!("front_tls_handshakes_total", "TLS handshakes, by outcome.");
    describe_counter!("front_tls_certificates_total", "Certificates that were taken, or broken and not taken.");
    describe_gauge!(
        "front_tls_certificate_expiry_timestamp_seconds",
        Unit::Seconds,
        "When our certificate ends, since 1970."
    );
    describe_counter!("front_connections_turned_away_total", "Connections of clients that had enough already.");
    describe_counter!("front_access_log_dropped_total", "Lines of the access log that could not be written.");
    describe_counter!("front_shed_requests_total", "Requests refused because too many were in flight.");
    describe_counter!("front_payment_decisions_total", "What became of requests for something priced, and why.");
    describe_counter!("front_holds_total", "Holds that were held, captured, released; `lost`: captured too late.");
    describe_counter!("front_ledger_errors_total", "Answers that the ledger did not give, by kind.");
    describe_counter!("front_price_questions_total", "Prices that the seller was asked for, by outcome.");
    describe_counter!("front_reloads_total", "Reloads of the configuration, by outcome.");
    describe_gauge!(
        "front_exposure_base_units",
        "Owed and unclaimed on all channels, where max_exposure_total limits it."
    );
    describe_gauge!("front_mode", "1 for what is done on a deployment: selling, or why not.");
    describe_gauge!(
        "front_safe_until_timestamp_seconds",
        Unit::Seconds,
        "Until when a deployment is sold on by the watcher's word and by the wallet's, since 1970; 0: it is not."
    );
    describe_gauge!(
        "front_safe_window_seconds",
        Unit::Seconds,
        "For how long after the watcher's or the wallet's word a deployment is sold on."
    );
    describe_histogram!("front_upstream_duration_seconds", Unit::Seconds, "From a call to its answer's head.");
    describe_counter!("front_upstream_calls_total", "Calls of upstreams, by status or by what went wrong.");
    begin();
}

/// What alerts wait for begins at 0: Prometheus sees no increase in a counter that was not there before.
fn begin() {
    let never = ["front_shed_requests_total", "front_connections_turned_away_total", "front_access_log_dropped_total"];
    never.into_iter().for_each(|name| counter!(name).increment(0));
    let one_of = [
        ("front_holds_total", "outcome", &["held", "captured", "released", "lost"][..]),
        ("front_reloads_total", "outcome", &["applied", "refused"]),
        ("front_ledger_errors_total", "kind", &["outcome_unknown", "unavailable", "overloaded", "other"]),
    ];
    for (name, label, values) in one_of {
        values.iter().for_each(|value| counter!(name, label => *value).increment(0));
    }
}

/// A request was answered.
pub(crate) fn answered(route: &SharedString, method: &Method, status: StatusCode, took: Duration) {
    let (method, code) = (known(method), status.as_str().to_owned());
    counter!("front_http_requests_total", "route" => route.clone(), "method" => method, "code" => code).increment(1);
    histogram!("front_http_request_duration_seconds", "route" => route.clone()).record(took);
}

/// Any text can be a method; a label cannot be any text.
pub(crate) fn known(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}

/// What became of a request for something priced.
pub(crate) fn decided(route: &Arc<str>, decision: &'static str, reason: &'static str) {
    let route = route.clone();
    counter!("front_payment_decisions_total", "route" => route, "decision" => decision, "reason" => reason)
        .increment(1);
}

/// The seller said a price, or nothing that makes sense.
pub(crate) fn priced(route: &str, said: bool) {
    let outcome = if said { "said" } else { "failed" };
    counter!("front_price_questions_total", "route" => route.to_owned(), "outcome" => outcome).increment(1);
}

/// The configuration was reloaded, or not.
pub(crate) fn reloaded(applied: bool) {
    counter!("front_reloads_total", "outcome" => if applied { "applied" } else { "refused" }).increment(1);
}

/// Whether this is what is done on a deployment.
pub(crate) fn mode(deployment: &str, mode: &'static str, is_it: bool) {
    let labels = [("deployment", deployment.to_owned()), ("mode", mode.to_owned())];
    gauge!("front_mode", &labels).set(f64::from(u8::from(is_it)));
}

/// Until when this one's word lets us sell on a deployment.
pub(crate) fn safe_until(deployment: &str, bound: &'static str, seconds: f64) {
    let labels = [("deployment", deployment.to_owned()), ("bound", bound.to_owned())];
    gauge!("front_safe_until_timestamp_seconds", &labels).set(seconds);
}

/// For how long we sell on a deployment after we last heard that all was well.
pub(crate) fn safe_window(deployment: &str, seconds: u64) {
    // Longer than a century is for ever.
    let seconds = u32::try_from(seconds).map_or(f64::INFINITY, f64::from);
    gauge!("front_safe_window_seconds", "deployment" => deployment.to_owned()).set(seconds);
}

/// What all channels of a deployment owe.
pub(crate) fn exposure(deployment: &str, owed: Amount) {
    let units = alloy_primitives::U256::from(owed.units());
    gauge!("front_exposure_base_units", "deployment" => deployment.to_owned()).set(f64::from(units));
}

/// A request found no place.
pub(crate) fn shed() {
    counter!("front_shed_requests_total").increment(1);
}

/// A connection found no place among its client's.
pub(crate) fn turned_away() {
    counter!("front_connections_turned_away_total").increment(1);
}

/// A line of the access log could not be written.
pub(crate) fn line_dropped() {
    counter!("front_access_log_dropped_total").increment(1);
}

/// A refusal's name in labels.
pub(crate) const fn reason(refusal: &Refusal) -> &'static str {
    match refusal {
        Refusal::Unknown => "unknown",
        Refusal::Unconfirmed => "unconfirmed",
        Refusal::NotOpen => "not_open",
        Refusal::Epoch { .. } => "epoch",
        Refusal::Amount { .. } => "amount",
        Refusal::Replayed => "replayed",
        Refusal::Published => "published",
        Refusal::Unpaid { .. } => "unpaid",
        Refusal::OverDeposit { .. } => "over_deposit",
        Refusal::SmallDeposit { .. } => "small_deposit",
        Refusal::Exposure { .. } => "exposure",
        Refusal::PayerExposure { .. } => "payer_exposure",
        Refusal::TotalExposure { .. } => "total_exposure",
        Refusal::Held { .. } => "held",
        Refusal::Busy => "busy",
        Refusal::RequestReused => "request_reused",
        Refusal::Stale => "stale",
    }
}

/// A hold was placed.
pub(crate) fn held() {
    counter!("front_holds_total", "outcome" => "held").increment(1);
}

/// A hold was released.
pub(crate) fn released() {
    counter!("front_holds_total", "outcome" => "released").increment(1);
}

/// A hold was captured, perhaps too late to find all its credit.
pub(crate) fn captured(capture: &Capture) {
    counter!("front_holds_total", "outcome" => "captured").increment(1);
    if !capture.lost.is_zero() {
        counter!("front_holds_total", "outcome" => "lost").increment(1);
    }
}

/// The ledger gave no answer.
pub(crate) fn ledger_error(error: &LedgerError) {
    let kind = match error {
        LedgerError::OutcomeUnknown => "outcome_unknown",
        LedgerError::Unavailable(_) => "unavailable",
        LedgerError::Overloaded => "overloaded",
        _ => "other",
    };
    counter!("front_ledger_errors_total", "kind" => kind).increment(1);
}

/// An upstream's head arrived, or did not.
pub(crate) fn called(route: &str, outcome: String, took: Duration) {
    histogram!("front_upstream_duration_seconds", "route" => route.to_owned()).record(took);
    counter!("front_upstream_calls_total", "route" => route.to_owned(), "outcome" => outcome).increment(1);
}

/// A TLS handshake came to something, or not.
pub(crate) fn shook_hands(outcome: &'static str) {
    counter!("front_tls_handshakes_total", "outcome" => outcome).increment(1);
}

/// A new certificate was taken, or is broken.
pub(crate) fn certificate_looked_at(outcome: &'static str) {
    counter!("front_tls_certificates_total", "outcome" => outcome).increment(1);
}

/// Our certificate ends so many seconds after 1970.
pub(crate) fn certificate_expires(seconds: u64) {
    // After 2106 is soon enough.
    gauge!("front_tls_certificate_expiry_timestamp_seconds").set(u32::try_from(seconds).map_or(f64::MAX, f64::from));
}

/// Counts something for as long as it lives.
pub(crate) struct Present(&'static str);

impl Present {
    pub(crate) fn new(gauge: &'static str) -> Present {
        gauge!(gauge).increment(1);
        Present(gauge)
    }
}

impl Drop for Present {
    fn drop(&mut self) {
        gauge!(self.0).decrement(1);
    }
}
