//! Reads sense into what nodes and providers answer when they do not answer.

use alloy::rpc::json_rpc::{ErrorPayload, RpcError};
use alloy::transports::{TransportError, TransportErrorKind};
use alloy_primitives::Bytes;
use alloy_sol_types::decode_revert_reason;

use crate::EvmError;

/// How much of a node's words goes into an error, in characters.
const MAX_WORDS: usize = 300;

/// JSON-RPC's code for a server's own trouble, which goes away by itself.
const INTERNAL_ERROR: i64 = -32603;

/// What `error` means for a question.
pub(crate) fn classify(error: TransportError) -> EvmError {
    match classify_sent(error) {
        EvmError::Rejected { code: INTERNAL_ERROR, message } => EvmError::Transport(message),
        other => other,
    }
}

/// What `error` means for something sent: whatever the node says, it says that it did not take it.
pub(crate) fn classify_sent(error: TransportError) -> EvmError {
    match error {
        RpcError::ErrorResp(payload) => of_payload(&payload),
        RpcError::Transport(kind) => EvmError::Transport(of_transport(&kind)),
        RpcError::NullResp => EvmError::Malformed("null".to_owned()),
        RpcError::DeserError { err, .. } => EvmError::Malformed(err.to_string()),
        other => EvmError::Malformed(words(&other.to_string())),
    }
}

/// As [`classify`], for queries for logs: here a provider's limits mean "ask for less".
pub(crate) fn classify_logs(error: TransportError) -> EvmError {
    let http = error.as_transport_err().and_then(TransportErrorKind::as_http_error);
    let limit = match (&error, http) {
        (_, Some(http)) => (http.status == 413 || is_range_limit(0, &http.body)).then(|| http.body.clone()),
        (RpcError::ErrorResp(payload), _) => {
            is_range_limit(payload.code, &payload.message).then(|| payload.message.to_string())
        }
        _ => None,
    };
    match limit {
        Some(message) => EvmError::RangeTooLarge(words(&message)),
        None => classify(error),
    }
}

fn of_payload(payload: &ErrorPayload) -> EvmError {
    let message = words(&payload.message);
    let data = payload.as_revert_data().unwrap_or_default();
    if is_rate_limit(payload.code, &payload.message) {
        EvmError::Transport(format!("{message} ({})", payload.code))
    } else if payload.code == 3 || payload.message.to_lowercase().contains("revert") {
        EvmError::Revert { reason: revert_reason(&data, message), data }
    } else {
        EvmError::Rejected { code: payload.code, message }
    }
}

/// What a contract said: Solidity's `Error(string)` and `Panic(uint256)` in words, any other error by its selector.
fn revert_reason(data: &Bytes, message: String) -> String {
    match decode_revert_reason(data) {
        Some(reason) => words(&reason),
        None if data.len() >= 4 => format!("error {}", Bytes::copy_from_slice(&data[..4])),
        None => message,
    }
}

/// The whole chain of causes: reqwest's outermost sentence alone says nothing.
fn of_transport(kind: &TransportErrorKind) -> String {
    let mut text = kind.to_string();
    let mut cause = kind.as_custom().and_then(std::error::Error::source);
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    words(&text)
}

fn words(text: &str) -> String {
    text.chars().take(MAX_WORDS).collect()
}

/// Too many requests, for now. `-32005` is Infura's code for it, and others' for a range that is too large.
fn is_rate_limit(code: i64, message: &str) -> bool {
    let message = message.to_lowercase();
    let said = [
        "rate limit",
        "rate exceeded",
        "too many requests",
        "request limit",
        "credits limited",
        "compute units",
        "throughput",
        "concurrent requests",
        "try again later",
        "header not found",
    ];
    code == 429 || said.iter().any(|phrase| message.contains(phrase))
}

/// Whether a provider objects to the extent of a query for logs. There is no standard; these are their words.
fn is_range_limit(code: i64, message: &str) -> bool {
    // Fragments, lower case, each with who says so (as met by other indexers, and in the nodes' sources).
    const PHRASES: &[&str] = &[
        "query returned more than",     // Infura, zkEVM
        "try with this block range",    // Infura, zkSync
        "this block range should work", // Alchemy
        "log response size exceeded",   // Alchemy
        "block range",                  // Ankr, Base, Chainstack, publicnode, Aurora, Somnia, Hyperliquid, reth
        "blocks range",                 // QuickNode
        "blocks distance",              // Ankr
        "max range",                    // Cloudflare
        "range is too large",           // Merkle
        "range too large",              // Tenderly
        "range limit",                  // Besu, Chainstack
        "range allowed",                // Blast
        "requested too many blocks",    // Avalanche
        "requested blocks",             // thirdweb
        "limit the query to",           // Coinbase
        "limited to",                   // QuickNode, 1RPC, BlockPI
        "smaller than size",            // Harmony
        "exceeds max results",          // reth
        "exceeds limit of",             // Arbitrum
        "logs matched by query",        // Arbitrum
        "response size",                // 1RPC, Moralis
        "response too large",           // Optimism's proxyd
        "response is too big",          // jsonrpsee
        "limit exceeded",               // BNB chain
        "query timeout",                // geth: fewer blocks take less time
        "request timed out",            // geth
        "took too long",                // Polygon
    ];
    let message = message.to_lowercase();
    if is_rate_limit(0, &message) {
        return false;
    }
    code == -32005 || PHRASES.iter().any(|phrase| message.contains(phrase))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn providers_limits_are_told_from_their_rate_limits() {
        let limits = [
            (-32005, "query returned more than 10000 results. Try with this block range [0x1, 0x2]."),
            (-32602, "Log response size exceeded. this block range should work: [0x0, 0x7cf]"),
            (-32600, "block range is too wide"),
            (-32614, "eth_getLogs is limited to a 10,000 range"),
            (-32000, "exceed maximum block range: 50000"),
            (-32602, "query exceeds max results 20000, retry with the range 1-2"),
            (-32005, "limit exceeded"),
            (-32047, "Max range: 800"),
            (-32000, "logs matched by query exceeds limit of 10000"),
            (-32008, "Response is too big"),
            (-32020, "backend response too large"),
            (-32000, "requested too many blocks from 1 to 9, maximum is set to 2048"),
        ];
        for (code, message) in limits {
            assert!(is_range_limit(code, message), "{message}");
        }
        let rates = [
            (-32005, "project ID request rate exceeded"),
            (-32005, "daily request count exceeded, request rate limited"),
            (429, "Too Many Requests"),
            (-32007, "100/second request limit reached - reduce calls per second"),
            (-32012, "credits limited to 6000/sec"),
        ];
        for (code, message) in rates {
            assert!(!is_range_limit(code, message), "{message}");
            assert!(is_rate_limit(code, message), "{message}");
        }
        assert!(!is_range_limit(-32601, "the method eth_getLogs does not exist"));
    }
}
