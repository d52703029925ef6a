//! Everything that reads what strangers send, as fuzz targets: functions of any bytes, which must not panic, and whose
//! assertions say what reading means.
//!
//! A target returns whether it could make sense of the bytes. `corpus/` holds a few inputs for each, found by fuzzing and
//! minimised; `tests/replay.rs` replays them. To look for more, with `cargo install cargo-fuzz`:
//!
//! ```text
//! cd tests && cargo fuzz run --features libfuzzer -s none payment
//! ```

pub mod amount;
pub mod command;
pub mod config;
pub mod forwarded;
mod head;
pub mod headers;
pub mod log;
pub mod page;
pub mod path;
pub mod payment;
pub mod price;
pub mod proxy;
mod sample;
pub mod signature;

/// A target's name, which is its corpus' too, and the target.
pub type Target = (&'static str, fn(&[u8]) -> bool);

/// All of them.
pub const TARGETS: &[Target] = &[
    ("amount", amount::read),
    ("command", command::read),
    ("config", config::read),
    ("forwarded", forwarded::read),
    ("headers", headers::read),
    ("log", log::read),
    ("page", page::read),
    ("path", path::read),
    ("payment", payment::read),
    ("price", price::read),
    ("proxy", proxy::read),
    ("signature", signature::read),
];
