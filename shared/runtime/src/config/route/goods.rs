use std::path::{Path, PathBuf};

use http::Uri;

use super::Matcher;

/// What a route sells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Goods {
    /// A file.
    File(PathBuf),
    /// The files below a folder; what follows the route's prefix is appended.
    Folder(PathBuf),
    /// Whatever this server answers.
    Upstream {
        /// The request's path is appended.
        url: Uri,
        /// The path is appended without the route's prefix.
        strip_prefix: bool,
    },
    /// Whatever a handler answers, in a program that embeds a front; no configuration file can say so.
    Handler,
}

impl Goods {
    /// Whether it is ours: getting it does not depend on another server.
    pub fn is_local(&self) -> bool {
        matches!(self, Goods::File(_) | Goods::Folder(_))
    }

    pub(super) fn resolve_paths(&mut self, base: &Path) {
        if let Goods::File(path) | Goods::Folder(path) = self {
            *path = base.join(&*path);
        }
    }

    /// What is wrong with it, beginning with its key.
    pub(super) fn problem(&self, matcher: &Matcher) -> Option<String> {
        let is_prefix = matches!(matcher, Matcher::Prefix(_));
        match self {
            Goods::File(file) => missing("file", file, |meta| meta.is_file()),
            Goods::Folder(_) if !is_prefix => Some("folder: needs `prefix`".to_owned()),
            Goods::Folder(folder) => missing("folder", folder, |meta| meta.is_dir()),
            Goods::Upstream { strip_prefix: true, .. } if !is_prefix => Some("strip_prefix: needs `prefix`".to_owned()),
            Goods::Upstream { .. } | Goods::Handler => None,
        }
    }
}

fn missing(key: &str, path: &Path, is_right: fn(&std::fs::Metadata) -> bool) -> Option<String> {
    match std::fs::metadata(path) {
        Ok(meta) if is_right(&meta) => None,
        Ok(_) => Some(format!("{key}: {} is no {key}", path.display())),
        Err(error) => Some(format!("{key}: {}: {error}", path.display())),
    }
}

/// The address of a server that we call.
pub(super) fn parse_address(key: &str, text: &str, may_have_query: bool) -> Result<Uri, String> {
    let uri: Uri = text.parse().map_err(|_| format!("{key} `{text}` is no URL"))?;
    let is_plain = matches!(uri.scheme_str(), Some("http" | "https"))
        && (may_have_query || uri.query().is_none())
        && uri.authority().is_some_and(|a| !a.as_str().contains('@'));
    let no = if may_have_query { "no user" } else { "no user, no query" };
    if is_plain { Ok(uri) } else { Err(format!("{key} `{text}` must be http://host:port/path or https://…, {no}")) }
}
