//! Reads the operator's file: several YAML documents, each checked, every refusal with its line and column.
//! Hostile input is expected: size, depth and references are limited before anything is built from it.

use std::collections::HashSet;

use serde_saphyr::budget::BudgetBreach;
use serde_saphyr::{DuplicateKeyPolicy, Location, Spanned};

use super::kind::document;
use super::raw::Raw;
use super::{Document, VaultSpec};

/// Largest file that is read, in bytes.
pub const MAX_FILE_BYTES: usize = 1 << 20;

/// A document and where it begins in its file, counted from 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Located {
    /// The document.
    pub document: Document,
    /// Line of its `name`.
    pub line: u64,
    /// Column of its `name`.
    pub column: u64,
}

/// Why a file was refused: nothing of it is taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}: {problem}; {advice}")]
pub struct BadFile {
    /// From 1; 0 when the place is not known.
    pub line: u64,
    /// From 1; 0 when the place is not known.
    pub column: u64,
    /// What is wrong.
    pub problem: String,
    /// What to do.
    pub advice: String,
}

impl BadFile {
    pub(super) fn at(place: Location, problem: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { line: place.line(), column: place.column(), problem: problem.into(), advice: advice.into() }
    }
}

/// Reads every document of a file.
///
/// # Errors
/// The first thing wrong with it, with its place and what to do.
pub fn read(text: &str) -> Result<Vec<Located>, BadFile> {
    within_size(text)?;
    let raws: Vec<Spanned<Raw>> =
        serde_saphyr::from_multiple_with_options(text, options()).map_err(|e| syntax(&e))?;
    if raws.is_empty() {
        return Err(nowhere(
            "the file holds no document",
            "write at least one with `kind: VaultPolicy` or `kind: Vault`",
        ));
    }
    let mut seen = HashSet::new();
    raws.into_iter().map(|raw| once(raw, &mut seen)).collect()
}

fn within_size(text: &str) -> Result<(), BadFile> {
    if text.len() > MAX_FILE_BYTES {
        return Err(nowhere("the file is larger than 1 MiB", "split it into several files"));
    }
    Ok(())
}

fn options() -> serde_saphyr::Options {
    serde_saphyr::options! { duplicate_keys: DuplicateKeyPolicy::Error }
}

fn once(raw: Spanned<Raw>, seen: &mut HashSet<String>) -> Result<Located, BadFile> {
    let (document, place) = document(raw)?;
    if !seen.insert(identity(&document)) {
        return Err(BadFile::at(
            place,
            "this name is used twice in the file",
            "keep one of the two documents",
        ));
    }
    Ok(Located { document, line: place.line(), column: place.column() })
}

fn identity(document: &Document) -> String {
    match document {
        Document::Policy(policy) => format!("policy {}", policy.name),
        Document::Vault(VaultSpec { name, device, .. }) => format!("vault {name} of {device}"),
        Document::Rule(rule) => format!("rule {}", rule.name),
    }
}

fn nowhere(problem: &str, advice: &str) -> BadFile {
    BadFile { line: 0, column: 0, problem: problem.into(), advice: advice.into() }
}

fn syntax(error: &serde_saphyr::Error) -> BadFile {
    let place = error.location();
    let said = first_line(&error.without_snippet().to_string());
    let ours = of_a_duplicate(&said).or_else(|| in_our_words(&said));
    let (problem, to_do) = ours.unwrap_or_else(|| (said.clone(), advice(error.without_snippet())));
    BadFile {
        line: place.map_or(0, |at| at.line()),
        column: place.map_or(0, |at| at.column()),
        problem,
        advice: to_do.into(),
    }
}

/// A field that is there twice; or the first one of another document, where the line between them was forgotten.
fn of_a_duplicate(said: &str) -> Option<(String, &'static str)> {
    let field = said.strip_prefix("duplicate mapping key: ")?.split(", ").next()?;
    let to_do = match field {
        "kind" => "write a line `---` before each document but the first",
        _ => "keep one of the two",
    };
    Some((format!("duplicate `{field}`: it is there already"), to_do))
}

/// What people write wrongly most, and the parser says for who builds with it.
fn in_our_words(said: &str) -> Option<(String, &'static str)> {
    let rows = [
        (
            "mapping values are not allowed",
            "this line stands further in than it may",
            "begin it where the field above it begins",
        ),
        ("found a tab", "a tab stands here", "write spaces: YAML takes no tab before a field"),
        (
            "expected sequence start",
            "one value stands where a list is wanted",
            "write it in brackets, like `[pcrs]`",
        ),
    ];
    let row = rows.into_iter().find(|(theirs, ..)| said.contains(theirs));
    row.map(|(_, problem, to_do)| (problem.to_owned(), to_do))
}

fn advice(error: &serde_saphyr::Error) -> &'static str {
    match error {
        serde_saphyr::Error::Budget { breach: BudgetBreach::Documents { .. }, .. } => {
            "split the file: at most 1024 documents are taken at once"
        }
        _ => "mend the YAML there; `evc --help` shows a whole example",
    }
}

/// The parser's own text, without its place (ours is in front) and without its picture of the file.
fn first_line(text: &str) -> String {
    let line = text.lines().next().unwrap_or_default();
    let line = line.strip_prefix("error: ").unwrap_or(line);
    line.split(" at line ").next().unwrap_or(line).trim().to_owned()
}
