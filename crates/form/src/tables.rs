//! Which types are errors, and which of them a table of [`every!`](crate::every) has, read from the sources. Two types of one name are two: each
//! is known by the path to it.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::Path;

use crate::rust_files;

/// The path to a type: its crate, modules and name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Type(Vec<String>);

impl Type {
    fn new(path: &str) -> Self {
        Self(path.split("::").filter(|part| !part.is_empty()).map(|part| part.trim().to_owned()).collect())
    }

    /// By a path that leaves modules out, as one to where it is exported does.
    fn is_named(&self, by: &Self) -> bool {
        let mut modules = self.0.iter();
        self.0.last() == by.0.last()
            && self.0.first() == by.0.first()
            && by.0.iter().all(|it| modules.any(|other| other == it))
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("::"))
    }
}

/// What the sources of crates say of errors.
#[derive(Debug, Default)]
pub struct Errors {
    /// Types that are errors and have words of their own: those that only pass another error on have none.
    pub types: Vec<Type>,
    /// Heads of tables, as far as they name a type by its path.
    pub tables: Vec<Type>,
}

impl Errors {
    /// Reads all crates under a folder.
    ///
    /// # Panics
    /// They can't be read.
    #[must_use]
    pub fn of(crates: &Path) -> Self {
        let mut errors = Self::default();
        for file in rust_files(crates) {
            let text = fs::read_to_string(&file).expect("reads");
            let module = module(file.strip_prefix(crates).expect("below"));
            errors.read(&module, &text);
        }
        errors
    }

    fn read(&mut self, module: &str, text: &str) {
        let named = derived(text).into_iter().chain(implemented(text));
        self.types.extend(named.map(|name| Type::new(&format!("{module}::{name}"))));
        if text.contains("every! {") {
            let (krate, imported) = (first(module), imported(text));
            let found: Vec<Type> = text
                .lines()
                .filter_map(head)
                .map(|of| {
                    // A type of this very file comes before one of its name elsewhere.
                    let here = Type::new(&format!("{module}::{of}"));
                    if self.types.contains(&here) { here } else { resolve(krate, &imported, of) }
                })
                .collect();
            self.tables.extend(found);
        }
    }

    /// What is wrong, a line each: an error that is in no table and excepted nowhere; a table or an exception that is of none, or of two.
    #[must_use]
    pub fn unread(&self, exceptions: &[&str]) -> Vec<String> {
        let excepted: Vec<Type> = exceptions.iter().map(|path| Type::new(path)).collect();
        let held = |it: &&Type| !self.tables.iter().chain(&excepted).any(|by| it.is_named(by));
        let lacking =
            self.types.iter().filter(held).map(|it| format!("in no table, and excepted nowhere: {it}"));
        let of = |by: &Type| self.types.iter().filter(|it| it.is_named(by)).count();
        let twice = self
            .tables
            .iter()
            .filter(|by| of(by) > 1)
            .map(|by| format!("a table of two types, name it by its path: {by}"));
        let idle =
            excepted.iter().filter(|by| of(by) != 1).map(|by| format!("excepted, and not one error: {by}"));
        lacking.chain(twice).chain(idle).collect()
    }
}

/// `eve/src/bus/mod.rs` as `eve::bus`.
fn module(file: &Path) -> String {
    let parts = file.with_extension("");
    let parts = parts.iter().map(|part| part.to_str().expect("a name of ours"));
    parts.filter(|part| !["src", "mod", "lib", "main"].contains(part)).collect::<Vec<_>>().join("::")
}

/// Types that derive `Error`, and say something of their own.
fn derived(text: &str) -> Vec<String> {
    let derives = text.split("#[derive(").skip(1);
    let named = derives.filter_map(|after| {
        let (traits, item) = after.split_once(")]")?;
        let is_error = traits.split(',').any(|it| matches!(it.trim(), "Error" | "thiserror::Error"));
        let head = item.lines().map(str::trim).find(|line| {
            let line = line
                .trim_start_matches("pub(crate) ")
                .trim_start_matches("pub(super) ")
                .trim_start_matches("pub ");
            line.starts_with("enum ") || line.starts_with("struct ")
        })?;
        let (_, name) = head.split_once("enum ").or_else(|| head.split_once("struct "))?;
        let name = name.split(|c: char| !c.is_alphanumeric()).next()?;
        let body = item.split("\n}").next().unwrap_or(item);
        (is_error && has_words(body)).then(|| name.to_owned())
    });
    named.collect()
}

/// It does not only pass others on.
fn has_words(body: &str) -> bool {
    body.split("#[error(").skip(1).any(|words| !words.starts_with("transparent"))
}

/// Types that are errors by a hand-written `impl`.
fn implemented(text: &str) -> Vec<String> {
    let heads = text.lines().filter_map(|line| line.strip_prefix("impl ")?.split_once("Error for "));
    let heads = heads.filter(|(before, _)| matches!(*before, "" | "std::error::" | "error::"));
    heads.map(|(_, name)| name.trim_end_matches([' ', '{', '}']).to_owned()).collect()
}

/// `name: path::Type {`, the head of a table.
fn head(line: &str) -> Option<&str> {
    let (name, of) = line.trim().split_once(": ")?;
    let is_name = name.chars().all(|c| c.is_lowercase() || c == '_');
    let (of, _) = of.split_once(" {").filter(|(of, _)| is_name && !of.contains(' '))?;
    of.split('<').next()
}

/// The path to it from its crate on.
fn resolve(krate: &str, imported: &BTreeMap<String, String>, of: &str) -> Type {
    let of = of.trim_start_matches("::");
    let (start, rest) = of.split_once("::").unwrap_or((of, ""));
    let whole = imported.get(start).map_or_else(|| start.to_owned(), Clone::clone);
    let path = Type::new(&format!("{whole}::{rest}"));
    let ours = path.0.len() == 1 || ["crate", "super", "self"].contains(&path.0[0].as_str());
    let below = path.0.iter().filter(|part| !["crate", "super", "self"].contains(&part.as_str()));
    Type(ours.then(|| krate.to_owned()).into_iter().chain(below.cloned()).collect())
}

fn first(module: &str) -> &str {
    module.split("::").next().unwrap_or(module)
}

/// What a file's `use` lines bring in: paths by the names that they have there.
fn imported(text: &str) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    for (at, _) in text.match_indices("use ") {
        let is_item = text[..at]
            .rsplit('\n')
            .next()
            .is_some_and(|before| matches!(before.trim(), "" | "pub" | "pub(crate)"));
        if let Some(end) = text[at..].find(';').filter(|_| is_item) {
            bring_in("", &text[at + 4..at + end], &mut all);
        }
    }
    all
}

/// `a::{b, c::D as E}`, under what stands before it.
fn bring_in(before: &str, tree: &str, all: &mut BTreeMap<String, String>) {
    let tree = tree.trim();
    if let Some((path, group)) = tree.split_once('{') {
        let inner = group.rsplit_once('}').map_or(group, |(inner, _)| inner);
        top_level(inner).into_iter().for_each(|it| bring_in(&format!("{before}{}", path.trim()), it, all));
        return;
    }
    let (path, name) = tree.split_once(" as ").unwrap_or((tree, tree.rsplit("::").next().unwrap_or(tree)));
    let path = format!("{before}{path}");
    all.insert(name.trim().to_owned(), path.trim_start_matches("::").to_owned());
}

/// Parts that commas part, those in braces left whole.
fn top_level(list: &str) -> Vec<&str> {
    let (mut depth, mut from, mut parts) = (0_usize, 0, Vec::new());
    for (at, c) in list.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => {
                parts.push(&list[from..at]);
                from = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&list[from..]);
    parts.into_iter().filter(|part| !part.trim().is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TWO: [(&str, &str); 4] = [
        ("a::one", "#[derive(Debug, Error)]\npub enum Bad {\n    #[error(\"x\")]\n    X,\n}\n"),
        ("a::two", "/// Says.\n#[derive(thiserror::Error)]\n#[error(\"y\")]\npub(crate) struct Bad;\n"),
        ("a::three", "#[derive(Error)]\nenum Passes {\n    #[error(transparent)]\n    X(Bad),\n}\n"),
        ("b", "impl std::error::Error for Told {}\n"),
    ];

    fn with(table: &str) -> Errors {
        let mut errors = Errors::default();
        TWO.iter().for_each(|(module, text)| errors.read(module, text));
        errors.read("b::tests", table);
        errors
    }

    /// Issue 8, errors: a type that is called as another one is not taken as read by that one's table.
    #[test]
    fn of_two_types_of_one_name_each_wants_its_table() {
        let one = with("use a::{one::Bad, other};\nform::every! {\n    bads: Bad { Bad::X => Bad::X }\n}\n");
        assert_eq!(one.unread(&["b::Told"]), ["in no table, and excepted nowhere: a::two::Bad"]);
        let both =
            with("use a::one;\nevery! {\n    bads: one::Bad {\n    }\n    others: a::two::Bad {\n    }\n}\n");
        assert_eq!(both.unread(&["b::Told"]), [""; 0]);
    }

    #[test]
    fn what_names_two_or_none_is_told() {
        let vague = with("use a::Bad;\nevery! {\n    bads: Bad { Bad::X => Bad::X }\n}\n");
        assert_eq!(vague.unread(&["b::Told"]), ["a table of two types, name it by its path: a::Bad"]);
        let idle = with("use a::{one, two};\nevery! {\n    x: one::Bad {\n    y: two::Bad {\n}\n");
        assert_eq!(idle.unread(&["b::Told", "b::Gone"]), ["excepted, and not one error: b::Gone"]);
    }
}
