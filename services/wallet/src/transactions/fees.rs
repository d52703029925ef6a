//! What we offer for a unit of gas: never more than a cap, and under the same nonce always an eighth more than before.

use evm::Fees;

/// What the market asks for, as far as the cap allows. A chain that asks for more mines it when it asks for less again.
pub(crate) fn capped(market: Fees, cap: u128) -> Fees {
    let max_fee = market.max_fee.min(cap);
    Fees { max_fee, max_priority_fee: market.max_priority_fee.min(max_fee) }
}

/// What takes the place of a transaction that offers `last`: both fees an eighth higher, where nodes insist on a tenth, and
/// as high as the market asks. `None` when that exceeds the cap.
pub(crate) fn raised(last: Fees, market: Fees, cap: u128) -> Option<Fees> {
    let least = Fees { max_fee: an_eighth_more(last.max_fee), max_priority_fee: an_eighth_more(last.max_priority_fee) };
    let market = capped(market, cap);
    let max_priority_fee = least.max_priority_fee.max(market.max_priority_fee);
    let max_fee = least.max_fee.max(market.max_fee).max(max_priority_fee);
    (max_fee <= cap).then_some(Fees { max_fee, max_priority_fee })
}

/// Rounded up, and at least one more: some chains know priority fees of zero.
fn an_eighth_more(fee: u128) -> u128 {
    fee.saturating_add(fee / 8).saturating_add(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn fees(max_fee: u128, max_priority_fee: u128) -> Fees {
        Fees { max_fee, max_priority_fee }
    }

    #[test]
    fn fees_follow_the_market_up_to_the_cap() {
        assert_eq!(capped(fees(90, 2), 100), fees(90, 2));
        assert_eq!(capped(fees(190, 2), 100), fees(100, 2));
        assert_eq!(capped(fees(190, 150), 100), fees(100, 100));
    }

    #[test]
    fn a_replacement_offers_an_eighth_more_of_both_or_what_the_market_asks() {
        assert_eq!(raised(fees(80, 8), fees(10, 1), 1_000), Some(fees(91, 10)));
        assert_eq!(raised(fees(80, 8), fees(800, 9), 1_000), Some(fees(800, 10)));
        assert_eq!(raised(fees(80, 0), fees(0, 0), 1_000), Some(fees(91, 1)));
        assert_eq!(raised(fees(80, 80), fees(100, 100), 1_000), Some(fees(100, 100)));
    }

    #[test]
    fn a_replacement_never_exceeds_the_cap() {
        assert_eq!(raised(fees(80, 8), fees(800, 9), 100), Some(fees(100, 10)));
        assert_eq!(raised(fees(90, 8), fees(800, 9), 100), None);
        assert_eq!(raised(fees(u128::MAX, 8), fees(800, 9), u128::MAX), Some(fees(u128::MAX, 10)));
    }
}
