use std::sync::Arc;
use std::time::Duration;

use alloy::rpc::json_rpc::{RpcRecv, RpcSend};
use futures::future::join_all;

use crate::EvmError;
use crate::classify::classify;
use crate::metric;
use crate::node::{Classify, Node, Standing};

/// How often a read is tried when connections fail at once. A time-out is not repeated: the caller has waited enough.
const ATTEMPTS: u32 = 4;
/// The pause before the second attempt; it doubles.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// How far one of several nodes may be behind the others, in blocks, unless told otherwise.
const MAX_LAG: u64 = 5;

/// A chain, by one node or by several that stand in for each other. Clones share the connections.
///
/// Questions go to the first node that works; the next one is asked when it fails, and it is left alone for a while. Nodes
/// that lag or are on another fork are avoided, as long as somebody runs [`Rpc::compare_for_ever`].
#[derive(Clone)]
pub struct Rpc {
    pub(crate) nodes: Arc<[Node]>,
    chain_id: u64,
    pub(crate) max_lag: u64,
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
        join_all(rpc.nodes.iter().map(Node::check_chain)).await.into_iter().collect::<Result<(), _>>()?;
        Ok(rpc)
    }

    /// As [`Rpc::connect`], for a node that need not be there yet: the chain is checked before the first answer is believed.
    ///
    /// # Errors
    /// [`EvmError::Malformed`] for an address that is none.
    pub fn new(url: &str, chain_id: u64, timeout: Duration) -> Result<Rpc, EvmError> {
        Rpc::over(&[url], chain_id, timeout, MAX_LAG)
    }

    /// As [`Rpc::new`], over several nodes, the most trusted one first. One that is more than `max_lag` blocks behind the
    /// others is avoided.
    ///
    /// # Errors
    /// [`EvmError::Malformed`] for an address that is none, or without any.
    pub fn over(urls: &[&str], chain_id: u64, timeout: Duration, max_lag: u64) -> Result<Rpc, EvmError> {
        let node = |(index, url): (usize, &&str)| Node::new(index, url, chain_id, timeout);
        let nodes = urls.iter().enumerate().map(node).collect::<Result<Arc<[Node]>, _>>()?;
        if nodes.is_empty() {
            return Err(EvmError::Malformed("a chain needs the address of a node".to_owned()));
        }
        metric::describe();
        Ok(Rpc { nodes, chain_id, max_lag })
    }

    /// Refuses nodes that serve another chain, of those that answer. To be called once at the start: later each node is
    /// asked again every minute and after any failure, and one of another chain is not believed.
    ///
    /// # Errors
    /// [`EvmError::WrongChain`].
    pub async fn refuse_other_chains(&self) -> Result<(), EvmError> {
        let answers = join_all(self.nodes.iter().map(Node::check_chain)).await;
        let wrong = |answer: &Result<(), EvmError>| matches!(answer, Err(EvmError::WrongChain { .. }));
        answers.into_iter().find(wrong).unwrap_or(Ok(()))
    }

    /// Asks every node anew which chain it serves. To be called before something is believed that changes much: a node may
    /// have been replaced since it was asked.
    ///
    /// # Errors
    /// [`EvmError::WrongChain`] when one that was believed until now serves another; it is not believed from here on.
    pub async fn check_chains_again(&self) -> Result<(), EvmError> {
        let believed: Vec<&Node> = self.nodes.iter().filter(|node| node.chain_is_known()).collect();
        let answers = join_all(believed.into_iter().map(Node::check_chain)).await;
        let wrong = |answer: &Result<(), EvmError>| matches!(answer, Err(EvmError::WrongChain { .. }));
        answers.into_iter().find(wrong).unwrap_or(Ok(()))
    }

    /// The chain that the nodes are checked to serve.
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
        classify: Classify,
    ) -> Result<R, EvmError>
    where
        P: RpcSend + Clone,
        R: RpcRecv,
    {
        let mut pause = FIRST_PAUSE;
        for _ in 1..ATTEMPTS {
            match self.ask_in_turn(method, &params, classify).await {
                Err(EvmError::Transport(reason)) => {
                    tracing::debug!(method, reason, "asking again");
                    tokio::time::sleep(pause).await;
                    pause *= 2;
                }
                other => return other,
            }
        }
        self.ask_in_turn(method, &params, classify).await
    }

    /// Asks one node after the other until one answers. One that refuses may lack what another has: the refusal is the answer
    /// when no other has a better one. With none, the error is the one that asking again helps least with.
    async fn ask_in_turn<P, R>(&self, method: &'static str, params: &P, classify: Classify) -> Result<R, EvmError>
    where
        P: RpcSend + Clone,
        R: RpcRecv,
    {
        let mut failure = EvmError::Transport("every node is on another fork".to_owned());
        let mut refusal = None;
        for node in self.in_turn() {
            match node.ask(method, params.clone(), classify).await {
                Err(error) if error.is_of_the_node() => {
                    tracing::debug!(chain = self.chain_id, node = node.index, method, %error, "a node failed");
                    if matches!(failure, EvmError::Transport(_)) {
                        failure = error;
                    }
                }
                Err(error @ EvmError::Rejected { .. }) => refusal = refusal.or(Some(error)),
                answer => return answer,
            }
        }
        Err(refusal.unwrap_or(failure))
    }

    /// Tells something once to every node that works; to all there are, when none does.
    pub(crate) async fn tell_all<P, R>(
        &self,
        method: &'static str,
        params: P,
        classify: Classify,
    ) -> Vec<Result<R, EvmError>>
    where
        P: RpcSend + Clone,
        R: RpcRecv,
    {
        let mut nodes: Vec<&Node> = self.nodes.iter().filter(|node| node.is_preferred()).collect();
        if nodes.is_empty() {
            nodes = self.in_turn();
        }
        join_all(nodes.into_iter().map(|node| node.ask(method, params.clone(), classify))).await
    }

    /// The nodes, the one to be asked first first. One on another fork is none of them.
    fn in_turn(&self) -> Vec<&Node> {
        let mut nodes: Vec<&Node> = self.nodes.iter().filter(|node| node.standing() != Standing::Forked).collect();
        nodes.sort_by_key(|node| !node.is_preferred());
        nodes
    }
}

impl std::fmt::Debug for Rpc {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Rpc(chain {})", self.chain_id)
    }
}
