//! What scenarios over the real cluster share.

mod by_hand;

pub use by_hand::ByHand;
