//! What is answered, as YAML: blocks of fields, every text in JSON's quotes, which are YAML's too.

use serde_json::Value;
use vault::text::plain;

/// As one document.
#[must_use]
pub fn yaml(value: &Value) -> String {
    block(value, 0)
}

fn block(value: &Value, depth: usize) -> String {
    let indent = "  ".repeat(depth);
    match value {
        Value::Object(map) if !map.is_empty() => map
            .iter()
            .map(|(key, value)| format!("{indent}{}:{}", quoted(key), below(value, depth)))
            .collect(),
        Value::Array(items) if !items.is_empty() => {
            items.iter().map(|item| format!("{indent}-{}", below(item, depth))).collect()
        }
        other => format!("{indent}{}\n", scalar(other)),
    }
}

fn below(value: &Value, depth: usize) -> String {
    let is_block = matches!(value, Value::Object(map) if !map.is_empty())
        || matches!(value, Value::Array(items) if !items.is_empty());
    if is_block { format!("\n{}", block(value, depth + 1)) } else { format!(" {}\n", scalar(value)) }
}

fn scalar(value: &Value) -> String {
    match value {
        Value::String(text) => format!("{}", Value::String(plain(text).into_owned())),
        other => other.to_string(),
    }
}

/// A key of ours is a word; a number as a key is a text.
fn quoted(key: &str) -> String {
    let is_word = key.starts_with(|c: char| c.is_ascii_alphabetic())
        && key.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    if is_word { key.to_owned() } else { Value::String(plain(key).into_owned()).to_string() }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn blocks_are_indented_and_texts_quoted() {
        let value = json!({ "a": { "b": [1, { "c": "d\u{1b}" }, []] }, "e": {}, "0": null });
        let text = "\"0\": null\na:\n  b:\n    - 1\n    -\n      c: \"d\\\\u001b\"\n    - []\ne: {}\n";
        assert_eq!(yaml(&value), text);
    }
}
