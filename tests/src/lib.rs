//! What scenarios over the real cluster share.

mod by_hand;
mod further;
mod line;
mod load;
mod regulars;
mod traffic;
mod warp;

pub use by_hand::{ByHand, Place};
pub use further::add_deployment;
pub use line::Line;
pub use load::{Heard, Load, hear};
pub use regulars::{Outcome, Regulars, Wish};
pub use traffic::{Fared, Traffic};
pub use warp::warp;
