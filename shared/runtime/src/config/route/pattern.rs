use std::fmt;
use std::str::FromStr;

use regex::{Regex, RegexBuilder};
use serde::{Deserialize, Deserializer, de};

/// The longest regular expression, in bytes.
const MAX_TEXT: usize = 1_024;
/// The most memory that a compiled one may take, in bytes, and as much again while it matches.
const MAX_SIZE: usize = 1 << 20;

/// A regular expression that a whole path must match: decoded, with its leading slash, to its end.
#[derive(Clone)]
pub struct Pattern {
    text: String,
    regex: Regex,
}

impl Pattern {
    fn new(text: String) -> Result<Pattern, String> {
        if text.len() > MAX_TEXT {
            return Err(format!("a regex has at most {MAX_TEXT} bytes, `{}…` has {}", &start(&text), text.len()));
        }
        if text.starts_with(|first: char| first.is_alphanumeric()) {
            return Err(format!("the regex `{text}` matches no path: it must match all of it, with its leading slash"));
        }
        // By itself first: what is no expression alone must not become one between our brackets.
        let regex = build(&text).and_then(|_| build(&format!(r"\A(?:{text})\z")));
        let regex = regex.map_err(|why| format!("`{text}` is no regex: {why}"))?;
        Ok(Pattern { text, regex })
    }

    /// As it was written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether this is such a path.
    pub fn matches(&self, path: &str) -> bool {
        self.regex.is_match(path)
    }

    /// What the group of this name stands for in a path.
    pub fn capture<'a>(&self, path: &'a str, group: &str) -> Option<&'a str> {
        self.regex.captures(path)?.name(group).map(|part| part.as_str())
    }

    /// Whether it has a group of this name.
    pub fn has_group(&self, group: &str) -> bool {
        self.regex.capture_names().flatten().any(|name| name == group)
    }
}

fn build(text: &str) -> Result<Regex, String> {
    let built = RegexBuilder::new(text).size_limit(MAX_SIZE).dfa_size_limit(MAX_SIZE).build();
    built.map_err(|error| match error {
        regex::Error::CompiledTooBig(limit) => format!("compiled, it is larger than {limit} bytes"),
        // The parser draws where it is, over several lines; the last one says what it is.
        error => error.to_string().lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned(),
    })
}

fn start(text: &str) -> String {
    text.chars().take(32).collect()
}

impl FromStr for Pattern {
    type Err = String;

    fn from_str(text: &str) -> Result<Pattern, String> {
        Pattern::new(text.to_owned())
    }
}

impl<'de> Deserialize<'de> for Pattern {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Pattern, D::Error> {
        Pattern::new(String::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Pattern) -> bool {
        self.text == other.text
    }
}

impl Eq for Pattern {}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.text.fmt(f)
    }
}
