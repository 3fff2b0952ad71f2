//! Why a command was not done, and the exit code that follows: from what it is, never from its words.

use std::process::ExitCode;
use std::time::Duration;

use vault::text::{plain, without_middle};

use super::args::Output;
use crate::api::{Code, Damaged, Problem};

/// Why a command was not done.
#[derive(Debug)]
pub(super) enum Failed {
    /// A controller said why not, or what is to be found with it is not.
    Refused {
        /// What was not done, where that is not clear from the command.
        doing: Option<String>,
        /// What it said.
        problem: Problem,
    },
    /// What was waited for has not come true in time.
    TimeUp {
        /// How long it was waited for.
        after: Duration,
        /// How it was at the last look.
        how: String,
    },
    /// Rows of a list are damaged; the others, and these, are printed already.
    Damaged(Vec<Damaged>),
    /// `evc diff` found that files and controller differ. It is printed already.
    Differs,
    /// On this side, or on the way.
    Here(anyhow::Error),
}

/// Exit codes. 2 is of commands that are used wrongly.
const REFUSED: u8 = 1;
const COME_BACK: u8 = 3;
const NOT_THERE: u8 = 4;
const TIME_UP: u8 = 5;
const DIFFERS: u8 = 6;
const DAMAGED: u8 = 7;

impl Failed {
    /// What was not done.
    pub(super) fn doing(self, what: &str) -> Self {
        match self {
            Self::Refused { problem, .. } => Self::Refused { doing: Some(what.to_owned()), problem },
            Self::Here(error) => Self::Here(error.context(what.to_owned())),
            other => other,
        }
    }

    /// For scripts: whether it is worth to try again, and whether a thing is not there, or may not be done.
    pub(super) fn exit(&self) -> ExitCode {
        ExitCode::from(match self {
            Self::Refused { problem, .. } => exit_of(problem.code),
            Self::TimeUp { .. } => TIME_UP,
            Self::Differs => DIFFERS,
            Self::Damaged(_) => DAMAGED,
            Self::Here(_) => REFUSED,
        })
    }

    /// What is printed: for programs a refusal as the controller told it, all else in words.
    pub(super) fn told(&self, output: Output) -> String {
        match (self, output) {
            (Self::Refused { problem, .. }, Output::Json) => {
                serde_json::to_string_pretty(problem).expect("words, numbers and a code")
            }
            _ => format!("evc: {}", self.words()),
        }
    }

    fn words(&self) -> String {
        match self {
            Self::Refused { doing, problem } => {
                let doing = doing.as_ref().map(|doing| format!("{doing}: ")).unwrap_or_default();
                format!("{doing}{}\n  what to do: {}", sentence(&problem.error), sentence(&problem.advice))
            }
            Self::TimeUp { after, how } => format!(
                "the {} are over; last seen: {}\n  what to do: wait for longer with --timeout, or see `evc describe`",
                humantime::format_duration(*after),
                plain(how)
            ),
            Self::Differs => "something differs".into(),
            Self::Damaged(rows) => {
                let each = rows.iter().map(|row| {
                    format!("{}\n  what to do: {}", sentence(&row.words()), sentence(&row.what_to_do))
                });
                each.collect::<Vec<_>>().join("\nevc: ")
            }
            Self::Here(error) => format!("{error:#}"),
        }
    }
}

/// A sentence of whatever answered: neither it nor what is to be done goes on for pages.
fn sentence(text: &str) -> String {
    without_middle(&plain(text), 4096).into_owned()
}

fn exit_of(code: Code) -> u8 {
    match code {
        Code::Busy | Code::TookTooLong => COME_BACK,
        Code::DeviceUnknown
        | Code::VaultUnknown
        | Code::PolicyUnknown
        | Code::ReferenceUnknown
        | Code::BundleUnknown
        | Code::AllowanceUnknown
        | Code::OrphanUnknown => NOT_THERE,
        _ => REFUSED,
    }
}

impl From<anyhow::Error> for Failed {
    fn from(error: anyhow::Error) -> Self {
        Self::Here(error)
    }
}

impl From<Problem> for Failed {
    fn from(problem: Problem) -> Self {
        Self::Refused { doing: None, problem }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A script that tries again, or goes on where a thing is gone, does so by the code: the words are for people, and may be any.
    #[test]
    fn the_exit_follows_from_the_code_and_from_no_word() {
        for (told, exit) in [
            (Code::Busy, 3),
            (Code::TookTooLong, 3),
            (Code::VaultUnknown, 4),
            (Code::OrphanUnknown, 4),
            (Code::PathUnknown, 1),
            (Code::EpochNotTaken, 1),
            (Code::TokenBad, 1),
            (Code::Failed, 1),
            (Code::Unknown, 1),
        ] {
            let error = "vault `busy` is not known: try again in 5 s".to_owned();
            let problem = Problem { advice: "try again".into(), code: told, error, place: None };
            let failed = Failed::from(problem).doing("not done");
            assert_eq!(failed.exit(), ExitCode::from(exit), "{told:?}");
            assert!(failed.words().starts_with("not done: vault `busy`"), "{}", failed.words());
        }
        assert_eq!(Failed::from(anyhow::anyhow!("the controller is busy")).exit(), ExitCode::from(1));
    }
}
