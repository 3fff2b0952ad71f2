//! The files of `evc apply` and `evc diff`: several are one, so that all of them are applied or none, and a place in that one is a place in
//! one of them again.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow, bail};
use vault::policy::MAX_FILE_BYTES;

use super::failed::Failed;
use super::read;

/// Longest file that is read: one byte more than is taken shows that it is too long.
const LONGEST: u64 = MAX_FILE_BYTES as u64 + 1;
/// Between two files.
const BETWEEN: &str = "\n---\n";

/// Files as one text.
pub(super) struct Joined {
    /// What is sent.
    pub(super) text: String,
    /// Where each begins in it: its first line, from 1.
    parts: Vec<(u64, String)>,
}

impl Joined {
    /// Reads files, folders of files, and standard input.
    ///
    /// # Errors
    /// One can't be read, a folder has none, or all are too long together.
    pub(super) fn read(said: &[PathBuf]) -> anyhow::Result<Self> {
        let mut joined = Self { text: String::new(), parts: Vec::new() };
        for path in said {
            let found = path.is_dir();
            for file in files_of(path)? {
                joined.add(&file, found)?;
            }
        }
        match joined.text.len() {
            0..=MAX_FILE_BYTES => Ok(joined),
            bytes => Err(anyhow!(
                "{} has {bytes} bytes, and at most {MAX_FILE_BYTES} are taken at once\n  what to do: split it",
                joined.names()
            )),
        }
    }

    /// `found`: in a folder, by its ending.
    fn add(&mut self, file: &Path, found: bool) -> anyhow::Result<()> {
        let name = file.display().to_string();
        let text = match (name.as_str(), found) {
            ("-", _) => read::text(io::stdin(), LONGEST),
            (_, true) => read::found(file, LONGEST),
            (_, false) => read::named(file, LONGEST),
        };
        let name = if name == "-" { "standard input".to_owned() } else { name };
        let text =
            text.with_context(|| format!("can't read {name}: give a file, a folder of .yaml files, or `-`"))?;
        let begins = text.lines().find(|line| !line.trim().is_empty() && !line.starts_with('#'));
        match (self.text.is_empty(), begins.is_some_and(|line| line.starts_with("---"))) {
            (true, _) => {}
            (false, false) => self.text += BETWEEN,
            (false, true) => self.text += "\n",
        }
        let line = self.text.matches('\n').count() as u64 + 1;
        self.parts.push((line, name));
        self.text += &text;
        Ok(())
    }

    fn names(&self) -> String {
        self.parts.iter().map(|(_, name)| name.as_str()).collect::<Vec<_>>().join(", ")
    }

    /// What the controller refused of it, by the file that it is in and the line there.
    pub(super) fn refused(&self, failed: Failed, what: &str) -> Failed {
        let Failed::Refused { mut problem, .. } = failed else {
            return failed.doing(&format!("{} {what}", self.names()));
        };
        let place = problem.place.as_mut();
        let part = place.as_ref().and_then(|at| self.parts.iter().rev().find(|(line, _)| *line <= at.line));
        let Some((first, name)) = part else {
            return Failed::from(problem).doing(&format!("{} {what}", self.names()));
        };
        if let Some(at) = place {
            let told = format!("line {}, column {}", at.line, at.column);
            at.line -= first - 1;
            problem.error =
                problem.error.replacen(&told, &format!("line {}, column {}", at.line, at.column), 1);
        }
        let others = if self.parts.len() > 1 { ", nor was any other file" } else { "" };
        Failed::from(problem).doing(&format!("{name} {what}{others}"))
    }
}

/// A folder's files by name: what is in folders below is not taken.
fn files_of(path: &Path) -> anyhow::Result<Vec<PathBuf>> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let entries = fs::read_dir(path).with_context(|| format!("can't read the folder {}", path.display()))?;
    let paths: io::Result<Vec<PathBuf>> = entries.map(|entry| Ok(entry?.path())).collect();
    let mut files = paths.with_context(|| format!("can't read the folder {}", path.display()))?;
    files.retain(|file| file.extension().is_some_and(|end| end == "yaml" || end == "yml"));
    files.sort();
    if files.is_empty() {
        bail!(
            "the folder {} has no .yaml or .yml file, and folders below it are not looked at: name the folder that has them",
            path.display()
        );
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::{Code, Problem, TextPosition};

    /// Seen-by-users 1.11: what is wrong with one of many files is told by its name and its line.
    #[test]
    fn a_place_is_told_by_the_file_that_it_is_in() {
        let dir = tempfile::tempdir().expect("a folder");
        let policy = |name: &str| format!("kind: VaultPolicy\nname: {name}\ncustody: tpm\n");
        for (file, text) in [
            ("a.yaml", policy("a")),
            ("b.yml", format!("# of b\n---\n{}", policy("b"))),
            ("c.txt", "x".into()),
        ] {
            fs::write(dir.path().join(file), text).expect("written");
        }
        let last = dir.path().join("last");
        fs::write(&last, policy("last")).expect("written");
        let joined = Joined::read(&[dir.path().to_owned(), last]).expect("read");
        let documents = vault::policy::read(&joined.text).expect("all of them read as one");
        let told: Vec<String> = documents
            .iter()
            .map(|at| {
                let error = format!("line {}, column {}: no", at.line, at.column);
                let place = Some(TextPosition { line: at.line, column: at.column });
                let problem = Problem { advice: "x".into(), code: Code::FileInvalid, error, place };
                match joined.refused(problem.into(), "was not applied") {
                    Failed::Refused { doing, problem } => {
                        format!("{}: {}", doing.unwrap_or_default(), problem.error)
                    }
                    other => panic!("{other:?}"),
                }
            })
            .collect();
        for (told, (file, line)) in told.iter().zip([("a.yaml", 2), ("b.yml", 4), ("last", 2)]) {
            assert!(told.contains(file) && told.contains(&format!("line {line}, column 7: no")), "{told}");
        }
        let empty = tempfile::tempdir().expect("a folder");
        let refused =
            Joined::read(&[empty.path().to_owned()]).map(|joined| joined.text).expect_err("no file");
        assert!(refused.to_string().contains("has no .yaml or .yml file"), "{refused}");
    }
}
