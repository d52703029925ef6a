//! The table of values: every key of `values.yaml` with its default, and what the `# --` comment above it says.

use anyhow::{Context, Result};

const BEGIN: &str = "<!-- values: written by `cargo xtask chart` -->\n";
const END: &str = "<!-- end of values -->";

/// The README with the table of these values in its place.
pub(super) fn put(readme: &str, values: &str) -> Result<String> {
    let place = "the README has no place for the table of values";
    let (before, rest) = readme.split_once(BEGIN).context(place)?;
    let (_, after) = rest.split_once(END).context(place)?;
    Ok(format!("{before}{BEGIN}\n{}\n{END}{after}", table(values)))
}

fn table(values: &str) -> String {
    let mut table = "| key | default | |\n|---|---|---|\n".to_owned();
    for Row { key, default, says } in rows(values) {
        let default = default.map(|text| format!("`{text}`")).unwrap_or_default();
        table += &format!("| `{key}` | {default} | {} |\n", says.replace('|', "\\|"));
    }
    table
}

struct Row {
    key: String,
    default: Option<String>,
    says: String,
}

/// Reads `values.yaml` line by line, for it is written by us: two spaces a level, `key: value` or `key:` in a line.
fn rows(values: &str) -> Vec<Row> {
    let mut rows = Vec::new();
    let mut path: Vec<&str> = Vec::new();
    let mut says = String::new();
    // How deep the list is that is passed over.
    let mut in_list = None;
    let mut lines = values.lines().peekable();
    while let Some(line) = lines.next() {
        let text = line.trim_start();
        let depth = (line.len() - text.len()) / 2;
        if text.is_empty() {
            says.clear();
        } else if let Some(comment) = text.strip_prefix('#') {
            match comment.strip_prefix(" -- ") {
                Some(begin) => says = begin.to_owned(),
                None if says.is_empty() => {}
                None => says.extend([" ", comment.trim()]),
            }
        } else if in_list.is_none_or(|list| depth < list)
            && let Some((key, value)) = text.split_once(':')
        {
            path.truncate(depth);
            path.push(key);
            let list = lines.peek().map(|next| next.trim_start()).filter(|next| next.starts_with("- "));
            in_list = list.map(|_| depth + 1);
            let value = value.trim();
            let default = if list.is_some() { Some("[…]") } else { Some(value).filter(|value| !value.is_empty()) };
            if default.is_some() || !says.is_empty() {
                rows.push(Row { key: path.join("."), default: default.map(str::to_owned), says: says.clone() });
            }
            says.clear();
        }
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::put;

    const VALUES: &str = "# Not in the table.\nimage:\n  # -- Which,\n  # and where from.\n  name: x:1\n  tag: \"\"\n\
                          # -- What is for sale.\nroutes:\n  - path: /\n    price: 1\n# -- All of it.\nrest:\n  b: {}\n";

    #[test]
    fn every_key_is_in_the_table_with_its_default_and_its_comment() {
        let readme = "# Chart\n<!-- values: written by `cargo xtask chart` -->\nold\n<!-- end of values -->\nmore\n";
        let expected = "# Chart\n<!-- values: written by `cargo xtask chart` -->\n\n| key | default | |\n|---|---|---|\n\
                        | `image.name` | `x:1` | Which, and where from. |\n| `image.tag` | `\"\"` |  |\n\
                        | `routes` | `[…]` | What is for sale. |\n| `rest` |  | All of it. |\n| `rest.b` | `{}` |  |\n\n\
                        <!-- end of values -->\nmore\n";
        assert_eq!(put(readme, VALUES).expect("there is a place"), expected);
    }
}
