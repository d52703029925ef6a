//! A server that sells by µRaiden's dialect, one channel at a time, written from its description alone.

use std::collections::{HashSet, VecDeque};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use alloy_primitives::aliases::U192;
use alloy_primitives::{Address, U256, hex};
use anyhow::Result;
use bytes::Bytes;
use channel::{Key, Signature};
use contracts::raiden;
use evm::Rpc;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::AbortHandle;

/// How to treat the next request.
#[derive(Clone, Debug)]
pub enum Act {
    /// As any other.
    Honest,
    /// Takes the payment, and hangs up instead of answering.
    TakeAndHangUp,
    /// Hangs up before looking at anything.
    HangUp,
    /// Never answers.
    Hang,
    /// Takes the payment, but the call fails: it stays credit for the same request.
    Fail(u16),
    /// Answers with this, looking at nothing.
    Say(u16, Vec<(&'static str, String)>),
    /// Sells as usual; what was bought is a redirect.
    SellRedirect(u16, String),
}

#[derive(Default)]
struct Books {
    acts: VecDeque<Act>,
    price: u128,
    held: u128,
    spent: u128,
    signature: Option<String>,
    /// Paths of failed calls, which the last voucher may buy again.
    failed: Option<String>,
    receipts: HashSet<String>,
    seen: Vec<HeaderMap>,
    lines: Vec<String>,
}

#[derive(Clone)]
pub struct Shop {
    address: SocketAddr,
    books: Arc<Mutex<Books>>,
    rpc: Rpc,
    contract: Address,
    token: Address,
    key: Key,
    door: AbortHandle,
}

impl Shop {
    pub async fn open(rpc: Rpc, contract: Address, token: Address, key: Key) -> Result<Shop> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let books = Arc::new(Mutex::new(Books { price: 10, ..Books::default() }));
        let address = listener.local_addr()?;
        let (open, opened) = oneshot::channel::<Shop>();
        let door = tokio::spawn(async move {
            let Ok(shop) = opened.await else { return };
            while let Ok((stream, _)) = listener.accept().await {
                let shop = shop.clone();
                let service = service_fn(move |request| shop.clone().serve(request));
                tokio::spawn(
                    hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service),
                );
            }
        });
        let shop = Shop { address, books, rpc, contract, token, key, door: door.abort_handle() };
        let _ = open.send(shop.clone());
        Ok(shop)
    }

    fn books(&self) -> std::sync::MutexGuard<'_, Books> {
        self.books.lock().expect("nobody panics with the books open")
    }

    /// Lets nobody in any more.
    pub fn close_door(&self) {
        self.door.abort();
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn receiver(&self) -> Address {
        self.key.address()
    }

    /// Treats the next requests so, one after the other; then honestly.
    pub fn next(&self, acts: impl IntoIterator<Item = Act>) {
        self.books().acts.extend(acts);
    }

    pub fn set_price(&self, price: u128) {
        self.books().price = price;
    }

    /// Forgets what it was paid, as if restored from an old backup.
    pub fn forget_payments(&self) {
        let mut books = self.books();
        (books.held, books.spent, books.signature) = (0, 0, None);
    }

    /// The best balance it holds, and what it sold.
    pub fn money(&self) -> (u128, u128) {
        let books = self.books();
        (books.held, books.spent)
    }

    /// How many requests came, and the headers of each.
    pub fn seen(&self) -> Vec<HeaderMap> {
        self.books().seen.clone()
    }

    /// Method, address and body of each request.
    pub fn lines(&self) -> Vec<String> {
        self.books().lines.clone()
    }

    /// The vouchers that came, by their balances.
    pub fn vouchers(&self) -> Vec<u128> {
        let balance = |headers: &HeaderMap| text(headers, "rdn-balance")?.parse().ok();
        self.seen().iter().filter_map(balance).collect()
    }

    /// The base headers of a 402, and more.
    pub fn challenge(&self, more: &[(&'static str, String)]) -> Vec<(&'static str, String)> {
        let price = self.books().price;
        let mut headers = vec![
            ("RDN-Gateway-Path", "/api/1".to_owned()),
            ("RDN-Contract-Address", self.contract.to_checksum(None)),
            ("RDN-Receiver-Address", self.receiver().to_checksum(None)),
            ("RDN-Token-Address", self.token.to_checksum(None)),
            ("RDN-Price", price.to_string()),
        ];
        headers.extend_from_slice(more);
        headers
    }

    async fn serve(self, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, std::io::Error> {
        let hang_up = || Err(std::io::Error::other("hung up, as told"));
        let (head, body) = request.into_parts();
        let body = body.collect().await.map_err(std::io::Error::other)?.to_bytes();
        let act = {
            let mut books = self.books();
            books.seen.push(head.headers.clone());
            let sent = String::from_utf8_lossy(&body);
            books.lines.push(format!("{} {} {sent}", head.method, head.uri).trim_end().to_owned());
            books.acts.pop_front().unwrap_or(Act::Honest)
        };
        match act {
            Act::HangUp => return hang_up(),
            Act::Hang => {
                tokio::time::sleep(Duration::from_secs(600)).await;
                return hang_up();
            }
            Act::Say(status, headers) => return Ok(answer(status, &headers, "")),
            Act::Honest | Act::TakeAndHangUp | Act::Fail(_) | Act::SellRedirect(..) => {}
        }
        if head.method == Method::DELETE {
            return Ok(self.close(head.uri.path(), &body));
        }
        if head.uri.path() == "/free" {
            return Ok(answer(200, &[], "free"));
        }
        let Ok(mut sold) = self.sell(&head.headers, head.uri.path(), &act).await;
        match act {
            Act::TakeAndHangUp => return hang_up(),
            Act::SellRedirect(status, location) if sold.status() == StatusCode::OK => {
                *sold.status_mut() = StatusCode::from_u16(status).expect("a status");
                sold.headers_mut().insert("location", location.parse().expect("a header value"));
            }
            _ => {}
        }
        Ok(sold)
    }

    /// The order of checks of the original.
    async fn sell(&self, headers: &HeaderMap, path: &str, act: &Act) -> Result<Response<Full<Bytes>>, Infallible> {
        let plain = |more: &[(&'static str, String)]| answer(402, &self.challenge(more), "");
        let Some(signature) = text(headers, "rdn-balance-signature") else { return Ok(plain(&[])) };
        let field = |name| text(headers, name).unwrap_or_default();
        let payer: Address = field("rdn-sender-address").parse().expect("a sender");
        let open_block: u32 = field("rdn-open-block").parse().expect("an open block");
        let balance: u128 = field("rdn-balance").parse().expect("a balance");
        let question = raiden::channel_info(&raiden::opening(payer, open_block), self.receiver()).expect("an opening");
        let Ok(info) = self.rpc.call(self.contract, question).await else {
            return Ok(plain(&[("RDN-Nonexisting-Channel", "1".into())]));
        };
        let deposit = U256::from(raiden::read_channel_info(&info).expect("an answer").deposit).to::<u128>();
        let digest = raiden::balance_proof_digest(self.contract, self.receiver(), open_block, U192::from(balance));
        let parsed = hex::decode(&signature).ok().and_then(|bytes| Signature::parse(&bytes).ok());
        if parsed.is_none_or(|signature| signature.verify(digest, payer).is_err()) {
            return Ok(plain(&[("RDN-Invalid-Balance-Proof", "1".into())]));
        }
        let mut books = self.books();
        let state = |books: &Books, more: &[(&'static str, String)]| {
            let mut state = vec![("RDN-Sender-Balance", books.held.to_string())];
            state.extend(books.signature.clone().map(|signature| ("RDN-Balance-Signature", signature)));
            state.extend_from_slice(more);
            state
        };
        if text(headers, "idempotency-key").is_some_and(|key| books.receipts.contains(&key)) {
            return Ok(answer(200, &state(&books, &[]), "bought before"));
        }
        let again = balance == books.held && books.failed.as_deref() == Some(path);
        if !again {
            if balance != books.held && balance.checked_sub(books.held) != Some(books.price) {
                let headers = state(&books, &[("RDN-Invalid-Amount", "1".into())]);
                drop(books);
                return Ok(plain(&headers));
            }
            if balance == books.held {
                let headers = state(&books, &[]);
                drop(books);
                return Ok(plain(&headers));
            }
            if balance > deposit {
                let headers = state(&books, &[("RDN-Invalid-Balance-Proof", "1".into())]);
                drop(books);
                return Ok(plain(&headers));
            }
            (books.held, books.signature) = (balance, Some(signature));
        }
        if let Act::Fail(status) = act {
            books.failed = Some(path.to_owned());
            return Ok(answer(*status, &state(&books, &[]), "the call failed"));
        }
        books.failed = books.failed.take().filter(|failed| failed != path);
        books.spent += books.price;
        if let Some(key) = text(headers, "idempotency-key") {
            books.receipts.insert(key);
        }
        Ok(answer(200, &state(&books, &[]), "bought"))
    }

    /// Any balance from what was sold up to what was signed.
    fn close(&self, path: &str, form: &[u8]) -> Response<Full<Bytes>> {
        let mut parts = path.rsplit('/');
        let open_block: u32 = parts.next().unwrap_or_default().parse().expect("an open block");
        let payer: Address = parts.next().unwrap_or_default().parse().expect("a sender");
        let form = String::from_utf8_lossy(form);
        let balance: u128 = form.strip_prefix("balance=").expect("a form").parse().expect("a balance");
        let (held, spent) = self.money();
        if balance < spent || balance > held {
            return answer(400, &[], "\"Requested closing balance does not match latest one.\"");
        }
        let digest = raiden::closing_digest(self.contract, payer, open_block, U192::from(balance));
        let signature = hex::encode_prefixed(self.key.sign(digest).as_bytes());
        answer(200, &[], &format!("{{\"close_signature\":\"{signature}\"}}"))
    }
}

fn text(headers: &HeaderMap, name: &str) -> Option<String> {
    Some(headers.get(name)?.to_str().ok()?.to_owned())
}

fn answer(status: u16, headers: &[(&'static str, String)], body: &str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::copy_from_slice(body.as_bytes())));
    *response.status_mut() = StatusCode::from_u16(status).expect("a status");
    for (name, value) in headers {
        response.headers_mut().insert(*name, value.parse().expect("a header value"));
    }
    response
}
