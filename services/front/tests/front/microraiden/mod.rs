//! µRaiden's dialect line by line, in the order of docs/microraiden.md, where the other half of these tests is named.

mod answers;
mod cookies;
mod methods;
mod order_of_checks;
mod requests;
mod signatures;
mod status_codes;

use reqwest::header::HeaderMap;
use reqwest::{Method, Response};

use crate::world::{Front, Payer};

/// GET with a voucher of this payer, some of its headers replaced or, where the value is empty, left out.
async fn pay_but(front: &Front, path: &str, payer: &Payer, amount: u128, changes: &[(&'static str, &str)]) -> Response {
    let mut headers = payer.voucher(amount);
    for (name, value) in changes {
        headers.remove(*name);
        if !value.is_empty() {
            headers.insert(*name, value.parse().unwrap());
        }
    }
    get(front, path, headers).await
}

async fn get(front: &Front, path: &str, headers: HeaderMap) -> Response {
    front.request(Method::GET, path).headers(headers).send().await.unwrap()
}

/// The reason of a 409.
async fn reason(answer: Response) -> String {
    assert_eq!(answer.status(), 409);
    assert_eq!(answer.headers()["content-type"], "application/json");
    answer.json().await.unwrap()
}
