use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use alloy::rpc::client::RpcClient;
use alloy::rpc::json_rpc::{RpcRecv, RpcSend};
use alloy::transports::TransportError;
use alloy_primitives::U64;

use crate::EvmError;
use crate::classify::classify;
use crate::transport::Http;

/// How long a chain id that was seen is believed. After any failure it is asked for at once: the node behind an address
/// may have been replaced.
const CHAIN_ID_AGE: Duration = Duration::from_secs(60);
/// How long a node that failed is asked only when the others have failed too, unless it answers meanwhile when it is
/// compared with them. Longer than it takes to compare, or one that hangs would be asked in between.
const REST: Duration = Duration::from_secs(30);

/// How errors of alloy are read.
pub(crate) type Classify = fn(TransportError) -> EvmError;

/// One endpoint of a chain: every question has a time-out, and the chain is checked before an answer is believed.
pub(crate) struct Node {
    /// Its place in the configuration; its name in metrics and logs, because keys hide in addresses.
    pub(crate) index: usize,
    client: RpcClient,
    chain_id: u64,
    timeout: Duration,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    checked: Option<Instant>,
    failed: Option<Instant>,
    standing: Standing,
}

/// How a node compares with the others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Standing {
    /// As far as the others, on the same chain; or the only one.
    #[default]
    Good,
    /// Behind the others: asked when no other answers.
    Lagging,
    /// On a fork that most others, or those named before it, are not on: not asked.
    Forked,
}

impl Node {
    pub(crate) fn new(index: usize, url: &str, chain_id: u64, timeout: Duration) -> Result<Node, EvmError> {
        let http = Http::new(url).map_err(EvmError::Malformed)?;
        // Whether the node is local only chooses alloy's poll interval, which we do not use.
        let client = RpcClient::new(http, false);
        Ok(Node { index, client, chain_id, timeout, state: Mutex::default() })
    }

    /// Asks once.
    pub(crate) async fn ask<P, R>(&self, method: &'static str, params: P, classify: Classify) -> Result<R, EvmError>
    where
        P: RpcSend,
        R: RpcRecv,
    {
        let answer = async {
            if !self.chain_is_known() {
                self.check_chain().await?;
            }
            self.exchange(method, params, classify).await
        };
        let answer = answer.await;
        let failed = answer.as_ref().is_err_and(EvmError::is_of_the_node);
        self.state().failed = failed.then(Instant::now);
        answer
    }

    /// Makes sure that it serves the chain.
    pub(crate) async fn check_chain(&self) -> Result<(), EvmError> {
        let got: U64 = self.exchange("eth_chainId", (), classify).await?;
        let got = got.to::<u64>();
        if got != self.chain_id {
            self.state().checked = None;
            return Err(EvmError::WrongChain { expected: self.chain_id, got });
        }
        self.state().checked = Some(Instant::now());
        Ok(())
    }

    /// Whether it is to be asked before others.
    pub(crate) fn is_preferred(&self) -> bool {
        let state = self.state();
        state.standing == Standing::Good && state.failed.is_none_or(|at| at.elapsed() >= REST)
    }

    pub(crate) fn standing(&self) -> Standing {
        self.state().standing
    }

    /// Notes how it compares with the others, and says how it did before.
    pub(crate) fn stands(&self, standing: Standing) -> Standing {
        std::mem::replace(&mut self.state().standing, standing)
    }

    /// Whether its chain was checked lately.
    pub(crate) fn chain_is_known(&self) -> bool {
        self.state().checked.is_some_and(|at| at.elapsed() < CHAIN_ID_AGE)
    }

    async fn exchange<P, R>(&self, method: &'static str, params: P, classify: Classify) -> Result<R, EvmError>
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
            self.state().checked = None;
        }
        let labels = [
            ("chain", self.chain_id.to_string()),
            ("node", self.index.to_string()),
            ("method", method.to_owned()),
            ("outcome", result.as_ref().err().map_or("ok", EvmError::label).to_owned()),
        ];
        metrics::counter!("evm_requests_total", &labels).increment(1);
        result
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
