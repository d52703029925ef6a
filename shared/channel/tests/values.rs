//! Amounts and signatures: what is read, and what is refused.

mod common;

use alloy_primitives::{B256, U256};
use channel::{Amount, AmountError, BadSignature, Key, Signature, Voucher};
use common::*;
use proptest::prelude::*;

#[test]
fn amounts_are_plain_decimal_digits() {
    for (text, units) in [("0", 0), ("7", 7), ("340282366920938463463374607431768211455", u128::MAX)] {
        assert_eq!(text.parse(), Ok(amount(units)));
        assert_eq!(amount(units).to_string(), text);
    }
    for text in ["", "+1", "-1", "01", "1.0", "1e3", " 1", "1_000", "0x10", "١"] {
        assert_eq!(text.parse::<Amount>(), Err(AmountError::NotDecimal), "{text:?}");
    }
    assert_eq!("340282366920938463463374607431768211456".parse::<Amount>(), Err(AmountError::TooLarge));
}

#[test]
fn integers_of_a_contract_are_read_in_full_or_saturate() {
    let above = U256::from(u128::MAX) + U256::from(1);
    assert_eq!(Amount::try_from(above), Err(AmountError::TooLarge));
    assert_eq!(Amount::saturating_from(above), Amount::MAX);
    assert_eq!(Amount::try_from(U256::from(5)), Ok(amount(5)));
}

#[test]
fn a_voucher_is_verified_only_against_its_own_digest_and_signer() {
    let (key, digest) = (payer(), digest(10, 0));
    let voucher = Voucher { channel: channel_id(), epoch: 0, amount: amount(10), signature: key.sign(digest) };
    assert!(voucher.verify(digest, key.address()).is_ok());
    assert!(voucher.verify(digest, nobody()).is_err());
    assert!(voucher.verify(common::digest(11, 0), key.address()).is_err());
}

#[test]
fn signatures_of_a_wrong_shape_are_refused_with_the_reason() {
    let good = *payer().sign(B256::repeat_byte(1)).as_bytes();
    let with = |place: std::ops::Range<usize>, byte: u8| {
        let mut bytes = good;
        bytes[place].fill(byte);
        Signature::parse(&bytes)
    };
    assert_eq!(Signature::parse(&good[..64]), Err(BadSignature::Length(64)));
    assert_eq!(Signature::parse(&[]), Err(BadSignature::Length(0)));
    for v in [2, 26, 29, 35, 36, 255] {
        assert_eq!(with(64..65, v), Err(BadSignature::RecoveryId(v)));
    }
    for place in [0..32, 32..64] {
        assert_eq!(with(place.clone(), 0), Err(BadSignature::Range));
        assert_eq!(with(place, 0xff), Err(BadSignature::Range));
    }
}

#[test]
fn a_key_never_shows_itself() {
    let key = Key::from_bytes(&[0x42; 32]).expect("a valid key");
    assert!(!format!("{key:?}").contains("4242"));
    assert!(Key::from_bytes(&[0; 32]).is_none());
    assert!(Key::from_bytes(&[0xff; 32]).is_none());
}

proptest! {
    #[test]
    fn the_high_s_twin_and_short_v_are_the_same_signature(secret in 1u8..255, content: [u8; 32]) {
        let key = Key::from_bytes(&[secret; 32]).expect("below the order");
        let signature = key.sign(B256::from(content));
        let order: U256 = "0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141".parse().expect("hex");
        let mut twin = *signature.as_bytes();
        let s = U256::from_be_slice(&twin[32..64]);
        twin[32..64].copy_from_slice(&(order - s).to_be_bytes::<32>());
        twin[64] = if twin[64] == 27 { 1 } else { 0 };
        prop_assert_eq!(Signature::parse(&twin), Ok(signature));
    }

    #[test]
    fn both_implementations_recover_the_same_signer(secret in 1u8..255, content: [u8; 32], flip in 0usize..520) {
        let key = Key::from_bytes(&[secret; 32]).expect("below the order");
        let digest = B256::from(content);
        let signature = key.sign(digest);
        prop_assert_eq!(signature.recover(digest), Ok(key.address()));
        prop_assert_eq!(signature.recover_in_rust(digest), Ok(key.address()));
        let mut bytes = *signature.as_bytes();
        bytes[flip / 8] ^= 1 << (flip % 8);
        if let Ok(mutant) = Signature::parse(&bytes) {
            prop_assert_eq!(mutant.recover(digest), mutant.recover_in_rust(digest));
            prop_assert_ne!(mutant.recover(digest), Ok(key.address()));
        }
    }
}
