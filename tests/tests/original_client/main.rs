//! The original µRaiden clients of 2018, as published, pay our fronts.

mod javascript;
mod python;
mod snippets;
mod world;
