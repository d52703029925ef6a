//! The main job, shown: a payer opens a channel and makes a few hundred paid requests through the load balancer, while the
//! active watcher, a front and the active wallet are killed one after the other; what is owed is claimed while the channel
//! stays open, then the channel is closed, and everybody's books agree to the unit.

mod books;
mod table;

use std::time::{Duration, Instant};

use alloy_primitives::{U256, aliases::U192, hex};
use anyhow::{Context, Result, ensure};
use channel::{Amount, Key};
use payer::{Allowed, Channel, Deposits, Limits, Patience, Payer, Settings};
use protocols::raiden as header;

use self::books::Books;
use self::table::Table;
use crate::anvil::KEYS;
use crate::cluster::{Cluster, Options, PAYER};
use crate::{http as local, wait};

/// How many requests are paid.
const REQUESTS: usize = 320;
/// How many are asked without paying, and how many with a voucher that was used before.
const UNPAID: usize = 10;
/// What the channel is opened with.
const DEPOSIT: Amount = Amount::new(5_000);
/// How often a request that got no answer is repeated; it is paid once.
const RETRIES: u32 = 5;
/// How long the cluster may take to see the end of the channel, and to claim.
const SEEN: Duration = Duration::from_secs(30);
/// When somebody is killed, in requests that were paid before.
const WATCHER_DIES: usize = REQUESTS / 4;
const FRONT_DIES: usize = REQUESTS / 2;
const WALLET_DIES: usize = REQUESTS / 4 * 3;
/// Claimed while the channel stays open, with so much unclaimed.
const CLAIMS: &str = "
[deployments.main.claim]
min_amount = 500
coin_units = 10000
";

/// Something that is bought: its name in the table, and where it is.
type Good = (&'static str, fn(usize) -> String);

const FILE: Good = ("/file.txt", |_| "/file.txt".to_owned());
const FAIL: Good = ("/fail", |_| "/fail".to_owned());
/// What is bought again and again, the file apart. What costs a number from 1 to 9 takes it from that of the request.
const GOODS: [Good; 8] = [
    ("/page", |_| "/page".to_owned()),
    ("/sqrt/<x>", |number| format!("/sqrt/{number}")),
    ("/teapot.txt", |_| "/teapot.txt".to_owned()),
    ("/reserve_tokens/<n>", |number| format!("/reserve_tokens/{}", number % 9 + 1)),
    ("/cdn/film.mp4", |_| "/cdn/film.mp4".to_owned()),
    ("/echofix/<text>", |number| format!("/echofix/number{number}")),
    ("/echodyn/<n>", |number| format!("/echodyn/{}", number % 9 + 1)),
    ("/cdn/index.html (free)", |_| "/cdn/index.html".to_owned()),
];

/// A cluster with two of everything of ours, and a broker.
pub fn options() -> Options {
    Options { watchers: 2, wallets: 2, rabbit: 1, more: CLAIMS.to_owned(), ..Options::default() }
}

/// Shows it on a cluster with two of everything, of which one each stays dead, and prints what happened. False when something
/// does not add up.
pub async fn show(cluster: &mut Cluster) -> Result<bool> {
    let start = Instant::now();
    let say = |what: &str| println!("{:>5.1} s  {what}", start.elapsed().as_secs_f64());
    let before = Books::read(cluster).await?;
    let mut table = Table::default();

    say("opening a channel; each request is paid with a voucher from then on");
    let (key, payer) = payer(cluster).await?;
    for number in 0..REQUESTS {
        match number {
            WATCHER_DIES => {
                say(&format!("{number} requests are paid; killing the active one of the two watchers"));
                cluster.active_watcher().await?.kill9()?;
            }
            WALLET_DIES => {
                say(&format!("{number} requests are paid; killing the active one of the two wallets"));
                cluster.active_wallet().await?.kill9()?;
                let claimed = claimed(cluster, &before).await?;
                say(&format!("{claimed} is claimed on chain, and the other wallet stands in; the payer goes on"));
            }
            FRONT_DIES => {
                say(&format!("{number} requests are paid; killing one of the two fronts while the next is under way"));
                let victim = &mut cluster.fronts[0];
                let url = cluster.balancer.as_ref().context("the load balancer is gone")?.url();
                let (paid, killed) =
                    tokio::join!(pay(&payer, &url, good(number), number, &mut table), async { victim.kill9() });
                paid?;
                killed?;
                continue;
            }
            _ => {}
        }
        pay(&payer, &cluster.url(), good(number), number, &mut table).await?;
    }

    say("asking without paying, and with a voucher that was used before");
    let channel = payer.channels().await.pop().context("the payer remembers no channel")?;
    for _ in 0..UNPAID {
        ask_unpaid(cluster, &mut table).await?;
        ask_with_used_voucher(cluster, &key, &channel, &mut table).await?;
    }

    say("closing the channel with the receiver's consent");
    let ended = payer.close(&channel.key, None).await.context("the channel cannot be closed")?;
    let after = settled(cluster).await?;
    say("done\n");

    println!("{table}");
    let mut sums = before.compare(&after);
    sums.push(("all receipts together", U256::from(table.paid().units())));
    sums.push(("the closing signature", U256::from(ended.balance.units())));
    let agree = sums.windows(2).all(|pair| pair[0].1 == pair[1].1);
    println!("What was paid, in base units of the token, as told by");
    for (by, amount) in sums {
        println!("    {by:<42} {amount:>8}");
    }
    println!("{}\n", if agree { "They agree." } else { "THEY DO NOT AGREE." });
    Ok(agree)
}

/// The file, then each of the goods, and so on; towards the end one in eight is a call that fails, which leaves credit: the payer
/// may repeat it, so nothing would be claimed for half a day. The ones around the middle are files:
/// a file is charged in the commit that precedes its answer, while a call's charge may still be on its way when the front is
/// killed, and is then the payee's loss.
fn good(number: usize) -> Good {
    match number % 32 {
        n if n % 8 == 7 && number > WALLET_DIES => FAIL,
        n @ 2..30 if n % 3 != 0 => GOODS[number % GOODS.len()],
        _ => FILE,
    }
}

async fn payer(cluster: &Cluster) -> Result<(Key, Payer)> {
    let key = Key::from_bytes(&hex::decode_to_array(KEYS[PAYER])?).context("no key")?;
    let mut settings = Settings::new(cluster.chain.url(), cluster.chain.chain_id(), cluster.dir().join("payer"));
    settings.limits = Limits {
        max_price: Amount::new(10),
        max_deposit: DEPOSIT,
        contracts: Allowed::These(vec![cluster.contracts.channels]),
        ..Limits::default()
    };
    settings.deposits = Deposits { open: Some(DEPOSIT), ..Deposits::default() };
    settings.patience = Patience { poll: Duration::from_millis(100), ..Patience::default() };
    Ok((key.clone(), Payer::new(settings, key).await?))
}

async fn pay(payer: &Payer, url: &str, (name, path): Good, number: usize, table: &mut Table) -> Result<()> {
    let request = http::Request::get(format!("{url}{}", path(number))).body(bytes::Bytes::new())?;
    let options = payer::Options { retries: if name == FAIL.0 { 0 } else { RETRIES }, ..payer::Options::default() };
    let start = Instant::now();
    let answer = payer.pay(request, options).await.with_context(|| format!("{name} cannot be paid"))?;
    let (status, receipt) = (answer.response.status().as_u16(), answer.receipt);
    answer.response.bytes().await?;
    table.paid_request(name, status, &receipt, start.elapsed());
    Ok(())
}

async fn ask_unpaid(cluster: &Cluster, table: &mut Table) -> Result<()> {
    let answer = local::client()?.get(format!("{}/file.txt", cluster.url())).send().await?;
    table.refused("/file.txt, unpaid", answer.status().as_u16());
    Ok(())
}

/// The first voucher of the channel once more: anyone who saw it could send it.
async fn ask_with_used_voucher(cluster: &Cluster, key: &Key, channel: &Channel, table: &mut Table) -> Result<()> {
    let (name, balance) = (channel.key, U192::from(10));
    let digest = contracts::raiden::balance_proof_digest(name.contract, name.receiver, name.open_block, balance);
    let answer = local::client()?
        .get(format!("{}/file.txt", cluster.url()))
        .header(header::CONTRACT, name.contract.to_string())
        .header(header::RECEIVER, name.receiver.to_string())
        .header(header::SENDER, key.address().to_string())
        .header(header::OPEN_BLOCK, name.open_block)
        .header(header::BALANCE, balance.to_string())
        .header(header::SIGNATURE, hex::encode_prefixed(key.sign(digest).as_bytes()))
        .send()
        .await?;
    table.refused("/file.txt, old voucher", answer.status().as_u16());
    Ok(())
}

/// What was claimed on a channel that is still open, once less than the wallet waits for is unclaimed.
async fn claimed(cluster: &Cluster, before: &Books) -> Result<U256> {
    wait::until("the wallet to claim without closing", SEEN, async || {
        let books = Books::read(cluster).await?;
        ensure!(books.open_channels == 1, "the channel is not open");
        ensure!(books.unclaimed() < U256::from(500), "{} is unclaimed", books.unclaimed());
        Ok(books.claimed_since(before))
    })
    .await
}

/// The books once the watcher has seen the settlement.
async fn settled(cluster: &Cluster) -> Result<Books> {
    wait::until("the ledger to hear of the settlement", SEEN, async || {
        let books = Books::read(cluster).await?;
        ensure!(books.open_channels == 0, "a channel is still open");
        Ok(books)
    })
    .await
}
