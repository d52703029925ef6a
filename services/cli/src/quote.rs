use std::time::Duration;

use anyhow::{Context, ensure};
use clap::Args;
use payer::Offer;
use reqwest::redirect::Policy;
use reqwest::{Client, StatusCode};
use serde_json::json;

use crate::report::Report;

/// `sluice quote`.
#[derive(Args)]
#[command(after_help = "\
Example:
  sluice quote http://127.0.0.1:8080/file.txt

Asks by GET without a payment, so it needs neither a key nor a node. Exit code 0 if the server says a price, or serves for nothing.")]
pub(crate) struct Arguments {
    /// What to ask for.
    url: String,
}

const TIMEOUT: Duration = Duration::from_secs(30);

pub(crate) async fn run(arguments: Arguments) -> anyhow::Result<Report> {
    let url = arguments.url;
    let client = Client::builder().redirect(Policy::none()).timeout(TIMEOUT).build()?;
    let answer = client.get(&url).send().await.with_context(|| format!("{url} does not answer"))?;
    let status = answer.status();
    if status.is_success() {
        return Ok(Report::new(format!("{status}: free"), json!({ "url": url, "status": status.as_u16() })));
    }
    ensure!(status == StatusCode::PAYMENT_REQUIRED, "{url} answers {status}, which is no price");
    let offer = Offer::of(answer.headers())?;
    let Offer { contract, receiver, price, .. } = &offer;
    let text = format!("price     {price}\nreceiver  {receiver}\ncontract  {contract}");
    Ok(Report::new(text, json!({ "url": url, "status": status.as_u16(), "offer": offer })))
}
