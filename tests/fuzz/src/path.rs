//! A request's path, and which route answers it.

use front::reading::plain;

use crate::sample;

/// A path. What is plain has no dot segments or empty segments, and reads the same however it is encoded; and the route
/// that answers it is the one that a slower rule finds.
pub fn read(input: &[u8]) -> bool {
    let Ok(path) = std::str::from_utf8(input) else { return false };
    let Some(decoded) = plain(path) else { return false };
    let segments: Vec<_> = decoded.strip_prefix('/').expect("a plain path is absolute").split('/').collect();
    let (last, others) = segments.split_last().expect("splitting gives one piece at least");
    assert!(others.iter().all(|segment| !segment.is_empty()), "{decoded:?}");
    assert!(others.iter().chain([last]).all(|segment| !matches!(*segment, "." | "..")), "{decoded:?}");
    assert!(!path.contains(';'), "{path:?}");
    assert!(!decoded.contains(|c: char| c == '\\' || c.is_ascii_control()), "{decoded:?}");
    assert_eq!(plain(&encoded(&decoded)).as_deref(), Some(&*decoded));
    assert_eq!(sample::routes().find(&decoded), Some(slow_find(&decoded)), "{decoded:?}");
    true
}

/// Everything but slashes percent-encoded.
fn encoded(path: &str) -> String {
    let encode = |byte: u8| if byte == b'/' { "/".to_owned() } else { format!("%{byte:02X}") };
    path.bytes().map(encode).collect()
}

/// The sample's routes, asked segment by segment.
fn slow_find(path: &str) -> &'static str {
    let segments: Vec<_> = path[1..].split('/').collect();
    match segments[..] {
        ["paid"] => "/paid",
        ["paid", number] if !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()) => "numbered",
        [word] if !word.is_empty() && word.bytes().all(|byte| b"abc".contains(&byte)) => "letters",
        ["free", "exact"] => "/free/exact",
        ["paid", "deep", ..] => "/paid/deep",
        ["free", ..] => "/free/",
        _ => "rest",
    }
}
