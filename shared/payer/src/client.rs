use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use alloy_primitives::{Address, U256};
use channel::{Amount, Key};
use reqwest::{Certificate, Response, redirect};

use crate::call::Call;
use crate::chain::{Chain, OnChain};
use crate::error::PayerError;
use crate::rdn::{self, Voucher};
use crate::settings::Settings;
use crate::state::{Channel, ChannelKey, Offer};
use crate::store::Store;

/// How many receivers' locks are kept although nobody waits for them.
const LANES_KEPT: usize = 1024;
/// How long connecting to a server may take.
const CONNECT: Duration = Duration::from_secs(10);

type Lane = Arc<tokio::sync::Mutex<()>>;

/// A key that pays: opens channels, tops them up, signs, closes. Clones share everything.
///
/// Requests to one receiver are paid one after the other, because the server takes only the balance it has plus the price;
/// requests to different receivers go in parallel.
#[derive(Clone)]
pub struct Payer(pub(crate) Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) settings: Arc<Settings>,
    pub(crate) key: Key,
    pub(crate) store: Store,
    pub(crate) chain: Chain,
    http: reqwest::Client,
    lanes: Mutex<HashMap<(Address, Address), Lane>>,
}

impl Payer {
    /// Opens the payer's memory. Neither the chain nor any server is asked for anything yet.
    ///
    /// # Errors
    /// [`PayerError::InUse`], [`PayerError::Corrupt`] or [`PayerError::Disk`] about the state;
    /// [`PayerError::Limit`] for a chain that is not allowed; [`PayerError::BadRequest`] for a file without certificates.
    pub async fn new(settings: Settings, key: Key) -> Result<Payer, PayerError> {
        settings.limits.check_chain(settings.chain_id)?;
        let store = Store::open(&settings.state_dir, settings.chain_id, key.address(), settings.patience.lock).await?;
        let settings = Arc::new(settings);
        let chain = Chain::new(key.clone(), store.clone(), Arc::clone(&settings))?;
        let http = http_client(settings.ca_file.as_deref())?;
        let lanes = Mutex::default();
        Ok(Payer(Arc::new(Inner { settings, key, store, chain, http, lanes })))
    }

    /// Who pays.
    pub fn address(&self) -> Address {
        self.0.key.address()
    }

    /// The channels that are remembered.
    pub async fn channels(&self) -> Vec<Channel> {
        self.0.store.read(|state| state.channels.clone()).await
    }

    /// What the chain knows about a channel; `None` when it is gone, or never was.
    ///
    /// # Errors
    /// [`PayerError::Chain`].
    pub async fn on_chain(&self, channel: &ChannelKey) -> Result<Option<OnChain>, PayerError> {
        self.0.chain.info(channel).await
    }

    /// The account's coins, in wei.
    ///
    /// # Errors
    /// [`PayerError::Chain`].
    pub async fn coins(&self) -> Result<U256, PayerError> {
        self.0.chain.coins().await
    }

    /// The account's tokens, in base units.
    ///
    /// # Errors
    /// [`PayerError::Chain`]; [`PayerError::NoContract`] for what is no token.
    pub async fn tokens(&self, token: Address) -> Result<U256, PayerError> {
        self.0.chain.tokens(token).await
    }

    /// The token that a contract's channels are in.
    ///
    /// # Errors
    /// [`PayerError::Chain`]; [`PayerError::NoContract`] for what is no channel contract.
    pub async fn token_of(&self, contract: Address) -> Result<Address, PayerError> {
        self.0.chain.token_of(contract).await
    }

    /// The head's number.
    ///
    /// # Errors
    /// [`PayerError::Chain`].
    pub async fn head(&self) -> Result<u64, PayerError> {
        self.0.chain.head().await
    }

    /// Writes down what the last answers said. Dropping the last clone does it too; not doing it costs one more exchange.
    ///
    /// # Errors
    /// [`PayerError::Disk`].
    pub async fn flush(&self) -> Result<(), PayerError> {
        self.0.store.flush().await
    }
}

fn http_client(ca_file: Option<&Path>) -> Result<reqwest::Client, PayerError> {
    // A voucher is for whom it was signed for, not for where they point: redirects are followed by who signs.
    let mut builder = reqwest::Client::builder().redirect(redirect::Policy::none()).connect_timeout(CONNECT);
    if let Some(file) = ca_file {
        let pem = std::fs::read(file).map_err(PayerError::disk(file))?;
        let certificates = Certificate::from_pem_bundle(&pem).ok().filter(|certificates| !certificates.is_empty());
        let none = || PayerError::BadRequest(format!("{} holds no certificates (PEM)", file.display()));
        builder = builder.tls_certs_only(certificates.ok_or_else(none)?);
    }
    builder.build().map_err(|source| PayerError::Unreachable { host: "anything".to_owned(), source: Some(source) })
}

impl Inner {
    /// Whoever holds it is alone with this receiver's channels.
    pub(crate) fn lane(&self, contract: Address, receiver: Address) -> Lane {
        let mut lanes = self.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        if lanes.len() > LANES_KEPT {
            lanes.retain(|_, lane| Arc::strong_count(lane) > 1);
        }
        Arc::clone(lanes.entry((contract, receiver)).or_default())
    }

    pub(crate) fn sign(&self, channel: ChannelKey, balance: Amount) -> Voucher {
        Voucher::sign(&self.key, channel, balance)
    }

    /// The remembered quote for a resource.
    pub(crate) async fn quoted(&self, call: &Call) -> Option<Offer> {
        let resource = call.resource.clone();
        self.store.read(move |state| state.offers.get(&resource).cloned()).await
    }

    /// Sends the request once and waits for the head of the answer. `None`: no answer in time.
    pub(crate) async fn send(
        &self,
        call: &mut Call,
        voucher: Option<&Voucher>,
    ) -> Result<Response, Option<reqwest::Error>> {
        call.exchanges += 1;
        let mut headers = call.headers.clone();
        if let Some(voucher) = voucher {
            headers.extend(rdn::payment(voucher));
        }
        let request = self.http.request(call.method.clone(), call.url.clone()).headers(headers);
        let answer = request.body(call.body.clone()).send();
        match tokio::time::timeout(self.settings.patience.answer, answer).await {
            Ok(answer) => answer.map_err(|error| Some(error.without_url())),
            Err(_) => Err(None),
        }
    }

    pub(crate) fn http(&self) -> &reqwest::Client {
        &self.http
    }
}
