//! A file, streamed.

use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

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

/// A file for sale. Its path comes from the configuration, never from a request.
pub(crate) struct File {
    path: PathBuf,
    content_type: HeaderValue,
}

/// A file opened for one request: from here on it can be served, whatever becomes of its name.
pub(crate) struct Open {
    /// `None` for who wants the head alone.
    file: Option<tokio::fs::File>,
    length: u64,
    modified: Option<SystemTime>,
    content_type: HeaderValue,
}

impl File {
    pub(super) fn new(path: &Path) -> File {
        File { path: path.to_owned(), content_type: content_type(path) }
    }

    pub(super) async fn open(&self, head_only: bool) -> Result<Open, Fault> {
        let opened = async {
            let file = tokio::fs::File::open(&self.path).await?;
            let meta = file.metadata().await?;
            std::io::Result::Ok(Open::new(file, &meta, self.content_type.clone(), head_only))
        };
        opened.await.map_err(|error| {
            tracing::error!(path = %self.path.display(), %error, "a file for sale cannot be read");
            Fault::GoodsMissing
        })
    }
}

/// What a file's name says about it.
pub(super) fn content_type(path: &Path) -> HeaderValue {
    let guess = mime_guess::from_path(path).first_or_octet_stream();
    HeaderValue::from_str(guess.as_ref()).unwrap_or(HeaderValue::from_static("application/octet-stream"))
}

impl Open {
    pub(super) fn new(
        file: tokio::fs::File,
        meta: &std::fs::Metadata,
        content_type: HeaderValue,
        head_only: bool,
    ) -> Open {
        let file = (!head_only).then_some(file);
        Open { file, length: meta.len(), modified: meta.modified().ok(), content_type }
    }

    pub(super) fn answer(self) -> Response<Body> {
        let mut headers = self.validators();
        headers.insert(CONTENT_TYPE, self.content_type);
        headers.insert(CONTENT_LENGTH, self.length.into());
        let body = match self.file {
            None => body::empty(),
            Some(file) => {
                let stream = ReaderStream::with_capacity(file.take(self.length), PIECE);
                StreamBody::new(stream.map_ok(Frame::data).map_err(Into::into)).boxed_unsync()
            }
        };
        let mut answer = Response::new(body);
        *answer.headers_mut() = headers;
        answer
    }

    /// The answer, or 304 for who has it already.
    pub(super) fn answer_unless_known(self, head: &Parts) -> Response<Body> {
        let validators = self.validators();
        if !is_known(&head.headers, &validators) {
            return self.answer();
        }
        let mut answer = Response::new(body::empty());
        *answer.status_mut() = StatusCode::NOT_MODIFIED;
        *answer.headers_mut() = validators;
        answer
    }

    /// What tells this content from another.
    fn validators(&self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        let Some(modified) = self.modified else { return headers };
        let age = modified.duration_since(UNIX_EPOCH).unwrap_or_default();
        let tag = format!("\"{:x}-{:x}\"", age.as_nanos(), self.length);
        let date = httpdate::fmt_http_date(modified.max(UNIX_EPOCH));
        for (name, value) in [(ETAG, tag), (LAST_MODIFIED, date)] {
            if let Ok(value) = HeaderValue::try_from(value) {
                headers.insert(name, value);
            }
        }
        headers
    }
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
