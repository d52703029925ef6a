use super::Pattern;

/// Which requests a route answers. An exact path comes before any regex, and a regex before any prefix; of several regexes
/// the first in the file, of several prefixes the longest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Matcher {
    /// This path alone.
    Exact(String),
    /// Every path that begins with this, at a segment's border.
    Prefix(String),
    /// Every path that matches.
    Regex(Pattern),
}

impl Matcher {
    /// The path, prefix or regex, as it was written.
    pub fn text(&self) -> &str {
        match self {
            Matcher::Exact(path) | Matcher::Prefix(path) => path,
            Matcher::Regex(pattern) => pattern.text(),
        }
    }

    /// Equal for two that answer the same requests; the key that it is written under, and what there.
    pub fn key(&self) -> (&'static str, String) {
        match self {
            Matcher::Exact(path) => ("path", path.clone()),
            Matcher::Prefix(prefix) => ("prefix", prefix.trim_end_matches('/').to_owned()),
            Matcher::Regex(pattern) => ("regex", pattern.text().to_owned()),
        }
    }

    /// The regex, if it is one.
    pub fn pattern(&self) -> Option<&Pattern> {
        if let Matcher::Regex(pattern) = self { Some(pattern) } else { None }
    }

    pub(super) fn problem(&self) -> Option<String> {
        let (Matcher::Exact(path) | Matcher::Prefix(path)) = self else { return None };
        let odd =
            !path.starts_with('/') || path.contains("..") || path.contains("//") || path.contains(['?', '#', '%']);
        odd.then(|| format!("`{path}` must be a plain absolute path such as /reports"))
    }
}
