//! 1.1: what a request says in its headers.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{get, pay_but, reason};
use crate::world::{World, failure, header};

const NOBODY: &str = "0x1111111111111111111111111111111111111111";

#[tokio::test]
async fn names_of_headers_are_read_in_any_case() {
    let world = World::new().await;
    let (front, payer) = (world.front().await, world.payer(100).await);
    let mut request = "GET /file.txt HTTP/1.1\r\nHost: front\r\nConnection: close\r\n".to_owned();
    for (name, value) in &payer.voucher(10) {
        let mut letters = [char::to_ascii_uppercase, char::to_ascii_lowercase].into_iter().cycle();
        let name: String = name.as_str().chars().map(|c| letters.next().unwrap()(&c)).collect();
        request += &format!("{name}: {}\r\n", value.to_str().unwrap());
    }
    let mut stream = TcpStream::connect(front.address).await.unwrap();
    stream.write_all(format!("{request}\r\n").as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
}

#[tokio::test]
async fn the_contract_address_may_come_with_the_first_request_and_is_checked_for_its_form_alone() {
    let world = World::new().await;
    let (front, payer) = (world.front().await, world.payer(100).await);
    for contract in [NOBODY, &payer.voucher(10)["rdn-contract-address"].to_str().unwrap().to_lowercase()] {
        let first = [("rdn-contract-address".parse().unwrap(), contract.parse().unwrap())];
        assert_eq!(failure(&get(&front, "/file.txt", first.into_iter().collect()).await), [""; 0]);
    }
    let nonsense = pay_but(&front, "/file.txt", &payer, 10, &[("rdn-contract-address", "0x1234")]).await;
    assert_eq!(reason(nonsense).await, "Invalid contract address");
    assert_eq!(pay_but(&front, "/file.txt", &payer, 10, &[("rdn-contract-address", NOBODY)]).await.status(), 200);
}

#[tokio::test]
async fn the_receiver_address_is_checked_for_its_form_alone() {
    let world = World::new().await;
    let (front, payer) = (world.front().await, world.payer(100).await);
    let nonsense = pay_but(&front, "/file.txt", &payer, 10, &[("rdn-receiver-address", "me")]).await;
    assert_eq!(reason(nonsense).await, "Invalid receiver address");
    assert_eq!(pay_but(&front, "/file.txt", &payer, 10, &[("rdn-receiver-address", NOBODY)]).await.status(), 200);
}

#[tokio::test]
async fn the_sender_address_is_taken_in_any_case_and_answered_with_its_checksum() {
    let world = World::new().await;
    let (front, payer) = (world.front().await, world.payer(100).await);
    let address = payer.address();
    let upper = format!("0x{}", address[2..].to_uppercase());
    for (amount, sender) in [(10, address.to_lowercase()), (20, upper), (30, address[2..].to_lowercase())] {
        let answer = pay_but(&front, "/file.txt", &payer, amount, &[("rdn-sender-address", &sender)]).await;
        assert_eq!((answer.status().as_u16(), header(&answer, "rdn-sender-address")), (200, Some(address.as_str())));
    }
}

#[tokio::test]
async fn the_open_block_is_a_decimal_number_of_32_bits() {
    let world = World::new().await;
    let (front, payer) = (world.front().await, world.payer(100).await);
    let most = pay_but(&front, "/file.txt", &payer, 10, &[("rdn-open-block", "4294967295")]).await;
    assert_eq!(failure(&most), ["rdn-nonexisting-channel"]);
    for (block, expected) in [
        ("4294967296", "Open block must be < 2^32"),
        ("-1", "Open block must be >= 0"),
        ("0x25", "Open block must be an integer"),
    ] {
        let answer = pay_but(&front, "/file.txt", &payer, 10, &[("rdn-open-block", block)]).await;
        assert_eq!(reason(answer).await, expected);
    }
}

#[tokio::test]
async fn rdn_balance_is_the_new_balance_and_rdn_sender_balance_is_not_read() {
    let world = World::new().await;
    let (front, payer) = (world.front().await, world.payer(100).await);
    for amount in [10, 20] {
        let other = [("rdn-sender-balance", "77")];
        assert_eq!(pay_but(&front, "/file.txt", &payer, amount, &other).await.status(), 200);
    }
    let instead = [("rdn-balance", ""), ("rdn-sender-balance", "30")];
    assert_eq!(reason(pay_but(&front, "/file.txt", &payer, 30, &instead).await).await, "Missing balance");
}

#[tokio::test]
async fn a_balance_of_zero_is_one_that_was_sent() {
    let world = World::new().await;
    let (front, payer) = (world.front().await, world.payer(100).await);
    let zero = front.pay("/file.txt", &payer, 0).await;
    assert_eq!((failure(&zero), header(&zero, "rdn-sender-balance")), (vec![], Some("0")));
}

#[tokio::test]
async fn a_signature_is_hex_with_or_without_0x_and_its_v_is_0_1_27_or_28() {
    let world = World::new().await;
    let (front, payer) = (world.front().await, world.payer(100).await);
    for amount in (10..=80).step_by(10) {
        let signature = payer.voucher(amount)["rdn-balance-signature"].to_str().unwrap().to_owned();
        let short_v = if signature.ends_with("1b") { "00" } else { "01" };
        let forms = [&signature[..], &signature[2..], &format!("{}{short_v}", &signature[..130])];
        let form = forms[usize::try_from(amount / 10).unwrap() % 3];
        let answer = pay_but(&front, "/file.txt", &payer, amount, &[("rdn-balance-signature", form)]).await;
        assert_eq!(answer.status(), 200, "{form}");
    }
}

#[tokio::test]
async fn any_rdn_payment_is_409() {
    let world = World::new().await;
    let (front, payer) = (world.front().await, world.payer(100).await);
    for payment in ["10", "ten", "0"] {
        let answer = pay_but(&front, "/file.txt", &payer, 10, &[("rdn-payment", payment)]).await;
        assert_eq!(reason(answer).await, "Payment must be an integer");
    }
}

#[tokio::test]
async fn rdn_price_must_be_a_number_and_changes_nothing() {
    let world = World::new().await;
    let (front, payer) = (world.front().await, world.payer(100).await);
    for (price, expected) in [("-10", "Price must be >= 0"), ("1.5", "Price must be an integer")] {
        let answer = pay_but(&front, "/file.txt", &payer, 10, &[("rdn-price", price)]).await;
        assert_eq!(reason(answer).await, expected);
    }
    let cheap = pay_but(&front, "/file.txt", &payer, 1, &[("rdn-price", "1")]).await;
    assert_eq!((failure(&cheap), header(&cheap, "rdn-price")), (vec!["rdn-invalid-amount"], Some("10")));
    assert_eq!(pay_but(&front, "/file.txt", &payer, 10, &[("rdn-price", "1")]).await.status(), 200);
}
