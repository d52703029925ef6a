//! What is killed, cut, filled up and made slow around PostgreSQL and the fronts, and what must hold all the same.
//!
//! | module | what is done | what must hold |
//! |---|---|---|
//! | [`kills`] | `kill -9` of PostgreSQL and fronts, cuts between them, rows that cannot be written | nothing acknowledged is lost |
//! | [`failover`] | the primary dies, a standby takes over | the same; with an asynchronous one something is lost |
//! | [`replays`] | vouchers twice, out of order, at three fronts; a front that sleeps | each is sold once; counters only rise |
//! | [`unknown`] | the answer to a commit is lost | a repetition ends it, and nothing is charged twice |
//! | [`upstream`] | the upstream resets, fails, hangs, stops half-way; its front dies | each sale is charged or credit within a minute |
//! | [`slow`] | PostgreSQL is slow, locked, out of connections | refusals at once, no heap of requests, back soon |
//! | [`full`] | the disk is full: PostgreSQL's, the access log's | 503 while it is, nothing lost; no request waits for a log |
//! | [`rollout`] | fronts are restarted one by one | no request fails |
//! | [`sums`] | random prices, top-ups, closes, reorgs, crashes | served ≤ authorised ≤ signed ≤ deposited, always |
//!
//! One at a time: several measure. `SLUICE_SOAK=1` asks for the long forms, `SLUICE_SEED` for the dice of an earlier run.

mod common;
mod failover;
mod full;
mod kills;
mod replays;
mod rollout;
mod slow;
mod sums;
mod unknown;
mod upstream;
