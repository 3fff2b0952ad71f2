//! Errors of what the programs are made of. They reach a person as the cause of another error, in the log, or beside a status: so each is in
//! plain words, and what is to be done stands in the error around it.

use std::error::Error;
use std::io;

use form::{every, wrong_words};
use fscrypt::directory::LookError;
use fscrypt::kernel::{AddKeyError, GetPolicyError, KeyStatusError, RemoveKeyError, SetPolicyError};
use fscrypt::{KeyIdentifier, MetaError, NotADescriptor, ParseError, ProbeError, UnwrapError};
use tpm::{BadPolicy, BadSelection, CommandError, Meaning, TooLong};
use vault::escrow::restore::OtherTable;
use vault::escrow::{BadBundle, NotOurs, drill};
use vault::ids::{Generation, IMAGE_VAULT};
use vault::labels::BadLabels;
use vault::recovery::BadRecipients;
use vault::shares::{AddError, NextError, OpenError, TableError};
use vault::space::BadLimit;
use wire::cert::CertificateError;
use wire::courier::CourierError;
use wire::sign::KeyFileError;

use crate::agents::StartsAnew;
use crate::bus::{FrameError, Silence};

fn io() -> io::Error {
    io::Error::from(io::ErrorKind::PermissionDenied)
}

fn id() -> KeyIdentifier {
    KeyIdentifier([7; 16])
}

/// With what the library says of bytes that are no protocol buffer.
fn encoding() -> ParseError {
    fscrypt::PolicyFile::parse(b"\xff").expect_err("no policy")
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
    removes: RemoveKeyError { RemoveKeyError { .. } => RemoveKeyError { id: id(), source: io() } }
    parses: ParseError {
        ParseError::TooLong { .. } => ParseError::TooLong { len: 70_000 },
        ParseError::Encoding(_) => encoding(),
        ParseError::Field { .. } => ParseError::Field { field: "contents" },
    }
    descriptors: NotADescriptor { NotADescriptor => NotADescriptor }
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
    bundles: BadBundle { BadBundle { .. } => BadBundle { what: "its first bytes" } }
    roots: NotOurs { NotOurs => NotOurs }
    other_tables: OtherTable {
        OtherTable::Generation { .. } => OtherTable::Generation { bundle: Generation(2), tpm: Generation(1) },
        OtherTable::Table(_) => OtherTable::Table(TableError::NotAuthentic),
    }
    drills: drill::Unfit {
        drill::Unfit::Root(_) => drill::Unfit::Root(NotOurs),
        drill::Unfit::OtherRoot => drill::Unfit::OtherRoot,
        drill::Unfit::Table(_) => drill::Unfit::Table(OtherTable::Table(TableError::NotAuthentic)),
        drill::Unfit::NoShare(_) => drill::Unfit::NoShare(IMAGE_VAULT),
        drill::Unfit::KeyFiles(_) => drill::Unfit::KeyFiles(IMAGE_VAULT),
        drill::Unfit::Untold(_) => drill::Unfit::Untold(IMAGE_VAULT),
    }
    limits: BadLimit { BadLimit => BadLimit }
    commands: CommandError {
        CommandError { .. } => CommandError { command: "Unseal", meaning: Meaning::Lockout, rc: 0x921 },
    }
    passwords: TooLong { TooLong => TooLong }
    lives: StartsAnew {
        StartsAnew::ConfigVault => StartsAnew::ConfigVault,
        StartsAnew::Config(_) => StartsAnew::Config("config/tcti"),
    }
    silences: Silence {
        Silence::Yet => Silence::Yet,
        Silence::Refused => Silence::Refused,
        Silence::Full => Silence::Full,
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
    all!(selections, policies, labels, recipients, tables, entries, opens, nexts, frames, removes, parses);
    all!(descriptors, bundles, roots, other_tables, drills, limits, commands, passwords, lives, silences);
    // What the system says of a file, and postcard of bytes, are their own words.
    let buffer = lines(&encoding()).pop().expect("its cause");
    let others = [io().to_string(), postcard::Error::DeserializeBadBool.to_string(), buffer];
    told.retain(|line| !others.contains(line));
    let wrong: Vec<String> = told.iter().flat_map(|line| wrong_words(&eve, line)).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Issue 8, errors: the same of sentences that are made where they are told, of no type; one that is told by itself says what to do.
#[test]
fn every_sentence_of_an_error_is_in_form() {
    let src = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    assert_eq!(form::wrong_sentences(&src, &crate::cli::command(), "cli"), [""; 0]);
}
