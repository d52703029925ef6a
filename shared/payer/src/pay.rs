//! Paying a request.
//!
//! ```text
//! quote known? ──no──► ask ──► 402 ─┐        not 402: free, done
//!      yes                          ▼
//!       └────────────► voucher: last one if in doubt, else balance + price, stored ──► send ──► served, done
//!                         ▲                                                             │ 402
//!                         └── find, open, top up, wait, adopt what the server proves ◄──┘
//! ```

use std::time::Duration;

use bytes::Bytes;
use channel::Amount;
use http::header::RETRY_AFTER;
use http::{Request, StatusCode};
use reqwest::Response;

use crate::answer::{Answer, Receipt};
use crate::call::{Call, Options};
use crate::client::{Inner, Payer};
use crate::error::PayerError;
use crate::log::{Entry, What, today};
use crate::rdn::{self, Voucher};
use crate::state::{Channel, ChannelKey, Offer};

/// The shortest wait for a server that is busy, whatever it says.
const RETRY_AFTER_MIN: Duration = Duration::from_millis(100);

impl Payer {
    /// Asks what a request costs, and whom, without paying. `None`: nothing.
    ///
    /// # Errors
    /// [`PayerError::Refused`] when it asks for what we cannot pay; [`PayerError::Unreachable`].
    pub async fn quote(&self, request: Request<Bytes>) -> Result<Option<Offer>, PayerError> {
        let mut call = Call::new(request, Options::default())?;
        Ok(self.0.ask(&mut call).await?.ok())
    }
}

enum Next {
    Done(Box<Answer>),
    Again(Offer),
}

impl Inner {
    /// Sends one request and pays what it costs. A redirect is an answer like any other.
    pub(crate) async fn pay(&self, mut call: Call) -> Result<Answer, PayerError> {
        self.settings.limits.check_host(&call.host)?;
        let mut offer = match self.quoted(&call).await {
            Some(offer) => offer,
            None => match self.ask(&mut call).await? {
                Ok(offer) => offer,
                Err(answer) => return Ok(answer),
            },
        };
        let lane = self.lane(offer.contract, offer.receiver);
        let _alone = lane.lock().await;
        loop {
            match self.exchange(&mut call, offer).await? {
                Next::Done(answer) => return Ok(*answer),
                Next::Again(next) => offer = next,
            }
        }
    }

    /// Asks without paying: what it costs, or the answer when it costs nothing.
    pub(crate) async fn ask(&self, call: &mut Call) -> Result<Result<Offer, Answer>, PayerError> {
        loop {
            let response = match self.send(call, None).await {
                Ok(response) => response,
                Err(_) if call.retry().await => continue,
                Err(source) => return Err(PayerError::Unreachable { host: call.host.clone(), source }),
            };
            if response.status() == StatusCode::PAYMENT_REQUIRED {
                return Ok(Ok(rdn::challenge(response.headers())?.offer));
            }
            if self.shall_repeat(call, &response, false).await {
                continue;
            }
            let receipt = Receipt { exchanges: call.exchanges, ..Receipt::default() };
            return Ok(Err(Answer::new(response, receipt)));
        }
    }

    async fn exchange(&self, call: &mut Call, offer: Offer) -> Result<Next, PayerError> {
        let voucher = self.voucher(call, &offer).await?;
        let response = match self.send(call, Some(&voucher)).await {
            Ok(response) => response,
            Err(source) => return self.unanswered(call, offer, &voucher, source).await,
        };
        call.left = true;
        if response.status() == StatusCode::PAYMENT_REQUIRED {
            let challenge = rdn::challenge(response.headers())?;
            self.same_receiver(call, &voucher, &challenge.offer).await?;
            self.refused(call, &voucher, &challenge, response.headers()).await?;
            return Ok(Next::Again(challenge.offer));
        }
        // With this balance shown, even an answer that looks like a refusal is what was bought.
        let held = rdn::held(response.headers(), voucher.payer, &voucher.channel).ok().flatten();
        let shown = held.is_some_and(|held| held.balance == voucher.balance);
        let is_busy = matches!(response.status(), StatusCode::CONFLICT | StatusCode::TOO_MANY_REQUESTS) && !shown;
        if self.shall_repeat(call, &response, is_busy).await {
            return Ok(Next::Again(offer));
        }
        // Bought before under the same name: served once more, and the new voucher was not looked at.
        let served_again = call.is_named() && held.is_some_and(|held| held.balance < voucher.balance);
        let taken = match response.status() {
            status if status.is_success() => !served_again,
            // A redirect or a 4xx may come before anybody looked at the payment, so it must show it. A failed call's
            // voucher is tried again with the next request.
            status => shown && !status.is_server_error(),
        };
        self.served(call, offer, &voucher, response, taken).await.map(|answer| Next::Done(Box::new(answer)))
    }

    /// One request is paid to one receiver. What was signed on another channel could be claimed beside it.
    async fn same_receiver(&self, call: &Call, voucher: &Voucher, offer: &Offer) -> Result<(), PayerError> {
        if (offer.contract, offer.receiver) == (voucher.channel.contract, voucher.channel.receiver) {
            return Ok(());
        }
        let resource = call.resource.clone();
        self.store.note(move |state| drop(state.offers.remove(&resource))).await;
        let (contract, receiver) = (offer.contract, offer.receiver);
        Err(PayerError::refused(format!(
            "it wants to be paid as {receiver} in {contract} from now on; ask again to do so"
        )))
    }

    /// The voucher to send: while the last one is in doubt that one again, else one over the price more, stored first.
    async fn voucher(&self, call: &mut Call, offer: &Offer) -> Result<Voucher, PayerError> {
        let limits = &self.settings.limits;
        if call.led_astray {
            limits.check_named_host(&call.host)?;
        }
        limits.check_contract(offer.contract)?;
        offer.token.map_or(Ok(()), |token| limits.check_token(token))?;
        limits.check_price(call.paid_before.saturating_add(offer.price))?;
        let mut channel = self.channel_for(call, offer).await?;
        call.channel = Some(channel.key);
        if channel.in_doubt {
            return Ok(self.sign(channel.key, channel.balance));
        }
        if channel.room() < offer.price {
            self.check_day(call, offer.price).await?;
            let needed = channel.balance.saturating_add(offer.price);
            channel = self.add_deposit(call, &channel, offer.price, needed).await?;
        } else {
            channel = self.keep_filled(call, channel, offer.price).await;
        }
        let balance = self.commit(call, &channel, offer.price).await?;
        (call.signed, call.left) = (Some(balance), false);
        Ok(self.sign(channel.key, balance))
    }

    async fn channel_for(&self, call: &mut Call, offer: &Offer) -> Result<Channel, PayerError> {
        let (current, wanted) = (call.channel, offer.clone());
        let known = self.store.read(move |state| {
            let current = current.and_then(|key| state.channel(&key)).filter(|channel| channel.pays(&wanted));
            current.or_else(|| state.usable(&wanted)).cloned()
        });
        match known.await {
            Some(channel) => Ok(channel),
            None => {
                self.check_day(call, offer.price).await?;
                self.find_or_open(call, offer).await
            }
        }
    }

    /// Checks the day's limits before anything is deposited for a request.
    pub(crate) async fn check_day(&self, call: &Call, price: Amount) -> Result<(), PayerError> {
        let (limits, host) = (self.settings.limits.clone(), call.host.clone());
        let check =
            move |state: &crate::state::State| limits.check_day(&state.spending.clone().on(today()), &host, price);
        Ok(self.store.read(check).await?)
    }

    /// Stores that a voucher over `price` more is about to leave, and counts it.
    async fn commit(&self, call: &Call, channel: &Channel, price: Amount) -> Result<Amount, PayerError> {
        let (limits, host, resource) = (self.settings.limits.clone(), call.host.clone(), call.resource.clone());
        let key = channel.key;
        self.store
            .update(move |state| {
                state.spending = std::mem::take(&mut state.spending).on(today());
                limits.check_day(&state.spending, &host, price)?;
                let channel = state.channel_mut(&key).ok_or_else(|| no_such(&key))?;
                let balance = channel.balance.checked_add(price).filter(|balance| *balance <= channel.deposit);
                let balance = balance.ok_or_else(|| PayerError::Channel(format!("{key} cannot hold {price} more")))?;
                channel.balance = balance;
                channel.in_doubt = true;
                channel.host = Some(host.clone());
                state.spending.add(&host, price);
                Ok((balance, Some(Entry::now(key, What::Paid { amount: price, balance, resource }))))
            })
            .await
    }

    /// What to do when nothing came back.
    async fn unanswered(
        &self,
        call: &mut Call,
        offer: Offer,
        voucher: &Voucher,
        source: Option<reqwest::Error>,
    ) -> Result<Next, PayerError> {
        let never_left = source.as_ref().is_some_and(reqwest::Error::is_connect);
        call.left |= !never_left;
        if call.retry().await {
            return Ok(Next::Again(offer));
        }
        if call.left {
            return Err(PayerError::AnswerLost { balance: voucher.balance, source });
        }
        if call.signed == Some(voucher.balance) {
            // It was signed just now and never left: as if it had not been signed.
            self.adopt(&voucher.channel, voucher.balance.saturating_sub(offer.price)).await?;
        }
        Err(PayerError::Unreachable { host: call.host.clone(), source })
    }

    /// Whether to send the same again: a busy server says when (so may a 409 that sold nothing, while the first try of the
    /// same request is in flight, and a 429), and the caller may have allowed retries of failures.
    async fn shall_repeat(&self, call: &mut Call, response: &Response, is_busy: bool) -> bool {
        let status = response.status();
        if (is_busy || status == StatusCode::SERVICE_UNAVAILABLE)
            && let Some(after) = retry_after(response)
            && call.come_back(&self.settings.patience, after).await
        {
            return true;
        }
        let failed = [StatusCode::BAD_GATEWAY, StatusCode::SERVICE_UNAVAILABLE, StatusCode::GATEWAY_TIMEOUT];
        failed.contains(&status) && call.retry().await
    }

    /// Takes note of an answer that is no 402.
    async fn served(
        &self,
        call: &Call,
        offer: Offer,
        voucher: &Voucher,
        response: Response,
        taken: bool,
    ) -> Result<Answer, PayerError> {
        let (key, balance) = (voucher.channel, voucher.balance);
        let (price, resource) = (offer.price, call.resource.clone());
        let api = api_address(call, &offer);
        if taken {
            self.store
                .note(move |state| {
                    state.quote(&resource, offer);
                    if let Some(channel) = state.channel_mut(&key) {
                        channel.acknowledged = balance;
                        channel.in_doubt = false;
                        channel.api = api.or(channel.api.take());
                    }
                })
                .await;
        }
        let deposit = self.store.read(move |state| state.channel(&key).map(|c| c.deposit)).await;
        let (cost, in_doubt) = if taken { (price, Amount::ZERO) } else { (Amount::ZERO, price) };
        let (deposited, exchanges) = (call.deposited, call.exchanges);
        let deposit = deposit.unwrap_or_default();
        let receipt = Receipt { cost, in_doubt, channel: Some(key), balance, deposit, deposited, exchanges };
        Ok(Answer::new(response, receipt))
    }
}

/// Where the server's channel API is: the path it names, on the host that was paid.
pub(crate) fn api_address(call: &Call, offer: &Offer) -> Option<String> {
    let path = offer.api_path.as_deref().filter(|path| path.starts_with('/'))?;
    let mut url = call.url.clone();
    url.set_path(path.trim_end_matches('/'));
    url.set_query(None);
    url.set_fragment(None);
    Some(url.to_string())
}

fn retry_after(response: &Response) -> Option<Duration> {
    let seconds: u64 = response.headers().get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds).max(RETRY_AFTER_MIN))
}

pub(crate) fn no_such(key: &ChannelKey) -> PayerError {
    PayerError::Channel(format!("there is no channel {key}"))
}
