//! Refusals and errors of the controller, held against one form: each says what is, in plain words, and what to do, by commands that are there.

use std::io;
use std::path::PathBuf;

use vault::ids::{BadName, Epoch, Name};
use vault::ledger::Older;
use vault::life::{NodeAt, NotAdopted, NotApplied, NotRecreated, NotRehomed, NotRotated, Refused, Unfit};
use vault::policy::BadFile;

use crate::custody::{CustodyError, KekFault, Unmade};
use crate::service::{
    BadRequest, Barred, Body, Fault, Form, InTheWay, LifeRefusal, Message, NoToken, NotAdmitted, Refusal,
    Stale, StartError, Unknown, Unproved, Which, chain,
};
use crate::store::StoreError;
use crate::words::Words;

/// Makes a function that gives a value of each variant. A variant that has no row here does not compile.
macro_rules! every {
    ($($name:ident: $of:ty { $($pattern:pat => $value:expr),+ $(,)? })+) => {
        $(fn $name() -> Vec<$of> {
            #[allow(dead_code)]
            fn has_a_row(it: &$of) {
                match it { $($pattern => {}),+ }
            }
            vec![$($value),+]
        })+
    };
}

every! {
    bodies: Body { Body::Cut => Body::Cut, Body::Unread => Body::Unread, Body::TooLong { .. } => Body::TooLong { most: 7 } }
    messages: Message {
        Message::Envelope(_) => Message::Envelope(wire::envelope::DeviceEnvelope::parse(b"x").expect_err("none")),
        Message::Payload(_) => Message::Payload(wire::config::ConfigRequest::decode(b"\xff").expect_err("none")),
        Message::Registration(_) => Message::Registration(wire::register::Register::decode(b"").expect_err("none")),
        Message::Session(_) => Message::Certificate(Which::Device),
        Message::AttestationKey(_) => Message::Certificate(Which::Onboarding),
        Message::Certificate(_) => Message::Certificate(Which::Device),
    }
    unproved: Unproved {
        Unproved::Signature => Unproved::Signature,
        Unproved::OtherCertificate => Unproved::OtherCertificate,
        Unproved::NoSuchCertificate => Unproved::NoSuchCertificate,
        Unproved::Removed => Unproved::Removed,
        Unproved::NotRegistered => Unproved::NotRegistered,
        Unproved::KeyNotShown => Unproved::KeyNotShown,
    }
    not_admitted: NotAdmitted {
        NotAdmitted::Serial { .. } => NotAdmitted::Serial { serial: SERIAL.into() },
        NotAdmitted::OutOfTime(_) => NotAdmitted::OutOfTime(Which::Device),
        NotAdmitted::Removed { .. } => NotAdmitted::Removed { name: name(), serial: SERIAL.into() },
        NotAdmitted::Full { .. } => NotAdmitted::Full { most: 7 },
        NotAdmitted::OthersSerial => NotAdmitted::OthersSerial,
        NotAdmitted::RegisteredOtherwise => NotAdmitted::RegisteredOtherwise,
        NotAdmitted::TooOften { .. } => NotAdmitted::TooOften { within_s: 3600 },
        NotAdmitted::OthersName { .. } => NotAdmitted::OthersName { name: name() },
    }
    barred: Barred {
        Barred::OthersPath => Barred::OthersPath,
        Barred::OthersReport => Barred::OthersReport,
        Barred::Pinned { .. } => Barred::Pinned { kind: 7 },
        Barred::LateTpm { .. } => Barred::LateTpm { device: name() },
    }
    stale: Stale { Stale::Session => Stale::Session, Stale::Report => Stale::Report }
    requests: BadRequest {
        BadRequest::Json { .. } => BadRequest::Json {
            form: Form::Rotation,
            why: serde_json::from_str::<u8>("x").expect_err("no number"),
        },
        BadRequest::Name(_) => BadRequest::Name(BadName),
        BadRequest::OnboardingCertificate(_) => {
            BadRequest::OnboardingCertificate(wire::Certificate::from_pem(b"x").expect_err("none"))
        },
        BadRequest::Serial => BadRequest::Serial,
        BadRequest::CertificateDigest => BadRequest::CertificateDigest,
        BadRequest::TokenHash => BadRequest::TokenHash,
        BadRequest::Labels(_) => BadRequest::Labels(vault::labels::BadLabels::Word),
        BadRequest::AfterVault => BadRequest::AfterVault,
        BadRequest::AfterReference => BadRequest::AfterReference,
    }
    tokens: NoToken {
        NoToken::Absent => NoToken::Absent,
        NoToken::Unknown => NoToken::Unknown,
        NoToken::Ended => NoToken::Ended,
    }
    unknown: Unknown {
        Unknown::Device { .. } => Unknown::Device { which: "edge-1".into() },
        Unknown::Vault { .. } => Unknown::Vault { vault: name(), device: name() },
        Unknown::Policy { .. } => Unknown::Policy { policy: name() },
        Unknown::Rule { .. } => Unknown::Rule { rule: name() },
        Unknown::Reference { .. } => Unknown::Reference { id: 7 },
        Unknown::Allowance { .. } => Unknown::Allowance { serial: SERIAL.into() },
        Unknown::Path => Unknown::Path,
    }
    in_the_way: InTheWay {
        InTheWay::Taken => InTheWay::Taken,
        InTheWay::OthersName { .. } => InTheWay::OthersName { name: name() },
        InTheWay::AllowedOtherwise => InTheWay::AllowedOtherwise,
        InTheWay::AllowedElsewhere => InTheWay::AllowedElsewhere,
        InTheWay::EncryptionOfVaults { .. } => InTheWay::EncryptionOfVaults { policy: name() },
        InTheWay::Unfit { .. } => {
            InTheWay::Unfit { policy: name(), device: name(), why: Unfit::Custody }
        },
        InTheWay::PolicyInUse { .. } => InTheWay::PolicyInUse { policy: name(), vault: name(), device: name() },
        InTheWay::PolicyOfRule { .. } => InTheWay::PolicyOfRule { policy: name(), rule: name() },
        InTheWay::HasVaults { .. } => InTheWay::HasVaults { device: name(), vaults: vec![name()] },
        InTheWay::Unmeasured { .. } => {
            InTheWay::Unmeasured { reference: 7, device: name(), why: ::attest::Unmeasured::NoBank }
        },
        InTheWay::Older(_) => InTheWay::Older(Older::Forked),
    }
    applied: NotApplied { NotApplied::OtherEncryption => NotApplied::OtherEncryption, NotApplied::Full => NotApplied::Full }
    rotated: NotRotated {
        NotRotated::NoKeyHere => NotRotated::NoKeyHere,
        NotRotated::Removing => NotRotated::Removing,
        NotRotated::Elsewhere { .. } => NotRotated::Elsewhere { current: Epoch(2), expected: Epoch(1) },
        NotRotated::NeverMade { .. } => NotRotated::NeverMade { node: Epoch(2), newest: Epoch(1) },
        NotRotated::NotTaken { .. } => NotRotated::NotTaken { node: NodeAt::Epoch(Epoch(1)), newest: Epoch(2) },
    }
    recreated: NotRecreated {
        NotRecreated::NotMissing => NotRecreated::NotMissing,
        NotRecreated::NeverMade => NotRecreated::NeverMade,
        NotRecreated::NoDisk => NotRecreated::NoDisk,
    }
    adopted: NotAdopted {
        NotAdopted::Unknown => NotAdopted::Unknown,
        NotAdopted::Several => NotAdopted::Several,
        NotAdopted::ForeignKey { .. } => NotAdopted::ForeignKey { name: name(), epoch: Epoch(1) },
        NotAdopted::Listed { .. } => NotAdopted::Listed { name: name() },
        NotAdopted::Gone { .. } => NotAdopted::Gone { name: name() },
        NotAdopted::Full => NotAdopted::Full,
        NotAdopted::NameTaken { .. } => NotAdopted::NameTaken { name: name() },
    }
    rehomed: NotRehomed {
        NotRehomed::SameDevice => NotRehomed::SameDevice,
        NotRehomed::MayBeThere => NotRehomed::MayBeThere,
        NotRehomed::Removing => NotRehomed::Removing,
        NotRehomed::KeyInTpm => NotRehomed::KeyInTpm,
        NotRehomed::MadeThere => NotRehomed::MadeThere,
        NotRehomed::NameTaken => NotRehomed::NameTaken,
    }
    faults: Fault {
        Fault::NoDevice => Fault::NoDevice,
        Fault::VaultWithoutDevice => Fault::VaultWithoutDevice,
        Fault::Certificate => Fault::Certificate,
        Fault::Signing => Fault::Signing,
        Fault::Configuration => Fault::Configuration,
        Fault::Source => Fault::Source,
    }
    stores: StoreError {
        StoreError::Taken => StoreError::Taken,
        StoreError::Again => StoreError::Again,
        StoreError::Busy(_) => StoreError::Busy("x".into()),
        StoreError::InUse => StoreError::InUse,
        StoreError::OtherVersion => StoreError::OtherVersion,
        StoreError::Newer { .. } => StoreError::Newer { there: 9, known: 7 },
        StoreError::Damaged(_) => StoreError::Damaged("x".into()),
        StoreError::Disk(_) => StoreError::Disk("x".into()),
        StoreError::Failed(_) => StoreError::Failed("x".into()),
    }
    starts: StartError {
        StartError::File { .. } => StartError::File { path: "/d/kek".into(), source: io::Error::other("x") },
        StartError::Taken { .. } => StartError::Taken { path: "/d".into() },
        StartError::Shared { .. } => StartError::Shared { path: "/d".into() },
        StartError::DatabaseLost { .. } => StartError::DatabaseLost { folder: "/d".into(), left: "kek".into() },
        StartError::OtherRoot { .. } => StartError::OtherRoot { path: "/d/root".into() },
        StartError::Store { .. } => StartError::Store { path: "/d/evc.db".into(), source: StoreError::InUse },
        StartError::Clock => StartError::Clock,
        StartError::Behind { .. } => StartError::Behind { now: "1970".into(), seen: "2026".into() },
        StartError::NotStarted => StartError::NotStarted,
        StartError::Custody(_) => StartError::Custody(CustodyError::KekFile {
            file: PathBuf::from("/d/kek"),
            source: KekFault::Gone,
        }),
        StartError::Database(_) => StartError::Database(StoreError::OtherVersion),
    }
}

const SERIAL: &str = "SN-1";

fn name() -> Name {
    "payments".parse().expect("a name")
}

fn all() -> Vec<Refusal> {
    let life = |cause: Refused| Refusal::from(LifeRefusal { vault: name(), device: name(), cause });
    let file =
        BadFile { line: 2, column: 7, problem: "`x` is no custody".into(), advice: "write `tpm`".into() };
    let mut all: Vec<Refusal> = bodies().into_iter().map(Into::into).collect();
    all.extend(messages().into_iter().map(Refusal::from));
    all.extend(unproved().into_iter().map(Refusal::from));
    all.extend(not_admitted().into_iter().map(Refusal::from));
    all.extend(barred().into_iter().map(Refusal::from));
    all.extend(stale().into_iter().map(Refusal::from));
    all.extend(requests().into_iter().map(Refusal::from));
    all.push(file.into());
    all.push(Refusal::from(Unknown::Policy { policy: name() }).of_document((2, 7)));
    all.extend(tokens().into_iter().map(Refusal::from));
    all.extend(unknown().into_iter().map(Refusal::from));
    all.extend(in_the_way().into_iter().map(Refusal::from));
    all.extend(applied().into_iter().map(|cause| life(cause.into())));
    all.extend(rotated().into_iter().map(|cause| life(cause.into())));
    all.extend(recreated().into_iter().map(|cause| life(cause.into())));
    all.extend(adopted().into_iter().map(|cause| life(cause.into())));
    all.extend(rehomed().into_iter().map(|cause| life(cause.into())));
    all.push(Refusal::Busy);
    all.push(Refusal::Custody(CustodyError::Making(Unmade::Randomness)));
    all.extend(stores().into_iter().map(Refusal::Store));
    all.extend(faults().into_iter().map(Refusal::from));
    all
}

/// Issue 8, errors: whoever reads one learns what is and what to do, and nothing of how it is programmed.
#[test]
fn every_refusal_says_what_is_and_what_to_do() {
    for refusal in all() {
        let Words { problem, advice } = (&refusal).into();
        sentence(&problem);
        sentence(&advice);
        assert_ne!(problem, advice);
        assert!(advice.len() > 8, "{problem}: {advice}");
        commands_are_there(&problem);
        commands_are_there(&advice);
    }
}

/// The same of what keeps the controller from its start: what, where it lies, and what to do, in one line.
#[test]
fn every_failed_start_says_where_and_what_to_do() {
    const ADVICE: [&str; 12] = [
        "what to do",
        "set it right",
        "set the clock",
        "stop it",
        "run `",
        "start it",
        "put",
        "give",
        "make room",
        "start `",
        "end it",
        "see that",
    ];
    for error in starts() {
        let told = chain(&error);
        sentence(told.lines().next().unwrap_or_default());
        commands_are_there(&told);
        assert!(ADVICE.iter().any(|advice| told.contains(advice)), "no advice: {told}");
    }
}

/// Lower case, no full stop, nothing of Rust's.
fn sentence(text: &str) {
    assert!(!text.is_empty() && !text.ends_with('.') && !text.ends_with(' '), "{text:?}");
    let mut letters = text.chars();
    let (first, second) = (letters.next().unwrap_or(' '), letters.next().unwrap_or(' '));
    assert!(!(first.is_uppercase() && second.is_lowercase()), "begins a sentence: {text}");
    for rust in ["::", "Some(", "None", "Err(", " { ", "os error"] {
        assert!(!text.contains(rust), "{rust:?} in {text}");
    }
    assert!(!text.chars().any(|c| c.is_control() && c != '\n'), "{text:?}");
}

/// Each `evc …` in backticks is a command.
fn commands_are_there(text: &str) {
    for said in text.split('`').skip(1).step_by(2) {
        let mut words = said.split_whitespace();
        if words.next() != Some("evc") {
            continue;
        }
        let mut command = crate::cli::command();
        for word in words {
            if word.starts_with('-') || !command.has_subcommands() {
                break;
            }
            let found = command.find_subcommand(word).cloned();
            command = found.unwrap_or_else(|| panic!("`{said}` is no command: {text}"));
        }
    }
}
