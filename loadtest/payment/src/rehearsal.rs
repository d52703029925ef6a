use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use alloy_primitives::{B128, B256};
use bytes::Bytes;
use channel::{
    Amount, Channel, ChannelId, Epoch, HoldId, Refusal, Request, RequestHash, Sale, Signature, Terms, VerifiedVoucher,
    View, Voucher, charge, must_be_open,
};
use contracts::Deployment;
use http::header::CACHE_CONTROL;
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use protocols::raiden::Raiden;
use protocols::{Answer, Offer, Payment, Protocol, Reason, Refused};

use crate::head;

/// A route, its till and its ledger, in memory: every paid request costs the same and is charged before it is served.
///
/// Any number of threads may ask; only the charge itself is alone, as in the ledger. The default of [`Terms`] has no limit
/// over several channels, and none is kept here.
pub struct Rehearsal {
    deployment: Deployment,
    letterhead: HeaderMap,
    terms: Terms,
    price: Amount,
    goods: Bytes,
    accounts: Mutex<HashMap<ChannelId, (Channel, Epoch)>>,
}

impl Rehearsal {
    /// Sells `goods` to the payers of a deployment, whose dialect is µRaiden's.
    pub fn new(deployment: Deployment, terms: Terms, price: Amount, goods: Bytes) -> Rehearsal {
        let letterhead = Raiden.letterhead(&deployment);
        Rehearsal { deployment, letterhead, terms, price, goods, accounts: Mutex::default() }
    }

    /// Hears of channels on which nothing was paid yet.
    pub fn open(&self, channels: impl IntoIterator<Item = Channel>) {
        self.accounts().extend(channels.into_iter().map(|channel| (channel.id, (channel, Epoch::default()))));
    }

    /// A channel's counters; `None` if there is no such channel.
    pub fn epoch(&self, channel: ChannelId) -> Option<Epoch> {
        self.accounts().get(&channel).map(|(_, epoch)| epoch.clone())
    }

    /// The answer to a request without a body, from the bytes of its head; 400 to what is no head.
    pub fn answer_bytes(&self, head: &Bytes) -> Response<Bytes> {
        head::parse(head).map_or_else(|| plain(StatusCode::BAD_REQUEST, Bytes::new()), |head| self.answer(&head))
    }

    /// The answer to a request without a body: 200 and the goods with a receipt, or 402, or 409 to what is malformed.
    pub fn answer(&self, head: &Parts) -> Response<Bytes> {
        let payment = match Raiden.payment(head) {
            Ok(Some(payment)) => payment,
            Ok(None) => return whole(Raiden.challenge(&self.offer(), None)),
            Err(malformed) => return whole(Raiden.malformed(&malformed)),
        };
        let channel = self.deployment.kind.contract().channel_id(&self.deployment, &payment.opening);
        let Some(voucher) = self.verify(channel, &payment) else { return self.refuse_signature(channel, &payment) };
        match self.sell(&voucher) {
            Ok(view) => self.deliver(&payment, &view),
            Err((refusal, view)) => self.refuse(&payment, Reason::Rules(&refusal), view.as_ref()),
        }
    }

    /// As a front's till does.
    fn verify(&self, channel: ChannelId, payment: &Payment) -> Option<VerifiedVoucher> {
        let signature = Signature::parse(&payment.signature).ok()?;
        let amount = Amount::try_from(payment.amount).ok()?;
        let digest = self.deployment.kind.contract().digest(&self.deployment, &payment.opening, amount);
        Voucher { channel, epoch: 0, amount, signature }.verify(digest, payment.opening.payer).ok()
    }

    /// As the ledger's books do. Nothing is ever held, so that requests need no name.
    #[expect(clippy::result_large_err, reason = "a refusal is an answer, as large as the other one")]
    fn sell(&self, voucher: &VerifiedVoucher) -> Result<View, (Refusal, Option<View>)> {
        let mut accounts = self.accounts();
        let (channel, epoch) = accounts.get_mut(&voucher.channel).ok_or((Refusal::Unknown, None))?;
        let sale = Sale {
            id: HoldId(B128::ZERO),
            voucher,
            price: self.price,
            request: &Request { id: None, hash: RequestHash(B256::ZERO) },
            prior: None,
            elsewhere: Amount::ZERO,
            in_all: Amount::ZERO,
        };
        let sold = charge(channel, epoch, &sale, &self.terms);
        let view = View::of(channel, epoch);
        match sold {
            Ok(_) => Ok(view),
            Err(refusal) => Err((refusal, Some(view))),
        }
    }

    fn deliver(&self, payment: &Payment, view: &View) -> Response<Bytes> {
        let mut answer = plain(StatusCode::OK, self.goods.clone());
        answer.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
        answer.headers_mut().extend(Raiden.receipt(&self.offer(), &payment.opening, view));
        answer
    }

    /// A client must hear first that its channel is not there, or not yet.
    fn refuse_signature(&self, channel: ChannelId, payment: &Payment) -> Response<Bytes> {
        let looked = self.accounts().get(&channel).map_or(Err(Refusal::Unknown), |(channel, _)| must_be_open(channel));
        self.refuse(payment, looked.as_ref().err().map_or(Reason::Signature, Reason::Rules), None)
    }

    fn refuse(&self, payment: &Payment, reason: Reason<'_>, view: Option<&View>) -> Response<Bytes> {
        whole(Raiden.challenge(&self.offer(), Some(&Refused { payment, reason, view })))
    }

    fn offer(&self) -> Offer<'_> {
        Offer { letterhead: &self.letterhead, price: self.price }
    }

    /// A thread that panicked left no account half-way: the rules change counters only once they agreed to everything.
    fn accounts(&self) -> MutexGuard<'_, HashMap<ChannelId, (Channel, Epoch)>> {
        self.accounts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn plain(status: StatusCode, body: Bytes) -> Response<Bytes> {
    let mut answer = Response::new(body);
    *answer.status_mut() = status;
    answer
}

fn whole(answer: Answer) -> Response<Bytes> {
    let mut response = plain(answer.status, answer.body);
    *response.headers_mut() = answer.headers;
    response
}
