use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use alloy::rpc::client::RpcClient;
use alloy::rpc::json_rpc::{RpcRecv, RpcSend};
use alloy::transports::TransportError;
use alloy_primitives::U64;

use crate::EvmError;
use crate::classify::classify;
use crate::transport::Http;

/// How often a read is tried when the connection fails at once. A time-out is not repeated: the caller has waited enough.
const ATTEMPTS: u32 = 4;
/// The pause before the second attempt; it doubles.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// How long a chain id that was seen is believed. After any failure it is asked for at once: the node behind an address
/// may have been replaced.
const CHAIN_ID_AGE: Duration = Duration::from_secs(60);

/// A node of one chain. Clones share the connections.
#[derive(Clone)]
pub struct Rpc {
    client: RpcClient,
    chain_id: u64,
    timeout: Duration,
    checked: Arc<Mutex<Option<Instant>>>,
}

impl Rpc {
    /// Connects to the node at `url` (http or https) and makes sure that it serves `chain_id`. Each call to the node may
    /// take `timeout`.
    ///
    /// # Errors
    /// [`EvmError::WrongChain`]; [`EvmError::Transport`] or [`EvmError::Timeout`] when the node is not there;
    /// [`EvmError::Malformed`] for an address that is none.
    pub async fn connect(url: &str, chain_id: u64, timeout: Duration) -> Result<Rpc, EvmError> {
        let rpc = Rpc::new(url, chain_id, timeout)?;
        rpc.check_chain().await?;
        Ok(rpc)
    }

    /// As [`Rpc::connect`], for a node that need not be there yet: the chain is checked before the first answer is believed.
    ///
    /// # Errors
    /// [`EvmError::Malformed`] for an address that is none.
    pub fn new(url: &str, chain_id: u64, timeout: Duration) -> Result<Rpc, EvmError> {
        let http = Http::new(url).map_err(EvmError::Malformed)?;
        // Whether the node is local only chooses alloy's poll interval, which we do not use.
        let client = RpcClient::new(http, false);
        Ok(Rpc { client, chain_id, timeout, checked: Arc::default() })
    }

    /// The chain that the node was checked to serve.
    pub const fn chain_id(&self) -> u64 {
        self.chain_id
    }

    /// Asks for something that asking changes nothing about.
    pub(crate) async fn read<P, R>(&self, method: &'static str, params: P) -> Result<R, EvmError>
    where
        P: RpcSend + Clone,
        R: RpcRecv,
    {
        self.read_with(method, params, classify).await
    }

    /// [`Rpc::read`], with its own reading of errors.
    pub(crate) async fn read_with<P, R>(
        &self,
        method: &'static str,
        params: P,
        classify: fn(TransportError) -> EvmError,
    ) -> Result<R, EvmError>
    where
        P: RpcSend + Clone,
        R: RpcRecv,
    {
        let mut pause = FIRST_PAUSE;
        for _ in 1..ATTEMPTS {
            match self.once(method, params.clone(), classify).await {
                Err(EvmError::Transport(reason)) => {
                    tracing::debug!(method, reason, "asking the node again");
                    tokio::time::sleep(pause).await;
                    pause *= 2;
                }
                other => return other,
            }
        }
        self.once(method, params, classify).await
    }

    /// Asks once, for what is not to be repeated.
    pub(crate) async fn once<P, R>(
        &self,
        method: &'static str,
        params: P,
        classify: fn(TransportError) -> EvmError,
    ) -> Result<R, EvmError>
    where
        P: RpcSend,
        R: RpcRecv,
    {
        if !self.chain_is_known() {
            self.check_chain().await?;
        }
        self.exchange(method, params, classify).await
    }

    fn chain_is_known(&self) -> bool {
        let checked = self.checked.lock().unwrap_or_else(PoisonError::into_inner);
        checked.is_some_and(|at| at.elapsed() < CHAIN_ID_AGE)
    }

    async fn check_chain(&self) -> Result<(), EvmError> {
        let got: U64 = self.exchange("eth_chainId", (), classify).await?;
        let got = got.to::<u64>();
        if got != self.chain_id {
            return Err(EvmError::WrongChain { expected: self.chain_id, got });
        }
        *self.checked.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
        Ok(())
    }

    async fn exchange<P, R>(
        &self,
        method: &'static str,
        params: P,
        classify: fn(TransportError) -> EvmError,
    ) -> Result<R, EvmError>
    where
        P: RpcSend,
        R: RpcRecv,
    {
        let answer = tokio::time::timeout(self.timeout, self.client.request::<P, R>(method, params)).await;
        let result = match answer {
            Ok(answer) => answer.map_err(classify),
            Err(_) => Err(EvmError::Timeout(self.timeout)),
        };
        if matches!(result, Err(EvmError::Transport(_) | EvmError::Timeout(_))) {
            *self.checked.lock().unwrap_or_else(PoisonError::into_inner) = None;
        }
        let outcome = result.as_ref().err().map_or("ok", EvmError::label);
        metrics::counter!("evm_requests_total", "chain" => self.chain_id.to_string(), "method" => method, "outcome" => outcome)
            .increment(1);
        result
    }
}

impl std::fmt::Debug for Rpc {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Rpc(chain {})", self.chain_id)
    }
}
