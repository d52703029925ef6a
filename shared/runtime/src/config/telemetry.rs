use http::Uri;
use serde::Deserialize;

/// Where traces go, and of which requests there are any. Metrics are asked for, at the second port.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Telemetry {
    /// A collector that takes OTLP over HTTP (protobuf), such as `http://collector:4318`; spans are sent to
    /// `/v1/traces` below it. Empty: nothing is traced.
    pub otlp_endpoint: String,
    /// The share of requests that are traced without being asked to: from 0 to 1.
    pub sample: f64,
    /// How many requests a second are traced by each front because their client asked for it, by the flag `sampled` of
    /// its `traceparent`. What it asks for beyond is traced by chance, as any request is.
    pub requested_per_s: u32,
}

impl Default for Telemetry {
    fn default() -> Telemetry {
        Telemetry { otlp_endpoint: String::new(), sample: 0.01, requested_per_s: 10 }
    }
}

impl Telemetry {
    pub(super) fn problems(&self, problems: &mut Vec<String>) {
        if !self.otlp_endpoint.is_empty() && !is_base(&self.otlp_endpoint) {
            // Not what was written: there may be a password in it.
            problems.push(
                "telemetry.otlp_endpoint: must be http://host:port or https://…, without user, password and query"
                    .to_owned(),
            );
        }
        if !(0.0..=1.0).contains(&self.sample) {
            problems.push(format!("telemetry.sample: {} is no share from 0 to 1", self.sample));
        }
    }
}

fn is_base(endpoint: &str) -> bool {
    endpoint.parse::<Uri>().is_ok_and(|uri| {
        matches!(uri.scheme_str(), Some("http" | "https"))
            && uri.host().is_some_and(|host| !host.is_empty())
            && uri.authority().is_some_and(|authority| !authority.as_str().contains('@'))
            && uri.query().is_none()
    })
}
