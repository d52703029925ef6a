//! Traces of a real cluster: from the client's `traceparent` through front, PostgreSQL, broker and wallet to the
//! transaction; whom we trace, and what we do not say; and that no collector ever keeps anybody waiting.

mod chain;
mod trouble;
mod whom;
mod world;
