use std::task::{Context, Poll};

use alloy::rpc::json_rpc::{RequestPacket, ResponsePacket};
use alloy::transports::{TransportError, TransportErrorKind, TransportFut};
use reqwest::{Client, Response, Url, redirect};
use tower::Service;

/// The most an answer may be, in bytes. A node that says more is asked for less, as if it had objected itself.
const MAX_ANSWER: usize = 64 << 20;
/// How much of an answer that is no JSON-RPC goes into an error, in characters.
const MAX_EXCERPT: usize = 200;

/// HTTP to one node. Unlike alloy's own transport it bounds the answer and never lets the address into an error or a span.
#[derive(Clone)]
pub(crate) struct Http {
    client: Client,
    url: Url,
}

impl Http {
    pub(crate) fn new(url: &str) -> Result<Http, String> {
        let url: Url = url.parse().map_err(|_| "the node's address is no URL".to_owned())?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(format!("a node is reached by http or https, not {}", url.scheme()));
        }
        let client = Client::builder()
            .redirect(redirect::Policy::none())
            .build()
            .map_err(|error| format!("no HTTP client: {}", error.without_url()))?;
        Ok(Http { client, url })
    }

    async fn exchange(self, request: RequestPacket) -> Result<ResponsePacket, TransportError> {
        let response = self.client.post(self.url).json(&request).send().await.map_err(unreachable)?;
        let status = response.status();
        let body = read(response).await?;
        // Providers send JSON-RPC errors under all kinds of statuses; what parses as one is one.
        match serde_json::from_slice(&body) {
            Ok(packet) if status.as_u16() != 429 => Ok(packet),
            _ => {
                let text: String = String::from_utf8_lossy(&body).chars().take(MAX_EXCERPT).collect();
                Err(TransportErrorKind::http_error(status.as_u16(), text))
            }
        }
    }
}

async fn read(mut response: Response) -> Result<Vec<u8>, TransportError> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(unreachable)? {
        if body.len() + chunk.len() > MAX_ANSWER {
            return Err(TransportErrorKind::http_error(413, format!("the answer exceeds {MAX_ANSWER} bytes")));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

fn unreachable(error: reqwest::Error) -> TransportError {
    TransportErrorKind::custom(error.without_url())
}

impl Service<RequestPacket> for Http {
    type Response = ResponsePacket;
    type Error = TransportError;
    type Future = TransportFut<'static>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), TransportError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: RequestPacket) -> TransportFut<'static> {
        Box::pin(self.clone().exchange(request))
    }
}
