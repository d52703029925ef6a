//! Vouchers signed ahead, without a [`Payer`](crate::Payer) that remembers them: for load generators, and for whoever keeps
//! books of its own.

use channel::{Amount, Key};
use http::HeaderMap;

use crate::rdn::{self, Voucher};
use crate::state::ChannelKey;

/// The headers of a request that pays up to `balance`, cumulative, on this channel. Nothing is remembered: whoever signs
/// two vouchers for one request may pay twice.
pub fn presign(key: &Key, channel: ChannelKey, balance: Amount) -> HeaderMap {
    rdn::payment(&Voucher::sign(key, channel, balance))
}
