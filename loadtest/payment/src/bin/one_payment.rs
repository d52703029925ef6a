//! `one_payment [N]`: signs N vouchers, then pays with them, one after the other. Keys are fixed and signatures
//! deterministic, so that every run does the same; what is counted (by callgrind) is [`pay_all`] alone.

use std::hint::black_box;
use std::process::ExitCode;

use alloy_primitives::address;
use bytes::Bytes;
use channel::{Amount, Key, Terms};
use contracts::{Deployment, Kind};
use http::StatusCode;
use payment::{Payer, Rehearsal};

const PRICE: u128 = 10;

fn main() -> ExitCode {
    let Some(n) = std::env::args().nth(1).map_or(Some(1), |n| n.parse::<u32>().ok()) else {
        eprintln!("usage: one_payment [N]");
        return ExitCode::FAILURE;
    };
    let key = Key::from_bytes(&[0xa0; 32]).expect("a number below the group's order");
    let payer = Payer::new(key, deployment(), 4_958_602);
    let goods = Bytes::from_static(b"{\"goods\":true}\n");
    let rehearsal = Rehearsal::new(deployment(), Terms::default(), Amount::new(PRICE), goods);
    rehearsal.open([payer.channel(Amount::MAX)]);
    let requests: Vec<Bytes> = (1..=n).map(|n| payer.request(Amount::new(PRICE * u128::from(n)))).collect();

    let served = pay_all(&rehearsal, &requests);
    println!("{served} of {n} were served");
    if served == requests.len() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Returns how many were served. Not inlined, because callgrind knows functions by their names.
#[inline(never)]
fn pay_all(rehearsal: &Rehearsal, requests: &[Bytes]) -> usize {
    let is_served = |request: &&Bytes| black_box(rehearsal.answer_bytes(request)).status() == StatusCode::OK;
    requests.iter().filter(is_served).count()
}

fn deployment() -> Deployment {
    Deployment {
        name: "main".to_owned(),
        kind: Kind::Raiden,
        chain_id: 100,
        contract: address!("e7f1725e7734ce288f8367e1bb143e90bb3f0512"),
        token: address!("5fbdb2315678afecb367f032d93f642f64180aa3"),
        payee: address!("08c86b491a37c2ffc25072a17c7a97ef2d0357dd"),
        challenge_period: 500,
        from_block: 0,
        confirmations: 5,
    }
}
