//! What an operator asks of a cluster, by the command.

mod backup;
mod claims;
mod fixtures;
mod jobs;
mod lists;
mod trail;
mod world;
