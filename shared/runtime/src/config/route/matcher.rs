/// Which requests a route answers.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Matcher {
    /// This path alone.
    Exact(String),
    /// Every path that begins with this, at a segment's border.
    Prefix(String),
}

impl Matcher {
    /// The path or prefix.
    pub fn path(&self) -> &str {
        match self {
            Matcher::Exact(path) | Matcher::Prefix(path) => path,
        }
    }
}
