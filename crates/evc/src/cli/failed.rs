//! Why a command was not done, and the exit code that follows: from what it is, never from its words.

use std::process::ExitCode;
use std::time::Duration;

use cli::Output;
use vault::text::{plain, without_middle};

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
    /// The command line is used wrongly, as the parser alone does not see.
    Misused(String),
    /// On this side, or on the way.
    Here(anyhow::Error),
}

/// Exit codes.
const REFUSED: u8 = 1;
const MISUSED: u8 = 2;
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
        ExitCode::from(self.status())
    }

    fn status(&self) -> u8 {
        match self {
            Self::Refused { problem, .. } => exit_of(problem.code),
            Self::TimeUp { .. } => TIME_UP,
            Self::Differs => DIFFERS,
            Self::Damaged(_) => DAMAGED,
            Self::Misused(_) => MISUSED,
            Self::Here(_) => REFUSED,
        }
    }

    /// What it is, for a program: of what a controller refused it said that itself.
    fn code(&self) -> &'static str {
        match self {
            Self::Refused { .. } => "refused",
            Self::TimeUp { .. } => "time-up",
            Self::Damaged(_) => "rows-damaged",
            Self::Differs => "differs",
            Self::Misused(_) => cli::USED_WRONGLY,
            Self::Here(_) => "failed",
        }
    }

    /// What is printed: in words, or for programs an object, of a refusal what the controller told.
    pub(super) fn told(&self, output: Output) -> String {
        match (self, output) {
            (Self::Refused { problem, .. }, Output::Json) => {
                cli::object(serde_json::to_value(problem).expect("words, numbers and a code"), self.status())
            }
            (_, Output::Json) => cli::in_json(self.code(), &self.words(), self.status()),
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
                "waited {}, in vain; last seen: {}\n  what to do: wait for longer with --timeout, or see `evc describe`",
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
            Self::Misused(words) => words.clone(),
            Self::Here(error) => format!("{error:#}"),
        }
    }
}

/// A sentence of whatever answered: neither it nor what is to be done goes on for pages.
fn sentence(text: &str) -> String {
    without_middle(&plain(text), 4096).into_owned()
}

/// Of each code it is said here: a new one does not compile before.
fn exit_of(code: Code) -> u8 {
    match code {
        Code::Busy | Code::TookTooLong => COME_BACK,
        Code::DeviceUnknown
        | Code::VaultUnknown
        | Code::PolicyUnknown
        | Code::ReferenceUnknown
        | Code::OrphanUnknown
        | Code::BundleUnknown
        | Code::RuleUnknown
        | Code::AllowanceUnknown => NOT_THERE,
        // A path that is not there is no thing that somebody named.
        Code::BodyUnreadable
        | Code::MessageUnreadable
        | Code::RequestUnreadable
        | Code::FileInvalid
        | Code::SignatureBad
        | Code::DeviceUnregistered
        | Code::DeviceRemoved
        | Code::KeyNotShown
        | Code::TokenBad
        | Code::OtherDevice
        | Code::SerialNotAllowed
        | Code::CertificateOutOfTime
        | Code::ReturnNotAllowed
        | Code::AllowanceFull
        | Code::CertificatePinned
        | Code::EscrowBarred
        | Code::TpmCameLate
        | Code::PathUnknown
        | Code::MethodNotAllowed
        | Code::AlreadyThere
        | Code::SerialTaken
        | Code::RegisteredOtherwise
        | Code::AllowedOtherwise
        | Code::AllowedElsewhere
        | Code::DeviceNameTaken
        | Code::ReportStale
        | Code::EncryptionFixed
        | Code::PolicyUnfit
        | Code::PolicyInUse
        | Code::DeviceHasVaults
        | Code::DeviceHasBundle
        | Code::BootNotMeasured
        | Code::DatabaseOlder
        | Code::BundleInForce
        | Code::BundleOver
        | Code::CourierOver
        | Code::EvidenceRefused
        | Code::ReferenceUnlike
        | Code::DeviceFull
        | Code::VaultNameTaken
        | Code::VaultRemoving
        | Code::NotConfirmed
        | Code::VaultGone
        | Code::VaultListed
        | Code::NoControllerKey
        | Code::EpochOtherwise
        | Code::EpochNotTaken
        | Code::VaultNotMissing
        | Code::VaultNotMade
        | Code::DiskNotThere
        | Code::OrphanAmbiguous
        | Code::KeyForeign
        | Code::SameDevice
        | Code::DeviceNotLost
        | Code::KeyInTpm
        | Code::VaultMadeThere
        | Code::DeviceBarred
        | Code::EvidenceAbsent
        | Code::IdentityOtherwise
        | Code::IdentityTaken
        | Code::VaultStillOpen
        | Code::BodyTooLong
        | Code::KeysUnusable
        | Code::DatabaseFailed
        | Code::DatabaseDamaged
        | Code::DatabaseMoved
        | Code::DiskFailed
        | Code::Failed
        | Code::CertifiedTooOften
        | Code::Unknown => REFUSED,
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
            (Code::RuleUnknown, 4),
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
        assert_eq!(Failed::Misused("no -o".into()).exit(), ExitCode::from(2));
    }

    /// Issue 8, errors: who asks for JSON gets each error as an object, whoever it is of, with what it is, what to do and the exit status.
    #[test]
    fn every_error_is_an_object_for_who_asks_for_json() {
        let problem =
            Problem { advice: "wait".into(), code: Code::Busy, error: "it is busy".into(), place: None };
        let late = Failed::TimeUp { after: Duration::from_secs(7), how: "locked".into() };
        for (failed, code, exit) in [
            (Failed::from(problem), "busy", 3),
            (late, "time-up", 5),
            (Failed::Damaged(Vec::new()), "rows-damaged", 7),
            (Failed::Differs, "differs", 6),
            (Failed::Misused("no -o".into()), "used-wrongly", 2),
            (Failed::from(anyhow::anyhow!("no token\n  what to do: give one")), "failed", 1),
        ] {
            let told: serde_json::Value = serde_json::from_str(&failed.told(Output::Json)).expect("JSON");
            assert_eq!((told["code"].as_str(), told["exit"].as_u64()), (Some(code), Some(exit)), "{told}");
            assert!(told["error"].is_string() && told["advice"].is_string(), "{told}");
            assert!(failed.told(Output::Table).starts_with("evc: "));
        }
    }

    /// Whatever a controller says is not there has the exit code of that, but for a path, which nobody names.
    #[test]
    fn all_that_is_not_there_has_one_exit_code() {
        for code in Code::ALL.iter().filter(|code| **code != Code::PathUnknown) {
            assert_eq!(exit_of(*code) == NOT_THERE, code.status() == 404, "{code:?}");
        }
    }
}
