//! Which route answers a path: an exact one, else the first regex that matches all of it, else the longest prefix that ends
//! at a segment's border.
//!
//! Paths are compared decoded, and paths that an upstream might read otherwise than we do are refused: what is priced must
//! not be reachable through what is free by writing it differently.

use std::collections::HashMap;
use std::sync::Arc;

use runtime::config::{Matcher, Pattern};

use crate::fault::Fault;
use crate::route::Route;

/// Everything that is for sale, by path.
pub(crate) struct Router<R = Route> {
    exact: HashMap<String, Arc<R>>,
    /// In the order of the configuration.
    regexes: Vec<(Pattern, Arc<R>)>,
    /// Longest first, without slashes at the end.
    prefixes: Vec<(String, Arc<R>)>,
}

impl<R> Router<R> {
    pub(crate) fn new() -> Router<R> {
        Router { exact: HashMap::new(), regexes: Vec::new(), prefixes: Vec::new() }
    }

    pub(crate) fn add(&mut self, matcher: &Matcher, route: Arc<R>) {
        match matcher {
            Matcher::Exact(path) => {
                self.exact.insert(path.clone(), route);
            }
            Matcher::Regex(pattern) => self.regexes.push((pattern.clone(), route)),
            Matcher::Prefix(prefix) => {
                self.prefixes.push((prefix.trim_end_matches('/').to_owned(), route));
                self.prefixes.sort_by_key(|(prefix, _)| std::cmp::Reverse(prefix.len()));
            }
        }
    }

    /// The route for a path that [`plain`] let through.
    pub(crate) fn find(&self, path: &str) -> Option<&Arc<R>> {
        let fits =
            |prefix: &str| path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        let by_regex = || self.regexes.iter().find(|(pattern, _)| pattern.matches(path)).map(|(_, route)| route);
        let by_prefix = || self.prefixes.iter().find(|(prefix, _)| fits(prefix)).map(|(_, route)| route);
        self.exact.get(path).or_else(by_regex).or_else(by_prefix)
    }
}

/// The path decoded, if there is but one way to read it.
///
/// # Errors
/// [`Fault::BadPath`] for dot segments, empty segments, backslashes, controls, encoded slashes, broken encodings, and
/// semicolons that are not encoded: some servers drop what follows one in a segment, others do not.
pub(crate) fn plain(path: &str) -> Result<String, Fault> {
    let mut decoded = Vec::with_capacity(path.len());
    let mut bytes = path.bytes();
    while let Some(byte) = bytes.next() {
        let literal = match byte {
            b'%' => {
                let byte = hex_digit(bytes.next())? << 4 | hex_digit(bytes.next())?;
                if byte == b'/' {
                    return Err(Fault::BadPath);
                }
                byte
            }
            _ => byte,
        };
        if byte == b';' || literal == b'\\' || literal.is_ascii_control() {
            return Err(Fault::BadPath);
        }
        decoded.push(literal);
    }
    let decoded = String::from_utf8_lossy(&decoded).into_owned();
    let segments = decoded.strip_prefix('/').ok_or(Fault::BadPath)?;
    let last = segments.split('/').count() - 1;
    let is_odd =
        |(index, segment): (usize, &str)| matches!(segment, "." | "..") || (segment.is_empty() && index != last);
    if segments.split('/').enumerate().any(is_odd) { Err(Fault::BadPath) } else { Ok(decoded) }
}

fn hex_digit(byte: Option<u8>) -> Result<u8, Fault> {
    let digit = byte.and_then(|byte| char::from(byte).to_digit(16)).ok_or(Fault::BadPath)?;
    u8::try_from(digit).map_err(|_| Fault::BadPath)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_paths_that_can_be_read_in_two_ways() {
        for path in [
            "/free/../paid",
            "/free/%2e%2e/paid",
            "/free/.%2E/paid",
            "/./paid",
            "//paid",
            "/free//paid",
            "/free/..;/paid",
            "/paid;x",
            "/free%2fpaid",
            "/free%2Fpaid",
            "/free\\paid",
            "/free%5cpaid",
            "/pa%00id",
            "/pa%id",
            "/pa%2",
            "/%",
            "paid",
            "*",
            "",
        ] {
            assert_eq!(plain(path), Err(Fault::BadPath), "{path}");
        }
    }

    #[test]
    fn reads_an_encoded_path_as_what_it_says() {
        assert_eq!(plain("/%70aid").as_deref(), Ok("/paid"));
        assert_eq!(plain("/a/b/").as_deref(), Ok("/a/b/"));
        assert_eq!(plain("/").as_deref(), Ok("/"));
        assert_eq!(plain("/paid%3Bx").as_deref(), Ok("/paid;x"));
        assert_eq!(plain("/a%20b/..c/%2570").as_deref(), Ok("/a b/..c/%70"));
    }

    /// What answers a path, when these routes are there: `= path`, `^ prefix`, `~ regex`.
    fn finder(routes: &[&str]) -> impl Fn(&str) -> Option<String> {
        let mut router = Router::new();
        for route in routes {
            let (kind, text) = route.split_once(' ').unwrap();
            let matcher = match kind {
                "=" => Matcher::Exact(text.to_owned()),
                "^" => Matcher::Prefix(text.to_owned()),
                _ => Matcher::Regex(serde_json::from_value(text.into()).unwrap()),
            };
            router.add(&matcher, Arc::new((*route).to_owned()));
        }
        move |path| router.find(path).map(|route| route.to_string())
    }

    #[test]
    fn the_longest_route_wins_and_an_exact_one_is_longest() {
        let found = finder(&["^ /", "^ /api", "^ /api/v1/", "= /api/v1"]);
        assert_eq!(found("/api/v1").as_deref(), Some("= /api/v1"));
        assert_eq!(found("/api/v1/x").as_deref(), Some("^ /api/v1/"));
        assert_eq!(found("/api/v10").as_deref(), Some("^ /api"));
        assert_eq!(found("/apiary").as_deref(), Some("^ /"));
        assert_eq!(finder(&[])("/"), None);
    }

    #[test]
    fn a_regex_comes_after_exact_paths_and_before_prefixes_in_the_order_of_the_file() {
        let found = finder(&["^ /n/1", "~ /n/[0-9]+", "~ /n/[0-9a-z]+", "= /n/7"]);
        assert_eq!(found("/n/7").as_deref(), Some("= /n/7"));
        assert_eq!(found("/n/1").as_deref(), Some("~ /n/[0-9]+"));
        assert_eq!(found("/n/1a").as_deref(), Some("~ /n/[0-9a-z]+"));
        assert_eq!(found("/n/1/a").as_deref(), Some("^ /n/1"));
    }

    #[test]
    fn a_regex_matches_a_path_from_its_first_slash_to_its_end() {
        let found = finder(&["~ /a|/b", "~ (?m)^/c$"]);
        for path in ["/a", "/b", "/c"] {
            assert!(found(path).is_some(), "{path}");
        }
        for path in ["/a/b", "/x/a", "/bb", "/ab", "/a/", "/c/c", "/"] {
            assert_eq!(found(path), None, "{path}");
        }
    }
}
