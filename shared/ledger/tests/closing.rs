//! A close that is agreed is agreed: nothing is sold after it, and the same signature is given for ever.

mod common;

use alloy_primitives::keccak256;
use channel::{CloseRefusal, Refusal, Step};
use common::*;
use ledger::{LedgerError, Order, Settlement, When};

#[tokio::test(flavor = "multi_thread")]
async fn sells_nothing_after_a_close_that_is_agreed_while_others_sell() {
    let (front, url) = ledger_with(40, 10_000).await;
    let wallet = connect(&url).await;
    let mut agreed_at = Vec::new();
    for n in 0..40 {
        let seller = tokio::spawn({
            let front = front.clone();
            async move {
                let mut sold = 0_u128;
                let prepaid = voucher(n, 5_000);
                loop {
                    let order = Order { terms: terms(Step::Any), ..order(prepaid) };
                    match sell(&front, order).await {
                        Ok(_) => sold += 1,
                        Err(refused) => return (sold, refused),
                    }
                }
            }
        });
        let agreed = loop {
            let (_, epoch) = wallet.view(channel_id(n)).await.unwrap().expect("it is open");
            if epoch.spent >= amount(3) {
                // What was spent a moment ago is too little by now, or just right; what is authorised always will do.
                let least = wallet.agree_close(channel_id(n), epoch.spent).await.unwrap();
                break match least {
                    Ok(agreed) => agreed,
                    Err(CloseRefusal::Amount { most, .. }) => {
                        wallet.agree_close(channel_id(n), most).await.unwrap().expect("it covers everything")
                    }
                    Err(refusal) => panic!("{refusal}"),
                };
            }
        };
        let (sold, refused) = seller.await.unwrap();
        let (channel, epoch) = wallet.view(channel_id(n)).await.unwrap().expect("it is open");
        assert_eq!(refused.refusal, Refusal::NotOpen);
        assert_eq!((epoch.spent, epoch.held), (agreed.1.spent, amount(0)), "nothing was sold after it was agreed");
        assert_eq!(epoch.spent, amount(sold), "everything that was answered is there");
        assert!(channel.agreed_close >= Some(epoch.spent));
        agreed_at.push(sold);
    }
    println!("sold before the close: {agreed_at:?}");
}

#[tokio::test]
async fn agrees_to_the_same_close_again_and_to_no_other() {
    let (ledger, _) = ledger_with(1, 100).await;
    let held = Order { settle: When::Later, price: amount(4), ..order(voucher(0, 4)) };
    let hold = hold_of(sell(&ledger, held).await.expect("it is paid for"));
    let refused = ledger.agree_close(channel_id(0), amount(3)).await.unwrap();
    assert_eq!(refused.map(drop), Err(CloseRefusal::Amount { least: amount(4), most: amount(4) }));
    for _ in 0..2 {
        let (channel, _) = ledger.agree_close(channel_id(0), amount(4)).await.unwrap().expect("it covers what is held");
        assert_eq!(channel.agreed_close, Some(amount(4)));
    }
    let refused = ledger.agree_close(channel_id(0), amount(5)).await.unwrap();
    assert_eq!(refused.map(drop), Err(CloseRefusal::AgreedOtherwise { agreed: amount(4) }));
    let captured = ledger.settle(&hold, Settlement::Capture(amount(4))).await.unwrap();
    assert_eq!(captured.taken, amount(4), "what was held when it was agreed is still served");
    assert_eq!(ledger.agree_close(channel_id(9), amount(0)).await.unwrap().map(drop), Err(CloseRefusal::NotOpen));
}

#[tokio::test]
async fn gives_the_closing_signature_that_it_gave_before() {
    let (ledger, _) = ledger_with(1, 100).await;
    let [first, second] = [1_u8, 2].map(|n| payer().sign(keccak256([n])));
    assert_eq!(ledger.closing(channel_id(0)).await.unwrap(), None);
    assert_eq!(ledger.store_closing(channel_id(0), amount(5), first).await.unwrap(), first);
    assert_eq!(ledger.store_closing(channel_id(0), amount(5), second).await.unwrap(), first);
    let other = ledger.store_closing(channel_id(0), amount(6), second).await;
    assert!(matches!(other, Err(LedgerError::Conflict(_))), "{other:?}");
    assert_eq!(ledger.closing(channel_id(0)).await.unwrap(), Some((amount(5), first)));
}

#[tokio::test]
async fn sells_nothing_for_a_voucher_that_is_published() {
    let (ledger, _) = ledger_with(1, 100).await;
    let prepaid = Order { terms: terms(Step::Any), ..order(voucher(0, 10)) };
    sell(&ledger, prepaid.clone()).await.expect("there is credit");
    ledger.publish(channel_id(0), amount(10)).await.unwrap();
    ledger.publish(channel_id(0), amount(4)).await.unwrap();
    assert_eq!(sell(&ledger, prepaid).await.expect_err("anyone can read it").refusal, Refusal::Published);
    let newer = Order { terms: terms(Step::Any), ..order(voucher(0, 11)) };
    sell(&ledger, newer).await.expect("nobody else has this one");
    let unknown = ledger.publish(channel_id(9), amount(1)).await;
    assert!(matches!(unknown, Err(LedgerError::NotFound("channel"))), "{unknown:?}");
}
