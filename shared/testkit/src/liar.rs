//! A JSON-RPC proxy in front of a node that errs, hangs, lags and forgets, as hosted nodes do.

use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use alloy_primitives::{hex, keccak256};
use anyhow::{Context, Result};
use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{Html, IntoResponse, Json, Response};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::rpc;

/// How an answer differs from the node's.
#[derive(Clone, Debug)]
pub enum Lie {
    /// An error in the JSON-RPC answer; the node is not asked.
    Error(i64, String),
    /// This result; the node is not asked.
    Result(Value),
    /// An HTTP status with a page of HTML, as load balancers answer; the node is not asked.
    Http(u16),
    /// No answer at all.
    Hang,
    /// `eth_getLogs` over more blocks than this is refused.
    MaxRange(u64),
    /// `eth_getLogs` with more results than this is refused.
    MaxResults(usize),
    /// Knows nothing of the newest so many blocks.
    Lag(u64),
    /// Knows nothing after this block, however the chain goes on.
    Frozen(u64),
    /// As [`Lie::Lag`], but only every other time, as two nodes behind one address answer.
    Flicker(u64),
    /// Finds these logs beside the true ones, whatever block they are of.
    AlsoLogs(Vec<Value>),
    /// These blocks are unknown, and so are their logs.
    Missing(RangeInclusive<u64>),
    /// Passes the call on, but answers with this error: a transaction that arrived all the same.
    ErrorAfterwards(i64, String),
    /// Answers a transaction's hash, but forgets the transaction.
    DropTransaction,
}

/// A running proxy. Dropped, it is gone.
#[derive(Debug)]
pub struct Liar {
    address: SocketAddr,
    state: Arc<Node>,
    server: JoinHandle<()>,
}

impl Liar {
    /// In front of the node at `url`, on a free port, at first honest.
    pub async fn start(url: &str) -> Result<Liar> {
        let listener = TcpListener::bind("127.0.0.1:0").await.context("cannot listen")?;
        let address = listener.local_addr()?;
        let state = Arc::new(Node { url: Mutex::new(url.to_owned()), lies: Mutex::default(), calls: Mutex::default() });
        let router = Router::new().fallback(answer).with_state(state.clone());
        let server = tokio::spawn(async move {
            let _ = axum::serve(listener, router).await; // never ends by itself
        });
        Ok(Liar { address, state, server })
    }

    /// Its address for JSON-RPC.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Tells this lie from now on, for calls of `method`; of any method when that is empty.
    pub fn tell(&self, method: &str, lie: Lie) {
        self.state.lies().push(Told { method: method.to_owned(), left: None, lie });
    }

    /// Tells this lie for the next so many calls of `method`.
    pub fn tell_times(&self, times: u32, method: &str, lie: Lie) {
        self.state.lies().push(Told { method: method.to_owned(), left: Some(times), lie });
    }

    /// Tells the truth from now on.
    pub fn be_honest(&self) {
        self.state.lies().clear();
    }

    /// Speaks for another node from now on.
    pub fn speak_for(&self, url: &str) {
        *lock(&self.state.url) = url.to_owned();
    }

    /// How often a method was called.
    pub fn calls(&self, method: &str) -> usize {
        lock(&self.state.calls).iter().filter(|name| *name == method).count()
    }
}

impl Drop for Liar {
    fn drop(&mut self) {
        self.server.abort();
    }
}

#[derive(Debug)]
struct Node {
    url: Mutex<String>,
    lies: Mutex<Vec<Told>>,
    calls: Mutex<Vec<String>>,
}

#[derive(Debug)]
struct Told {
    method: String,
    left: Option<u32>,
    lie: Lie,
}

impl Node {
    fn lies(&self) -> MutexGuard<'_, Vec<Told>> {
        lock(&self.lies)
    }

    /// The lies that concern a call; those told for a number of calls are used up.
    fn lies_about(&self, method: &str) -> Vec<Lie> {
        let mut lies = self.lies();
        let mut found = Vec::new();
        for told in lies.iter_mut().filter(|told| told.method.is_empty() || told.method == method) {
            found.push(told.lie.clone());
            told.left = told.left.map(|left| left.saturating_sub(1));
        }
        lies.retain(|told| told.left != Some(0));
        found
    }

    async fn ask(&self, method: &str, params: Value) -> Result<Value> {
        let url = lock(&self.url).clone();
        rpc::call(&url, method, params).await
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn answer(State(node): State<Arc<Node>>, Json(request): Json<Value>) -> Response {
    let answers = match &request {
        Value::Array(calls) => {
            let mut answers = Vec::new();
            for call in calls {
                match answer_one(&node, call).await {
                    Ok(answer) => answers.push(answer),
                    Err(page) => return page,
                }
            }
            Value::Array(answers)
        }
        call => match answer_one(&node, call).await {
            Ok(answer) => answer,
            Err(page) => return page,
        },
    };
    Json(answers).into_response()
}

/// The JSON-RPC answer to one call, or an HTTP answer for the whole request.
async fn answer_one(node: &Node, call: &Value) -> Result<Value, Response> {
    let method = call["method"].as_str().unwrap_or_default();
    lock(&node.calls).push(method.to_owned());
    let mut params = call["params"].clone();
    let refusal = |code: i64, message: &str| json!({"jsonrpc": "2.0", "id": call["id"], "error": {"code": code, "message": message}});
    let lies = node.lies_about(method);
    for lie in &lies {
        match lie {
            Lie::Error(code, message) => return Ok(refusal(*code, message)),
            Lie::Result(result) => return Ok(json!({"jsonrpc": "2.0", "id": call["id"], "result": result})),
            Lie::Http(status) => {
                let status = StatusCode::from_u16(*status).unwrap_or(StatusCode::BAD_GATEWAY);
                return Err((status, Html("<html><h1>Come back later</h1></html>")).into_response());
            }
            Lie::Hang => std::future::pending().await,
            Lie::DropTransaction if method == "eth_sendRawTransaction" => {
                let raw = hex::decode(params[0].as_str().unwrap_or_default()).unwrap_or_default();
                return Ok(json!({"jsonrpc": "2.0", "id": call["id"], "result": keccak256(raw)}));
            }
            Lie::MaxRange(most) if method == "eth_getLogs" => {
                let head = node.ask("eth_blockNumber", json!([])).await.and_then(|head| rpc::quantity(&head));
                let (from, to) = span(&params, head.unwrap_or(0));
                if to.saturating_sub(from) >= *most {
                    return Ok(refusal(-32602, &format!("block range too large: at most {most} blocks")));
                }
            }
            _ => {}
        }
    }
    let known = match known(node, &lies).await {
        Ok(known) => known,
        Err(error) => return Ok(refusal(-32000, &format!("{error:#}"))),
    };
    if let Some(last) = known {
        blind(method, &mut params, last);
    }
    if let Some(hash) = params[0].get("blockHash").filter(|_| method == "eth_getLogs") {
        // Asked about a block that it does not have, a node says so.
        let block = node.ask("eth_getBlockByHash", json!([hash, false])).await.unwrap_or_default();
        if forget("eth_getBlockByHash", block, known, &lies).is_null() {
            return Ok(refusal(-32000, "unknown block"));
        }
    }
    let result = match node.ask(method, params).await {
        Ok(result) => result,
        // The node's own refusal, with its code where it had one, as far as clients look at it.
        Err(error) => return Ok(refusal(-32000, &format!("{error:#}"))),
    };
    for lie in &lies {
        match lie {
            Lie::ErrorAfterwards(code, message) => return Ok(refusal(*code, message)),
            Lie::MaxResults(most) if result.as_array().is_some_and(|logs| logs.len() > *most) => {
                return Ok(refusal(-32005, &format!("query returned more than {most} results")));
            }
            _ => {}
        }
    }
    let mut result = forget(method, result, known, &lies);
    if let (Value::Array(logs), "eth_getLogs") = (&mut result, method) {
        logs.extend(invented(&call["params"], &lies));
    }
    Ok(json!({"jsonrpc": "2.0", "id": call["id"], "result": result}))
}

/// The last block that a node knows which is behind.
async fn known(node: &Node, lies: &[Lie]) -> Result<Option<u64>> {
    let is_odd = lock(&node.calls).len() % 2 == 1;
    let known = |head: u64, lie: &Lie| match lie {
        Lie::Lag(blocks) => Some(head.saturating_sub(*blocks)),
        Lie::Flicker(blocks) if is_odd => Some(head.saturating_sub(*blocks)),
        Lie::Frozen(last) => Some(head.min(*last)),
        _ => None,
    };
    if lies.iter().all(|lie| known(0, lie).is_none()) {
        return Ok(None);
    }
    let head = rpc::quantity(&node.ask("eth_blockNumber", json!([])).await?)?;
    Ok(lies.iter().filter_map(|lie| known(head, lie)).min())
}

/// Asks as if `last` were the newest block.
fn blind(method: &str, params: &mut Value, last: u64) {
    let number = json!(format!("{last:#x}"));
    let is_newest = |value: &Value| matches!(value.as_str(), Some("latest" | "pending"));
    if method == "eth_getLogs" {
        let (from, to) = span(params, last);
        if params[0].get("blockHash").is_none() {
            params[0]["fromBlock"] = json!(format!("{from:#x}"));
            params[0]["toBlock"] = json!(format!("{:#x}", to.min(last)));
        }
    } else if let Some(first) = params.get_mut(0).filter(|first| is_newest(first)) {
        *first = number;
    }
}

/// Leaves out of the answer what a forgetful node does not know.
fn forget(method: &str, mut result: Value, known: Option<u64>, lies: &[Lie]) -> Value {
    let missing = |block: u64| {
        known.is_some_and(|last| block > last)
            || lies.iter().any(|lie| matches!(lie, Lie::Missing(blocks) if blocks.contains(&block)))
    };
    let unknown = |block: &Value| rpc::quantity(block).is_ok_and(missing);
    match method {
        "eth_blockNumber" => known.map_or(result, |last| json!(format!("{last:#x}"))),
        "eth_getBlockByNumber" | "eth_getBlockByHash" if unknown(&result["number"]) => Value::Null,
        "eth_getTransactionReceipt" | "eth_getTransactionByHash" if unknown(&result["blockNumber"]) => Value::Null,
        "eth_getLogs" => {
            if let Some(logs) = result.as_array_mut() {
                logs.retain(|log| !unknown(&log["blockNumber"]));
            }
            result
        }
        _ => result,
    }
}

/// The logs that a node makes up which was asked for some.
fn invented(params: &Value, lies: &[Lie]) -> Vec<Value> {
    let of_one = params[0].get("blockHash").is_some();
    let (from, to) = span(params, u64::MAX);
    let fits = |log: &&Value| of_one || rpc::quantity(&log["blockNumber"]).is_ok_and(|at| (from..=to).contains(&at));
    let logs = lies.iter().filter_map(|lie| if let Lie::AlsoLogs(logs) = lie { Some(logs) } else { None });
    logs.flatten().filter(fits).cloned().collect()
}

/// The blocks that an `eth_getLogs` asks for.
fn span(params: &Value, head: u64) -> (u64, u64) {
    let end = |name: &str| rpc::quantity(&params[0][name]).unwrap_or(head);
    (end("fromBlock"), end("toBlock"))
}
