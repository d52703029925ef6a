//! The rules that hold whatever was killed, cut or filled up meanwhile.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fmt;
use std::time::Duration;

use channel::{Amount, ChannelId};

use super::{Ask, Books, Event, Sale, State, Told};

/// How many violations are told in words.
const TOLD: usize = 20;

/// What came of a run.
#[derive(Debug, Default)]
pub struct Verdict {
    /// What must not be, in words. Empty: all is well.
    pub violations: Vec<String>,
    /// How many requests were served at least once.
    pub served: usize,
    /// How many may or may not have been charged, for all that their clients heard.
    pub unknown: usize,
    /// How many were served and not charged: their front was killed in between. How many those may be depends on what was
    /// done; see [`Verdict::given_away_at_most`].
    pub given_away: usize,
    /// What they cost.
    pub given_away_amount: Amount,
    /// How many are charged although the client heard nothing of it: theirs is the answer that was lost.
    pub charged_unheard: usize,
}

impl Verdict {
    /// Counts it as a violation when more was served for nothing than that.
    #[must_use]
    pub fn given_away_at_most(mut self, most: usize) -> Self {
        if self.given_away > most {
            self.violations.push(format!("{} were served and not charged, at most {most} may be", self.given_away));
        }
        self
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Verdict { violations, served, unknown, given_away, given_away_amount, charged_unheard } = self;
        write!(
            f,
            "{served} served, {unknown} of unknown end ({charged_unheard} of them charged), {given_away} served and not \
             charged (worth {given_away_amount}), {} violations",
            violations.len()
        )?;
        violations.iter().take(TOLD).try_for_each(|violation| write!(f, "\n  {violation}"))
    }
}

/// Everything that was asked under one name.
#[derive(Default)]
struct Request<'a> {
    ask: Option<&'a Ask>,
    told: Vec<Told>,
    pending: usize,
}

impl Request<'_> {
    /// The client was told, each time, that nothing came of it.
    fn is_told_nothing(&self) -> bool {
        self.pending == 0 && self.told.iter().all(|told| matches!(told, Told::Refused | Told::Failed))
    }

    fn is_served(&self) -> bool {
        self.told.contains(&Told::Served)
    }
}

/// Compares what clients were told with the books, once all is healed and nothing is held any more.
pub fn check(log: &[(Duration, Event)], books: &Books) -> Verdict {
    let requests = requests(log);
    let mut verdict = Verdict::default();
    let mut sold: HashMap<&str, Vec<&Sale>> = HashMap::new();
    for sale in &books.sales {
        sold.entry(sale.request.as_deref().unwrap_or_default()).or_default().push(sale);
    }
    let called: HashSet<&str> = books.calls.iter().map(|call| call.sale.as_str()).collect();
    for (name, request) in &requests {
        let sales = sold.get(name).map_or(&[][..], Vec::as_slice);
        judge(&mut verdict, name, request, sales, &called);
    }
    calls(&mut verdict, books);
    served_once(&mut verdict, &requests);
    accounts(&mut verdict, &requests, books);
    verdict
}

fn requests(log: &[(Duration, Event)]) -> BTreeMap<&str, Request<'_>> {
    let mut requests: BTreeMap<&str, Request<'_>> = BTreeMap::new();
    let mut names: HashMap<usize, &str> = HashMap::new();
    for (_, event) in log {
        match event {
            Event::Asks { number, ask } => {
                names.insert(*number, &ask.request);
                let request = requests.entry(&ask.request).or_default();
                request.ask.get_or_insert(ask); // repeated from credit, it may come with another voucher
                request.pending += 1;
            }
            Event::Hears { number, told } => {
                if let Some(request) = names.get(number).and_then(|name| requests.get_mut(name)) {
                    request.told.push(*told);
                    request.pending -= 1;
                }
            }
            Event::Nemesis(_) => {}
        }
    }
    requests
}

fn judge(verdict: &mut Verdict, name: &str, request: &Request<'_>, sales: &[&Sale], called: &HashSet<&str>) {
    let mut wrong = |what: &str| verdict.violations.push(format!("{name}: {what}; told {:?}, {sales:?}", request.told));
    let charged = sales.iter().filter(|sale| sale.state == State::Captured).count();
    if request.is_served() && sales.is_empty() {
        wrong("acknowledged and lost");
    }
    if charged > 1 {
        wrong("charged twice");
    }
    if sales.iter().any(|sale| sale.state == State::Held) {
        wrong("neither charged nor given back");
    }
    if request.is_told_nothing() && charged > 0 {
        wrong("charged, though it was told that nothing happened");
    }
    if request.is_told_nothing() && sales.iter().any(|sale| called.contains(sale.id.as_str())) {
        wrong("called, though it was told that nothing happened");
    }
    if request.told.last() == Some(&Told::Credited) && request.pending == 0 && !request.is_served() && charged > 0 {
        wrong("charged, though it was told that it failed");
    }
    if request.is_served() {
        verdict.served += 1;
        if charged == 0 && !sales.is_empty() {
            verdict.given_away += 1;
            let price = request.ask.map_or(Amount::ZERO, |ask| ask.price);
            verdict.given_away_amount = verdict.given_away_amount.saturating_add(price);
        }
    } else if request.pending > 0 || request.told.contains(&Told::Unknown) {
        verdict.unknown += 1;
        verdict.charged_unheard += charged;
    }
}

/// The upstream is called for what is recorded, once for each sale; and what is charged was called.
fn calls(verdict: &mut Verdict, books: &Books) {
    let sales: HashMap<&str, &Sale> = books.sales.iter().map(|sale| (sale.id.as_str(), sale)).collect();
    let mut called = HashSet::new();
    for call in &books.calls {
        if !sales.contains_key(call.sale.as_str()) {
            verdict.violations.push(format!("called for nothing recorded: {call:?}"));
        }
        if !called.insert(call.sale.as_str()) {
            verdict.violations.push(format!("called twice: {call:?}"));
        }
    }
    let uncalled =
        books.sales.iter().filter(|sale| sale.state == State::Captured && !called.contains(sale.id.as_str()));
    verdict.violations.extend(uncalled.map(|sale| format!("charged and never called: {sale:?}")));
}

/// No voucher buys two requests.
fn served_once(verdict: &mut Verdict, requests: &BTreeMap<&str, Request<'_>>) {
    let mut bought: HashMap<(ChannelId, Amount), &str> = HashMap::new();
    for (name, request) in requests.iter().filter(|(_, request)| request.is_served()) {
        let Some(ask) = request.ask else { continue };
        if let Some(other) = bought.insert((ask.channel, ask.voucher), name) {
            let Ask { channel, voucher, .. } = ask;
            verdict.violations.push(format!("the voucher over {voucher} of {channel} bought both {other} and {name}"));
        }
    }
}

/// Σ charged = spent; spent + held ≤ authorised ≤ what was ever signed and ≤ the deposit; nothing acknowledged is above it.
fn accounts(verdict: &mut Verdict, requests: &BTreeMap<&str, Request<'_>>, books: &Books) {
    let mut seen = BTreeSet::new();
    for account in &books.accounts {
        seen.insert(account.channel);
        let of_it = |sale: &&Sale| sale.channel == account.channel;
        let sum = |amounts: &mut dyn Iterator<Item = Amount>| amounts.fold(Amount::ZERO, Amount::saturating_add);
        let charged = sum(&mut books.sales.iter().filter(of_it).map(|sale| sale.captured));
        let asks = || requests.values().filter_map(|request| Some((request, request.ask?)));
        let signed = asks().filter(|(_, ask)| ask.channel == account.channel).map(|(_, ask)| ask.voucher).max();
        let acknowledged = asks().filter(|(request, ask)| ask.channel == account.channel && request.is_served());
        let acknowledged = acknowledged.map(|(_, ask)| ask.voucher).max();
        let mut wrong = |what: &str| verdict.violations.push(format!("{what}: {account:?}, charged {charged}"));
        if charged != account.spent {
            wrong("what is spent is not what was charged");
        }
        if account.spent.saturating_add(account.held) > account.authorised {
            wrong("more is spent and held than was authorised");
        }
        if account.authorised > signed.unwrap_or_default() {
            wrong("more is authorised than was signed");
        }
        if account.authorised > account.deposit {
            wrong("more is authorised than was deposited");
        }
        if account.authorised < acknowledged.unwrap_or_default() {
            wrong("an acknowledged voucher is lost");
        }
    }
    let strangers = requests.values().filter(|request| request.is_served()).filter_map(|request| request.ask);
    let strangers = strangers.filter(|ask| !seen.contains(&ask.channel));
    verdict.violations.extend(strangers.map(|ask| format!("the ledger does not know a channel that paid: {ask:?}")));
}
