use alloy::consensus::{SignableTransaction, TxEip1559, TxEnvelope};
use alloy::eips::{Decodable2718, Encodable2718};
use alloy_primitives::{Address, B256, Bytes, Signature, TxKind, U256};
use channel::Key;

use crate::{EvmError, Fees};

/// A transaction to be signed (EIP-1559).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transaction {
    /// The chain it is valid on.
    pub chain_id: u64,
    /// Its number among those of its sender.
    pub nonce: u64,
    /// Whom it calls; `None` makes a contract of `data`.
    pub to: Option<Address>,
    /// What it calls them with.
    pub data: Bytes,
    /// How much of the chain's own coin goes along, in wei.
    pub value: U256,
    /// The most gas it may take.
    pub gas: u64,
    /// The most a unit of gas may cost.
    pub fees: Fees,
}

impl Transaction {
    /// What was signed: the inverse of [`sign_transaction`].
    ///
    /// # Errors
    /// [`EvmError::Malformed`] when these are not the bytes of a transaction of ours.
    pub fn decode(mut raw: &[u8]) -> Result<Transaction, EvmError> {
        let malformed = |reason: &str| EvmError::Malformed(format!("not a transaction of ours: {reason}"));
        let envelope = TxEnvelope::decode_2718(&mut raw).map_err(|error| malformed(&error.to_string()))?;
        let TxEnvelope::Eip1559(signed) = envelope else { return Err(malformed("another type")) };
        let transaction = signed.into_parts().0;
        Ok(Transaction {
            chain_id: transaction.chain_id,
            nonce: transaction.nonce,
            to: transaction.to.into_to(),
            data: transaction.input,
            value: transaction.value,
            gas: transaction.gas_limit,
            fees: Fees { max_fee: transaction.max_fee_per_gas, max_priority_fee: transaction.max_priority_fee_per_gas },
        })
    }
}

/// A transaction that any node can be given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedTransaction {
    /// What the chain will know it by.
    pub hash: B256,
    /// What a node is handed (EIP-2718).
    pub raw: Bytes,
}

/// Signs a transaction. The same transaction gets the same signature, hence the same hash.
pub fn sign_transaction(key: &Key, transaction: &Transaction) -> SignedTransaction {
    let transaction = TxEip1559 {
        chain_id: transaction.chain_id,
        nonce: transaction.nonce,
        gas_limit: transaction.gas,
        max_fee_per_gas: transaction.fees.max_fee,
        max_priority_fee_per_gas: transaction.fees.max_priority_fee,
        to: transaction.to.map_or(TxKind::Create, TxKind::Call),
        value: transaction.value,
        access_list: Default::default(),
        input: transaction.data.clone(),
    };
    let signature = key.sign(transaction.signature_hash());
    let bytes = signature.as_bytes();
    let signature = Signature::from_bytes_and_parity(&bytes[..64], bytes[64] == 28);
    let signed = transaction.into_signed(signature);
    SignedTransaction { hash: *signed.hash(), raw: signed.encoded_2718().into() }
}
