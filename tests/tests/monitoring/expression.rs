//! Which metrics an expression of PromQL names. Whether it makes sense is for Prometheus to say.

use std::collections::BTreeSet;

/// What Grafana puts in before it asks, put in here: everything, and what one scrape a second is enough for.
pub fn filled_in(expression: &str) -> String {
    let mut text = expression.replace("$__rate_interval", "10s");
    for variable in ["$route", "$deployment", "$chain"] {
        text = text.replace(variable, ".*");
    }
    text
}

/// Its metrics: names that are neither called, nor labels, nor words of the language.
pub fn metrics(expression: &str) -> BTreeSet<String> {
    let text = without_lists(&without(&without(&without(expression, '"', '"'), '{', '}'), '[', ']'));
    let mut found = BTreeSet::new();
    let mut rest = text.as_str();
    while let Some(start) = rest.find(|c: char| c.is_ascii_alphabetic() || c == '_') {
        // Not a number's own letter, as in 1e9.
        let is_part = rest[..start].ends_with(|c: char| c.is_ascii_digit() || c == '.');
        let word = &rest[start..];
        let end = word.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == ':')).unwrap_or(word.len());
        let (word, after) = word.split_at(end);
        rest = after;
        let is_called = after.trim_start().starts_with('(');
        if !is_part && !is_called && !WORDS.contains(&word) {
            found.insert(word.to_owned());
        }
    }
    found
}

const WORDS: [&str; 7] = ["and", "or", "unless", "bool", "offset", "Inf", "NaN"];
/// A list of labels follows them.
const LISTS: [&str; 7] = ["by", "without", "on", "ignoring", "group_left", "group_right", "le"];

/// Without everything between two brackets.
fn without(text: &str, open: char, close: char) -> String {
    let (mut kept, mut is_inside) = (String::new(), false);
    for c in text.chars() {
        match is_inside {
            true => is_inside = c != close,
            false if c == open => is_inside = true,
            false => kept.push(c),
        }
    }
    kept
}

/// Without `by (…)` and its like.
fn without_lists(text: &str) -> String {
    let (mut kept, mut rest) = (String::new(), text);
    while let Some(open) = rest.find('(') {
        let (before, from) = rest.split_at(open);
        let word = before.trim_end().rsplit(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).next().unwrap_or("");
        let close = from.find(')').map_or(from.len(), |at| at + 1);
        if LISTS.contains(&word) {
            kept.push_str(before.trim_end().strip_suffix(word).unwrap_or(before));
            rest = &from[close..];
        } else {
            kept.push_str(before);
            kept.push('(');
            rest = &from[1..];
        }
    }
    kept + rest
}

#[test]
fn the_metrics_of_an_expression_are_what_is_neither_called_nor_a_label_nor_a_word() {
    let named = |text| metrics(text).into_iter().collect::<Vec<_>>().join(" ");
    assert_eq!(named(r#"sum by (le, route) (rate(a_bucket{route=~"x", le="1"}[5m]))"#), "a_bucket");
    assert_eq!(named("min by (d) (a) - time() < on (d) group_left () 0.25 * min by (d) (b)"), "a b");
    assert_eq!(
        named("sluice:failed:rate5m / (sluice:failed:rate5m + 1e9) or vector(0) and x < Inf"),
        "sluice:failed:rate5m x"
    );
    assert_eq!(named("topk(10, histogram_quantile(0.99, sum by (le) (rate(a_bucket[5m]))))"), "a_bucket");
}
