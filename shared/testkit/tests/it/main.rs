//! The servers do what tests rely on them to do.

mod anvil;
mod chromium;
mod cut;
mod demo;
mod haproxy;
mod history;
mod liar;
mod original;
mod original_proxy;
mod postgres;
mod process;
mod prometheus;
mod rabbit;
mod standby;
mod upstream;
mod x402_express;
