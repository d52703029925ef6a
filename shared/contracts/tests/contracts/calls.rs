//! Calldata, byte for byte where it is short, decoded again where it is long.

use alloy_primitives::aliases::U192;
use alloy_primitives::{B256, Bytes, U256, hex};
use channel::{Amount, Key};
use contracts::raiden::{self, Raiden, abi};
use contracts::{Contract, ContractError, Opening, SolCall, token};

use crate::{PAYEE, PAYER, deployment};

fn words(selector: [u8; 4], words: &[U256]) -> Bytes {
    let words = words.iter().flat_map(|word| word.to_be_bytes::<32>());
    selector.into_iter().chain(words).collect::<Vec<_>>().into()
}

fn payee() -> U256 {
    U256::from_be_slice(PAYEE.as_slice())
}

fn payer() -> U256 {
    U256::from_be_slice(PAYER.as_slice())
}

#[test]
fn erc223_data_is_40_bytes_to_open_and_44_to_top_up() {
    let opened = hex!("8bf640a099fe945da46f354d3b49c48a125f48b608c86b491a37c2ffc25072a17c7a97ef2d0357dd");
    assert_eq!(raiden::open_data(PAYER, PAYEE), Bytes::from(opened));
    let topped_up = [opened.as_slice(), &[0, 0, 1, 2]].concat();
    assert_eq!(raiden::top_up_data(&raiden::opening(PAYER, 258), PAYEE).unwrap(), Bytes::from(topped_up));
}

#[test]
fn payers_calls_are_words_after_a_selector() {
    let (opening, amount, n) = (raiden::opening(PAYER, 37), Amount::new(15), U256::from);
    assert_eq!(raiden::create_channel(PAYEE, amount), words(hex!("a6d15963"), &[payee(), n(15)]));
    assert_eq!(raiden::top_up(&opening, PAYEE, amount).unwrap(), words(hex!("016a8cf6"), &[payee(), n(37), n(15)]));
    let close = raiden::uncooperative_close(&opening, PAYEE, amount).unwrap();
    assert_eq!(close, words(hex!("323cb59b"), &[payee(), n(37), n(15)]));
    assert_eq!(raiden::settle(&opening, PAYEE).unwrap(), words(hex!("5a8e9d66"), &[payee(), n(37)]));
    let info = raiden::channel_info(&opening, PAYEE).unwrap();
    assert_eq!(info, words(hex!("0eba6b06"), &[payer(), payee(), n(37)]));
}

#[test]
fn a_cooperative_close_carries_both_signatures_and_the_widest_amount() {
    let key = Key::from_bytes(&[7; 32]).unwrap();
    let (voucher, closing) = (key.sign(B256::repeat_byte(1)), key.sign(B256::repeat_byte(2)));
    let opening = raiden::opening(PAYER, u32::MAX);
    let data = Raiden.cooperative_close(&deployment(), &opening, Amount::MAX, &voucher, &closing).unwrap();
    assert_eq!(data[..4], hex!("1c6f609b"));
    let call = abi::cooperativeCloseCall::abi_decode_validate(&data).unwrap();
    assert_eq!((call._receiver_address, call._open_block_number), (PAYEE, u32::MAX));
    assert_eq!(call._balance, U192::from(u128::MAX));
    assert_eq!(call._balance_msg_sig.as_ref(), voucher.as_bytes());
    assert_eq!(call._closing_sig.as_ref(), closing.as_bytes());
}

#[test]
fn a_claim_carries_the_voucher_and_says_for_how_much_it_is() {
    let voucher = Key::from_bytes(&[7; 32]).unwrap().sign(B256::repeat_byte(1));
    for amount in [Amount::new(1), Amount::MAX] {
        let data = Raiden.claim(&raiden::opening(PAYER, 37), amount, &voucher).unwrap();
        assert_eq!(data[..4], hex!("a6b7fa36"));
        let call = abi::withdrawCall::abi_decode_validate(&data).unwrap();
        assert_eq!((call._open_block_number, call._balance), (37, U192::from(amount.units())));
        assert_eq!(call._balance_msg_sig.as_ref(), voucher.as_bytes());
        assert_eq!(Raiden.claimed_by(&data), Some(amount));
        assert_eq!(Raiden.claimed_by(&data[..100]), None);
    }
    let (base, opening) = (deployment(), raiden::opening(PAYER, 37));
    let other = Raiden.cooperative_close(&base, &opening, Amount::new(1), &voucher, &voucher).unwrap();
    assert_eq!(Raiden.claimed_by(&other), None);
    assert_eq!(Raiden.claimed_by(&[]), None);
    let too_much = abi::withdrawCall { _open_block_number: 1, _balance: U192::MAX, _balance_msg_sig: Bytes::new() };
    assert_eq!(Raiden.claimed_by(&too_much.abi_encode()), None);
}

#[test]
fn nothing_is_encoded_for_params_that_name_no_channel() {
    let (base, amount) = (deployment(), Amount::new(1));
    let bad = Opening { payer: PAYER, params: Bytes::from_static(&[0; 5]) };
    let signature = Key::from_bytes(&[7; 32]).unwrap().sign(B256::ZERO);
    let answers = [
        raiden::top_up_data(&bad, PAYEE),
        raiden::top_up(&bad, PAYEE, amount),
        raiden::uncooperative_close(&bad, PAYEE, amount),
        raiden::settle(&bad, PAYEE),
        raiden::channel_info(&bad, PAYEE),
        Raiden.cooperative_close(&base, &bad, amount, &signature, &signature),
        Raiden.claim(&bad, amount, &signature),
    ];
    for answer in answers {
        assert!(matches!(answer, Err(ContractError::Params { expected: 4, got: 5 })), "{answer:?}");
    }
}

#[test]
fn channel_info_is_read_at_full_width() {
    let answer = words([0; 4], &[U256::from(1), U256::from(U192::MAX), U256::from(9), U256::from(4), U256::from(3)]);
    let info = raiden::read_channel_info(&answer[4..]).unwrap();
    let expected = raiden::ChannelInfo {
        key: U256::from(1).into(),
        deposit: U192::MAX,
        settle_block: Some(9),
        closing_balance: U192::from(4),
        withdrawn: U192::from(3),
    };
    assert_eq!(info, expected);

    let open = words([0; 4], &[U256::ZERO; 5]);
    assert_eq!(raiden::read_channel_info(&open[4..]).unwrap().settle_block, None);
}

#[test]
fn an_answer_of_another_shape_is_an_error() {
    let too_wide = words([0; 4], &[U256::MAX; 5]);
    for answer in [&[][..], &[0; 159], &too_wide[4..]] {
        let error = raiden::read_channel_info(answer).unwrap_err();
        assert_eq!(error.to_string(), "the answer is not one of getChannelInfo(address,address,uint32)");
    }
    assert!(matches!(token::read_amount(&[]), Err(ContractError::Answer { .. })));
    assert_eq!(token::read_amount(&[0xff; 32]).unwrap(), U256::MAX);
}

#[test]
fn token_calls_are_erc20_and_erc223() {
    let amount = Amount::new(15);
    assert_eq!(token::balance_of(PAYER), words(hex!("70a08231"), &[payer()]));
    assert_eq!(token::allowance(PAYER, PAYEE), words(hex!("dd62ed3e"), &[payer(), payee()]));
    assert_eq!(token::approve(PAYEE, amount), words(hex!("095ea7b3"), &[payee(), U256::from(15)]));
    assert_eq!(token::transfer(PAYEE, U256::MAX), words(hex!("a9059cbb"), &[payee(), U256::MAX]));

    let data = token::transfer_with_data(PAYEE, amount, Bytes::from_static(&[0xab; 40]));
    let mut tail = [0; 64];
    tail[..40].fill(0xab);
    let head = words(hex!("be45fd62"), &[payee(), U256::from(15), U256::from(96), U256::from(40)]);
    assert_eq!(data, Bytes::from([head.as_ref(), &tail].concat()));
}
