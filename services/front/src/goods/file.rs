//! A file, streamed.

use std::path::{Path, PathBuf};

use futures::TryStreamExt;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderValue, Response};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use tokio_util::io::ReaderStream;

use crate::body::{self, Body};
use crate::fault::Fault;

/// A file for sale. Its path comes from the configuration, never from a request.
pub(crate) struct File {
    path: PathBuf,
    content_type: HeaderValue,
}

/// A file opened for one request: from here on it can be served, whatever becomes of its name.
pub(crate) struct Open {
    file: Option<tokio::fs::File>,
    length: u64,
    content_type: HeaderValue,
}

impl File {
    pub(super) fn new(path: &Path) -> File {
        let guess = mime_guess::from_path(path).first_or_octet_stream();
        let fallback = HeaderValue::from_static("application/octet-stream");
        File { path: path.to_owned(), content_type: HeaderValue::from_str(guess.as_ref()).unwrap_or(fallback) }
    }

    pub(super) async fn open(&self, head_only: bool) -> Result<Open, Fault> {
        let opened = async {
            let file = tokio::fs::File::open(&self.path).await?;
            let length = file.metadata().await?.len();
            std::io::Result::Ok((file, length))
        };
        let (file, length) = opened.await.map_err(|error| {
            tracing::error!(path = %self.path.display(), %error, "a file for sale cannot be read");
            Fault::GoodsMissing
        })?;
        Ok(Open { file: (!head_only).then_some(file), length, content_type: self.content_type.clone() })
    }
}

impl Open {
    pub(super) fn answer(self) -> Response<Body> {
        let body = match self.file {
            None => body::empty(),
            Some(file) => {
                use tokio::io::AsyncReadExt;
                let stream = ReaderStream::with_capacity(file.take(self.length), 64 << 10);
                StreamBody::new(stream.map_ok(Frame::data).map_err(Into::into)).boxed_unsync()
            }
        };
        let mut answer = Response::new(body);
        answer.headers_mut().insert(CONTENT_TYPE, self.content_type);
        answer.headers_mut().insert(CONTENT_LENGTH, self.length.into());
        answer
    }
}
