//! A checker that never fails proves nothing: each rule is broken once, and found to be.

use alloy_primitives::B256;
use channel::{Amount, ChannelId};
use testkit::history::{Account, Ask, Books, Call, History, Sale, State, Told, Verdict, check};

const CHANNEL: ChannelId = ChannelId(B256::repeat_byte(7));

/// Three requests of a channel: one served, one refused, one that nobody heard of again but that is charged.
struct Story {
    history: History,
    books: Books,
}

impl Story {
    fn new() -> Story {
        let account = Account {
            channel: CHANNEL,
            authorised: Amount::new(2),
            spent: Amount::new(2),
            held: Amount::ZERO,
            deposit: Amount::new(10),
        };
        let books = Books { accounts: vec![account], ..Books::default() };
        let mut story = Story { history: History::default(), books };
        story.told("a", 1, Some(Told::Served));
        story.told("b", 1, Some(Told::Refused));
        story.told("c", 2, None);
        story.sold("a", State::Captured);
        story.sold("c", State::Captured);
        story
    }

    fn told(&mut self, request: &str, voucher: u128, told: Option<Told>) {
        let (request, voucher) = (request.to_owned(), Amount::new(voucher));
        let number = self.history.asks(Ask { request, channel: CHANNEL, voucher, price: Amount::new(1) });
        if let Some(told) = told {
            self.history.hears(number, told);
        }
    }

    /// A sale and its call.
    fn sold(&mut self, request: &str, state: State) {
        let (id, request) = (format!("{request}-{}", self.books.sales.len()), Some(request.to_owned()));
        let captured = if state == State::Captured { Amount::new(1) } else { Amount::ZERO };
        self.books.calls.push(Call { sale: id.clone(), request: request.clone() });
        self.books.sales.push(Sale { id, channel: CHANNEL, request, amount: Amount::new(1), state, captured });
    }

    fn verdict(&self) -> Verdict {
        check(&self.history.lines(), &self.books)
    }

    /// Exactly these rules are broken.
    #[track_caller]
    fn breaks(&self, rules: &[&str]) {
        let verdict = self.verdict();
        let found = |rule: &&&str| verdict.violations.iter().any(|violation| violation.contains(**rule));
        assert!(rules.iter().all(|rule| found(&rule)), "{rules:?} in {verdict}");
        assert_eq!(verdict.violations.len(), rules.len(), "{verdict}");
    }
}

#[test]
fn a_good_run_breaks_no_rule() {
    let story = Story::new();
    story.breaks(&[]);
    let verdict = story.verdict();
    assert_eq!((verdict.served, verdict.unknown, verdict.charged_unheard, verdict.given_away), (1, 1, 1, 0));
}

#[test]
fn an_acknowledged_payment_that_is_gone_is_found() {
    let mut story = Story::new();
    story.books.sales.remove(0);
    story.books.calls.remove(0);
    story.books.accounts[0].spent = Amount::new(1);
    story.breaks(&["acknowledged and lost"]);
}

#[test]
fn an_acknowledged_voucher_that_is_gone_is_found() {
    let mut story = Story::new();
    story.told("d", 3, Some(Told::Served));
    story.sold("d", State::Released);
    story.breaks(&["an acknowledged voucher is lost"]);
}

#[test]
fn a_request_that_is_charged_twice_is_found() {
    let mut story = Story::new();
    story.sold("a", State::Captured);
    story.books.accounts[0].spent = Amount::new(3);
    story.books.accounts[0].authorised = Amount::new(3);
    story.told("d", 3, Some(Told::Refused));
    story.breaks(&["charged twice"]);
}

#[test]
fn a_charge_for_what_was_refused_is_found() {
    let mut story = Story::new();
    story.sold("b", State::Captured);
    story.books.accounts[0].spent = Amount::new(3);
    let broken = ["charged, though it was told", "called, though it was told", "more is spent and held"];
    story.breaks(&broken);
}

#[test]
fn a_call_for_what_was_refused_is_found() {
    let mut story = Story::new();
    story.sold("b", State::Released);
    story.breaks(&["called, though it was told that nothing happened"]);
}

#[test]
fn a_charge_for_what_the_upstream_failed_is_found() {
    let mut story = Story::new();
    story.told("d", 2, Some(Told::Credited));
    story.sold("d", State::Captured);
    story.books.accounts[0].spent = Amount::new(3);
    story.breaks(&["charged, though it was told that it failed", "more is spent and held"]);
}

#[test]
fn a_sale_that_never_ends_is_found() {
    let mut story = Story::new();
    story.told("d", 2, None);
    story.sold("d", State::Held);
    story.breaks(&["neither charged nor given back"]);
}

#[test]
fn a_call_without_a_record_is_found() {
    let mut story = Story::new();
    story.books.calls.push(Call { sale: "nowhere".to_owned(), request: None });
    story.breaks(&["called for nothing recorded"]);
}

#[test]
fn a_sale_that_is_called_twice_is_found() {
    let mut story = Story::new();
    story.books.calls.push(story.books.calls[0].clone());
    story.breaks(&["called twice"]);
}

#[test]
fn a_charge_without_a_call_is_found() {
    let mut story = Story::new();
    story.books.calls.remove(1);
    story.breaks(&["charged and never called"]);
}

#[test]
fn a_voucher_that_buys_twice_is_found() {
    let mut story = Story::new();
    story.told("d", 1, Some(Told::Served));
    story.sold("d", State::Released);
    story.breaks(&["bought both"]);
}

#[test]
fn sums_that_do_not_add_up_are_found() {
    let mut story = Story::new();
    story.books.accounts[0].spent = Amount::new(1);
    story.breaks(&["what is spent is not what was charged"]);
    story.books.accounts[0].spent = Amount::new(2);
    story.books.accounts[0].authorised = Amount::new(11);
    story.breaks(&["more is authorised than was signed", "more is authorised than was deposited"]);
}

#[test]
fn what_was_served_for_nothing_is_counted_and_bounded() {
    let mut story = Story::new();
    story.books.sales[0].state = State::Released;
    story.books.sales[0].captured = Amount::ZERO;
    story.books.accounts[0].spent = Amount::new(1);
    story.breaks(&[]);
    assert_eq!((story.verdict().given_away, story.verdict().given_away_amount), (1, Amount::new(1)));
    assert!(story.verdict().given_away_at_most(1).violations.is_empty());
    assert_eq!(story.verdict().given_away_at_most(0).violations.len(), 1);
}

#[test]
fn a_channel_that_paid_and_is_unknown_is_found() {
    let mut story = Story::new();
    story.books.accounts.clear();
    story.breaks(&["does not know a channel that paid"]);
}

#[test]
fn times_are_those_of_the_log() {
    let history = History::default();
    let ask = Ask { request: "a".into(), channel: CHANNEL, voucher: Amount::new(1), price: Amount::new(1) };
    let number = history.asks(ask);
    let killed = history.nemesis("something is killed");
    assert_eq!(history.first_served_after(killed), None);
    history.hears(number, Told::Served);
    assert!(history.first_served_after(killed).is_some_and(|served| served >= killed));
    assert_eq!(history.took(Told::Served, std::time::Duration::ZERO, killed).len(), 1);
    assert_eq!(history.took(Told::Served, killed, history.now()).len(), 0);
    assert_eq!(history.count(Told::Served), 1);
}
