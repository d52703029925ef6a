//! The official x402 server for Express as a peer to measure ours against: `loadtest/peers/x402_express.js`, with
//! channels in its `batch-settlement` scheme. It has no chain; the script says why.
//!
//! ```text
//! channel id = EIP-712 digest of ChannelConfig
//! voucher    = EIP-712 signature of the channel id and all that may be claimed
//! request    = what is accepted of the 402's offers, and the voucher: JSON in base64 in PAYMENT-SIGNATURE
//! ```

use std::fs;
use std::time::Duration;

use alloy_primitives::aliases::U40;
use alloy_primitives::{Address, B256, address, hex, keccak256};
use alloy_sol_types::{Eip712Domain, SolStruct, eip712_domain, sol};
use anyhow::{Context, Result, ensure};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use channel::{Amount, Key};
use http::{HeaderMap, StatusCode};
use serde_json::{Value, json};

use crate::process::Process;
use crate::scratch::Scratch;
use crate::{original, paths, ports};

const START: Duration = Duration::from_secs(60);
const CHAIN_ID: u64 = 84_532;
/// In seconds.
const WITHDRAW_DELAY: u32 = 86_400;
const RECEIVER: Address = Address::repeat_byte(0x33);
const TOKEN: Address = Address::repeat_byte(0x55);
/// Where the scheme's contract is, on every chain.
const CONTRACT: Address = address!("0x4020074e9dF2ce1deE5A9C1b5c3f541D02a10003");

sol! {
    struct ChannelConfig {
        address payer;
        address payerAuthorizer;
        address receiver;
        address receiverAuthorizer;
        address token;
        uint40 withdrawDelay;
        bytes32 salt;
    }
    struct Voucher {
        bytes32 channelId;
        uint128 maxClaimableAmount;
    }
}

/// Where it keeps what was paid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Store {
    /// In memory, gone with it: the package's default.
    Memory,
    /// In a file per channel, never flushed: lost with the power, not with the process.
    Files,
}

/// A running server. Dropped, it is gone.
#[derive(Debug)]
pub struct X402Express {
    payers: Vec<Key>,
    /// Its 402, of which each payment echoes a part.
    offer: Value,
    process: Process,
    port: u16,
    _scratch: Scratch,
}

impl X402Express {
    /// Starts it with so many channels of `deposit` each, and waits until it sells.
    pub async fn start(channels: usize, deposit: Amount, store: Store) -> Result<X402Express> {
        let key = |number: usize| Key::from_bytes(&keccak256(format!("payer {number}"))).context("a hash is a key");
        let payers = (0..channels).map(key).collect::<Result<Vec<Key>>>()?;
        let (scratch, port) = (Scratch::new("x402-express")?, ports::free()?);
        let config = json!({
            "port": port,
            "network": format!("eip155:{CHAIN_ID}"),
            "receiver": RECEIVER,
            "token": TOKEN,
            "withdrawDelay": WITHDRAW_DELAY,
            "payers": payers.iter().map(Key::address).collect::<Vec<_>>(),
            "deposit": deposit.to_string(),
            "files": (store == Store::Files).then(|| scratch.path().join("channels")),
        });
        let file = scratch.path().join("config.json");
        fs::write(&file, config.to_string())?;
        let mut command = original::node()?.into_std();
        command.arg(paths::root().join("loadtest/peers/x402_express.js")).arg(&file);
        command.env("NODE_PATH", paths::x402_express_modules()?).env("NODE_ENV", "production");
        let process = Process::spawn("the x402 server", &mut command, &scratch.path().join("log"))?;
        let mut server = X402Express { payers, offer: Value::Null, process, port, _scratch: scratch };
        let url = server.url();
        server.offer = server.process.answers(START, async || offer(&url).await).await?;
        Ok(server)
    }

    /// What it sells, for one unit.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}/page", self.port)
    }

    /// The headers of a request that pays up to `balance`, cumulative, on the channel of this number, from 0 on.
    pub fn presign(&self, channel: usize, balance: Amount) -> Result<HeaderMap> {
        let payer = self.payers.get(channel).context("there is no such channel")?;
        let config = ChannelConfig {
            payer: payer.address(),
            payerAuthorizer: payer.address(),
            receiver: RECEIVER,
            receiverAuthorizer: RECEIVER,
            token: TOKEN,
            withdrawDelay: U40::from(WITHDRAW_DELAY),
            salt: B256::ZERO,
        };
        let channel_id = config.eip712_signing_hash(&domain());
        let voucher = Voucher { channelId: channel_id, maxClaimableAmount: balance.units() };
        let signature = payer.sign(voucher.eip712_signing_hash(&domain()));
        let payment = json!({
            "x402Version": 2,
            "resource": self.offer["resource"],
            "accepted": self.offer["accepts"][0],
            "payload": {
                "type": "voucher",
                "channelConfig": {
                    "payer": config.payer,
                    "payerAuthorizer": config.payerAuthorizer,
                    "receiver": RECEIVER,
                    "receiverAuthorizer": RECEIVER,
                    "token": TOKEN,
                    "withdrawDelay": WITHDRAW_DELAY,
                    "salt": config.salt,
                },
                "voucher": {
                    "channelId": channel_id,
                    "maxClaimableAmount": balance.to_string(),
                    "signature": hex::encode_prefixed(signature.as_bytes()),
                },
            },
        });
        let mut headers = HeaderMap::new();
        headers.insert("payment-signature", STANDARD.encode(payment.to_string()).parse()?);
        Ok(headers)
    }

    /// What was paid on all channels together, as it says itself.
    pub async fn paid(&self) -> Result<Amount> {
        let url = format!("http://127.0.0.1:{}/paid", self.port);
        let paid = crate::http::client()?.get(url).send().await?.error_for_status()?.text().await?;
        Ok(Amount::new(paid.parse()?))
    }

    /// The process: to find it in /proc.
    pub fn process(&self) -> &Process {
        &self.process
    }
}

fn domain() -> Eip712Domain {
    eip712_domain! { name: "x402 Batch Settlement", version: "1", chain_id: CHAIN_ID, verifying_contract: CONTRACT, }
}

/// What it asks of who does not pay.
async fn offer(url: &str) -> Result<Value> {
    let answer = crate::http::client()?.get(url).send().await?;
    ensure!(answer.status() == StatusCode::PAYMENT_REQUIRED, "it asks for no payment: {}", answer.status());
    let offer = answer.headers().get("payment-required").context("it does not say what it asks")?;
    Ok(serde_json::from_slice(&STANDARD.decode(offer)?)?)
}
