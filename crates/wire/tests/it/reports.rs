//! Statuses of vaults and nodes: in EVE's words for any EVE controller, and in ours (IF-2).

use vault::ids::{Epoch, Incarnation, SectionVersion};
use vault::report::{By, Opened, Outcome, State, Storage, VaultReport};
use vault::section::Operation;
use vault::space::StorageLimit;
use wire::info::{AtRest, AttestationState, DeviceInfo, Info, NodeReport, PcrStatus, TpmPresence, VaultLine};

use crate::common::{bytes_field, device, number_field, session, vault_id};

fn vault_report(state: State, wanted: Operation, error: Option<&str>) -> VaultReport {
    let error = error.map(str::to_owned);
    VaultReport {
        id: vault_id(1),
        name: "lines".parse().unwrap(),
        state,
        created: true,
        epoch: Some(Epoch(4)),
        wanted,
        last: Some(Outcome { operation: "unlock".to_owned(), error }),
        opened: None,
        storage: None,
        change_due: false,
        holds_escrow_up: false,
        under_anothers_key: false,
        behind_in_escrow: None,
        ordered_locked: false,
        detail: vec!["not escrowed".to_owned()],
    }
}

fn info(vaults: Vec<VaultLine>) -> DeviceInfo {
    DeviceInfo {
        device: device(),
        at_unix_s: 1_800_000_000,
        tpm: TpmPresence::Enabled,
        tpm_info: "swtpm".to_owned(),
        attestation: AttestationState::Complete,
        attestation_error: Some("none".to_owned()),
        vaults,
        node: Some(NodeReport {
            session: Some(session()),
            accepted: Some(SectionVersion { incarnation: Incarnation([3; 16]), version: 9 }),
            accepted_for: Some(device()),
            notes: vec!["AK not proved to its EK: not checked".to_owned()],
            counter: u64::MAX,
            disk_away: true,
            drill: None,
            generation: Some(vault::ids::Generation(u32::MAX)),
            measured: Some(false),
        }),
    }
}

fn read_info(info: &DeviceInfo) -> DeviceInfo {
    match Info::decode(&info.encode()).unwrap() {
        Info::Device(info) => *info,
        other => panic!("{other:?}"),
    }
}

/// Each state in EVE's words: what should be open and is not is an error, what was locked by order is none.
#[test]
fn every_state_is_reported_in_eves_words_and_in_ours() {
    use State::*;
    let table = [
        (Waiting, AtRest::Unknown),
        (Creating, AtRest::Unknown),
        (Locked, AtRest::Error),
        (LockIncomplete, AtRest::Error),
        (Unlocked, AtRest::Enabled),
        (Missing, AtRest::Error),
        (Removed, AtRest::Unknown),
        (Orphan, AtRest::Unknown),
        (Failed, AtRest::Error),
    ];
    for (state, status) in table {
        let report = vault_report(state, Operation::Unlock, Some("no key"));
        let sent = info(vec![VaultLine::of(report.clone(), PcrStatus::Enabled)]);
        let read = read_info(&sent);
        assert_eq!(read, sent, "{state:?}");
        assert_eq!(read.vaults[0].status, status, "{state:?}");
        assert_eq!(read.vaults[0].error.is_some(), status == AtRest::Error, "{state:?}");
        assert_eq!(read.vaults[0].report, Some(report), "{state:?}");
    }
    let locked = VaultLine::of(vault_report(Locked, Operation::Lock, None), PcrStatus::Unknown);
    assert_eq!((locked.status, locked.error), (AtRest::Unknown, None));
}

/// IF-2: by what a vault was opened, and how much of the disk it takes, and that a change is due goes both ways; what a newer node says of it that is not known here costs nothing of the rest.
#[test]
fn what_a_vault_was_opened_by_is_read_as_it_was_written() {
    for by in By::ALL {
        let limit = StorageLimit::of_bytes(1 << 30).filter(|_| by == By::Both);
        let report = VaultReport {
            opened: Some(Opened { by }),
            storage: Some(Storage { used: 3 << 20, limit }),
            change_due: by == By::LocalSeal,
            holds_escrow_up: by == By::Both,
            under_anothers_key: by == By::ControllerKey,
            behind_in_escrow: [None, Some(true), Some(false)][by as usize % 3],
            ordered_locked: by == By::RecoveryKey,
            ..vault_report(State::Unlocked, Operation::Unlock, None)
        };
        let sent = info(vec![VaultLine::of(report, PcrStatus::Enabled)]);
        assert_eq!(read_info(&sent), sent, "{by:?}");
    }
    for by in [0, 99] {
        let report = [
            bytes_field(1, vault_id(1).0.as_bytes()),
            bytes_field(2, b"lines"),
            number_field(3, 5),
            number_field(6, 1),
            bytes_field(9, &number_field(1, by)),
        ];
        let line = [bytes_field(1, b"lines"), bytes_field(50540, &report.concat())].concat();
        let told = bytes_field(3, &bytes_field(29, &bytes_field(3, &line)));
        let device = bytes_field(2, device().to_string().as_bytes());
        let read = Info::decode(&[number_field(1, 1), device, told].concat()).expect("reads");
        let Info::Device(read) = read else { panic!("{read:?}") };
        let report = read.vaults[0].report.as_ref().expect("ours");
        assert_eq!((report.state, &report.opened), (State::Unlocked, &None), "{by}");
    }
}

/// Whatever an operation's error says, its report is written so that it can be read.
#[test]
fn hostile_or_endless_words_are_cut_not_lost() {
    let mut report = vault_report(State::Failed, Operation::Unlock, Some("line\nline\u{1b}[2J"));
    let long = format!("/persist/img/{}: move it away", "ä".repeat(2000));
    report.detail = vec![long; 100];
    let sent = info(vec![VaultLine::of(report, PcrStatus::Unknown)]);
    let read = read_info(&sent).vaults[0].report.clone().unwrap();
    assert_eq!(read.last.unwrap().error.as_deref(), Some("line line [2J"));
    assert_eq!(read.detail.len(), 64);
    assert!(
        read.detail[..63].iter().all(|line| line.len() <= 1024 && line.len() > 1016),
        "{:?}",
        read.detail[0]
    );
    assert!(read.detail[0].starts_with("/persist/img/") && read.detail[0].ends_with(": move it away"));
    assert_eq!(read.detail[63], "and 37 lines more: see `eve status` on the node");
    let silent = vault_report(State::Failed, Operation::Unlock, Some(""));
    let read = read_info(&info(vec![VaultLine::of(silent, PcrStatus::Unknown)]));
    let error = read.vaults[0].report.as_ref().unwrap().last.as_ref().unwrap().error.as_deref();
    assert_eq!(error, Some("unknown error"), "a failure without words is no success");
}

/// A message of empty items would take a hundred times its length in memory. The reader stops at the first item too many, and
/// makes none; the longest report that a node can write is taken.
#[test]
fn items_are_counted_before_any_is_made() {
    let detail = vec!["x".to_owned(); 64];
    let line = |n: u128| {
        let report = VaultReport {
            id: vault_id(n),
            opened: None,
            storage: None,
            detail: detail.clone(),
            ..vault_report(State::Locked, Operation::Lock, None)
        };
        VaultLine::of(report, PcrStatus::Enabled)
    };
    let longest = info((1..=2048).map(line).collect());
    assert_eq!(read_info(&longest), longest);
    let refusal = |vaults: &[u8]| {
        let device = bytes_field(3, &bytes_field(29, vaults));
        Info::decode(&[number_field(1, 1), device].concat()).unwrap_err().to_string()
    };
    let empty = bytes_field(3, b"").repeat(wire::MAX_MESSAGE / 2 - 100);
    assert_eq!(refusal(&empty), "ZInfoMsg has 4097 bytes or items, more than 4096");
    let words = bytes_field(50540, &bytes_field(8, b"").repeat(4000));
    assert_eq!(
        refusal(&bytes_field(3, &words).repeat(100)),
        "ZInfoMsg has 262145 bytes or items, more than 262144"
    );
}

/// Two reports of one vault in one message: the controller would believe one, and show the other.
#[test]
fn a_vault_that_is_reported_twice_is_refused() {
    let line = |n: u128| {
        let report = VaultReport { id: vault_id(n), ..vault_report(State::Locked, Operation::Lock, None) };
        VaultLine::of(report, PcrStatus::Enabled)
    };
    let twice = Info::decode(&info(vec![line(1), line(2), line(1)]).encode());
    assert_eq!(twice.unwrap_err().to_string(), "vaultList has a vault twice");
    assert_eq!(read_info(&info(vec![line(1), line(2)])).vaults.len(), 2);
}
