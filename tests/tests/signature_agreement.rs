//! A voucher that we accept must be one that the contract pays, and the other way round. Every way in which 65 bytes can
//! be a signature, or not quite, is put to our verifier (libsecp256k1 and k256), to our contract and to the original's
//! bytecode; all four must name the same signer, or none.

use std::env;

use alloy_primitives::{Address, Bytes, U256, uint};
use anyhow::{Context, Result, ensure};
use channel::{Key, Signature};
use contracts::raiden::{self, abi};
use futures::{StreamExt, TryStreamExt, stream};
use rand::rngs::StdRng;
use rand::{Rng, RngCore, SeedableRng};

use crate::chain::{Chain, ours, the_original};

#[expect(dead_code, reason = "the other half of the module serves the contracts' behaviour")]
#[path = "contract_behaviour/chain.rs"]
mod chain;

/// The order of secp256k1's group.
const ORDER: U256 = uint!(0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141_U256);
/// The prime of its field: the largest x of a point is below it, a little above the order.
const PRIME: U256 = uint!(0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEFFFFFC2F_U256);

const MUTATIONS: usize = 10_000;
/// How many questions are on their way at once.
const AT_ONCE: usize = 16;

/// A channel on both contracts, and whoever signs for it.
struct Court {
    chain: Chain,
    ours: Address,
    original: Address,
    payer: Key,
    payee: Address,
}

/// Bytes that claim to be a balance proof.
#[derive(Clone, Debug)]
struct Claim {
    /// What was done to it.
    mutation: String,
    block: u32,
    balance: u128,
    bytes: Vec<u8>,
}

impl Court {
    async fn sit() -> Result<Court> {
        let chain = Chain::start().await?;
        let token = chain.deploy_token(&ours().token).await?;
        let (ours, original) = (
            chain.deploy_channels(&ours().channels, token).await?,
            chain.deploy_channels(&the_original().channels, token).await?,
        );
        let payer = Key::from_bytes(&[1; 32]).context("32 equal bytes are a key")?;
        Ok(Court { chain, ours, original, payer, payee: Address::repeat_byte(2) })
    }

    /// What the payer signs to `contract`.
    fn signed(&self, contract: Address, block: u32, balance: u128) -> Vec<u8> {
        let digest = raiden::balance_proof_digest(contract, self.payee, block, U256::from(balance).to());
        self.payer.sign(digest).as_bytes().to_vec()
    }

    /// Whom all of us name; an error when we do not agree.
    async fn judge(&self, contract: Address, claim: &Claim) -> Result<Option<Address>> {
        let Claim { mutation, block, balance, bytes } = claim;
        let balance = U256::from(*balance).to();
        let digest = raiden::balance_proof_digest(contract, self.payee, *block, balance);
        let parsed = Signature::parse(bytes);
        let by_default = parsed.and_then(|signature| signature.recover(digest)).ok();
        let by_k256 = parsed.and_then(|signature| signature.recover_in_rust(digest)).ok();

        let question = abi::extractBalanceProofSignatureCall {
            _receiver_address: self.payee,
            _open_block_number: *block,
            _balance: balance,
            _balance_msg_sig: Bytes::copy_from_slice(bytes),
        };
        // Zero is nobody: no channel is of the zero address.
        let by_contract = self.chain.ask(contract, &question).await?.ok().filter(|signer| !signer.is_zero());

        ensure!(
            by_default == by_k256 && by_k256 == by_contract,
            "{mutation}: libsecp256k1 says {by_default:?}, k256 {by_k256:?}, the contract {by_contract:?} of {:?}",
            question._balance_msg_sig
        );
        Ok(by_contract)
    }
}

fn with_word(bytes: &[u8], place: usize, word: U256) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    bytes[place..place + 32].copy_from_slice(&word.to_be_bytes::<32>());
    bytes
}

fn with_v(bytes: &[u8], v: u8) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    bytes[64] = v;
    bytes
}

/// The same signature with the other s, and the parity that goes with it.
fn other_form(bytes: &[u8]) -> Vec<u8> {
    let s = U256::from_be_slice(&bytes[32..64]);
    with_v(&with_word(bytes, 32, ORDER - s), 27 + 28 - bytes[64])
}

#[tokio::test]
async fn every_form_of_the_payers_signature_is_the_payers() -> Result<()> {
    let court = Court::sit().await?;
    for contract in [court.ours, court.original] {
        for balance in 0..20 {
            let signed = court.signed(contract, 37, balance);
            let other = other_form(&signed);
            let forms = [
                ("as signed", signed.clone()),
                ("v less 27", with_v(&signed, signed[64] - 27)),
                ("high s", other.clone()),
                ("high s, v less 27", with_v(&other, other[64] - 27)),
            ];
            for (mutation, bytes) in forms {
                let claim = Claim { mutation: mutation.to_owned(), block: 37, balance, bytes };
                assert_eq!(court.judge(contract, &claim).await?, Some(court.payer.address()), "{claim:?}");
            }
        }
    }
    Ok(())
}

#[tokio::test]
async fn what_is_not_the_payers_signature_is_nobodys_or_somebody_elses() -> Result<()> {
    let court = Court::sit().await?;
    for contract in [court.ours, court.original] {
        for (mutation, bytes) in spoilt(&court.signed(contract, 37, 15)) {
            let claim = Claim { mutation, block: 37, balance: 15, bytes };
            assert_ne!(court.judge(contract, &claim).await?, Some(court.payer.address()), "{claim:?}");
        }
    }
    Ok(())
}

/// Everything that can be wrong with a signature, by name.
fn spoilt(good: &[u8]) -> Vec<(String, Vec<u8>)> {
    let v = good[64];
    let mut table = vec![
        ("all zero".to_owned(), vec![0; 65]),
        ("all ones".to_owned(), vec![255; 65]),
        ("r and s swapped".to_owned(), [&good[32..64], &good[..32], &[v]].concat()),
        ("the other parity".to_owned(), with_v(good, 27 + 28 - v)),
        ("high s alone".to_owned(), with_v(&other_form(good), v)),
    ];
    for other in (0..=255).filter(|other| ![v, v - 27].contains(other)) {
        table.push((format!("v {other}"), with_v(good, other)));
    }
    for length in [0, 1, 32, 63, 64, 66, 96, 130] {
        let bytes = good.iter().copied().chain([0; 65]).take(length).collect();
        table.push((format!("{length} bytes"), bytes));
    }
    for bit in 0..65 * 8 {
        let mut bytes = good.to_vec();
        bytes[bit / 8] ^= 1 << (bit % 8);
        table.push((format!("bit {bit} flipped"), bytes));
    }
    let (one, two) = (U256::from(1), U256::from(2));
    let edges = [U256::ZERO, one, two, PRIME - ORDER, ORDER >> 1, ORDER - one, ORDER, ORDER + one, PRIME - one, PRIME];
    for word in edges.into_iter().chain([U256::MAX]) {
        table.push((format!("r {word:#x}"), with_word(good, 0, word)));
        table.push((format!("s {word:#x}"), with_word(good, 32, word)));
    }
    table
}

#[tokio::test]
async fn random_mutations_are_judged_alike() -> Result<()> {
    let seed: u64 = match env::var("SLUICE_SEED") {
        Ok(seed) => seed.parse().context("SLUICE_SEED is a number")?,
        Err(_) => rand::random(),
    };
    println!("SLUICE_SEED={seed}");
    let court = Court::sit().await?;
    let mut random = StdRng::seed_from_u64(seed);
    let claims: Vec<(Address, Claim)> = (0..MUTATIONS)
        .map(|number| {
            let contract = if number % 2 == 0 { court.ours } else { court.original };
            (contract, mutated(&court, contract, &mut random))
        })
        .collect();
    let judged = stream::iter(&claims).map(async |(contract, claim)| court.judge(*contract, claim).await);
    let verdicts: Vec<Option<Address>> = judged.buffer_unordered(AT_ONCE).try_collect().await?;

    let payers = verdicts.iter().filter(|signer| **signer == Some(court.payer.address())).count();
    let nobodys = verdicts.iter().filter(|signer| signer.is_none()).count();
    println!("the payer's {payers}, nobody's {nobodys}, somebody else's {}", MUTATIONS - payers - nobodys);
    for verdict in [payers, nobodys, MUTATIONS - payers - nobodys] {
        ensure!(verdict > MUTATIONS / 50, "one verdict is so rare that little was compared");
    }
    Ok(())
}

/// A good signature, changed in one way, or in none.
fn mutated(court: &Court, contract: Address, random: &mut StdRng) -> Claim {
    let (block, balance) = (random.random(), random.random());
    let mut bytes = court.signed(contract, block, balance);
    let mutation = match random.random_range(0..10) {
        0 => "none",
        1 => {
            bytes = other_form(&bytes);
            "the other form"
        }
        2 => {
            bytes[64] = random.random();
            "any v"
        }
        3 => {
            bytes[64] -= 27;
            "v less 27"
        }
        4 => {
            bytes[random.random_range(0..64)] ^= 1 << random.random_range(0..8);
            "one bit of r or s"
        }
        5 => {
            bytes[64] ^= 1 << random.random_range(0..8);
            "one bit of v"
        }
        6 => {
            random.fill_bytes(&mut bytes[..64]);
            "any r and s"
        }
        7 => {
            bytes = vec![0; random.random_range(0..100)];
            random.fill_bytes(&mut bytes);
            "any bytes"
        }
        8 => {
            // Around the edges of the group.
            let place = 32 * random.random_range(0..2);
            let near = U256::from(random.random_range(0..4));
            let word = if random.random() { ORDER.wrapping_add(near) - U256::from(2) } else { near };
            bytes = with_word(&bytes, place, word);
            "an edge"
        }
        _ => {
            // An x above the order: ecrecover takes r for it and never r plus the order, so v has two values, not four.
            let above = ORDER + U256::from(random.random::<u64>());
            bytes = with_word(&bytes, 0, above.min(PRIME));
            bytes[64] = 27 + random.random_range(0..4);
            "r above the order"
        }
    };
    Claim { mutation: mutation.to_owned(), block, balance, bytes }
}
