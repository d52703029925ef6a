//! Paying where redirects lead. The rules for the next request are those of browsers and curl (RFC 9110, 15.4).

use bytes::Bytes;
use channel::Amount;
use http::header::{AUTHORIZATION, CONTENT_TYPE, COOKIE, LOCATION, PROXY_AUTHORIZATION};
use http::{HeaderMap, Method, Request, StatusCode};
use reqwest::Url;

use crate::answer::{Answer, Redirect};
use crate::call::{Call, IDEMPOTENCY_KEY, Options};
use crate::client::Payer;
use crate::error::PayerError;

impl Payer {
    /// Sends a request, pays what it costs, and returns the answer. Redirects are followed as far as the options say; one
    /// that is not is the answer, and [`Answer::stopped`] says why.
    ///
    /// # Errors
    /// [`PayerError::Limit`]: nothing was paid. [`PayerError::Refused`]: the server does not take the payment.
    /// [`PayerError::AnswerLost`], [`PayerError::TakenNotServed`]: see there, and the crate's text on lost answers.
    pub async fn pay(&self, request: Request<Bytes>, mut options: Options) -> Result<Answer, PayerError> {
        let asked = origin(&request);
        if options.idempotency_key.is_none() {
            let key = request.headers().get(&IDEMPOTENCY_KEY).and_then(|key| key.to_str().ok());
            options.idempotency_key = key.map(str::to_owned);
        }
        let mut current = request.clone();
        let mut answer = self.0.pay(Call::new(request, options.clone())?).await?;
        let (mut paid, mut redirects) = (answer.receipt.cost, Vec::new());
        while options.redirects > 0 && is_redirect(&answer) {
            let number = redirects.len() + 1;
            let followed = match next(&current, &answer, number, &options) {
                Ok(request) => {
                    self.follow(&request, &options, number, paid, asked.as_ref()).await.map(|to| (request, to))
                }
                Err(error) => Err(error),
            };
            match followed {
                Ok((request, to)) => {
                    let status = answer.response.status().as_u16();
                    redirects.push(Redirect { status, to: to.response.url().to_string(), receipt: answer.receipt });
                    paid = paid.saturating_add(to.receipt.cost);
                    (current, answer) = (request, to);
                }
                Err(error) => {
                    answer.stopped = Some(error);
                    break;
                }
            }
        }
        answer.redirects = redirects;
        Ok(answer)
    }

    async fn follow(
        &self,
        request: &Request<Bytes>,
        options: &Options,
        number: usize,
        paid: Amount,
        asked: Option<&Origin>,
    ) -> Result<Answer, PayerError> {
        // A key names one request; repeated with its redirects, each of them keeps its own.
        let idempotency_key = options.idempotency_key.as_ref().map(|key| format!("{key}.{number}"));
        let mut call = Call::new(request.clone(), Options { idempotency_key, ..options.clone() })?;
        call.paid_before = paid;
        call.led_astray = origin(request).as_ref() != asked;
        self.0.pay(call).await
    }
}

fn is_redirect(answer: &Answer) -> bool {
    let status = answer.response.status();
    matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308) && answer.response.headers().contains_key(LOCATION)
}

/// Scheme, host and port: who is asked.
type Origin = (String, String, u16);

fn origin(request: &Request<Bytes>) -> Option<Origin> {
    let url: Url = request.uri().to_string().parse().ok()?;
    Some((url.scheme().to_owned(), url.host_str()?.to_owned(), url.port_or_known_default()?))
}

/// The request that follows a redirect.
fn next(
    before: &Request<Bytes>,
    answer: &Answer,
    number: usize,
    options: &Options,
) -> Result<Request<Bytes>, PayerError> {
    let most = usize::try_from(options.redirects).unwrap_or(usize::MAX);
    if number > most {
        return Err(PayerError::Redirect(format!("more than {most} redirects in a row")));
    }
    let (status, headers) = (answer.response.status(), answer.response.headers());
    let location = headers.get(LOCATION).and_then(|location| location.to_str().ok());
    redirected(before, status, location.unwrap_or_default())
}

fn redirected(before: &Request<Bytes>, status: StatusCode, location: &str) -> Result<Request<Bytes>, PayerError> {
    let cannot = |why: &str| PayerError::Redirect(format!("a redirect to {location:?} cannot be followed: {why}"));
    let from: Url = before.uri().to_string().parse().map_err(|_| cannot("it is relative to no URL"))?;
    let mut to = from.join(location).map_err(|_| cannot("that is no URL"))?;
    if !matches!(to.scheme(), "http" | "https") {
        return Err(cannot("only http and https can be paid"));
    }
    if from.scheme() == "https" && to.scheme() == "http" {
        return Err(cannot("it leads from TLS to plain text"));
    }
    if !to.username().is_empty() || to.password().is_some() {
        return Err(cannot("it names a user"));
    }
    to.set_fragment(None);
    let mut request = before.clone();
    let same_server = (from.scheme(), from.host_str(), from.port()) == (to.scheme(), to.host_str(), to.port());
    forget(request.headers_mut(), same_server);
    *request.uri_mut() = to.as_str().parse().map_err(|_| cannot("that is no address"))?;
    let becomes_get = match status.as_u16() {
        301 | 302 => before.method() == Method::POST,
        303 => before.method() != Method::HEAD && before.method() != Method::GET,
        _ => false,
    };
    if becomes_get {
        *request.method_mut() = Method::GET;
        *request.body_mut() = Bytes::new();
        request.headers_mut().remove(CONTENT_TYPE);
    }
    Ok(request)
}

/// What one server may know is not told to another one.
fn forget(headers: &mut HeaderMap, same_server: bool) {
    headers.remove(IDEMPOTENCY_KEY);
    headers.remove(http::header::HOST);
    if !same_server {
        for name in [AUTHORIZATION, PROXY_AUTHORIZATION, COOKIE] {
            headers.remove(name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(method: Method) -> Request<Bytes> {
        let request = Request::builder().method(method).uri("https://shop.example/a/b?c=d");
        let request = request.header("cookie", "a=b").header("authorization", "x").header("content-type", "text/plain");
        request.header("idempotency-key", "k").body(Bytes::from_static(b"body")).unwrap()
    }

    #[test]
    fn methods_and_bodies_change_as_in_a_browser() {
        let (get, head, post, put) = (Method::GET, Method::HEAD, Method::POST, Method::PUT);
        for (status, before, after) in [
            (301, &post, &get),
            (302, &post, &get),
            (303, &post, &get),
            (303, &put, &get),
            (303, &head, &head),
            (301, &put, &put),
            (307, &post, &post),
            (308, &post, &post),
            (301, &get, &get),
        ] {
            let next = redirected(&request(before.clone()), StatusCode::from_u16(status).unwrap(), "/c").unwrap();
            assert_eq!(next.method(), after, "{status} after {before}");
            let keeps_the_body = before == after;
            assert_eq!(next.body().is_empty(), !keeps_the_body, "{status} after {before}");
            assert_eq!(next.headers().contains_key("content-type"), keeps_the_body, "{status} after {before}");
        }
    }

    #[test]
    fn what_one_server_may_know_is_not_told_to_another() {
        let to = |location| redirected(&request(Method::GET), StatusCode::FOUND, location).unwrap();
        let here = to("c#fragment");
        assert_eq!(here.uri(), "https://shop.example/a/c");
        assert!(here.headers().contains_key("cookie") && here.headers().contains_key("authorization"));
        assert!(!here.headers().contains_key("idempotency-key"), "it names one request");
        for elsewhere in ["https://other.example/", "https://shop.example:444/", "//other.example/"] {
            let headers = to(elsewhere).headers().clone();
            assert!(!headers.contains_key("cookie") && !headers.contains_key("authorization"), "{elsewhere}");
        }
    }

    #[test]
    fn what_leads_nowhere_or_out_of_tls_is_not_followed() {
        for location in ["http://shop.example/a", "ftp://shop.example/", "https://", "https://u:p@shop.example/"] {
            let refused = redirected(&request(Method::GET), StatusCode::FOUND, location);
            assert!(matches!(refused, Err(PayerError::Redirect(_))), "{location}: {refused:?}");
        }
    }
}
