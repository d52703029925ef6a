use std::path::{Path, PathBuf};

use serde::Deserialize;

/// The longest page of one's own, in bytes.
const PAGE_LIMIT: u64 = 1 << 20;

/// What a browser gets that has to pay first.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Paywall {
    /// The page's title.
    pub title: String,
    /// A sentence or two below it.
    pub text: String,
    /// An HTML file to show instead of our page. It finds the `RDN-*` headers in cookies.
    pub page: Option<PathBuf>,
}

impl Default for Paywall {
    fn default() -> Paywall {
        Paywall {
            title: "Payment required".to_owned(),
            text: "This page is paid per request, from a payment channel that you open once.".to_owned(),
            page: None,
        }
    }
}

impl Paywall {
    pub(super) fn resolve_paths(&mut self, folder: &Path) {
        if let Some(page) = &mut self.page {
            *page = folder.join(&*page);
        }
    }

    pub(super) fn problems(&self, problems: &mut Vec<String>) {
        let Some(page) = &self.page else { return };
        match std::fs::metadata(page) {
            Ok(meta) if meta.is_file() && meta.len() <= PAGE_LIMIT => {}
            Ok(_) => {
                problems
                    .push(format!("front.paywall.page: {} is no file of at most {PAGE_LIMIT} bytes", page.display()));
            }
            Err(error) => problems.push(format!("front.paywall.page: {}: {error}", page.display())),
        }
    }
}
