//! Answers for people: a table for lists, indented fields for one thing.

use serde_json::Value;
use vault::text::plain;

/// Prints a list as a table by columns (heading, JSON pointer); without columns, everything, indented.
pub(super) fn table(value: &Value, columns: &[(&str, &str)]) -> String {
    if columns.is_empty() {
        return fields(value, 0);
    }
    let rows: Vec<&Value> = value.as_array().map_or_else(|| vec![value], |rows| rows.iter().collect());
    if rows.is_empty() {
        return "nothing there\n".into();
    }
    let mut cells = vec![columns.iter().map(|(heading, _)| (*heading).to_owned()).collect::<Vec<_>>()];
    cells.extend(rows.iter().map(|row| columns.iter().map(|(_, at)| cell(row.pointer(at))).collect()));
    let widths: Vec<usize> = (0..columns.len())
        .map(|i| cells.iter().map(|row| row[i].chars().count()).max().unwrap_or(0))
        .collect();
    cells.iter().map(|row| line(row, &widths)).collect()
}

fn line(row: &[String], widths: &[usize]) -> String {
    let padded: Vec<String> = row.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
    format!("{}\n", padded.join("  ").trim_end())
}

fn cell(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => "-".into(),
        Some(Value::String(text)) => plain(text).into_owned(),
        Some(Value::Array(items)) if items.is_empty() => "-".into(),
        Some(Value::Array(items)) => items.iter().map(|item| cell(Some(item))).collect::<Vec<_>>().join("; "),
        Some(other) => plain(&other.to_string()).into_owned(),
    }
}

fn fields(value: &Value, depth: usize) -> String {
    let indent = "  ".repeat(depth);
    match value {
        Value::Object(map) => {
            map.iter().map(|(key, value)| field(&format!("{indent}{}:", plain(key)), value, depth)).collect()
        }
        Value::Array(items) => items.iter().map(|item| field(&format!("{indent}-"), item, depth)).collect(),
        other => format!("{indent}{}\n", cell(Some(other))),
    }
}

fn field(head: &str, value: &Value, depth: usize) -> String {
    match value {
        Value::Object(map) if !map.is_empty() => format!("{head}\n{}", fields(value, depth + 1)),
        Value::Array(items) if !items.is_empty() => format!("{head}\n{}", fields(value, depth + 1)),
        other => format!("{head} {}\n", cell(Some(other))),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_list_is_aligned_and_shows_nothing_that_moves_the_cursor() {
        let value = json!([{ "name": "a\u{1b}[2J", "n": 1 }, { "name": "longer", "n": null }]);
        assert_eq!(
            table(&value, &[("NAME", "/name"), ("N", "/n")]),
            "NAME        N\na\\u001b[2J  1\nlonger      -\n"
        );
    }

    #[test]
    fn one_thing_is_shown_whole() {
        let value = json!({ "a": { "b": [1, { "c": "d" }] }, "e": [] });
        assert_eq!(table(&value, &[]), "a:\n  b:\n    - 1\n    -\n      c: d\ne: -\n");
    }
}
