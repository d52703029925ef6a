//! Who gets the page, and what it finds in its cookies.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use http::{HeaderMap, Request};
use protocols::{Protocol, raiden::Raiden};

fn wants_page(accept: &[&str]) -> bool {
    let mut request = Request::get("/paid");
    for value in accept {
        request = request.header("accept", *value);
    }
    Raiden.wants_page(&request.body(()).unwrap().into_parts().0)
}

/// As the original decided, seen on it running.
#[test]
fn a_page_is_for_who_takes_html_and_does_not_like_anything_else_as_much() {
    for accept in [
        "text/html",
        "TEXT/HTML",
        "text/*",
        "text/html;q=0",
        "image/webp,*/*;q=0.8",
        "application/json, text/html;q=0.1",
        "*/*;q=0.1, text/html",
        "*/*, text/html",
        "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8",
        "text/html; charset=utf-8; q=0.5, */*; q=0.4",
    ] {
        assert!(wants_page(&[accept]), "{accept}");
    }
    for accept in [
        "*/*",
        "",
        "application/json",
        "text/plain",
        "application/json, text/plain",
        "text/html;q=0.5, */*",
        "text/html;q=0.999,*/*;q=1.0",
        "html",
        "text/html2",
        "*/html2, text/htm",
        ", ;, /",
    ] {
        assert!(!wants_page(&[accept]), "{accept}");
    }
    assert!(!wants_page(&[]));
    assert!(wants_page(&["application/json", "text/html"]), "two headers are one list");
}

#[test]
fn a_quality_that_is_no_quality_counts_as_none() {
    for quality in ["2", "1.001", "0.1234", "-1", "+0.5", "x", "1e0"] {
        assert!(!wants_page(&[&format!("text/html;q={quality}, */*;q=0.001")]), "{quality}");
    }
}

#[test]
fn each_header_of_ours_is_a_session_cookie_under_the_name_that_the_original_wrote() {
    let headers = [
        ("rdn-gateway-path", "/api/1"),
        ("rdn-price", "10"),
        ("rdn-sender-balance", "20"),
        ("rdn-balance-signature", "0x12"),
        ("rdn-insufficient-confirmations", "1"),
        ("content-type", "application/json"),
    ];
    let answer: HeaderMap =
        headers.map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).into_iter().collect();
    let mut cookies: Vec<_> = Raiden.cookies(&answer).iter().map(|c| c.to_str().unwrap().to_owned()).collect();
    cookies.sort();
    assert_eq!(
        cookies,
        [
            "RDN-Balance-Signature=0x12; Path=/; SameSite=Lax",
            "RDN-Gateway-Path=/api/1; Path=/; SameSite=Lax",
            "RDN-Insufficient-Confirmations=1; Path=/; SameSite=Lax",
            "RDN-Price=10; Path=/; SameSite=Lax",
            "RDN-Sender-Balance=20; Path=/; SameSite=Lax",
        ]
    );
}
