//! 3: signatures made by the original's own code are money here.

use alloy_primitives::hex;

use crate::world::{Payer, World, failure, header};

/// Vector 1 of `shared/contracts/vectors/raiden.json`: its contract and receiver are those of these tests.
const BLOCK: u32 = 37;
const BALANCE: u128 = 15;
const SIGNATURE: [u8; 65] = hex!(
    "26df90e3e231ee5289cd6a87f6a1df90b368a1d91e960bee9087e373f96f56a3"
    "6cd74ec6bb04ccef442760759d37a886908663aedc3d884e7f6480410e35c5401c"
);

#[tokio::test]
async fn a_proof_signed_by_the_original_buys() {
    let world = World::new().await;
    let payer = Payer::with_key([0xa0; 32], BLOCK);
    world.opened(&payer, 100).await;
    let route = "[[front.routes]]\npath = \"/vector.txt\"\nfile = \"file.txt\"\nprice = 15\n";
    let front = world.front_selling(route).await;
    let pay =
        |amount: &str| front.request(reqwest::Method::GET, "/vector.txt").headers(payer.headers(amount, &SIGNATURE));
    assert_eq!(failure(&pay("16").send().await.unwrap()), ["rdn-invalid-balance-proof"]);
    let answer = pay(&BALANCE.to_string()).send().await.unwrap();
    assert_eq!((answer.status().as_u16(), header(&answer, "rdn-sender-balance")), (200, Some("15")));
    assert_eq!(header(&answer, "rdn-balance-signature"), Some(hex::encode_prefixed(SIGNATURE).as_str()));
}

#[tokio::test]
async fn our_own_signature_of_it_is_the_same_to_the_byte() {
    let voucher = Payer::with_key([0xa0; 32], BLOCK).voucher(BALANCE);
    assert_eq!(voucher["rdn-balance-signature"], hex::encode_prefixed(SIGNATURE));
}
