use anyhow::Result;
use channel::{Amount, Key};
use payer::{ChannelKey, presign};
use reqwest::StatusCode;
use testkit::http;
use testkit::original_proxy::OriginalProxy;

async fn pay(proxy: &OriginalProxy, (key, channel): &(Key, ChannelKey), balance: u128) -> Result<StatusCode> {
    let headers = presign(key, *channel, Amount::new(balance));
    Ok(http::client()?.get(proxy.url()).headers(headers).send().await?.status())
}

#[tokio::test]
async fn the_original_proxy_sells_for_vouchers_that_were_signed_ahead() -> Result<()> {
    let proxy = OriginalProxy::start(2, Amount::new(100)).await?;
    assert_eq!(http::client()?.get(proxy.url()).send().await?.status(), StatusCode::PAYMENT_REQUIRED);
    for balance in 1..=3 {
        for payer in &proxy.channels {
            assert_eq!(pay(&proxy, payer, balance).await?, StatusCode::OK);
        }
    }
    assert_eq!(pay(&proxy, &proxy.channels[0], 3).await?, StatusCode::PAYMENT_REQUIRED, "it was paid with before");
    assert_eq!(proxy.paid().await?, Amount::new(6));
    Ok(())
}
