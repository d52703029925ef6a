use anyhow::Result;
use channel::Amount;
use reqwest::StatusCode;
use testkit::http;
use testkit::x402_express::{Store, X402Express};

async fn pay(server: &X402Express, channel: usize, balance: u128) -> Result<StatusCode> {
    let headers = server.presign(channel, Amount::new(balance))?;
    Ok(http::client()?.get(server.url()).headers(headers).send().await?.status())
}

#[tokio::test]
async fn the_x402_server_sells_for_vouchers_that_were_signed_ahead() -> Result<()> {
    for store in [Store::Memory, Store::Files] {
        let server = X402Express::start(2, Amount::new(100), store).await?;
        for balance in 1..=3 {
            for channel in 0..2 {
                assert_eq!(pay(&server, channel, balance).await?, StatusCode::OK);
            }
        }
        assert_eq!(pay(&server, 0, 3).await?, StatusCode::PAYMENT_REQUIRED, "it was paid with before");
        assert_eq!(server.paid().await?, Amount::new(6));
    }
    Ok(())
}
