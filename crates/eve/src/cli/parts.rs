//! Errors of what the programs are made of. They reach a person as the cause of another error, in the log, or beside a status: so each is in
//! plain words, and what is to be done stands in the error around it. And that no error is in no table.

use std::collections::BTreeSet;
use std::error::Error;
use std::fs;
use std::io;
use std::path::Path;

use form::{every, wrong_words};
use fscrypt::directory::LookError;
use fscrypt::kernel::{AddKeyError, GetPolicyError, KeyStatusError, SetPolicyError};
use fscrypt::{KeyIdentifier, MetaError, ParseError, ProbeError, UnwrapError};
use tpm::{BadPolicy, BadSelection};
use vault::ids::IMAGE_VAULT;
use vault::labels::BadLabels;
use vault::recovery::BadRecipients;
use vault::shares::{AddError, NextError, OpenError, TableError};
use wire::cert::CertificateError;
use wire::courier::CourierError;
use wire::sign::KeyFileError;

use crate::bus::FrameError;

fn io() -> io::Error {
    io::Error::from(io::ErrorKind::PermissionDenied)
}

fn id() -> KeyIdentifier {
    KeyIdentifier([7; 16])
}

fn name() -> String {
    "persist/vaults/.fscrypt".to_owned()
}

every! {
    disks: disk::Error {
        disk::Error::Absent { .. } => disk::Error::Absent { name: name() },
        disk::Error::Unsafe { .. } => disk::Error::Unsafe { name: name() },
        disk::Error::Covered { .. } => disk::Error::Covered { name: name() },
        disk::Error::Io { .. } => disk::Error::Io { doing: "writing the record", source: io() },
    }
    metas: MetaError {
        MetaError::Absent { .. } => MetaError::Absent { name: name() },
        MetaError::Unsafe { .. } => MetaError::Unsafe { name: name() },
        MetaError::Damaged { .. } => {
            MetaError::Damaged { name: name(), source: ParseError::Field { field: "contents" } }
        },
        MetaError::Misnamed { .. } => MetaError::Misnamed { name: name() },
        MetaError::Covered { .. } => MetaError::Covered { name: name() },
        MetaError::Io { .. } => MetaError::Io { doing: "reading a key file", source: io() },
    }
    looks: LookError {
        LookError::Io(_) => LookError::Io(io()),
        LookError::Policy(_) => LookError::Policy(GetPolicyError::Version { version: Some(1) }),
    }
    probes: ProbeError {
        ProbeError::Modes { .. } => ProbeError::Modes { source: io() },
        ProbeError::Key(_) => ProbeError::Key(AddKeyError::Quota),
        ProbeError::Policy(_) => ProbeError::Policy(SetPolicyError::Unsupported),
        ProbeError::Io(_) => ProbeError::Io(io()),
    }
    sets: SetPolicyError {
        SetPolicyError::OtherPolicy => SetPolicyError::OtherPolicy,
        SetPolicyError::NotEmpty => SetPolicyError::NotEmpty,
        SetPolicyError::NotADirectory => SetPolicyError::NotADirectory,
        SetPolicyError::Unsupported => SetPolicyError::Unsupported,
        SetPolicyError::Modes => SetPolicyError::Modes,
        SetPolicyError::NoKey => SetPolicyError::NoKey,
        SetPolicyError::Kernel { .. } => SetPolicyError::Kernel { source: io() },
    }
    gets: GetPolicyError {
        GetPolicyError::Version { .. } => GetPolicyError::Version { version: None },
        GetPolicyError::Kernel { .. } => GetPolicyError::Kernel { source: io() },
    }
    adds: AddKeyError {
        AddKeyError::OtherIdentifier { .. } => AddKeyError::OtherIdentifier { expected: id(), given: id() },
        AddKeyError::Unsupported => AddKeyError::Unsupported,
        AddKeyError::Quota => AddKeyError::Quota,
        AddKeyError::Kernel { .. } => AddKeyError::Kernel { source: io() },
    }
    statuses: KeyStatusError {
        KeyStatusError::Kernel { .. } => KeyStatusError::Kernel { id: id(), source: io() },
        KeyStatusError::Unknown { .. } => KeyStatusError::Unknown { id: id(), status: 9 },
    }
    unwraps: UnwrapError {
        UnwrapError::WrongKey => UnwrapError::WrongKey,
        UnwrapError::Damaged { .. } => UnwrapError::Damaged { what: "the wrap" },
    }
    key_files: KeyFileError {
        KeyFileError::NoKey => KeyFileError::NoKey,
        KeyFileError::NotP256 => KeyFileError::NotP256,
    }
    certificates: CertificateError {
        CertificateError::TooLarge => CertificateError::TooLarge,
        CertificateError::NoPem => CertificateError::NoPem,
        CertificateError::NotX509 => CertificateError::NotX509,
        CertificateError::NotP256 => CertificateError::NotP256,
    }
    couriers: CourierError {
        CourierError::TooLong { .. } => CourierError::TooLong { most: 7 },
        CourierError::NotOne => CourierError::NotOne,
        CourierError::Version => CourierError::Version,
        CourierError::ForTheNode => CourierError::ForTheNode,
        CourierError::ForTheController => CourierError::ForTheController,
        CourierError::Damaged => CourierError::Damaged,
    }
    selections: BadSelection {
        BadSelection::NoSuchPcr(_) => BadSelection::NoSuchPcr(24),
        BadSelection::Empty => BadSelection::Empty,
        BadSelection::Length(_) => BadSelection::Length(4),
    }
    policies: BadPolicy {
        BadPolicy::Count(_) => BadPolicy::Count(9),
        BadPolicy::Mixed => BadPolicy::Mixed,
    }
    labels: BadLabels {
        BadLabels::Word => BadLabels::Word,
        BadLabels::NoValue => BadLabels::NoValue,
        BadLabels::Twice => BadLabels::Twice,
        BadLabels::TooMany => BadLabels::TooMany,
    }
    recipients: BadRecipients {
        BadRecipients::Form => BadRecipients::Form,
        BadRecipients::LowOrder => BadRecipients::LowOrder,
        BadRecipients::Twice => BadRecipients::Twice,
        BadRecipients::TooMany => BadRecipients::TooMany,
    }
    tables: TableError {
        TableError::NotATable => TableError::NotATable,
        TableError::NotAuthentic => TableError::NotAuthentic,
        TableError::NotUnderstood { .. } => TableError::NotUnderstood { what: "its version" },
    }
    entries: AddError { AddError::Exists => AddError::Exists, AddError::Full => AddError::Full }
    opens: OpenError { OpenError::Absent => OpenError::Absent, OpenError::Damaged => OpenError::Damaged }
    nexts: NextError {
        NextError::Share { .. } => NextError::Share { vault: IMAGE_VAULT, source: OpenError::Damaged },
        NextError::Nonces => NextError::Nonces,
        NextError::Last => NextError::Last,
    }
    frames: FrameError {
        FrameError::Io(_) => FrameError::Io(io()),
        FrameError::TooLong(_) => FrameError::TooLong(7),
        FrameError::Malformed(_) => FrameError::Malformed(postcard::Error::DeserializeBadBool),
        FrameError::NothingBefore => FrameError::NothingBefore,
        FrameError::Trailing(_) => FrameError::Trailing(7),
    }
}

/// An error and those under it, a line each.
fn lines(error: &dyn Error) -> Vec<String> {
    std::iter::successors(Some(error), |error| (*error).source()).map(ToString::to_string).collect()
}

/// Issue 8, errors: no part of a program speaks of how it is programmed, whichever of its errors it is.
#[test]
fn every_error_of_a_part_is_in_plain_words() {
    let eve = super::command();
    let mut told = Vec::new();
    macro_rules! all {
        ($($of:ident),+) => { $($of().iter().for_each(|error| told.extend(lines(error)));)+ };
    }
    all!(disks, metas, looks, probes, sets, gets, adds, statuses, unwraps, key_files, certificates, couriers);
    all!(selections, policies, labels, recipients, tables, entries, opens, nexts, frames);
    // What the system says of a file, and postcard of bytes, are their own words.
    let others = [io().to_string(), postcard::Error::DeserializeBadBool.to_string()];
    told.retain(|line| !others.contains(line));
    let wrong: Vec<String> = told.iter().flat_map(|line| wrong_words(&eve, line)).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Errors that are in no table, each with why.
const EXCEPTIONS: &[(&str, &[&str])] = &[
    (
        "beside a state, as a note, a reason or a thing that is waited for: the tests of the words of statuses have them",
        &[
            "Note",
            "NotBack",
            "UnfitDefault",
            "Wait",
            "NoKey",
            "Hold",
            "Doubt",
            "Saying",
            "Ground",
            "Act",
            "Gap",
            "Bolt",
            "Unbounded",
            "NotOver",
            "NotTaken",
            "LeftOut",
            "NoPcrs",
            "Older",
            "NotForgotten",
        ],
    ),
    (
        "what is wrong with evidence: told by sentences of `evc`'s words, which are a match over all of them",
        &["NotAppraised", "Unchecked", "Finding", "CheckError", "Discontinuity", "KeyError", "Unmeasured"],
    ),
    (
        "another's bytes do not read: told as the cause of a refusal that is in a table, by their place in a message",
        &["DecodeError", "EnvelopeError", "RegisterError", "ParseError", "NotVerified", "SealError"],
    ),
    (
        "passes another error on, which is in a table itself",
        &["CallError", "Failed", "Ended", "StartsAnew", "NotDone", "Unfit", "OtherTable", "Unopened"],
    ),
    (
        "no error of anybody's: who hears a topic is told why nothing comes, and says it in his own words",
        &["Silence"],
    ),
];

/// A new error is in a table of a test of forms, or it is said here why it needs none: so none is told unread.
#[test]
fn every_enum_of_errors_is_in_a_table() {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let (mut errors, mut in_tables) = (BTreeSet::new(), BTreeSet::new());
    for file in form::rust_files(&crates) {
        let text = fs::read_to_string(&file).unwrap_or_default();
        errors.extend(derived(&text));
        if text.contains("every! {") {
            in_tables.extend(text.lines().filter_map(head));
        }
    }
    assert!(errors.len() > 60 && in_tables.len() > 60, "{} {}", errors.len(), in_tables.len());
    let excepted: BTreeSet<String> =
        EXCEPTIONS.iter().flat_map(|(_, names)| *names).map(|name| (*name).to_owned()).collect();
    let lacking: Vec<_> =
        errors.iter().filter(|it| !in_tables.contains(*it) && !excepted.contains(*it)).collect();
    assert!(lacking.is_empty(), "in no table, and excepted nowhere: {lacking:?}");
    let idle: Vec<_> = excepted.iter().filter(|it| !errors.contains(*it)).collect();
    assert!(idle.is_empty(), "excepted, and no error: {idle:?}");
}

/// Enums that derive `Error`.
fn derived(text: &str) -> Vec<String> {
    let derives = text.split("#[derive(").skip(1);
    let named = derives.filter_map(|after| {
        let (traits, item) = after.split_once(")]")?;
        let is_error = traits.split(',').any(|it| matches!(it.trim(), "Error" | "thiserror::Error"));
        let item =
            item.lines().map(str::trim).find(|line| !line.is_empty() && !line.starts_with(['#', '/']))?;
        let (before, name) = item.split_once("enum ")?;
        let is_item = before.is_empty() || before.starts_with("pub");
        let name = name.split(|c: char| !c.is_alphanumeric()).next()?;
        (is_error && is_item).then(|| name.to_owned())
    });
    named.collect()
}

/// `name: path::Type {`, the head of a table.
fn head(line: &str) -> Option<String> {
    let (name, of) = line.trim().split_once(": ")?;
    let is_name = name.chars().all(|c| c.is_lowercase() || c == '_');
    let of = of.split(" {").next().filter(|_| is_name && of.contains(" {"))?;
    Some(of.rsplit("::").next().unwrap_or(of).to_owned())
}
