//! What an operator asks of a cluster, by the command.

mod backup;
mod claims;
mod encrypted;
mod fixtures;
mod jobs;
mod lists;
mod roles;
mod trail;
mod world;
