//! A value of the bus in words: `device 4f..; attested yes; vaults (name image; state unlocked), (..)`. What is empty is left out.

use serde_json::Value;

use crate::bus::messages::rfc3339;

/// Lists of bytes by their length, for a list of bytes (a key, a point) says nothing to a reader but that; and times as text.
pub(super) fn readable(value: Value) -> Value {
    match value {
        Value::Array(items) if items.len() > FEW && items.iter().all(is_byte) => {
            format!("{} bytes", items.len()).into()
        }
        Value::Array(items) => items.into_iter().map(readable).collect(),
        Value::Object(fields) => fields.into_iter().map(readable_field).collect(),
        other => other,
    }
}

fn readable_field((name, value): (String, Value)) -> (String, Value) {
    let time = name
        .strip_suffix("_unix_s")
        .zip(value.as_u64())
        .and_then(|(name, seconds)| Some((name.to_owned(), rfc3339(seconds)?.into())));
    time.unwrap_or_else(|| (name, readable(value)))
}

/// Longest list of bytes that is shown as such.
const FEW: usize = 4;

fn is_byte(value: &Value) -> bool {
    value.as_u64().is_some_and(|number| u8::try_from(number).is_ok())
}

/// In words, as a line has it.
pub(super) fn words(value: &Value) -> String {
    match value {
        Value::Object(fields) => {
            let said = fields.iter().filter(|(_, value)| !is_empty(value));
            said.map(|(name, value)| field(name, value)).collect::<Vec<_>>().join("; ")
        }
        Value::Array(items) => items.iter().map(item).collect::<Vec<_>>().join(", "),
        other => scalar(other),
    }
}

fn field(name: &str, value: &Value) -> String {
    format!("{} {}", name_in_words(name), within(value))
}

/// What has parts of its own stands in brackets.
fn within(value: &Value) -> String {
    match value {
        Value::Object(_) => format!("({})", words(value)),
        other => words(other),
    }
}

/// Of a list: a pair of its own stands in brackets too.
fn item(value: &Value) -> String {
    match value {
        Value::Array(_) => format!("({})", words(value)),
        other => within(other),
    }
}

fn scalar(value: &Value) -> String {
    match value {
        Value::Null => "none".to_owned(),
        Value::Bool(is_so) => if *is_so { "yes" } else { "no" }.to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        _ => false,
    }
}

/// `last_answer` and `LastAnswer`: last answer. What is no name of ours (an id as a key) stays as it is.
fn name_in_words(name: &str) -> String {
    if !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
        return name.to_owned();
    }
    let mut words = String::with_capacity(name.len());
    for letter in name.chars() {
        if letter.is_ascii_uppercase() && !words.is_empty() {
            words.push(' ');
        }
        words.push(if letter == '_' { ' ' } else { letter.to_ascii_lowercase() });
    }
    words
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// Issue 8 B: a person reads words, and nothing of how the program is written.
    #[test]
    fn a_value_is_words_without_what_is_empty_and_without_bytes() {
        let value = json!({ "key": [4, 1, 2, 3, 255], "ports": [{ "n": [1, 2], "is_up": true }], "note": "", "of": null,
            "late_unix_s": 1_u64 << 40, "Ready": { "LastAnswer": [[7, 8]], "at_unix_s": 86_400 }, "b1f0-1": "x" });
        let shown = readable(value);
        assert_eq!(shown["key"], json!("5 bytes"));
        // Fields stand as JSON has them: by the alphabet.
        assert_eq!(
            words(&shown),
            "ready (last answer (7, 8); at 1970-01-02T00:00:00Z); b1f0-1 x; key 5 bytes; late unix s 1099511627776; ports (is up yes; n 1, 2)"
        );
        assert_eq!(words(&json!([])), "");
        assert_eq!(words(&json!(null)), "none");
    }
}
