//! The servers do what tests rely on them to do.

mod anvil;
mod chromium;
mod cut;
mod demo;
mod haproxy;
mod liar;
mod original;
mod postgres;
mod process;
mod upstream;
