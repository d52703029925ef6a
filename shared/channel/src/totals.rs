use crate::Amount;

/// What the channels of a deployment come to: those that the chain shows, confirmed and not settled yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Open, with no close agreed.
    pub open: u64,
    /// A close was asked for or agreed.
    pub closing: u64,
    /// Different payers.
    pub payers: u64,
    /// Deposited and confirmed.
    pub deposit: Amount,
    /// Authorised.
    pub authorised: Amount,
}
