//! What scenarios over the real cluster share.

mod by_hand;
mod further;
mod load;
mod traffic;
mod warp;

pub use by_hand::{ByHand, Place};
pub use further::add_deployment;
pub use load::{Heard, Load, hear};
pub use traffic::{Fared, Traffic};
pub use warp::warp;
