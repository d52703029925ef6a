//! What the tests share: a ledger that knows channels, fronts before it, and payers.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use alloy_primitives::{B256, hex};
use channel::{Amount, BlockRef, Channel, ChannelId, Deadline, Epoch, Event, EventKind, Key};
use contracts::{Deployment, Opening, raiden};
use ledger::{Advance, Cursor, DeploymentRow, Ledger, NewEvent};
use reqwest::header::HeaderMap;
use reqwest::{Client, Method, RequestBuilder, Response, StatusCode};
use runtime::{Config, Shutdown};
use testkit::postgres::Postgres;
use testkit::upstream::Upstream;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::Mutex;
use tokio::task::JoinHandle;

pub const FILE: &str = "something worth ten\n";

/// A database, an upstream, and a chain that is what the tests say.
pub struct World {
    pub database: String,
    pub ledger: Ledger,
    pub upstream: Upstream,
    folder: tempfile::TempDir,
    head: Mutex<u64>,
}

/// A running front.
pub struct Front {
    pub address: SocketAddr,
    pub client: Client,
    running: JoinHandle<anyhow::Result<()>>,
}

/// A payer with a channel.
#[derive(Clone)]
pub struct Payer {
    key: Key,
    pub opening: Opening,
    pub open_block: u32,
}

impl World {
    pub async fn new() -> World {
        World::on(&Postgres::shared().await.unwrap().fresh_database().await.unwrap()).await
    }

    /// On this database, which is migrated.
    pub async fn on(database: &str) -> World {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("file.txt"), FILE).unwrap();
        let mut settings = ledger::Settings::new(database);
        settings.single_node = true;
        let ledger = Ledger::connect(&settings).await.unwrap();
        let Deployment { name, chain_id, contract, token, payee, .. } = deployment();
        ledger.register(&DeploymentRow { id: name, chain_id, contract, token, payee }).await.unwrap();
        testkit::clear::all_clear(&ledger, "main").await.unwrap();
        let upstream = Upstream::start().await.unwrap();
        World { database: database.to_owned(), ledger, upstream, folder, head: Mutex::new(0) }
    }

    /// A payer with a confirmed channel of this deposit.
    pub async fn payer(&self, deposit: u128) -> Payer {
        let payer = self.stranger().await;
        self.opened(&payer, deposit).await;
        payer
    }

    /// A payer whose channel the ledger does not know.
    pub async fn stranger(&self) -> Payer {
        let mut head = self.head.lock().await;
        *head += 1;
        let open_block = u32::try_from(*head).unwrap();
        let mut secret = [7; 32];
        secret[..4].copy_from_slice(&open_block.to_be_bytes());
        Payer::with_key(secret, open_block)
    }

    pub async fn opened(&self, payer: &Payer, deposit: u128) {
        self.event(payer, EventKind::Opened { deposit: Amount::new(deposit) }, true).await;
    }

    pub async fn opened_unconfirmed(&self, payer: &Payer, deposit: u128) {
        self.event(payer, EventKind::Opened { deposit: Amount::new(deposit) }, false).await;
    }

    pub async fn topped_up(&self, payer: &Payer, added: u128) {
        self.event(payer, EventKind::ToppedUp { added: Amount::new(added) }, true).await;
    }

    pub async fn close_requested(&self, payer: &Payer) {
        let (requested, deadline) = (Amount::ZERO, Deadline::Block(1_000_000));
        self.event(payer, EventKind::CloseRequested { requested, deadline }, true).await;
    }

    /// A block in which this is said, `confirmed` or not.
    async fn event(&self, payer: &Payer, kind: EventKind, confirmed: bool) {
        let mut head = self.head.lock().await;
        *head += 1;
        let block = block(*head);
        let event = Event { channel: payer.channel(), block, tx_hash: block.hash, log_index: 0, kind };
        let (payer, params) = (payer.opening.payer, payer.opening.params.clone());
        let confirmed = if confirmed { *head } else { *head - 1 };
        self.advance(*head, vec![NewEvent { event, payer, params }], confirmed, now() + 3600).await;
    }

    /// From now on our view of the chain is too old.
    pub async fn goes_stale(&self) {
        let mut head = self.head.lock().await;
        *head += 1;
        self.advance(*head, vec![], *head, now() - 1).await;
    }

    async fn advance(&self, to: u64, events: Vec<NewEvent>, confirmed: u64, safe_until: u64) {
        let from = self.ledger.cursor("main").await.unwrap().map(|cursor| cursor.block);
        let to = Cursor { block: block(to), block_time: now(), anchor: block(0), halted: None };
        let rescan_from = from.map_or(0, |from| from.number + 1);
        let deployment = "main".to_owned();
        let advance = Advance { deployment, from, to, events, rescan_from, confirmed, safe_until };
        self.ledger.advance(&advance).await.unwrap();
    }

    pub async fn view(&self, payer: &Payer) -> (Channel, Epoch) {
        self.ledger.view(payer.channel()).await.unwrap().unwrap()
    }

    /// Authorised, spent, held.
    pub async fn books(&self, payer: &Payer) -> (u128, u128, u128) {
        let (_, epoch) = self.view(payer).await;
        (epoch.authorised.units(), epoch.spent.units(), epoch.held.units())
    }

    /// Waits until authorised, spent, held are these.
    pub async fn settles(&self, payer: &Payer, books: (u128, u128, u128)) {
        for _ in 0..200 {
            if self.books(payer).await == books {
                return;
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        assert_eq!(self.books(payer).await, books);
    }

    /// Changes the database past the ledger.
    pub async fn sql(&self, statement: &str) {
        let (client, connection) = tokio_postgres::connect(&self.database, tokio_postgres::NoTls).await.unwrap();
        tokio::spawn(connection);
        client.batch_execute(statement).await.unwrap();
    }

    /// How many jobs of this kind wait for somebody.
    pub async fn open_jobs(&self, kind: &str) -> usize {
        let (client, connection) = tokio_postgres::connect(&self.database, tokio_postgres::NoTls).await.unwrap();
        tokio::spawn(connection);
        let count = "SELECT count(*) FROM jobs WHERE kind = $1 AND state = 'open'";
        usize::try_from(client.query_one(count, &[&kind]).await.unwrap().get::<_, i64>(0)).unwrap()
    }

    /// A front with the usual routes.
    pub async fn front(&self) -> Front {
        self.front_with(|_| {}).await
    }

    /// A front with some of its configuration changed.
    pub async fn front_with(&self, change: impl FnOnce(&mut Config)) -> Front {
        let mut config = self.config("");
        change(&mut config);
        self.front_of(config).await
    }

    /// A front with more routes, which come before the usual ones.
    pub async fn front_selling(&self, routes: &str) -> Front {
        self.front_of(self.config(routes)).await
    }

    /// A front with this configuration.
    pub async fn front_of(&self, config: Config) -> Front {
        let ledger = Ledger::connect(&config.database).await.unwrap();
        Front::start(config, ledger, TcpListener::bind("127.0.0.1:0").await.unwrap())
    }

    pub fn config(&self, routes: &str) -> Config {
        let file = self.folder.path().join("sluice.toml");
        std::fs::write(&file, self.toml("127.0.0.1:0", "127.0.0.1:0", routes)).unwrap();
        runtime::config::load(&file).unwrap()
    }

    /// The configuration as a file, for a front that is a process.
    pub fn config_file(&self, listen: SocketAddr, ops_listen: SocketAddr) -> std::path::PathBuf {
        self.config_file_selling(listen, ops_listen, "")
    }

    /// The same file with more routes.
    pub fn config_file_selling(&self, listen: SocketAddr, ops_listen: SocketAddr, routes: &str) -> std::path::PathBuf {
        let file = self.folder.path().join(format!("{}.toml", listen.port()));
        std::fs::write(&file, self.toml(&listen.to_string(), &ops_listen.to_string(), routes)).unwrap();
        file
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    fn toml(&self, listen: &str, ops_listen: &str, routes: &str) -> String {
        let Deployment { contract, token, payee, .. } = deployment();
        format!(
            r#"
            [database]
            url = "{database}"
            single_node = true
            [deployments.main]
            kind = "raiden"
            chain_id = 1337
            rpc_url = "http://127.0.0.1:1"
            contract = "{contract}"
            token = "{token}"
            payee = "{payee}"
            challenge_period = 500
            [front]
            listen = "{listen}"
            ops_listen = "{ops_listen}"
            [front.timeouts]
            connect_ms = 500
            upstream_head_ms = 1000
            sync_ms = 500
            close_ms = 1000
            drain_delay_ms = 300
            grace_ms = 5000
            {routes}
            [[front.routes]]
            path = "/file.txt"
            file = "file.txt"
            price = 10
            [[front.routes]]
            path = "/free.txt"
            file = "file.txt"
            price = 0
            [[front.routes]]
            path = "/upload"
            upstream = "{upstream}"
            price = 1
            stream_requests = true
            [[front.routes]]
            name = "api"
            prefix = "/"
            upstream = "{upstream}"
            price = 1
            "#,
            database = self.database,
            upstream = self.upstream.url(),
        )
    }
}

impl Front {
    fn start(config: Config, ledger: Ledger, listener: TcpListener) -> Front {
        let address = listener.local_addr().unwrap();
        let running = tokio::spawn(async move { front::serve(&config, ledger, listener, Shutdown::default()).await });
        let client = Client::builder().redirect(reqwest::redirect::Policy::none()).no_proxy().build().unwrap();
        Front { address, client, running }
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, self.url(path)).timeout(Duration::from_secs(20))
    }

    pub async fn get(&self, path: &str) -> Response {
        self.request(Method::GET, path).send().await.unwrap()
    }

    /// GET with a voucher of this payer.
    pub async fn pay(&self, path: &str, payer: &Payer, amount: u128) -> Response {
        self.request(Method::GET, path).headers(payer.voucher(amount)).send().await.unwrap()
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        self.running.abort();
    }
}

impl Payer {
    /// Who has this key, with a channel opened in this block.
    pub fn with_key(secret: [u8; 32], open_block: u32) -> Payer {
        let key = Key::from_bytes(&secret).unwrap();
        Payer { opening: raiden::opening(key.address(), open_block), key, open_block }
    }

    pub fn channel(&self) -> ChannelId {
        contracts::Kind::Raiden.contract().channel_id(&deployment(), &self.opening)
    }

    pub fn address(&self) -> String {
        self.opening.payer.to_checksum(None)
    }

    /// The headers of a payment of this cumulative amount.
    pub fn voucher(&self, amount: u128) -> HeaderMap {
        let contract = contracts::Kind::Raiden.contract();
        let digest = contract.digest(&deployment(), &self.opening, Amount::new(amount));
        self.headers(&amount.to_string(), self.key.sign(digest).as_bytes())
    }

    /// The headers of a payment with this signature.
    pub fn headers(&self, amount: &str, signature: &[u8]) -> HeaderMap {
        let fields = [
            ("rdn-contract-address", deployment().contract.to_string()),
            ("rdn-sender-address", self.address()),
            ("rdn-open-block", self.open_block.to_string()),
            ("rdn-balance", amount.to_owned()),
            ("rdn-balance-signature", hex::encode_prefixed(signature)),
        ];
        let header = |(name, value): (&'static str, String)| {
            (reqwest::header::HeaderName::from_static(name), value.parse().unwrap())
        };
        fields.into_iter().map(header).collect()
    }
}

pub fn deployment() -> Deployment {
    Deployment {
        name: "main".to_owned(),
        kind: contracts::Kind::Raiden,
        chain_id: 1337,
        contract: "0xe7f1725E7734CE288F8367e1Bb143E90bb3F0512".parse().unwrap(),
        token: "0x5FbDB2315678afecb367f032d93F642f64180aa3".parse().unwrap(),
        payee: "0x08c86B491A37C2FFC25072a17c7A97EF2D0357dd".parse().unwrap(),
        challenge_period: 500,
        from_block: 0,
        confirmations: 1,
    }
}

fn block(number: u64) -> BlockRef {
    BlockRef { number, hash: B256::left_padding_from(&number.to_be_bytes()) }
}

fn now() -> u64 {
    SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs()
}

/// The failure headers of a 402; asserts that it is one.
pub fn failure(answer: &Response) -> Vec<&'static str> {
    assert_eq!(answer.status(), StatusCode::PAYMENT_REQUIRED);
    let failures = [
        "rdn-nonexisting-channel",
        "rdn-insufficient-confirmations",
        "rdn-invalid-balance-proof",
        "rdn-invalid-amount",
    ];
    failures.into_iter().filter(|name| answer.headers().contains_key(*name)).collect()
}

pub fn header<'a>(answer: &'a Response, name: &str) -> Option<&'a str> {
    answer.headers().get(name).map(|value| value.to_str().unwrap())
}

/// Status, reason and Retry-After of an answer that is a fault.
pub async fn fault(answer: Response) -> (u16, String, bool) {
    let (status, retry) = (answer.status().as_u16(), answer.headers().contains_key("retry-after"));
    let body: serde_json::Value = answer.json().await.unwrap();
    (status, body["reason"].as_str().unwrap().to_owned(), retry)
}

/// Shares something with tasks.
pub fn shared<T>(value: T) -> Arc<T> {
    Arc::new(value)
}

/// An upstream that answers whatever the test says, byte for byte, and keeps the heads that it was sent.
pub struct Raw {
    pub address: SocketAddr,
    pub heads: Arc<std::sync::Mutex<Vec<String>>>,
}

impl Raw {
    /// Answers the n-th request (from 0) with these bytes, and closes the connection.
    pub async fn start(answer: impl Fn(usize) -> &'static str + Send + Sync + 'static) -> Raw {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let heads = Arc::new(std::sync::Mutex::new(Vec::new()));
        let seen = heads.clone();
        tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    let mut byte = [0];
                    if stream.read(&mut byte).await.unwrap_or(0) == 0 {
                        break;
                    }
                    head.push(byte[0]);
                }
                let number = {
                    let mut seen = seen.lock().unwrap();
                    seen.push(String::from_utf8(head).unwrap());
                    seen.len() - 1
                };
                stream.write_all(answer(number).as_bytes()).await.unwrap();
            }
        });
        Raw { address, heads }
    }

    /// A route to it.
    pub fn route(&self, more: &str) -> String {
        format!("[[front.routes]]\nprefix = \"/raw\"\nupstream = \"http://{}\"\nprice = 1\n{more}\n", self.address)
    }

    pub fn calls(&self) -> usize {
        self.heads.lock().unwrap().len()
    }
}
