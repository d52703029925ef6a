//! The payer against a real chain and a shop that speaks µRaiden's dialect by its description, and misbehaves when told to.

mod cli;
mod closing;
mod cluster;
mod limits;
mod paying;
mod recovery;
mod shop;
mod world;
