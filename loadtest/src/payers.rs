//! Payers with a channel each, and the requests they sign ahead.

use std::collections::VecDeque;
use std::thread;

use alloy_primitives::Address;
use anyhow::{Context, Result};
use bytes::Bytes;
use channel::{Amount, ChannelId, Key};
use contracts::{Deployment, Kind, Opening, raiden};
use http::{HeaderMap, HeaderName};
use payer::ChannelKey;

use crate::load::{Lines, Request};

/// The block in which all channels were opened, each by a payer of its own.
const OPEN_BLOCK: u32 = 1;

/// Those who pay on one deployment.
#[derive(Clone)]
pub struct Payers(Vec<Payer>);

#[derive(Clone)]
struct Payer {
    key: Key,
    channel: ChannelKey,
    /// Signed for and sold, in all.
    balance: u64,
}

/// A deployment that no chain has.
pub fn deployment(name: &str, number: u8) -> Deployment {
    Deployment {
        name: name.to_owned(),
        kind: Kind::Raiden,
        chain_id: 1337,
        contract: Address::repeat_byte(number),
        token: Address::repeat_byte(0xEE),
        payee: Address::repeat_byte(0xAA),
        challenge_period: 500,
        from_block: 0,
        confirmations: 1,
    }
}

/// The same payers each time, one for each channel on this deployment.
///
/// # Errors
/// When there are no more keys.
pub fn keys(deployment: &Deployment, count: usize) -> Result<Vec<(Key, ChannelKey)>> {
    let channel = ChannelKey { contract: deployment.contract, receiver: deployment.payee, open_block: OPEN_BLOCK };
    let key = |number: usize| {
        let mut secret = [7; 32];
        secret[..8].copy_from_slice(&u64::try_from(number)?.to_be_bytes());
        Ok((Key::from_bytes(&secret).context("a key that is none")?, channel))
    };
    (0..count).map(key).collect()
}

/// As the contract names this payer's channel.
pub fn opening(key: &Key) -> Opening {
    raiden::opening(key.address(), OPEN_BLOCK)
}

impl Payers {
    /// Nothing was paid yet on these channels.
    pub fn new(keys: Vec<(Key, ChannelKey)>) -> Payers {
        Payers(keys.into_iter().map(|(key, channel)| Payer { key, channel, balance: 0 }).collect())
    }

    /// What each channel of a deployment has paid so far.
    pub fn balances(&self, deployment: &Deployment) -> impl Iterator<Item = (ChannelId, u64)> {
        let id = |payer: &Payer| deployment.kind.contract().channel_id(deployment, &opening(&payer.key));
        self.0.iter().map(move |payer| (id(payer), payer.balance))
    }

    /// What all of them have paid so far.
    pub fn paid(&self) -> u64 {
        self.0.iter().map(|payer| payer.balance).sum()
    }

    /// At least `count` requests for `path` at a price of 1, each with a voucher of its own, in `lines` lines. What a
    /// channel pays is in one line, in order; so there are no more lines than channels.
    ///
    /// # Errors
    /// When a thread cannot be started.
    pub fn presign(&mut self, path: &str, count: usize, lines: usize) -> Result<Lines> {
        let each = count.div_ceil(self.0.len());
        let size = self.0.len().div_ceil(thread::available_parallelism()?.get());
        let signed: Vec<Vec<Request>> = thread::scope(|scope| {
            let sign = |(worker, some): (usize, &mut [Payer])| {
                let numbered = some.iter_mut().enumerate();
                numbered.map(|(index, payer)| payer.sign(worker * size + index, path, each)).collect::<Vec<_>>()
            };
            let workers: Vec<_> =
                self.0.chunks_mut(size).enumerate().map(|part| scope.spawn(move || sign(part))).collect();
            let parts = workers.into_iter().map(|worker| worker.join().ok().context("a thread that signs panicked"));
            parts.collect::<Result<Vec<_>>>().map(|parts| parts.concat())
        })?;
        // Rounds over a line's channels, so that none is paid from twice at the same moment.
        let mut dealt = vec![VecDeque::new(); lines];
        for round in 0..each {
            for (index, requests) in signed.iter().enumerate() {
                dealt[index % lines].push_back(requests[round].clone());
            }
        }
        Ok(Lines(dealt))
    }

    /// A request for `path` whose voucher names the first payer, and is signed by somebody else.
    ///
    /// # Errors
    /// When nobody pays.
    pub fn forge(&self, path: &str) -> Result<Request> {
        let payer = self.0.first().context("nobody pays")?;
        let stranger = Key::from_bytes(&[0xFF; 32].map(|byte: u8| byte >> 1)).context("a key that is none")?;
        let mut headers = payer::presign(&payer.key, payer.channel, Amount::new(payer.balance.into()));
        let forged = payer::presign(&stranger, payer.channel, Amount::new(payer.balance.into()));
        let signature = HeaderName::from_static("rdn-balance-signature");
        headers.extend(forged.get(&signature).map(|forged| (signature, forged.clone())));
        Ok(Request { bytes: get(path, &headers), payment: None })
    }

    /// Forgets what was signed and bought nothing.
    pub fn take_back(&mut self, left: &Lines) {
        for (payer, balance) in left.0.iter().flatten().filter_map(|request| request.payment) {
            let payer = &mut self.0[payer];
            payer.balance = payer.balance.min(balance - 1);
        }
    }
}

impl Payer {
    /// The next requests of this payer, who is that `number`.
    fn sign(&mut self, number: usize, path: &str, count: usize) -> Vec<Request> {
        let sign = |balance: u64| {
            let headers = payer::presign(&self.key, self.channel, Amount::new(balance.into()));
            Request { bytes: get(path, &headers), payment: Some((number, balance)) }
        };
        let upto = self.balance + count as u64;
        let signed = (self.balance + 1..=upto).map(sign).collect();
        self.balance = upto;
        signed
    }
}

/// A GET, as it goes over the wire.
pub fn get(path: &str, headers: &HeaderMap) -> Bytes {
    let mut text = format!("GET {path} HTTP/1.1\r\nhost: sluice.example\r\n").into_bytes();
    for (name, value) in headers {
        for part in [name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"] {
            text.extend_from_slice(part);
        }
    }
    text.extend_from_slice(b"\r\n");
    text.into()
}
