//! Why a step was not done, as the status tells it, held against the form of all errors: what is, where, and what to do, or that it is done
//! again by itself.

use std::io::{self, ErrorKind};
use std::path::Path;
use std::time::Instant;

use form::{every, wrong_line, wrong_words};
use vault::escrow::drill::Unfit;
use vault::escrow::restore::OtherTable;
use vault::ids::IMAGE_VAULT;
use vault::plan::StepKind;
use vault::shares::{AddError, NextError, OpenError, TableError};

use crate::agents::vaultmgr::belief::config::NotVerified;
use crate::agents::vaultmgr::belief::record::RecordError;
use crate::agents::vaultmgr::chain;
use crate::agents::vaultmgr::escrow::RescueError;
use crate::agents::vaultmgr::escrow::drill::DrillError;
use crate::agents::vaultmgr::generation::roots::TpmmgrError;
use crate::agents::vaultmgr::generation::shares::SharesError;
use crate::agents::vaultmgr::hands::crypt::CryptError;
use crate::agents::vaultmgr::hands::movein::MoveError;
use crate::agents::vaultmgr::hands::tree::{Left, NOT_WIPED, Trouble};
use crate::agents::vaultmgr::vault::execute::StepError;
use crate::agents::vaultmgr::vault::jobs::JobLeft;
use crate::bus::BusError;
use crate::bus::messages::TpmRefusal;

every! {
    steps: StepError {
        StepError::Crypt(_) => StepError::Crypt(CryptError::new("the persist filesystem can't encrypt: see `eve vault list`")),
        StepError::Shares(_) => StepError::Shares(SharesError::NoRoot),
        StepError::Move(_) => StepError::Move(MoveError::Held(vec!["sh (7)".into()])),
        StepError::Tree(_) => StepError::Tree(trouble()),
        StepError::Io { .. } => StepError::Io { what: "making the vault's directory", source: denied() },
        StepError::ByHeart(_) => StepError::ByHeart(CryptError::new("there is no room on the persist filesystem: see `eve status`")),
        StepError::SeenOtherwise => StepError::SeenOtherwise,
        StepError::Left(_) => StepError::Left(JobLeft::Hangs { kind: StepKind::MoveIn, progress: "3 files".into() }),
        StepError::KeyGone => StepError::KeyGone,
        StepError::Busy { .. } => StepError::Busy { holders: Vec::new() },
        StepError::Held => StepError::Held,
        StepError::NoRecord => StepError::NoRecord,
    }
    shares: SharesError {
        SharesError::Tpm(_) => SharesError::Tpm(TpmmgrError::Bus(BusError::NotReady)),
        SharesError::File(_) => SharesError::File(disk::Error::Absent { name: "shares.1".into() }),
        SharesError::TwoNames { .. } => SharesError::TwoNames { shown: "/persist/a".into(), persist: "/persist".into() },
        SharesError::Unread { .. } => SharesError::Unread { shown: "/persist/a".into(), source: denied() },
        SharesError::Copies(_) => SharesError::Copies(disk::Error::Absent { name: "shares.1".into() }),
        SharesError::Io(_) => SharesError::Io(denied()),
        SharesError::Add(_) => SharesError::Add(AddError::Full),
        SharesError::Open(_) => SharesError::Open(OpenError::Damaged),
        SharesError::Next(_) => SharesError::Next(NextError::Last),
        SharesError::NotChanged(_) => SharesError::NotChanged(Box::new(SharesError::NoRoot)),
        SharesError::Leftovers => SharesError::Leftovers,
        SharesError::Lent => SharesError::Lent,
        SharesError::StandsIn => SharesError::StandsIn,
        SharesError::Overtaken { .. } => SharesError::Overtaken { there: 7, known: 5 },
        SharesError::NvFull { .. } => SharesError::NvFull { fit: 4, wanted: 6 },
        SharesError::NvTaken(_) => SharesError::NvTaken(1),
        SharesError::Extended => SharesError::Extended,
        SharesError::OtherDisk => SharesError::OtherDisk,
        SharesError::OtherTable(_) => SharesError::OtherTable(OtherTable::Table(TableError::NotAuthentic)),
        SharesError::Vaults(_) => SharesError::Vaults(CryptError::new("persist/vaults is a link")),
        SharesError::NoRoot => SharesError::NoRoot,
        SharesError::NoPlace => SharesError::NoPlace,
        SharesError::Random => SharesError::Random,
    }
    records: RecordError {
        RecordError::Folders(_) => RecordError::Folders(denied()),
        RecordError::Read(_) => RecordError::Read(denied()),
        RecordError::Damaged(_) => RecordError::Damaged(postcard::Error::DeserializeUnexpectedEnd),
        RecordError::Contradicted => RecordError::Contradicted,
    }
    rescues: RescueError {
        RescueError::NotOpened(_) => RescueError::NotOpened(wire::escrow::NotOpened(bundle())),
        RescueError::Bad(_) => RescueError::Bad(vault::escrow::BadBundle { what: "its first bytes" }),
        RescueError::Another => RescueError::Another,
        RescueError::NotOurs(_) => RescueError::NotOurs(vault::escrow::NotOurs),
        RescueError::OtherController => RescueError::OtherController,
        RescueError::NoRoot => RescueError::NoRoot,
    }
    drills: DrillError {
        DrillError::NotOpened(_) => DrillError::NotOpened(RescueError::Another),
        DrillError::Unfit(_) => DrillError::Unfit(Unfit::NoShare(IMAGE_VAULT)),
        DrillError::Untold(_) => DrillError::Untold(Unfit::Untold(IMAGE_VAULT)),
    }
    tpmmgrs: TpmmgrError {
        TpmmgrError::Bus(_) => TpmmgrError::Bus(BusError::NotReady),
        TpmmgrError::Refused(_) => TpmmgrError::Refused(TpmRefusal::NotShown),
    }
    lefts: JobLeft {
        JobLeft::Ends { .. } => {
            JobLeft::Ends { kind: StepKind::MoveIn, progress: "3 files".into(), until: Instant::now() }
        },
        JobLeft::Hangs { .. } => JobLeft::Hangs { kind: StepKind::MoveIn, progress: "3 files".into() },
    }
    moves: MoveError {
        MoveError::One(_) => MoveError::One(trouble()),
        MoveError::Whole(_) => MoveError::Whole(denied()),
        MoveError::Held(_) => MoveError::Held(vec!["sh (7)".into()]),
        MoveError::NoRoom { .. } => MoveError::NoRoom { needs: "2 MB".into(), free: "1 MB".into() },
        MoveError::Differs(_) => MoveError::Differs(left()),
        MoveError::NotWiped(_) => MoveError::NotWiped(left()),
    }
    troubles: Trouble { Trouble { .. } => trouble() }
    unproved: NotVerified {
        NotVerified::Certs(_) => NotVerified::Certs(wire::certs::CertsError::Root),
        NotVerified::Config(_) => NotVerified::Config(wire::envelope::EnvelopeError::BadSignature.into()),
    }
}

fn bundle() -> vault::escrow::BundleId {
    vault::escrow::Bundle::id_of(vault::ids::Generation(1), b"x")
}

fn left() -> Left {
    let mut left = Left::default();
    left.add(trouble().to_string());
    left
}

fn denied() -> io::Error {
    ErrorKind::PermissionDenied.into()
}

fn trouble() -> Trouble {
    Trouble::new(Path::new("/persist/img/a"), NOT_WIPED)
}

/// Where it is.
const PLACES: [&str; 7] = ["persist", "TPM", "tpmmgr", "vault", "record", "plain files", "sh (7)"];

#[test]
fn every_step_that_fails_says_what_is_and_what_to_do() {
    let eve = crate::cli::command();
    let all = steps().into_iter().chain(shares().into_iter().map(StepError::Shares));
    let all = all.chain(moves().into_iter().map(StepError::Move));
    let all = all.chain(lefts().into_iter().map(StepError::Left));
    let all = all.chain([StepError::Busy { holders: vec!["sh (7)".into()] }]);
    let rescues = rescues();
    let rescues = rescues.iter().map(|error| chain(error));
    let records = records();
    let records = records.iter().map(|error| chain(error));
    let (drills, tpmmgrs) = (drills(), tpmmgrs());
    let others = drills.iter().map(|error| chain(error)).chain(tpmmgrs.iter().map(|error| chain(error)));
    let all = all.map(|error| chain(&error)).chain(rescues).chain(records).chain(others);
    let wrong: Vec<String> = all.flat_map(|words| wrong_line(&eve, &PLACES, &words)).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// What is told of one file, and what stands in a refusal around it: by whom nothing was taken.
#[test]
fn what_is_a_part_of_such_a_line_is_in_plain_words() {
    let eve = crate::cli::command();
    let unproved = unproved();
    let all = troubles().into_iter().map(|error| error.to_string());
    let all = all.chain(lefts().into_iter().map(|error| error.to_string()));
    let wrong: Vec<String> = all
        .chain(unproved.iter().map(|error| chain(error)))
        .flat_map(|words| wrong_words(&eve, &words))
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}
