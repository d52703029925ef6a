//! The Helm chart: what it renders for whom, what Kubernetes and our own programs say to that, and what it refuses.

mod cluster;
mod helm;
mod matrix;
mod monitoring;
mod policies;
mod refusals;
mod rollout;
mod settings;
