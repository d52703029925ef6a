//! The Helm chart: what it renders for whom, what Kubernetes and our own programs say to that, and what it refuses.

mod cluster;
mod documented;
mod helm;
mod kubernetes;
mod matrix;
mod monitoring;
mod policies;
mod refusals;
mod rehearsal;
mod rollout;
mod settings;
mod standby;
