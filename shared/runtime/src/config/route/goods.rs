use std::path::PathBuf;

use http::Uri;

/// What a route sells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Goods {
    /// A file.
    File(PathBuf),
    /// Whatever this server answers; the request's path is appended.
    Upstream(Uri),
}

pub(super) fn parse_upstream(text: &str) -> Result<Uri, String> {
    let uri: Uri = text.parse().map_err(|_| format!("upstream `{text}` is no URL"))?;
    let is_plain = uri.scheme_str() == Some("http")
        && uri.query().is_none()
        && uri.authority().is_some_and(|a| !a.as_str().contains('@'));
    if is_plain { Ok(uri) } else { Err(format!("upstream `{text}` must be http://host:port/path, no user, no query")) }
}
