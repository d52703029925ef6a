//! The servers do what tests rely on them to do.

mod anvil;
mod chromium;
mod cut;
mod demo;
mod haproxy;
mod history;
mod liar;
mod original;
mod postgres;
mod process;
mod rabbit;
mod standby;
mod upstream;
