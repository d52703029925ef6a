//! A ledger alone, as the ledger's own tests have it.

#[path = "../../../shared/ledger/tests/common/mod.rs"]
mod common;

pub use common::*;
