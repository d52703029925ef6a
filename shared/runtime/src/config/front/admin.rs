use std::path::{Path, PathBuf};

use serde::Deserialize;

/// Who may close channels for the payee over HTTP.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Admin {
    /// The name for HTTP basic authentication.
    pub user: String,
    /// A file whose first line is the password, mode 0600 or 0400.
    pub password_file: PathBuf,
}

impl Admin {
    pub(super) fn resolve_paths(&mut self, folder: &Path) {
        self.password_file = folder.join(&self.password_file);
    }

    pub(super) fn problems(&self, problems: &mut Vec<String>) {
        if self.user.is_empty() || self.user.contains(':') || self.user.chars().any(char::is_control) {
            problems.push("front.admin.user: must be a name without colons".to_owned());
        }
    }
}
