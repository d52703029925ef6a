//! The image: what is in it, and that its programs do their work in it, confined as Kubernetes confines them.
//!
//! `cargo xtask test` builds what runs here, from the Dockerfile; by hand:
//! `cargo xtask image --tag sluice:test --profile dev`.

mod container;
mod contents;
mod names;
mod selling;
mod trust;
