//! What a browser gets that has to pay first: a page to pay on, and one to look after a channel.
//!
//! One HTML file, assembled from `assets/paywall` when the configuration is read, with what differs between answers put in
//! as JSON: the answer's own headers. It loads nothing, and its policy lets it talk to nobody but us. The wallet that
//! somebody brings talks to the chain.
//!
//! What a page of the seller's own gets is what the original's page got: the headers once more, as cookies. Ours, which
//! may be open in several tabs, reads nothing there but what the browser paid with.

use std::path::Path;

use anyhow::Context;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use http::header::{self, HeaderName};
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use protocols::{Answer, Protocol, raiden};
use runtime::config;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::body::{self, Body};

const PAGE: &str = include_str!("../assets/paywall/page.html");
const STYLE: &str = include_str!("../assets/paywall/page.css");
const SCRIPT: &str = concat!(
    "\n",
    include_str!("../assets/paywall/chain.js"),
    include_str!("../assets/paywall/seller.js"),
    include_str!("../assets/paywall/view.js"),
    include_str!("../assets/paywall/page.js")
);

/// The pages of one deployment.
pub(crate) struct Pages {
    protocol: &'static dyn Protocol,
    /// What the script knows before anything is asked.
    terms: Value,
    paywall: Sheet,
    channel: Sheet,
}

impl Pages {
    /// # Errors
    /// When the seller's own page cannot be read.
    pub(crate) fn new(
        protocol: &'static dyn Protocol,
        name: &str,
        deployment: &config::Deployment,
        paywall: &config::Paywall,
    ) -> anyhow::Result<Pages> {
        let terms = json!({
            "deployment": name,
            "gateway": raiden::GATEWAY_PATH,
            "chain_id": deployment.chain_id,
            "contract": deployment.contract.to_checksum(None),
            "token": deployment.token.to_checksum(None),
            "payee": deployment.payee.to_checksum(None),
            "symbol": deployment.token_symbol,
            "decimals": deployment.token_decimals,
            "confirmations": deployment.confirmations,
        });
        let paywall = match &paywall.page {
            Some(file) => Sheet::theirs(file)?,
            None => Sheet::ours(&paywall.title, &paywall.text),
        };
        let channel =
            Sheet::ours("Your payment channel", "Add to its deposit, or close it and take back what is left.");
        Ok(Pages { protocol, terms, paywall, channel })
    }

    /// An answer that asks for payment, to somebody who wants a page.
    pub(crate) fn paywall(&self, asked: &Answer) -> Response<Body> {
        let ours = || asked.headers.iter().filter(|(name, _)| name.as_str().starts_with(self.protocol.prefix()));
        let fact = |(name, value): (&HeaderName, &HeaderValue)| Some((name.to_string(), value.to_str().ok()?.into()));
        let facts: serde_json::Map<String, Value> = ours().filter_map(fact).collect();
        let mut answer = self.paywall.answer(asked.status, &self.terms, facts.into());
        let headers = answer.headers_mut();
        headers.extend(ours().map(|(name, value)| (name.clone(), value.clone())));
        for cookie in self.protocol.cookies(&asked.headers) {
            headers.append(header::SET_COOKIE, cookie);
        }
        answer
    }

    /// Where a payer looks after a channel; free.
    pub(crate) fn channel(&self) -> Response<Body> {
        self.channel.answer(StatusCode::OK, &self.terms, json!({}))
    }
}

/// A page in two halves, around what differs between answers.
struct Sheet {
    before: String,
    /// `None` if nothing is put in.
    after: Option<String>,
    headers: HeaderMap,
}

impl Sheet {
    fn ours(title: &str, text: &str) -> Sheet {
        let page = PAGE.replace("{{title}}", &escaped(title)).replace("{{text}}", &escaped(text));
        let page = page.replace("{{style}}", STYLE).replace("{{script}}", SCRIPT);
        let (before, after) = page.split_once("{{facts}}").unwrap_or((&page, ""));
        let policy = format!(
            "default-src 'none'; script-src {}; style-src {}; connect-src 'self'; img-src data:; base-uri 'none'; \
             form-action 'none'; frame-ancestors 'none'",
            hash(SCRIPT),
            hash(STYLE)
        );
        let mut headers = common();
        headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
        headers.extend(HeaderValue::try_from(policy).map(|policy| (header::CONTENT_SECURITY_POLICY, policy)).ok());
        Sheet { before: before.to_owned(), after: Some(after.to_owned()), headers }
    }

    fn theirs(file: &Path) -> anyhow::Result<Sheet> {
        let page = std::fs::read_to_string(file);
        let page = page.with_context(|| format!("front.paywall.page: cannot read {}", file.display()))?;
        Ok(Sheet { before: page, after: None, headers: common() })
    }

    fn answer(&self, status: StatusCode, terms: &Value, answer: Value) -> Response<Body> {
        let mut page = self.before.clone();
        if let Some(after) = &self.after {
            // Nothing in it may end the element that it stands in.
            page += &json!({ "terms": terms, "answer": answer }).to_string().replace('<', "\\u003c");
            page += after;
        }
        let mut response = Response::new(body::full(page.into()));
        *response.status_mut() = status;
        *response.headers_mut() = self.headers.clone();
        response
    }
}

/// The same address has another answer for programs, and after payment.
fn common() -> HeaderMap {
    let headers: [(HeaderName, &'static str); 4] = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CACHE_CONTROL, "no-store"),
        (header::VARY, "Accept"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    headers.into_iter().map(|(name, value)| (name, HeaderValue::from_static(value))).collect()
}

/// A source of exactly this text, as a content security policy names it.
fn hash(text: &str) -> String {
    format!("'sha256-{}'", BASE64_STANDARD.encode(Sha256::digest(text.as_bytes())))
}

/// Text as HTML; the braces are those of the page's own marks.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' | '<' | '>' | '"' | '\'' | '{' => escaped += &format!("&#{};", u32::from(letter)),
            _ => escaped.push(letter),
        }
    }
    escaped
}
