//! The wallet behind a page: it signs as MetaMask does, and hands everything else to the node.

use std::sync::{Mutex, MutexGuard, PoisonError};

use alloy_primitives::{Address, B256, U256, hex, keccak256};
use anyhow::{Context, Result, bail, ensure};
use channel::Key;
use serde_json::{Value, json};
use testkit::rpc;

/// What its owner does, and what it has seen.
#[derive(Debug)]
pub struct Conduct {
    /// The chain it is on.
    pub chain_id: u64,
    /// Whether it knows the page already.
    pub is_connected: bool,
    /// The next calls of these methods are declined.
    pub declines: Vec<&'static str>,
    /// Every method that it was asked, in order.
    pub asked: Vec<String>,
}

/// A wallet with one account.
pub struct Wallet {
    key: Key,
    node: String,
    own_chain: u64,
    conduct: Mutex<Conduct>,
}

/// An error as wallets word it (EIP-1193).
pub type Declined = (i64, String);

impl Wallet {
    pub fn new(key: Key, node: String, chain_id: u64) -> Wallet {
        let conduct = Conduct { chain_id, is_connected: false, declines: Vec::new(), asked: Vec::new() };
        Wallet { key, node, own_chain: chain_id, conduct: Mutex::new(conduct) }
    }

    pub fn address(&self) -> Address {
        self.key.address()
    }

    pub fn conduct(&self) -> MutexGuard<'_, Conduct> {
        self.conduct.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How often it was asked this.
    pub fn times(&self, method: &str) -> usize {
        self.conduct().asked.iter().filter(|asked| *asked == method).count()
    }

    /// The answer to a page.
    pub async fn answer(&self, method: &str, params: Value) -> Result<Value, Declined> {
        let account = format!("{:#x}", self.address());
        {
            let mut conduct = self.conduct();
            conduct.asked.push(method.to_owned());
            if let Some(place) = conduct.declines.iter().position(|declined| *declined == method) {
                conduct.declines.remove(place);
                return Err((4001, "MetaMask Message Signature: User denied message signature.".to_owned()));
            }
            match method {
                "eth_requestAccounts" => {
                    conduct.is_connected = true;
                    return Ok(json!([account]));
                }
                "eth_accounts" if conduct.is_connected => return Ok(json!([account])),
                "eth_accounts" => return Ok(json!([])),
                "eth_chainId" => return Ok(json!(format!("{:#x}", conduct.chain_id))),
                "wallet_switchEthereumChain" if params[0]["chainId"] == format!("{:#x}", self.own_chain) => {
                    conduct.chain_id = self.own_chain;
                    return Ok(Value::Null);
                }
                "wallet_switchEthereumChain" => return Err((4902, "Unrecognized chain ID".to_owned())),
                _ => {}
            }
        }
        let answer = match method {
            "eth_signTypedData" => self.sign(&params),
            "eth_sendTransaction" => rpc::call(&self.node, method, with_room(params)).await,
            _ => rpc::call(&self.node, method, params).await,
        };
        answer.map_err(|error| (-32603, format!("{error:#}")))
    }

    fn sign(&self, params: &Value) -> Result<Value> {
        let account: Address = serde_json::from_value(params[1].clone())?;
        ensure!(account == self.address(), "another account is asked to sign");
        let signature = self.key.sign(legacy_digest(&params[0])?);
        Ok(json!(hex::encode_prefixed(signature.as_bytes())))
    }
}

/// More gas than a transaction takes, as wallets offer: what a node estimates is for the very moment, and what others do
/// meanwhile may make it dearer.
fn with_room(mut params: Value) -> Value {
    if params[0]["gas"].is_null() {
        params[0]["gas"] = json!("0x7a120");
    }
    params
}

/// What `eth_signTypedData` signed before EIP-712 was final: keccak(keccak(schema) ‖ keccak(values, tightly packed)).
fn legacy_digest(items: &Value) -> Result<B256> {
    let (mut schema, mut values) = (String::new(), Vec::new());
    for item in items.as_array().context("no typed data")? {
        let text = |name: &str| item[name].as_str().with_context(|| format!("{item} has no {name}"));
        let (kind, value) = (text("type")?, text("value")?);
        schema += &format!("{kind} {}", text("name")?);
        match kind {
            "string" => values.extend_from_slice(value.as_bytes()),
            "address" => values.extend_from_slice(value.parse::<Address>()?.as_slice()),
            _ => {
                let Some(bits) = kind.strip_prefix("uint") else { bail!("{kind} is not known here") };
                let bytes = value.parse::<U256>()?.to_be_bytes::<32>();
                values.extend_from_slice(&bytes[32 - bits.parse::<usize>()? / 8..]);
            }
        }
    }
    Ok(keccak256([keccak256(schema), keccak256(values)].concat()))
}

#[test]
fn signs_what_the_original_signed() {
    let item = |kind: &str, name: &str, value: &str| json!({"type": kind, "name": name, "value": value});
    let proof = json!([
        item("string", "message_id", "Sender balance proof signature"),
        item("address", "receiver", "0x08c86B491A37C2FFC25072a17c7A97EF2D0357dd"),
        item("uint32", "block_created", "37"),
        item("uint192", "balance", "15"),
        item("address", "contract", "0xe7f1725E7734CE288F8367e1Bb143E90bb3F0512"),
    ]);
    let digest = legacy_digest(&proof).expect("typed data");
    assert_eq!(hex::encode(digest), "2ce17f7fc91c13ac87147daa78ab86081a4756c14b47e80eeefb9c237119bda9");
}
