//! What operators watch: a real Prometheus scrapes a real cluster, and everything that dashboards and alerts ask it has an
//! answer.

mod alerts;
mod boards;
mod expression;
mod metrics;
mod world;
