use std::collections::BTreeMap;
use std::fmt;

use serde_json::Value;

/// What was written, key by key, the environment's word included: to say what changed between two configurations.
#[derive(Clone, Default)]
pub(super) struct Written(BTreeMap<String, String>);

impl Written {
    pub(super) fn new(settings: &Value) -> Written {
        let mut written = Written::default();
        written.note("", settings);
        written
    }

    fn note(&mut self, key: &str, value: &Value) {
        match value {
            Value::Object(section) => {
                for (name, value) in section {
                    self.note(&if key.is_empty() { name.clone() } else { format!("{key}.{name}") }, value);
                }
            }
            Value::Array(elements) if elements.iter().any(Value::is_object) => {
                let names: Vec<_> = elements.iter().enumerate().map(|(index, element)| name(index, element)).collect();
                for (name, element) in names.iter().zip(elements) {
                    self.note(&format!("{key}[{name}]"), element);
                }
                // Which there are, and in what order.
                self.0.insert(key.to_owned(), names.join(" "));
            }
            _ => {
                self.0.insert(key.to_owned(), value.to_string());
            }
        }
    }

    /// The keys that only one of both has, or that differ, in order.
    pub(super) fn differences(&self, other: &Written) -> Vec<String> {
        let keys: std::collections::BTreeSet<_> = self.0.keys().chain(other.0.keys()).collect();
        keys.into_iter().filter(|key| self.0.get(*key) != other.0.get(*key)).cloned().collect()
    }
}

/// A route is known by what it answers, wherever it stands in the file.
fn name(index: usize, element: &Value) -> String {
    let named = ["path", "prefix", "regex"].iter().find_map(|key| element.get(key)?.as_str());
    named.map_or_else(|| index.to_string(), str::to_owned)
}

/// Values may be secret; keys are not shown either, so that two configurations of the same meaning look the same.
impl fmt::Debug for Written {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}
