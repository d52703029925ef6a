//! What a request cost, for people and for programs.

use http::StatusCode;
use payer::{Answer, Receipt};
use serde_json::json;

use crate::report::{self, Code, Report};

/// The report on an answer; `broken` is why it did not get where it should.
pub(super) fn report(answer: &Answer, broken: Option<anyhow::Error>) -> Report {
    let (status, receipt) = (answer.response.status(), &answer.receipt);
    let mut text = String::new();
    for redirect in &answer.redirects {
        let status = StatusCode::from_u16(redirect.status).unwrap_or(StatusCode::FOUND);
        text += &format!("{}\n  to {}\n", describe(status, &redirect.receipt), redirect.to);
    }
    text += &describe(status, receipt);
    let refusal = answer.refusal().map(|refusal| refusal.to_string());
    text.extend(refusal.iter().flat_map(|refusal| ["; it says ", refusal]));
    let mut code = code(status, receipt, refusal.is_some());
    if !answer.redirects.is_empty() {
        text += &format!("\n{} in all", answer.cost());
    }
    let mut json = json!(receipt);
    json["url"] = json!(answer.response.url().as_str());
    json["status"] = json!(status.as_u16());
    json["total"] = json!(answer.cost());
    json["left"] = json!(receipt.left());
    json["redirects"] = json!(answer.redirects);
    json["refusal"] = json!(refusal);
    let failure = match &answer.stopped {
        Some(stopped) => {
            code = report::payer_code(stopped);
            Some(format!("the redirect was not followed: {stopped}"))
        }
        None => broken.map(|error| {
            code = Code::Failed;
            format!("{error:#}")
        }),
    };
    if let Some(failure) = &failure {
        text += &format!("\nerror: {failure}");
    }
    json["error"] = json!(failure);
    Report { text, json, aside: true, code }
}

fn code(status: StatusCode, receipt: &Receipt, is_refused: bool) -> Code {
    match status {
        StatusCode::CONFLICT if !receipt.in_doubt.is_zero() => Code::Refused,
        _ if is_refused && status.is_client_error() => Code::Refused,
        _ if status.is_server_error() => Code::Failed,
        _ => Code::Done,
    }
}

fn describe(status: StatusCode, receipt: &Receipt) -> String {
    let Some(channel) = &receipt.channel else { return format!("{status}: free") };
    let Receipt { cost, in_doubt, balance, deposit, deposited, .. } = receipt;
    let mut text = match in_doubt.is_zero() {
        true => format!("{status}: paid {cost}"),
        false => format!("{status}: not charged, as it seems; {in_doubt} are kept for the next request"),
    };
    text += &format!("; {balance} of {deposit} used, {} left, in channel {channel}", receipt.left());
    if !deposited.is_zero() {
        text += &format!("; deposited {deposited}");
    }
    text
}
