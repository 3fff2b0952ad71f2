//! Tables for people.

use serde_json::Value;
use vault::text::plain;

/// What stands where there is nothing.
pub const NOTHING: &str = "-";

/// Rows of as many cells each, the headings first: a column is as wide as its widest cell.
#[must_use]
pub fn aligned(rows: &[Vec<String>]) -> String {
    let columns = rows.first().map_or(0, Vec::len);
    let width = |at: usize| rows.iter().map(|row| row[at].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns).map(width).collect();
    rows.iter().map(|row| line(row, &widths)).collect()
}

fn line(row: &[String], widths: &[usize]) -> String {
    let padded: Vec<String> = row.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
    format!("{}\n", padded.join("  ").trim_end())
}

/// A value as a cell shows it.
#[must_use]
pub fn cell(value: &Value) -> String {
    match value {
        Value::Null => NOTHING.into(),
        Value::String(text) => plain(text).into_owned(),
        Value::Array(items) if items.is_empty() => NOTHING.into(),
        Value::Array(items) => items.iter().map(cell).collect::<Vec<_>>().join("; "),
        other => plain(&other.to_string()).into_owned(),
    }
}
