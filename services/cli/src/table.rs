//! Lines for people: columns of equal width.

/// A table of these columns, of which the last ones are numbers. What is empty is shown as `-`.
pub(crate) fn table(names: &[&str], rows: &[Vec<String>], numbers: usize) -> String {
    let header = names.iter().map(|name| (*name).to_owned()).collect();
    let lines: Vec<&Vec<String>> = std::iter::once(&header).chain(rows).collect();
    let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..names.len()).map(width).collect();
    let first_number = names.len().saturating_sub(numbers);
    let cell = |(column, text): (usize, &String)| {
        let text = if text.is_empty() { "-" } else { text };
        let width = widths[column];
        if column < first_number { format!("{text:<width$}") } else { format!("{text:>width$}") }
    };
    let line = |line: &&Vec<String>| {
        let cells: Vec<String> = line.iter().enumerate().map(cell).collect();
        cells.join("  ").trim_end().to_owned()
    };
    lines.iter().map(line).collect::<Vec<_>>().join("\n")
}
