//! What we hash, encode and decode is what the original client and contract hash, encode and decode.

mod abi;
mod calls;
mod logs;
mod vectors;

use alloy_primitives::{Address, address};
use contracts::{Deployment, Kind};

const PAYER: Address = address!("8Bf640A099fE945DA46F354d3B49c48a125F48B6");
const PAYEE: Address = address!("08c86B491A37C2FFC25072a17c7A97EF2D0357dd");

/// The deployment of the first vector.
fn deployment() -> Deployment {
    Deployment {
        name: "demo".to_owned(),
        kind: Kind::Raiden,
        chain_id: 100,
        contract: address!("e7f1725E7734CE288F8367e1Bb143E90bb3F0512"),
        token: address!("5FbDB2315678afecb367f032d93F642f64180aa3"),
        payee: PAYEE,
        challenge_period: 500,
        from_block: 0,
        confirmations: 1,
    }
}
