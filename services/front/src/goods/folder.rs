//! The files below a folder.
//!
//! *Invariant:* nothing outside of the folder is served. A path that reached a route has no dot segments; where symbolic
//! links lead is looked up before anything is opened. Names with a dot in front are not there, but `.well-known`.

use std::path::{Path, PathBuf};

use anyhow::Context;
use http::header::LOCATION;
use http::request::Parts;
use http::{HeaderValue, Method, Response, StatusCode};

use super::{Ready, beyond, file};
use crate::body;
use crate::fault::Fault;

/// What is served for a folder within the folder.
const INDEX: &str = "index.html";

/// A folder whose files are for sale.
pub(crate) struct Folder {
    /// Without symbolic links.
    root: PathBuf,
    /// So many segments of a request's path are the route's prefix.
    strip: usize,
}

impl Folder {
    pub(super) fn new(path: &Path, strip: usize) -> anyhow::Result<Folder> {
        let root = path.canonicalize().with_context(|| format!("the folder {}", path.display()))?;
        Ok(Folder { root, strip })
    }

    /// `path` is the request's, decoded.
    pub(super) async fn open(&self, head: &Parts, path: &str) -> Result<Ready, Fault> {
        let (root, asked) = (self.root.clone(), beyond(path, self.strip).to_owned());
        let found = tokio::task::spawn_blocking(move || find(&root, &asked)).await.map_err(|_| Fault::Internal)?;
        match found {
            Ok(Some(open)) => Ok(Ready::File(if head.method == Method::HEAD { open.head_only() } else { open })),
            Ok(None) => redirect(head).map(Ready::Aside),
            Err(error) => {
                tracing::debug!(%error, "a file of a folder was not found");
                Err(Fault::NotFound)
            }
        }
    }
}

/// `asked` is empty, or begins with a slash. `None` is a folder asked for as if it were a file: links in its index would
/// lead astray.
fn find(root: &Path, asked: &str) -> std::io::Result<Option<file::Open>> {
    let nothing = || std::io::Error::from(std::io::ErrorKind::NotFound);
    let mut path = root.to_owned();
    for name in asked.split('/').filter(|name| !name.is_empty()) {
        if name.starts_with('.') && name != ".well-known" {
            return Err(nothing());
        }
        path.push(name);
    }
    let mut path = within(root, &path)?;
    if path.is_dir() {
        if !asked.ends_with('/') {
            return Ok(None);
        }
        path = within(root, &path.join(INDEX))?;
    } else if asked.ends_with('/') {
        return Err(nothing());
    }
    // A pipe would be opened when somebody writes to it.
    if !path.is_file() {
        return Err(nothing());
    }
    file::Open::read(std::fs::File::open(&path)?, &path).map(Some)
}

/// Where a path leads in the end, if that is below `root`.
fn within(root: &Path, path: &Path) -> std::io::Result<PathBuf> {
    let path = path.canonicalize()?;
    if path.starts_with(root) { Ok(path) } else { Err(std::io::ErrorKind::NotFound.into()) }
}

/// To the same address with a slash.
fn redirect(head: &Parts) -> Result<Response<body::Body>, Fault> {
    let query = head.uri.query().map_or_else(String::new, |query| format!("?{query}"));
    let there = HeaderValue::try_from(format!("{}/{query}", head.uri.path())).map_err(|_| Fault::BadPath)?;
    let mut answer = Response::new(body::empty());
    *answer.status_mut() = StatusCode::TEMPORARY_REDIRECT;
    answer.headers_mut().insert(LOCATION, there);
    Ok(answer)
}
