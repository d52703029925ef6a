//! One paid request with nothing around it: parse → verify → charge → word the answer.
//!
//! A [`Rehearsal`] sells as a front and its ledger do, by the same functions and the same rules, but from memory: no IO, no
//! clock, no commit. So it is what a payment costs at least. `cargo xtask check` counts the instructions of it (the program
//! `one_payment`), and the load test puts it behind our HTTP stack to see how fast a front could be that forgets everything.
//!
//! *Absent by design:* what has a place beside the payment. Budgets, quotas, request ids and repetitions are the front's;
//! what payers owe elsewhere is the ledger's.

mod head;
mod payer;
mod rehearsal;

pub use payer::Payer;
pub use rehearsal::Rehearsal;
