//! The payer against a real chain and a shop that speaks µRaiden's dialect by its description, and misbehaves when told to.

mod cli;
mod closing;
mod cluster;
mod limits;
mod pay_command;
mod paying;
mod recovery;
mod redirects;
mod refill;
mod reload;
mod shop;
mod tls;
mod world;
