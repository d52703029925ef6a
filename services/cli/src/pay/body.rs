use std::fs::File;
use std::io::{Read, stdin};
use std::path::Path;

use anyhow::{Context, ensure};
use bytes::Bytes;
use http::Method;

/// The most a body may be, in bytes: it is kept to be sent again.
const BODY_MAX: u64 = 256 << 20;

/// What is sent, and how by default.
pub(super) struct Body {
    pub(super) bytes: Bytes,
    pub(super) method: Method,
    pub(super) content_type: Option<String>,
}

impl Body {
    pub(super) fn none() -> Body {
        Body { bytes: Bytes::new(), method: Method::GET, content_type: None }
    }

    /// `--data`: the text itself, or `@FILE`, or `@-`. What has no type of its own is called a form, as curl does.
    pub(super) fn data(data: &str) -> anyhow::Result<Body> {
        let (bytes, content_type) = match data.strip_prefix('@') {
            Some(file) => (read(Path::new(file))?, guess(Path::new(file))),
            None => (Bytes::copy_from_slice(data.as_bytes()), None),
        };
        let form = || "application/x-www-form-urlencoded".to_owned();
        Ok(Body { bytes, method: Method::POST, content_type: content_type.or_else(|| Some(form())) })
    }

    /// `--upload-file`.
    pub(super) fn upload(file: &Path) -> anyhow::Result<Body> {
        Ok(Body { bytes: read(file)?, method: Method::PUT, content_type: guess(file) })
    }
}

fn guess(file: &Path) -> Option<String> {
    mime_guess::from_path(file).first_raw().map(str::to_owned)
}

/// A whole file; `-` is stdin.
fn read(file: &Path) -> anyhow::Result<Bytes> {
    let name = file.display();
    let source: Box<dyn Read> = match file.to_str() {
        Some("-") => Box::new(stdin()),
        _ => Box::new(File::open(file).with_context(|| format!("cannot read {name}"))?),
    };
    let mut bytes = Vec::new();
    let read = source.take(BODY_MAX + 1).read_to_end(&mut bytes).with_context(|| format!("cannot read {name}"))?;
    ensure!(u64::try_from(read).is_ok_and(|read| read <= BODY_MAX), "{name} is larger than {BODY_MAX} bytes");
    Ok(bytes.into())
}
