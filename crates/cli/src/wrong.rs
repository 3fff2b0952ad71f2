//! What went wrong, for a program that reads it: an object of the form in which a controller tells a refusal, with the exit status beside it. It
//! is asked for as every other answer is, by `-o json`, and so is looked for in the line itself: one that does not parse says it too.

use std::ffi::OsString;

use serde_json::{Value, json};
use vault::text::plain_lines;

/// Between what is and what to do, where both are told.
const WHAT_TO_DO: &str = "\n  what to do: ";

/// Whether this line asks for JSON.
#[must_use]
pub fn asks_for_json(line: &[OsString]) -> bool {
    let words: Vec<&str> =
        line.iter().filter_map(|word| word.to_str()).take_while(|word| *word != "--").collect();
    let alone = ["--output=json", "-ojson", "-o=json"];
    words.iter().any(|word| alone.contains(word))
        || words.windows(2).any(|two| matches!(two, ["-o" | "--output", "json"]))
}

/// An error of this program as an object on one line or several: what it is, for a program and in words, what to do, and how it exits.
#[must_use]
pub fn in_json(code: &str, words: &str, exit: u8) -> String {
    let (error, advice) = words.split_once(WHAT_TO_DO).unwrap_or((words, "do what the error says"));
    object(json!({ "advice": advice.trim(), "code": code, "error": error.trim() }), exit)
}

/// The same of an object that is there.
#[must_use]
pub fn object(mut told: Value, exit: u8) -> String {
    told["exit"] = exit.into();
    plain_lines(&format!("{told:#}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asks(line: &str) -> bool {
        asks_for_json(&line.split(' ').map(OsString::from).collect::<Vec<_>>())
    }

    /// Issue 8, errors: a script that asks for JSON finds it, whatever went wrong, and however it wrote the option.
    #[test]
    fn json_is_asked_for_however_it_is_written() {
        for line in ["x get -o json", "x --output json get", "x -ojson", "x --output=json", "x -o=json"] {
            assert!(asks(line), "{line}");
        }
        for line in ["x get", "x -o yaml json", "x json -o", "x run -- -o json"] {
            assert!(!asks(line), "{line}");
        }
    }

    #[test]
    fn what_is_and_what_to_do_are_parted() {
        let told: Value =
            serde_json::from_str(&in_json("failed", "no\u{1b} file\n  what to do: make one", 1))
                .expect("JSON");
        let is = json!({ "advice": "make one", "code": "failed", "error": "no\u{1b} file", "exit": 1 });
        assert_eq!(told, is);
        assert!(!in_json("failed", "no\u{1b} file", 1).contains('\u{1b}'));
    }
}
