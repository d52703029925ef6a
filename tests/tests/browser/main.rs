//! People pay with a browser and a wallet: a real Chromium, on our page and on the original's, against a whole cluster.

mod closing;
mod everybody;
mod original_page;
mod paying;
mod tab;
mod trouble;
mod wallet;
mod world;
