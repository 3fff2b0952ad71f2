//! Sentences of errors that are made where they are told, of no type: those of `bail!`, `anyhow!`, `ensure!`, `context` and their like. They are
//! read from the sources, for no test makes each of them happen.

use std::fs;
use std::path::Path;

use crate::help::other_word;
use crate::{Command, rust_files, wrong_words};

/// What makes a whole error: nothing stands under it, so it says itself what to do.
const WHOLE: [&str; 3] = ["bail!(", "anyhow!(", "ensure!("];
/// What says where another error happened, or is a part of one.
const PARTS: [&str; 3] = [".context(", ".with_context(", "CryptError::new("];
/// What a type says: tables have these, whole.
const OF_TYPES: &str = "#[error(";
/// Words that tell nothing to whom they are told.
const JARGON: [&str; 9] = [
    "invalid",
    "illegal",
    "unexpected",
    "malformed input",
    "failed to",
    "unable to",
    "could not parse",
    "errno",
    "bad ",
];

/// What is wrong with such sentences in the sources under a folder, one line each: as with [`wrong_words`]; jargon; a value in Rust's form for
/// debugging; no thing named; and of a whole error in a file below `told`, what to do not said.
///
/// # Panics
/// They can't be read.
#[must_use]
pub fn wrong_sentences(src: &Path, program: &Command, told: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    for file in shipped(src) {
        let text = fs::read_to_string(&file).expect("reads");
        let below = file.strip_prefix(src).expect("below");
        for (made_by, sentence) in sentences(&text) {
            let of = wrong_sentence(program, &sentence, made_by, below.starts_with(told));
            wrong.extend(of.into_iter().map(|wrong| format!("{}: {wrong}", below.display())));
        }
    }
    wrong
}

/// Without tests.
fn shipped(src: &Path) -> impl Iterator<Item = std::path::PathBuf> {
    let is_test = |name: &std::ffi::OsStr| name == "tests" || name == "tests.rs";
    rust_files(src).into_iter().filter(move |file| !file.iter().any(is_test))
}

fn wrong_sentence(program: &Command, sentence: &str, made_by: &str, told: bool) -> Vec<String> {
    let mut wrong = wrong_words(program, &filled(sentence));
    let mut is = |so: bool, what: &str| wrong.extend(so.then(|| format!("{what}: {sentence:?}")));
    is(
        other_word(sentence).is_some(),
        "has a word of ours where people are told another one (docs/GLOSSARY.md)",
    );
    is(JARGON.iter().any(|word| sentence.contains(word)), "has jargon");
    is(sentence.contains(":?}"), "shows a value as Rust does");
    let names = sentence.contains(['{', '/', '`']) || sentence.split_whitespace().count() > 2;
    is(made_by != OF_TYPES && !names, "names no thing");
    let after = sentence.split_once([':', ';', ',', '?']).map_or("", |(_, after)| after);
    is(told && WHOLE.contains(&made_by) && !crate::says_what_to_do(after), "says not what to do");
    wrong
}

/// With something in each place where something is put.
fn filled(sentence: &str) -> String {
    let mut filled = String::new();
    let mut rest = sentence;
    while let Some((before, after)) = rest.split_once('{') {
        filled.push_str(before);
        let Some((_, behind)) = after.split_once('}') else { break };
        filled.push('7');
        rest = behind;
    }
    filled + rest
}

/// What makes it, and what it says; those that only pass a value on are left out.
fn sentences(text: &str) -> Vec<(&'static str, String)> {
    let text = text.split("\nmod tests {").next().unwrap_or_default();
    let makers = WHOLE.into_iter().chain(PARTS).chain([OF_TYPES]);
    let found =
        makers.flat_map(|maker| text.match_indices(maker).map(move |(at, _)| (maker, at + maker.len())));
    let found = found.filter_map(|(maker, at)| {
        let from = if maker == "ensure!(" { at + condition(&text[at..])? } else { at };
        Some((maker, literal(&text[from..])?))
    });
    let has_words = |(_, said): &(&str, String)| filled(said).chars().any(char::is_alphabetic);
    found.filter(has_words).collect()
}

/// How long the condition is that stands before a sentence.
fn condition(text: &str) -> Option<usize> {
    text.match_indices(',').map(|(at, _)| at + 1).find(|at| text[*at..].trim_start().starts_with('"'))
}

/// The first text in quotes before the parenthesis closes that is open.
fn literal(text: &str) -> Option<String> {
    let mut depth = 1_usize;
    for (at, c) in text.char_indices() {
        match c {
            '"' => return Some(unescaped(&text[at + 1..])),
            '(' => depth += 1,
            ')' if depth == 1 => return None,
            ')' => depth -= 1,
            _ => {}
        }
    }
    None
}

/// Up to the quote that ends it, as it is printed.
fn unescaped(text: &str) -> String {
    let mut said = String::new();
    let mut letters = text.chars().peekable();
    while let Some(c) = letters.next() {
        match c {
            '"' => break,
            '\\' => match letters.next() {
                Some('n') => said.push('\n'),
                Some('\n') => while letters.next_if(|c| c.is_whitespace()).is_some() {},
                Some(other) => said.push(other),
                None => break,
            },
            c => said.push(c),
        }
    }
    said
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrong(text: &str) -> Vec<String> {
        let x = Command::new("x").subcommand(Command::new("y"));
        let all = sentences(text).into_iter();
        all.flat_map(|(maker, said)| wrong_sentence(&x, &said, maker, true)).collect()
    }

    /// Issue 8, errors: a sentence that no test makes happen is read all the same.
    #[test]
    fn a_sentence_that_is_out_of_form_is_found() {
        for text in [
            r#"bail!("the file {} is there already")"#,
            r#".context("landlock")"#,
            r#".with_context(|| format!("invalid label {}", it))"#,
            r#".context("The folder can't be made")"#,
            r#"anyhow!("no vault {wanted:?}: see `x y`")"#,
            r#"ensure!(is_root(), "the bus is heard by root: are you root?.")"#,
            r#"bail!("no vault here: run `x w`")"#,
        ] {
            assert_eq!(wrong(text).len(), 1, "{text}: {:?}", wrong(text));
        }
    }

    #[test]
    fn one_that_is_in_form_is_not() {
        for text in [
            "bail!(\"{} is there \\\n   already; name another, or say `x y`\")",
            r#".context(config.path())"#,
            r#".with_context(|| format!("can't read {}", shown(&path)))"#,
            r#"anyhow!("{}", words)"#,
        ] {
            assert_eq!(wrong(text), [""; 0], "{text}");
        }
    }
}
