//! Which route answers a path: an exact one, else the longest prefix that ends at a segment's border.
//!
//! Paths are compared decoded, and paths that an upstream might read otherwise than we do are refused: what is priced must
//! not be reachable through what is free by writing it differently.

use std::collections::HashMap;
use std::sync::Arc;

use crate::fault::Fault;
use crate::route::Route;

/// Everything that is for sale, by path.
#[derive(Default)]
pub(crate) struct Router {
    exact: HashMap<String, Arc<Route>>,
    /// Longest first, without slashes at the end.
    prefixes: Vec<(String, Arc<Route>)>,
}

impl Router {
    pub(crate) fn add_exact(&mut self, path: &str, route: Arc<Route>) {
        self.exact.insert(path.to_owned(), route);
    }

    pub(crate) fn add_prefix(&mut self, prefix: &str, route: Arc<Route>) {
        self.prefixes.push((prefix.trim_end_matches('/').to_owned(), route));
        self.prefixes.sort_by_key(|(prefix, _)| std::cmp::Reverse(prefix.len()));
    }

    /// The route for a path that [`plain`] let through.
    pub(crate) fn find(&self, path: &str) -> Option<&Arc<Route>> {
        self.exact.get(path).or_else(|| {
            let fits =
                |prefix: &str| path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
            self.prefixes.iter().find(|(prefix, _)| fits(prefix)).map(|(_, route)| route)
        })
    }
}

/// The path decoded, if there is but one way to read it.
///
/// # Errors
/// [`Fault::BadPath`] for dot segments, empty segments, backslashes, controls, encoded slashes and broken encodings.
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
        if literal == b'\\' || literal.is_ascii_control() {
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
        assert_eq!(plain("/a%20b/..c/%2570").as_deref(), Ok("/a b/..c/%70"));
    }

    #[test]
    fn the_longest_route_wins_and_an_exact_one_is_longest() {
        let mut router = Router::default();
        for (path, is_exact) in [("/", false), ("/api", false), ("/api/v1/", false), ("/api/v1", true)] {
            let route = Arc::new(Route::for_test(&format!("{path} {is_exact}")));
            if is_exact { router.add_exact(path, route) } else { router.add_prefix(path, route) }
        }
        let found = |path| router.find(path).map(|route| route.name.clone());
        assert_eq!(found("/api/v1").as_deref(), Some("/api/v1 true"));
        assert_eq!(found("/api/v1/x").as_deref(), Some("/api/v1/ false"));
        assert_eq!(found("/api/v10").as_deref(), Some("/api false"));
        assert_eq!(found("/apiary").as_deref(), Some("/ false"));
        assert!(Router::default().find("/").is_none());
    }
}
