//! Answers for people: a table for lists, indented fields for one thing.

use serde::Serialize;
use serde_json::Value;
use vault::text::plain;

/// What stands in the row of a table.
pub(super) trait Row: Serialize {
    /// The headings.
    const COLUMNS: &'static [&'static str];

    /// A cell for each.
    fn cells(&self) -> Vec<Value>;
}

/// A list as a table.
pub(super) fn table<T: Row>(rows: &[T]) -> String {
    if rows.is_empty() {
        return "nothing there\n".into();
    }
    let mut cells = vec![T::COLUMNS.iter().map(|&heading| heading.to_owned()).collect::<Vec<_>>()];
    cells.extend(rows.iter().map(|row| row.cells().iter().map(cell).collect()));
    let widths: Vec<usize> = (0..T::COLUMNS.len())
        .map(|i| cells.iter().map(|row| row[i].chars().count()).max().unwrap_or(0))
        .collect();
    cells.iter().map(|row| line(row, &widths)).collect()
}

/// One thing, whole, by indented fields.
pub(super) fn whole(value: &Value) -> String {
    fields(value, 0)
}

fn line(row: &[String], widths: &[usize]) -> String {
    let padded: Vec<String> = row.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
    format!("{}\n", padded.join("  ").trim_end())
}

fn cell(value: &Value) -> String {
    match value {
        Value::Null => "-".into(),
        Value::String(text) => plain(text).into_owned(),
        Value::Array(items) if items.is_empty() => "-".into(),
        Value::Array(items) => items.iter().map(cell).collect::<Vec<_>>().join("; "),
        other => plain(&other.to_string()).into_owned(),
    }
}

fn fields(value: &Value, depth: usize) -> String {
    let indent = "  ".repeat(depth);
    match value {
        Value::Object(map) => {
            map.iter().map(|(key, value)| field(&format!("{indent}{}:", plain(key)), value, depth)).collect()
        }
        Value::Array(items) => items.iter().map(|item| field(&format!("{indent}-"), item, depth)).collect(),
        other => format!("{indent}{}\n", cell(other)),
    }
}

fn field(head: &str, value: &Value, depth: usize) -> String {
    match value {
        Value::Object(map) if !map.is_empty() => format!("{head}\n{}", fields(value, depth + 1)),
        Value::Array(items) if !items.is_empty() => format!("{head}\n{}", fields(value, depth + 1)),
        other => format!("{head} {}\n", cell(other)),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[derive(Serialize)]
    struct Two(&'static str, Option<u8>);

    impl Row for Two {
        const COLUMNS: &'static [&'static str] = &["NAME", "N"];
        fn cells(&self) -> Vec<Value> {
            vec![json!(self.0), json!(self.1)]
        }
    }

    #[test]
    fn a_list_is_aligned_and_shows_nothing_that_moves_the_cursor() {
        let rows = [Two("a\u{1b}[2J", Some(1)), Two("longer", None)];
        assert_eq!(table(&rows), "NAME        N\na\\u001b[2J  1\nlonger      -\n");
    }

    #[test]
    fn one_thing_is_shown_whole() {
        let value = json!({ "a": { "b": [1, { "c": "d" }] }, "e": [] });
        assert_eq!(whole(&value), "a:\n  b:\n    - 1\n    -\n      c: d\ne: -\n");
    }
}
