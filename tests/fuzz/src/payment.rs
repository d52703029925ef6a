//! A payment in µRaiden's headers and cookies.

use alloy_primitives::{U256, hex};
use contracts::raiden;
use http::{HeaderMap, StatusCode};
use protocols::raiden::Raiden;
use protocols::{Payment, Protocol};

use crate::head;

/// Header lines. What is read as a payment, written again as headers or as cookies, reads the same.
pub fn read(input: &[u8]) -> bool {
    let headers = head::headers(input);
    match Raiden.payment(&head::with(headers.clone())) {
        Ok(Some(payment)) => {
            assert!(payment.amount < U256::ONE << 192, "the contract's balances are 192 bits wide");
            assert_eq!(again(headers_of(&payment)), payment);
            assert_eq!(again(cookies_of(&payment)), payment);
            true
        }
        Ok(None) => {
            let carries_one = headers.contains_key("rdn-balance-signature") && !headers.contains_key("cookie");
            assert!(!carries_one || headers["rdn-balance-signature"].as_bytes().trim_ascii().is_empty());
            false
        }
        Err(malformed) => {
            assert_eq!(malformed.status, StatusCode::CONFLICT);
            assert!(malformed.reason.is_string());
            assert_eq!(Raiden.malformed(&malformed).status, StatusCode::CONFLICT);
            false
        }
    }
}

fn again(headers: HeaderMap) -> Payment {
    Raiden.payment(&head::with(headers)).expect("it is well formed").expect("it is there")
}

fn headers_of(payment: &Payment) -> HeaderMap {
    let lines = format!(
        "rdn-sender-address: {}\nrdn-open-block: {}\nrdn-balance: {}\nrdn-balance-signature: {}",
        payment.opening.payer,
        open_block(payment),
        payment.amount,
        hex::encode(payment.signature)
    );
    head::headers(lines.as_bytes())
}

/// The cookies count, not the headers beside them.
fn cookies_of(payment: &Payment) -> HeaderMap {
    let lines = format!(
        "rdn-balance: 7\nrdn-open-block: 7\ncookie: other=1; RDN-Sender-Address=\"{}\"; RDN-Open-Block={}\n\
         cookie: RDN-Sender-Balance={}; RDN-Balance-Signature={}",
        payment.opening.payer,
        open_block(payment),
        payment.amount,
        hex::encode_prefixed(payment.signature)
    );
    head::headers(lines.as_bytes())
}

fn open_block(payment: &Payment) -> u32 {
    raiden::open_block(&payment.opening.params).expect("it was made from 32 bits")
}
