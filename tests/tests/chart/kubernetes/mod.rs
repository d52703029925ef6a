//! As much of Kubernetes as it takes to run what the chart renders, on this machine, as processes.
//!
//! | module | what it plays |
//! |---|---|
//! | [`node`] | a machine: Secrets, ConfigMaps and variables of its Pods, mounted |
//! | [`probe`] | the questions that a kubelet asks |
//! | [`pod`] | one Pod: started, probed, and ended by preStop, SIGTERM and the grace period |
//! | [`deployment`] | so many of them, and the exchange of old ones for new ones |
//! | [`network`] | Service and Ingress: they hear of endpoints late |
//!
//! *Not played:* images, users, limits, schedulers, network policies, restarts (nothing here may need one).

mod deployment;
mod network;
mod node;
mod pod;
mod probe;

pub use deployment::Deployment;
pub use network::Network;
pub use node::{Node, values};
