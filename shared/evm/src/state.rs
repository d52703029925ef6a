use std::time::Duration;

use alloy::rpc::types::Log as NodeLog;
use alloy_primitives::{Address, B256, Bytes, U64, U128, U256};
use channel::BlockRef;
use contracts::Log;
use serde::{Deserialize, Serialize};

use crate::chain::place;
use crate::classify::classify_sent;
use crate::{Block, EvmError, Rpc, Transaction};

/// How often a receipt is looked for.
const RECEIPT_POLL: Duration = Duration::from_millis(250);

/// What a unit of gas may cost, in wei (EIP-1559).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fees {
    /// In all.
    pub max_fee: u128,
    /// Of that, for whoever makes the block.
    pub max_priority_fee: u128,
}

/// What became of a mined transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// The transaction.
    pub hash: B256,
    /// Where it was mined.
    pub block: BlockRef,
    /// False when it was mined, but reverted.
    pub succeeded: bool,
    /// The gas it took.
    pub gas_used: u64,
    /// The contract it made, if it made one.
    pub contract: Option<Address>,
    /// What the contracts said meanwhile.
    pub logs: Vec<Log>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct NodeReceipt {
    transaction_hash: B256,
    block_number: U64,
    block_hash: B256,
    status: U64,
    gas_used: U64,
    contract_address: Option<Address>,
    logs: Vec<NodeLog>,
}

#[derive(Clone, Debug, Serialize)]
struct CallRequest {
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<Address>,
    #[serde(skip_serializing_if = "Option::is_none")]
    to: Option<Address>,
    value: U256,
    data: Bytes,
}

impl Rpc {
    /// Runs a call at the head and returns what it returns; nothing changes.
    ///
    /// # Errors
    /// [`EvmError::Revert`] with the contract's reason; else as any read.
    pub async fn call(&self, to: Address, data: Bytes) -> Result<Bytes, EvmError> {
        let request = CallRequest { from: None, to: Some(to), value: U256::ZERO, data };
        self.read("eth_call", (request, "latest")).await
    }

    /// As [`Rpc::call`], after a block of the past. Nodes know this about the last hundred blocks or so.
    ///
    /// # Errors
    /// As [`Rpc::call`].
    pub async fn call_at(&self, to: Address, data: Bytes, block: u64) -> Result<Bytes, EvmError> {
        let request = CallRequest { from: None, to: Some(to), value: U256::ZERO, data };
        self.read("eth_call", (request, U64::from(block))).await
    }

    /// The code at an address; empty for none.
    ///
    /// # Errors
    /// As any read.
    pub async fn code(&self, account: Address) -> Result<Bytes, EvmError> {
        self.read("eth_getCode", (account, "latest")).await
    }

    /// The number of the next transaction of an account, those that wait to be mined included.
    ///
    /// # Errors
    /// As any read.
    pub async fn nonce(&self, account: Address) -> Result<u64, EvmError> {
        let nonce: U64 = self.read("eth_getTransactionCount", (account, "pending")).await?;
        Ok(nonce.to())
    }

    /// As [`Rpc::nonce`], counting only what is mined.
    ///
    /// # Errors
    /// As any read.
    pub async fn mined_nonce(&self, account: Address) -> Result<u64, EvmError> {
        let nonce: U64 = self.read("eth_getTransactionCount", (account, "latest")).await?;
        Ok(nonce.to())
    }

    /// As [`Rpc::mined_nonce`], after a block of the past. Nodes know this about the last hundred blocks or so.
    ///
    /// # Errors
    /// As any read.
    pub async fn nonce_at(&self, account: Address, block: u64) -> Result<u64, EvmError> {
        let nonce: U64 = self.read("eth_getTransactionCount", (account, U64::from(block))).await?;
        Ok(nonce.to())
    }

    /// What an account has of the chain's own coin, in wei.
    ///
    /// # Errors
    /// As any read.
    pub async fn balance(&self, account: Address) -> Result<U256, EvmError> {
        self.read("eth_getBalance", (account, "latest")).await
    }

    /// Fees that get a transaction into one of the next blocks: twice the present base fee (it can rise by an eighth a
    /// block), and the tip the node suggests.
    ///
    /// # Errors
    /// As any read.
    pub async fn fees(&self) -> Result<Fees, EvmError> {
        self.fees_at(&self.head().await?).await
    }

    /// As [`Rpc::fees`], when `head` is the newest block.
    ///
    /// # Errors
    /// As any read.
    pub async fn fees_at(&self, head: &Block) -> Result<Fees, EvmError> {
        let Some(base_fee) = head.base_fee else {
            let price: U128 = self.read("eth_gasPrice", ()).await?;
            return Ok(Fees { max_fee: price.to(), max_priority_fee: price.to() });
        };
        let tip: U128 = self.read("eth_maxPriorityFeePerGas", ()).await?;
        let tip = tip.to::<u128>();
        Ok(Fees { max_fee: base_fee.saturating_mul(2).saturating_add(tip), max_priority_fee: tip })
    }

    /// The gas a transaction would take at the head; `to: None` makes a contract.
    ///
    /// # Errors
    /// [`EvmError::Revert`] when it would fail; else as any read.
    pub async fn estimate(
        &self,
        from: Address,
        to: Option<Address>,
        value: U256,
        data: Bytes,
    ) -> Result<u64, EvmError> {
        let request = CallRequest { from: Some(from), to, value, data };
        let gas: U64 = self.read("eth_estimateGas", (request,)).await?;
        Ok(gas.to())
    }

    /// Why a transaction reverted or would revert: what the contract says to the same call after `block`, or at the head,
    /// whatever waits to be mined; `None` when it does not object.
    ///
    /// # Errors
    /// As any read.
    pub async fn revert_reason(
        &self,
        from: Address,
        transaction: &Transaction,
        block: Option<u64>,
    ) -> Result<Option<String>, EvmError> {
        let Transaction { to, value, ref data, .. } = *transaction;
        let request = CallRequest { from: Some(from), to, value, data: data.clone() };
        let block = block.map_or("latest".to_owned(), |block| format!("{block:#x}"));
        match self.read::<_, Bytes>("eth_call", (request, block)).await {
            Ok(_) => Ok(None),
            Err(EvmError::Revert { reason, .. }) => Ok(Some(reason)),
            Err(error) => Err(error),
        }
    }

    /// Hands a signed transaction to every node that works. Asked once: whether to ask again is the caller's to decide, who knows what
    /// else was signed with the same nonce.
    ///
    /// # Errors
    /// [`EvmError::Rejected`] when the node does not take it; after [`EvmError::Transport`] and [`EvmError::Timeout`] it
    /// may have taken it.
    pub async fn send_raw(&self, raw: &[u8]) -> Result<B256, EvmError> {
        let answers = self.send_to_all(raw).await;
        let first_to_take_it = answers.into_iter().min_by_key(Result::is_err);
        first_to_take_it.unwrap_or_else(|| Err(EvmError::Transport("there is no node to ask".to_owned())))
    }

    /// Hands a signed transaction to every node that works, once; what each of them said.
    pub(crate) async fn send_to_all(&self, raw: &[u8]) -> Vec<Result<B256, EvmError>> {
        self.tell_all("eth_sendRawTransaction", (Bytes::copy_from_slice(raw),), classify_sent).await
    }

    /// What became of a transaction; `None` while it is not mined (or no longer: reorganisations happen).
    ///
    /// # Errors
    /// As any read.
    pub async fn receipt(&self, hash: B256) -> Result<Option<Receipt>, EvmError> {
        let receipt: Option<NodeReceipt> = self.read("eth_getTransactionReceipt", (hash,)).await?;
        Ok(receipt.map(Receipt::from))
    }

    /// Waits until a transaction is mined, through failures that go away by themselves.
    ///
    /// # Errors
    /// [`EvmError::Timeout`] when it is not mined within `timeout`; it may still be later. Else as any read.
    pub async fn wait_mined(&self, hash: B256, timeout: Duration) -> Result<Receipt, EvmError> {
        let mined = async {
            loop {
                match self.receipt(hash).await {
                    Ok(Some(receipt)) => return Ok(receipt),
                    Ok(None) => {}
                    Err(error) if error.is_transient() => tracing::debug!(%error, tx.hash = %hash, "no receipt yet"),
                    Err(error) => return Err(error),
                }
                tokio::time::sleep(RECEIPT_POLL).await;
            }
        };
        tokio::time::timeout(timeout, mined).await.unwrap_or(Err(EvmError::Timeout(timeout)))
    }
}

impl From<NodeReceipt> for Receipt {
    fn from(receipt: NodeReceipt) -> Receipt {
        Receipt {
            hash: receipt.transaction_hash,
            block: BlockRef { number: receipt.block_number.to(), hash: receipt.block_hash },
            succeeded: receipt.status == U64::from(1),
            gas_used: receipt.gas_used.to(),
            contract: receipt.contract_address,
            logs: receipt.logs.into_iter().filter_map(place).collect(),
        }
    }
}
