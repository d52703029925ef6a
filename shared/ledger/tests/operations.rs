//! A hundred thousand real operations, over two ledgers at once: sales, charges, captures, releases, repeats, blocks.
//! The counters and the holds agree in the end, and no rule was ever broken on the way.

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use channel::{Amount, EventKind, Hold, Refusal, Step, VerifiedVoucher};
use common::*;
use ledger::{Ledger, Order, Refused, SalesQuery, Settlement, When};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

const CHANNELS: u64 = 256;
const CALLERS: u64 = 128;
const OPERATIONS: u64 = 100_000;
const DEPOSIT: u128 = 400;
const ROUTES: [&str; 3] = ["roots", "squares", "tokens"];

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_thousand_operations_break_no_rule() {
    let (one, url) = ledger_with(CHANNELS, DEPOSIT).await;
    let two = connect(&url).await;
    // What the rules promise is also asked of the database: the CHECK is turned into a log that nobody should write.
    let watch = "CREATE TABLE broken (channel bytea);
        CREATE FUNCTION watch() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            IF NEW.spent + NEW.held > NEW.authorised OR NEW.spent < OLD.spent OR NEW.authorised < OLD.authorised THEN
                INSERT INTO broken VALUES (NEW.channel);
            END IF;
            RETURN NEW;
        END $$;
        CREATE TRIGGER watch BEFORE UPDATE ON epochs FOR EACH ROW EXECUTE FUNCTION watch()";
    let client = sql(&url).await;
    client.batch_execute(watch).await.unwrap();
    let vouchers: Arc<Vec<Vec<VerifiedVoucher>>> =
        Arc::new((0..CHANNELS).map(|n| (1..=40).map(|step| voucher(n, step * 12)).collect()).collect());
    let counts = Arc::new(Counts::default());
    let started = Instant::now();
    let callers: Vec<_> = (0..CALLERS)
        .map(|n| {
            let ledger = if n % 2 == 0 { one.clone() } else { two.clone() };
            tokio::spawn(call(ledger, n, vouchers.clone(), counts.clone()))
        })
        .collect();
    let blocks = tokio::spawn(blocks(one.clone(), counts.clone()));
    let folders = [&one, &two].map(|ledger| tokio::spawn(fold(ledger.clone(), url.clone(), counts.clone())));
    let mut taken = 0;
    for caller in callers {
        taken += caller.await.expect("no operation fails");
    }
    blocks.await.expect("no block fails");
    for folder in folders {
        folder.await.expect("no fold fails");
    }
    let [done, sold, refused] = [&counts.done, &counts.sold, &counts.refused].map(|n| n.load(Ordering::Relaxed));
    println!("{done} operations in {:?}: {sold} sold, {refused} refused, {taken} units taken", started.elapsed());

    assert_eq!(violations(&client).await, 0);
    let broken: i64 = client.query_one("SELECT count(*) FROM broken", &[]).await.unwrap().get(0);
    assert_eq!(broken, 0);
    let sums = client.query_one("SELECT sum(spent)::text, sum(held)::text FROM epochs", &[]).await.unwrap();
    assert_eq!(sums.get::<_, String>(0), taken.to_string(), "what was taken is what is spent");
    assert_eq!(sums.get::<_, String>(1), "0", "nothing is left held");
    for _ in 0..3 {
        let sales = one.sales(&SalesQuery { by_route: true, ..SalesQuery::default() }).await.expect("it answers");
        assert_eq!(sales.len(), ROUTES.len(), "{sales:?}");
        assert_eq!(sales.iter().map(|line| line.amount.units()).sum::<u128>(), taken, "and what was sold");
        two.fold_sales().await.expect("it answers");
    }
    let over: i64 = client
        .query_one("SELECT count(*) FROM epochs e JOIN channels c ON c.id = e.channel WHERE e.spent > c.deposit", &[])
        .await
        .unwrap()
        .get(0);
    assert_eq!(over, 0, "nothing is sold above the deposit");
    assert!(sold > OPERATIONS / 10 && refused > OPERATIONS / 100, "it was worth it");
}

#[derive(Default)]
struct Counts {
    done: AtomicU64,
    sold: AtomicU64,
    refused: AtomicU64,
}

/// One caller: random operations until all are done; then it settles what it holds. Returns what it took.
async fn call(ledger: Ledger, seed: u64, vouchers: Arc<Vec<Vec<VerifiedVoucher>>>, counts: Arc<Counts>) -> u128 {
    let mut random = StdRng::seed_from_u64(seed);
    let mut open: Vec<Hold> = Vec::new();
    let mut ended: Vec<Hold> = Vec::new();
    let mut taken = 0;
    while counts.done.fetch_add(1, Ordering::Relaxed) < OPERATIONS {
        if !open.is_empty() && (open.len() > 4 || random.random_bool(0.4)) {
            let hold = open.swap_remove(random.random_range(0..open.len()));
            taken += settle(&ledger, &mut random, &hold).await;
            ended.push(hold);
        } else if !ended.is_empty() && random.random_bool(0.1) {
            let hold = &ended[random.random_range(0..ended.len())];
            let again = ledger.settle(hold, Settlement::Release).await.expect("the database answers");
            assert_eq!(again.taken, Amount::ZERO, "it has ended");
        } else {
            let (units, held) = buy(&ledger, &mut random, &vouchers, &counts).await;
            taken += units;
            open.extend(held);
        }
    }
    for hold in &open {
        taken += settle(&ledger, &mut random, hold).await;
    }
    taken
}

async fn settle(ledger: &Ledger, random: &mut StdRng, hold: &Hold) -> u128 {
    let settlement = match random.random_bool(0.7) {
        true => Settlement::Capture(amount(random.random_range(0..=hold.amount.units() + 1))),
        false => Settlement::Release,
    };
    ledger.settle(hold, settlement).await.expect("the database answers").taken.units()
}

async fn buy(
    ledger: &Ledger,
    random: &mut StdRng,
    vouchers: &[Vec<VerifiedVoucher>],
    counts: &Counts,
) -> (u128, Option<Hold>) {
    let of_channel = &vouchers[random.random_range(0..vouchers.len())];
    let voucher = of_channel[random.random_range(0..of_channel.len())];
    let step = if random.random_bool(0.8) { Step::Any } else { Step::FromAuthorised };
    let settle = if random.random_bool(0.5) { When::Now } else { When::Later };
    let name = random.random_bool(0.2).then(|| random.random::<u64>().to_string());
    let request = ledger_request(name, random.random_range(0..4));
    let price = amount(random.random_range(0..6));
    let route = Arc::from(ROUTES[random.random_range(0..ROUTES.len())]);
    let order = Order { route, price, request, settle, terms: terms(step), ..order(voucher) };
    match sell(ledger, order).await {
        Ok(receipt) => {
            counts.sold.fetch_add(1, Ordering::Relaxed);
            let hold = hold_of(receipt);
            if settle == When::Now { (hold.captured.units(), None) } else { (0, Some(hold)) }
        }
        Err(Refused { refusal, .. }) => {
            assert!(!matches!(refusal, Refusal::Unknown | Refusal::Stale | Refusal::NotOpen), "{refusal}");
            counts.refused.fetch_add(1, Ordering::Relaxed);
            (0, None)
        }
    }
}

fn ledger_request(name: Option<String>, content: u64) -> channel::Request {
    match name {
        Some(name) => named_request(&name, content),
        None => request(content),
    }
}

/// Folds all the while, and looks whether the sales are what is spent at any moment.
async fn fold(ledger: Ledger, url: String, counts: Arc<Counts>) {
    let client = sql(&url).await;
    while counts.done.load(Ordering::Relaxed) < OPERATIONS {
        ledger.fold_sales().await.expect("the database answers");
        assert_eq!(unexplained(&client).await, 0);
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}

/// Blocks with top-ups, all the while.
async fn blocks(ledger: Ledger, counts: Arc<Counts>) {
    let mut at = block(1, 0);
    let added = EventKind::ToppedUp { added: amount(1) };
    while counts.done.load(Ordering::Relaxed) < OPERATIONS {
        let next = block(at.number + 1, 0);
        let events = (0..8).map(|n| event((at.number * 8 + n) % CHANNELS, next, n, added)).collect();
        ledger.advance(&advance(Some(at), next, next.number, events)).await.expect("it is the only watcher");
        at = next;
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}
