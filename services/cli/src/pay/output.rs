use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;
use reqwest::Response;

/// Where an answer goes: opened before anything is paid for it.
pub(super) enum Output {
    Stdout,
    File {
        file: File,
        path: PathBuf,
        /// Whether we made it.
        is_new: bool,
    },
}

impl Output {
    pub(super) fn open(path: Option<&Path>) -> anyhow::Result<Output> {
        let Some(path) = path else { return Ok(Output::Stdout) };
        let (file, is_new) = match File::create_new(path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                (File::options().write(true).open(path), false)
            }
            created => (created, true),
        };
        let file = file.with_context(|| format!("cannot write {}", path.display()))?;
        Ok(Output::File { file, path: path.to_owned(), is_new })
    }

    /// Nothing is to be written after all: what was there before is there again.
    pub(super) fn discard(self) {
        if let Output::File { path, is_new: true, .. } = self {
            // An empty file that stays is no harm.
            let _ = fs::remove_file(path);
        }
    }

    /// The answer's body as it comes; its status and headers before it, if they are wanted.
    pub(super) async fn write(self, answer: &mut Response, with_head: bool) -> anyhow::Result<()> {
        let mut out: Box<dyn Write> = match self {
            Output::Stdout => Box::new(io::stdout().lock()),
            Output::File { file, .. } => {
                // What is no ordinary file, such as /dev/null, has no length to set.
                let _ = file.set_len(0);
                Box::new(file)
            }
        };
        if with_head {
            write!(out, "{:?} {}\r\n", answer.version(), answer.status())?;
            for (name, value) in answer.headers() {
                write!(out, "{name}: {}\r\n", String::from_utf8_lossy(value.as_bytes()))?;
            }
            write!(out, "\r\n")?;
        }
        while let Some(chunk) = answer.chunk().await.context("the answer broke off")? {
            out.write_all(&chunk).context("cannot write the answer")?;
        }
        out.flush().context("cannot write the answer")
    }
}
