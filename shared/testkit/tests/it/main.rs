//! The servers do what tests rely on them to do.

mod anvil;
mod cut;
mod demo;
mod haproxy;
mod liar;
mod postgres;
mod process;
mod python;
mod upstream;
