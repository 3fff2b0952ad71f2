//! What stands beside a vault's state: notes, what it waits for, what holds its end up. Each is in plain words, by commands that are there, and
//! docs/statuses.md has it, so that whoever reads one finds what to do.

use form::{every, first_cells, speaks_of, wrong_words};
use vault::cause::Cause;
use vault::condition::{Others, Part};

use vault::ids::{DeviceId, Epoch, IMAGE_VAULT};
use vault::plan::{Finished, Hold, NoKey, Note, RecoveryKept, StepKind, Wait};
use vault::section::{Custody, Encryption};
use vault::space::{StorageLimit, Unbounded};
use vault::wanted::NotTaken;

use crate::agents::vaultmgr::escrow::files::LeftOut;
use crate::agents::vaultmgr::generation::roots::NoPcrs;

fn device(number: u128) -> DeviceId {
    DeviceId(uuid::Uuid::from_u128(number))
}

fn limit() -> StorageLimit {
    "20GiB".parse().expect("a limit")
}

every! {
    notes: Note {
        Note::Missing(_) => Note::Missing(Part::Directory),
        Note::NoTpm(_) => Note::NoTpm(Custody::TpmAndController),
        Note::PathTaken => Note::PathTaken,
        Note::PlainFiles => Note::PlainFiles,
        Note::PlainGoIn => Note::PlainGoIn,
        Note::PlainStaged(_) => Note::PlainStaged(IMAGE_VAULT),
        Note::OtherStaged(_) => Note::OtherStaged(IMAGE_VAULT),
        Note::Unnamed => Note::Unnamed,
        Note::Erasing => Note::Erasing,
        Note::Erased => Note::Erased,
        Note::OlderShare => Note::OlderShare,
        Note::Covered => Note::Covered,
        Note::OpenStill => Note::OpenStill,
        Note::LeftAsItIs => Note::LeftAsItIs,
        Note::Unlisted => Note::Unlisted,
        Note::Orphan => Note::Orphan,
        Note::OrphanOpen => Note::OrphanOpen,
        Note::UnlistedOpen => Note::UnlistedOpen,
        Note::Removing => Note::Removing,
        Note::Retained => Note::Retained,
        Note::OtherProtectors(_) => Note::OtherProtectors(Others { passphrases: 1, ..Others::default() }),
        Note::Recovery(..) => Note::Recovery(2, RecoveryKept::Ready),
        Note::EncryptionFixed { .. } => {
            Note::EncryptionFixed { asked: Encryption::Adiantum, is: Encryption::Aes256Xts }
        },
        Note::LimitNotEnforced(_) => Note::LimitNotEnforced(Unbounded::NoQuota),
        Note::LimitDue(_) => Note::LimitDue(limit()),
        Note::LeaseEnded => Note::LeaseEnded,
        Note::NoLease => Note::NoLease,
        Note::LeaseNotKnown => Note::LeaseNotKnown,
        Note::ChangeDue(_) => Note::ChangeDue(Wait::ControllerKey),
        Note::Waits(_) => Note::Waits(Wait::Tpm),
        Note::NotEscrowed => Note::NotEscrowed,
        Note::NotEscrowedSince => Note::NotEscrowedSince,
        Note::NotMeasured => Note::NotMeasured,
        Note::AkNotProved => Note::AkNotProved,
        Note::Fact(_) => Note::Fact("plain files are in use: sh (7)".into()),
    }
    waits: Wait {
        Wait::Contact => Wait::Contact,
        Wait::Withheld(_) => Wait::Withheld(NoKey::NotYet),
        Wait::ControllerKey => Wait::ControllerKey,
        Wait::Tpm => Wait::Tpm,
        Wait::Pcrs => Wait::Pcrs,
        Wait::SealShut => Wait::SealShut,
        Wait::NotMeasured => Wait::NotMeasured,
        Wait::Table => Wait::Table,
        Wait::NewerEpoch { .. } => Wait::NewerEpoch { under: Epoch(4), newest: Epoch(2) },
        Wait::OtherEpoch { .. } => Wait::OtherEpoch { under: Some(Epoch(1)), finished: Finished::Yes },
        Wait::OtherKey { .. } => Wait::OtherKey { under: Epoch(1) },
        Wait::LowerEpoch { .. } => Wait::LowerEpoch { given: Epoch(1), under: Epoch(2) },
        Wait::Busy => Wait::Busy,
        Wait::UnderWay(_) => Wait::UnderWay(StepKind::MoveIn),
        Wait::Retry(_) => Wait::Retry(StepKind::MakeDir),
        Wait::Disk => Wait::Disk,
        Wait::Unseen => Wait::Unseen,
    }
    keys: NoKey {
        NoKey::Told(_) => NoKey::Told(Cause::Pcrs),
        NoKey::NoPolicyMet(_) => NoKey::NoPolicyMet("PCRs".into()),
        NoKey::NotYet => NoKey::NotYet,
    }
    holds: Hold {
        Hold::Tpm => Hold::Tpm,
        Hold::Table => Hold::Table,
        Hold::Unmade => Hold::Unmade,
        Hold::Escrow => Hold::Escrow,
        Hold::Leftovers => Hold::Leftovers,
        Hold::Asked => Hold::Asked,
        Hold::Due => Hold::Due,
        Hold::Retry => Hold::Retry,
        Hold::Steps => Hold::Steps,
        Hold::Pcrs => Hold::Pcrs,
        Hold::Damaged(_) => Hold::Damaged(IMAGE_VAULT),
        Hold::Lost(_) => Hold::Lost(IMAGE_VAULT),
        Hold::Absent(_) => Hold::Absent(IMAGE_VAULT),
        Hold::Away(_) => Hold::Away(IMAGE_VAULT),
        Hold::Unheard => Hold::Unheard,
    }
    unbounded: Unbounded {
        Unbounded::NoQuota => Unbounded::NoQuota,
        Unbounded::NotMounted => Unbounded::NotMounted,
        Unbounded::Foreign(_) => Unbounded::Foreign(7),
    }
    not_taken: NotTaken {
        NotTaken::Older { .. } => NotTaken::Older { given: 4, newest: 7 },
        NotTaken::Superseded => NotTaken::Superseded,
        NotTaken::OtherDevice { .. } => NotTaken::OtherDevice { given: device(1), known: device(2) },
    }
    left_out: LeftOut {
        LeftOut::TooLong(_) => LeftOut::TooLong(70_000),
        LeftOut::Untold => LeftOut::Untold,
        LeftOut::UntoldWaits => LeftOut::UntoldWaits,
        LeftOut::UntoldOpen => LeftOut::UntoldOpen,
        LeftOut::Shut => LeftOut::Shut,
        LeftOut::Away => LeftOut::Away,
    }
    no_pcrs: NoPcrs {
        NoPcrs::Moved(_) => NoPcrs::Moved(vec![4, 8]),
        NoPcrs::Unsteady => NoPcrs::Unsteady,
        NoPcrs::Gone => NoPcrs::Gone,
        NoPcrs::Unreadable => NoPcrs::Unreadable,
    }
    parts: Part {
        Part::Directory => Part::Directory,
        Part::Metadata => Part::Metadata,
        Part::KeyFiles => Part::KeyFiles,
        Part::Share => Part::Share,
        Part::PerhapsShare => Part::PerhapsShare,
        Part::Table => Part::Table,
        Part::Path => Part::Path,
    }
    finished: Finished {
        Finished::Yes => Finished::Yes,
        Finished::Never => Finished::Never,
        Finished::NotKnown => Finished::NotKnown,
    }
    recoveries: RecoveryKept {
        RecoveryKept::Ready => RecoveryKept::Ready,
        RecoveryKept::NotYet => RecoveryKept::NotYet,
        RecoveryKept::Used => RecoveryKept::Used,
        RecoveryKept::Old => RecoveryKept::Old,
        RecoveryKept::Other => RecoveryKept::Other,
        RecoveryKept::Damaged => RecoveryKept::Damaged,
        RecoveryKept::Unasked => RecoveryKept::Unasked,
        RecoveryKept::Some => RecoveryKept::Some,
    }
}

fn words<T: ToString>(all: Vec<T>) -> impl Iterator<Item = String> {
    all.into_iter().map(|it| it.to_string())
}

fn all_notes() -> Vec<Note> {
    let missing = parts().into_iter().map(Note::Missing);
    let recoveries = recoveries().into_iter().map(|kept| Note::Recovery(1, kept));
    let unbounded = unbounded().into_iter().map(Note::LimitNotEnforced);
    notes().into_iter().chain(missing).chain(recoveries).chain(unbounded).collect()
}

fn all_waits() -> Vec<Wait> {
    let withheld = keys().into_iter().chain(Cause::KNOWN.map(NoKey::Told)).map(Wait::Withheld);
    let others = finished().into_iter().map(|finished| Wait::OtherEpoch { under: Some(Epoch(1)), finished });
    waits().into_iter().chain(withheld).chain(others).collect()
}

/// Issue 8, errors: what stands beside a state is in the words of all errors.
#[test]
fn every_note_is_in_plain_words() {
    let eve = crate::cli::command();
    let all = words(all_notes()).chain(words(all_waits())).chain(words(holds())).chain(words(not_taken()));
    let all = all.chain(words(left_out())).chain(words(no_pcrs()));
    let wrong: Vec<_> = all.flat_map(|words| wrong_words(&eve, &words)).collect();
    assert_eq!(wrong, [""; 0]);
}

const STATUSES: &str = include_str!("../../../../../../docs/statuses.md");

/// Sentences that no row under one of the headings speaks of.
fn not_there(headings: &[&str], sentences: impl Iterator<Item = String>) -> Vec<String> {
    let cells: Vec<String> = headings.iter().flat_map(|heading| first_cells(STATUSES, heading)).collect();
    sentences.filter(|it| !cells.iter().any(|cell| speaks_of(cell, it))).collect()
}

/// Issue 8, statuses: whoever reads one finds it in the document, with what to do.
#[test]
fn the_document_has_each_note_and_each_wait() {
    let notes = all_notes()
        .into_iter()
        .filter(|note| !matches!(note, Note::Missing(_) | Note::Waits(_) | Note::Fact(_)));
    let notes = words(notes.collect()).chain(words(left_out()));
    let lacking = not_there(&["## Notes", "## What it waits for"], notes);
    assert!(lacking.is_empty(), "{lacking:#?}");
    let lacking = not_there(&["## What it waits for"], words(all_waits()));
    assert!(lacking.is_empty(), "{lacking:#?}");
    let lacking = not_there(&["### A part is missing"], words(parts()));
    assert!(lacking.is_empty(), "{lacking:#?}");
    let lacking = not_there(&["## Why a key is withheld"], words(Cause::KNOWN.to_vec()));
    assert!(lacking.is_empty(), "{lacking:#?}");
    let lacking = not_there(&["### What holds the end of a vault up"], words(holds()));
    assert!(lacking.is_empty(), "{lacking:#?}");
}
