//! A file: a small one is kept in memory and looked at again once a second, a large one is streamed.

use std::fs::Metadata;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, UNIX_EPOCH};

use arc_swap::ArcSwapOption;
use bytes::Bytes;
use futures::TryStreamExt;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, ETAG, IF_MODIFIED_SINCE, IF_NONE_MATCH, LAST_MODIFIED};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use tokio::io::AsyncReadExt;
use tokio_util::io::ReaderStream;

use crate::body::{self, Body};
use crate::fault::Fault;

/// Read at a time, in bytes.
const PIECE: usize = 64 << 10;
/// Files up to this many bytes are kept in memory: one for each route.
const SMALL: u64 = 64 << 10;
/// How long what is kept is served without another look at the file. What changed within that time may be half written:
/// it is not kept.
const FRESH: Duration = Duration::from_secs(1);

/// A file for sale. Its path comes from the configuration, never from a request.
pub(crate) struct File {
    path: PathBuf,
    /// As it was when somebody last looked, if it was small.
    kept: ArcSwapOption<Kept>,
}

struct Kept {
    headers: HeaderMap,
    text: Bytes,
    since: Instant,
}

/// A file opened for one request: from here on it can be served, whatever becomes of its name.
pub(crate) struct Open {
    headers: HeaderMap,
    content: Content,
    may_be_kept: bool,
}

enum Content {
    Small(Bytes),
    Large { file: std::fs::File, length: u64 },
}

impl File {
    pub(super) fn new(path: &Path) -> File {
        File { path: path.to_owned(), kept: ArcSwapOption::empty() }
    }

    pub(super) async fn open(&self, head_only: bool) -> Result<Open, Fault> {
        let open = match self.remembered() {
            Some(open) => open,
            None => self.look().await?,
        };
        Ok(if head_only { open.head_only() } else { open })
    }

    fn remembered(&self) -> Option<Open> {
        let kept = self.kept.load();
        let Kept { headers, text, .. } = kept.as_deref().filter(|kept| kept.since.elapsed() < FRESH)?;
        Some(Open { headers: headers.clone(), content: Content::Small(text.clone()), may_be_kept: true })
    }

    async fn look(&self) -> Result<Open, Fault> {
        let (path, since) = (self.path.clone(), Instant::now());
        let looked = tokio::task::spawn_blocking(move || Open::read(std::fs::File::open(&path)?, &path)).await;
        let open = looked.map_err(|_| Fault::Internal)?.map_err(|error| {
            tracing::error!(path = %self.path.display(), %error, "a file for sale cannot be read");
            Fault::GoodsMissing
        })?;
        self.kept.store(match &open.content {
            Content::Small(text) if open.may_be_kept => {
                Some(Arc::new(Kept { headers: open.headers.clone(), text: text.clone(), since }))
            }
            _ => None,
        });
        Ok(open)
    }
}

impl Open {
    /// Reads a file that is small, and leaves a large one for later. Waits for the disk.
    pub(super) fn read(mut file: std::fs::File, path: &Path) -> io::Result<Open> {
        let meta = file.metadata()?;
        let length = meta.len();
        if length > SMALL {
            let headers = headers(path, &meta, length);
            return Ok(Open { headers, content: Content::Large { file, length }, may_be_kept: false });
        }
        let mut text = Vec::with_capacity(usize::try_from(length).unwrap_or_default());
        file.by_ref().take(length).read_to_end(&mut text)?;
        let headers = headers(path, &meta, text.len() as u64);
        let may_be_kept = meta.modified().is_ok_and(|at| at.elapsed().is_ok_and(|age| age > FRESH));
        Ok(Open { headers, content: Content::Small(text.into()), may_be_kept })
    }

    /// The same for who wants the head alone.
    pub(super) fn head_only(self) -> Open {
        Open { content: Content::Small(Bytes::new()), ..self }
    }

    pub(crate) fn answer(self) -> Response<Body> {
        let body = match self.content {
            Content::Small(text) => body::full(text),
            Content::Large { file, length } => {
                let file = tokio::fs::File::from_std(file).take(length);
                let stream = ReaderStream::with_capacity(file, PIECE);
                StreamBody::new(stream.map_ok(Frame::data).map_err(Into::into)).boxed_unsync()
            }
        };
        let mut answer = Response::new(body);
        *answer.headers_mut() = self.headers;
        answer
    }

    /// The answer, or 304 for who has it already.
    pub(super) fn answer_unless_known(self, head: &Parts) -> Response<Body> {
        if !is_known(&head.headers, &self.headers) {
            return self.answer();
        }
        let mut answer = self.head_only().answer();
        answer.headers_mut().remove(CONTENT_TYPE);
        answer.headers_mut().remove(CONTENT_LENGTH);
        *answer.status_mut() = StatusCode::NOT_MODIFIED;
        answer
    }
}

/// What a file's name says about it, how long it is, and what tells its content from another.
fn headers(path: &Path, meta: &Metadata, length: u64) -> HeaderMap {
    let mut headers = HeaderMap::new();
    if let Ok(modified) = meta.modified() {
        let age = modified.duration_since(UNIX_EPOCH).unwrap_or_default();
        let tag = format!("\"{:x}-{:x}\"", age.as_nanos(), length);
        let date = httpdate::fmt_http_date(modified.max(UNIX_EPOCH));
        for (name, value) in [(ETAG, tag), (LAST_MODIFIED, date)] {
            headers.extend(HeaderValue::try_from(value).ok().map(|value| (name, value)));
        }
    }
    let content_type = mime_guess::from_path(path).first_or_octet_stream();
    let content_type = HeaderValue::from_str(content_type.as_ref());
    headers.insert(CONTENT_TYPE, content_type.unwrap_or(HeaderValue::from_static("application/octet-stream")));
    headers.insert(CONTENT_LENGTH, length.into());
    headers
}

/// Whether a request says that it has the content of these validators. Its tags count before its date.
fn is_known(request: &HeaderMap, validators: &HeaderMap) -> bool {
    let text = |headers: &HeaderMap, name| headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let Some(tag) = text(validators, ETAG) else { return false };
    if request.contains_key(IF_NONE_MATCH) {
        let given = request.get_all(IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
        let mut given = given.flat_map(|value| value.split(',')).map(str::trim);
        return given.any(|given| given == "*" || given.trim_start_matches("W/") == tag);
    }
    let date = |headers, name| text(headers, name).and_then(|text| httpdate::parse_http_date(&text).ok());
    let (since, modified) = (date(request, IF_MODIFIED_SINCE), date(validators, LAST_MODIFIED));
    since.is_some_and(|since| modified.is_some_and(|modified| modified <= since))
}
