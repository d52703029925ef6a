//! Until when fronts may sell: while the watcher knows the chain, and the wallet could answer a close.

use channel::{Horizon, Means, Mode, NotClear, Outlook, all_clear};

const WELL: Means = Means { balance: 1_000, answer: 100, hindrance: None };

fn clear(account: Option<Means>) -> Result<(), NotClear> {
    all_clear(&Outlook { active: true, account }, 10)
}

#[test]
fn all_is_clear_for_the_active_wallet_with_a_node_gas_for_the_answers_and_nothing_in_their_way() {
    assert_eq!(clear(Some(WELL)), Ok(()));
    assert_eq!(all_clear(&Outlook { active: false, account: Some(WELL) }, 10), Err(NotClear::Standby));
    assert_eq!(clear(None), Err(NotClear::Node));
    assert_eq!(clear(Some(Means { balance: 999, ..WELL })), Err(NotClear::Gas { balance: 999, needed: 1_000 }));
    assert_eq!(clear(Some(Means { hindrance: Some("stuck"), ..WELL })), Err(NotClear::Stuck("stuck")));
    let dear = Means { balance: u128::MAX - 1, answer: u128::MAX, hindrance: None };
    assert_eq!(clear(Some(dear)), Err(NotClear::Gas { balance: u128::MAX - 1, needed: u128::MAX }));
}

#[test]
fn every_reason_against_it_has_a_word_of_its_own() {
    let reasons = [NotClear::Standby, NotClear::Node, NotClear::Gas { balance: 1, needed: 2 }, NotClear::Stuck("so")];
    assert_eq!(reasons.map(|reason| reason.as_str()), NotClear::WORDS);
}

#[test]
fn a_front_sells_while_both_bounds_lie_ahead_and_says_which_does_not() {
    let horizon = |watcher, wallet| Horizon { watcher, wallet, halted: false };
    for (horizon, mode) in [
        (horizon(Some(5), Some(3)), Mode::Selling),
        (horizon(Some(0), Some(3)), Mode::WatcherStale),
        (horizon(None, Some(3)), Mode::WatcherStale),
        (horizon(Some(5), Some(0)), Mode::WalletStale),
        (horizon(Some(5), None), Mode::WalletStale),
        (horizon(None, None), Mode::WatcherStale),
        (Horizon { halted: true, ..horizon(Some(5), Some(3)) }, Mode::Halted),
    ] {
        assert_eq!(horizon.mode(), mode, "{horizon:?}");
    }
}
