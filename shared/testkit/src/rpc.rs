//! One JSON-RPC call, without the types of a chain client: for the node's own methods, and for tests that compare.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use crate::http;

const TIMEOUT: Duration = Duration::from_secs(10);

/// Calls `method` and gives its result.
pub async fn call(url: &str, method: &str, params: Value) -> Result<Value> {
    let body = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
    let answer = http::client()?
        .post(url)
        .json(&body)
        .timeout(TIMEOUT)
        .send()
        .await
        .with_context(|| format!("{method} got no answer"))?;
    let mut answer: Value = answer.json().await.with_context(|| format!("{method} was not answered in JSON"))?;
    if let Some(error) = answer.get("error") {
        bail!("{method} was refused: {error}");
    }
    Ok(answer["result"].take())
}

/// A quantity as the chain writes it: `"0x1f"`.
pub fn quantity(value: &Value) -> Result<u64> {
    let digits = value.as_str().and_then(|text| text.strip_prefix("0x"));
    let digits = digits.with_context(|| format!("{value} is no quantity"))?;
    u64::from_str_radix(digits, 16).with_context(|| format!("{value} is no quantity"))
}
