use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::Trouble;
use crate::follow::Round;

/// What is wrong with which deployment, for `/readyz?verbose`.
#[derive(Clone, Default)]
pub(crate) struct Board(Arc<Mutex<BTreeMap<String, String>>>);

impl Board {
    pub(crate) fn note(&self, deployment: &str, result: &Result<Round, Trouble>) {
        let problem = match result {
            Ok(Round::Halted) => Some("halted".to_owned()),
            Ok(Round::Waiting) => Some("the node is behind".to_owned()),
            Ok(Round::More) => Some("reading old blocks".to_owned()),
            Ok(Round::Current) => None,
            Err(trouble) => Some(trouble.to_string()),
        };
        let mut problems = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match problem {
            Some(problem) => problems.insert(deployment.to_owned(), problem),
            None => problems.remove(deployment),
        };
    }

    /// `Err` lists the deployments that are not up to date.
    pub(crate) fn check(&self) -> Result<(), String> {
        let problems = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if problems.is_empty() {
            return Ok(());
        }
        let lines: Vec<String> = problems.iter().map(|(name, problem)| format!("{name}: {problem}")).collect();
        Err(lines.join("; "))
    }
}
