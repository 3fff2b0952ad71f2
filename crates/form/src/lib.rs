//! The one form of refusals and errors, for the tests that hold all of them against it: plain words that say what is, where, and what to do,
//! by commands that are there; and of where a text from outside is made into words. It is never shipped.

mod document;
pub mod help;
mod outside;
mod sentences;
mod tables;

pub use clap::Command;

pub use document::{first_cells, in_backticks, rows, said_nowhere, speaks_of};
pub use outside::{rust_files, texts_from_outside};
pub use sentences::wrong_sentences;
pub use tables::Errors;

/// Makes a function that gives a value of each variant. A variant that has no row here does not compile, and no value stands in for one of
/// another variant.
#[macro_export]
macro_rules! every {
    ($($name:ident: $of:ty { $($pattern:pat => $value:expr),+ $(,)? })+) => {
        $(fn $name() -> Vec<$of> {
            #[allow(dead_code)]
            fn has_a_row(it: &$of) {
                match it { $($pattern => {}),+ }
            }
            vec![$({
                let value: $of = $value;
                assert!(matches!(&value, $pattern), "a value of another variant stands in for {}", stringify!($pattern));
                value
            }),+]
        })+
    };
}

/// What is wrong with the words of a refusal or of advice, one line each: they are lower case, have no full stop and nothing of Rust's, and
/// each command of `program` that stands in backticks is one.
#[must_use]
pub fn wrong_words(program: &Command, text: &str) -> Vec<String> {
    let mut letters = text.chars();
    let (first, second) = (letters.next().unwrap_or(' '), letters.next().unwrap_or(' '));
    let mut wrong = Vec::new();
    let mut is = |so: bool, what: &str| wrong.extend(so.then(|| format!("{what}: {text:?}")));
    is(text.is_empty() || text.ends_with(['.', ' ']), "ends badly");
    is(first.is_uppercase() && second.is_lowercase(), "begins a sentence");
    is(RUST.iter().any(|rust| text.contains(rust)), "has words of Rust's");
    is(text.chars().any(|c| c.is_control() && c != '\n'), "moves the cursor");
    is(
        text.split('`').skip(1).step_by(2).any(|said| !is_there(program, said)),
        "names a command that is not there",
    );
    wrong
}

/// What is wrong with an error that is told in one line: as [`wrong_words`]; and after what is (and a `:`, `;`, `,` or `?`) it says what to
/// do, and somewhere one of `places`.
#[must_use]
pub fn wrong_line(program: &Command, places: &[&str], text: &str) -> Vec<String> {
    let mut wrong = wrong_words(program, text);
    let after = text.split_once([':', ';', ',', '?']).map_or("", |(_, after)| after);
    if !says_what_to_do(after) {
        wrong.push(format!("says not what to do: {text:?}"));
    }
    if !places.iter().any(|place| text.contains(place)) {
        wrong.push(format!("says not where: {text:?}"));
    }
    wrong
}

/// Somewhere in it an order to the reader begins, or it is said that nothing is to be done.
fn says_what_to_do(text: &str) -> bool {
    WHAT_TO_DO.iter().any(|words| holds(text, words))
}

const RUST: [&str; 5] = ["::", "Some(", "None", "Err(", " { "];

/// The beginnings of advice: an order to the reader, or that nothing is to be done.
const WHAT_TO_DO: &[&str] = &[
    "allow",
    "again",
    "are you root",
    "begin",
    "bring",
    "by itself",
    "change",
    "delete",
    "end",
    "give",
    "install",
    "is `eve run`",
    "let",
    "make",
    "mend",
    "mount",
    "move",
    "name",
    "needs none",
    "put",
    "report",
    "restart",
    "run",
    "see",
    "set",
    "split",
    "start",
    "stop",
    "take",
    "try",
    "unlock",
    "use",
    "wait",
    "write",
];

/// As whole words.
fn holds(text: &str, words: &str) -> bool {
    text.match_indices(words).any(|(at, _)| {
        let ends = |c: Option<char>| c.is_none_or(|c| !c.is_alphanumeric());
        ends(text[..at].chars().next_back()) && ends(text[at + words.len()..].chars().next())
    })
}

/// What is said is a command of the program's, or something else.
fn is_there(program: &Command, said: &str) -> bool {
    let mut words = said.split_whitespace();
    if words.next() != Some(program.get_name()) {
        return true;
    }
    let mut command = program;
    for word in words {
        if word.starts_with('-') || !command.has_subcommands() {
            break;
        }
        let Some(found) = command.find_subcommand(word) else { return false };
        command = found;
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the tests of other crates rest on.
    #[test]
    fn what_is_not_in_the_form_is_found() {
        let x = Command::new("x").subcommand(Command::new("y").subcommand(Command::new("z")));
        for text in ["", "ends.", "Begins", "it is Some(1)", "bell \u{7}", "run `x y w`"] {
            assert_eq!(wrong_words(&x, text).len(), 1, "{text:?}");
        }
        for text in ["TPM is busy", "run `x y z`, or `x -h`, or `z w`"] {
            assert!(wrong_words(&x, text).is_empty(), "{text:?}");
        }
        for text in ["nothing of the bus", "it failed: the bus", "it failed: the bus, trying"] {
            assert_eq!(wrong_line(&x, &["bus"], text).len(), 1, "{text:?}");
        }
        assert!(wrong_line(&x, &["bus"], "the bus is busy: try again").is_empty());
        assert_eq!(wrong_line(&x, &["/d"], "it is busy: try again").len(), 1);
    }

    #[test]
    fn a_stand_in_is_found() {
        enum Two {
            One,
            Other,
        }
        every! {
            whole: Two { Two::One => Two::One, Two::Other => Two::Other }
            stands_in: Two { Two::One => Two::Other, Two::Other => Two::Other }
        }
        assert_eq!(whole().len(), 2);
        assert!(std::panic::catch_unwind(stands_in).is_err());
    }
}
