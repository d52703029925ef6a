//! Whether a person asks, and the cookies that the page for people is sent.

use http::HeaderMap;
use protocols::Protocol;
use protocols::raiden::Raiden;

use crate::head;

/// Header lines, as a request's and as an answer's. A page is never for who says nothing of HTML; and every cookie is one of
/// ours, of one line.
pub fn read(input: &[u8]) -> bool {
    let headers = head::headers(input);
    let wanted = Raiden.wants_page(&head::with(headers.clone()));
    let accepted: String = text(&headers, "accept").to_ascii_lowercase();
    assert!(!wanted || accepted.contains("text/") || accepted.contains('*'), "{accepted:?}");
    if wanted {
        // Who likes anything best is no person.
        let mut alone = HeaderMap::new();
        alone.insert("accept", "*/*".parse().expect("a value"));
        assert!(!Raiden.wants_page(&head::with(alone)));
    }
    let cookies = Raiden.cookies(&headers);
    let ours = headers.iter().filter(|(name, _)| name.as_str().starts_with("rdn-")).count();
    assert!(cookies.len() <= ours);
    for cookie in &cookies {
        let text = cookie.to_str().expect("what is sent is text");
        let (name, rest) = text.split_once('=').expect("a name and a value");
        assert!(name.starts_with("RDN") && !name.contains([';', ' ', ',']), "{text:?}");
        assert!(rest.contains("; Path=/"), "{text:?}");
    }
    wanted
}

fn text(headers: &HeaderMap, name: &str) -> String {
    let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    values.collect::<Vec<_>>().join(",")
}
