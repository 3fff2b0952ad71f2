//! What comes back from a bundle, and to which disk: by what is seen, and by what the bundle has.

use std::collections::BTreeSet;

use super::*;
use crate::condition::{Escrow, Hint, Key, Keys, OpenedBy, Past, Seen};
use crate::custody::Wrapping;
use crate::escrow::KeyFile;
use crate::escrow::worth::stays_shut;
use crate::ids::{CONFIG_VAULT, DeviceId, DeviceKey, Epoch, IMAGE_VAULT, Incarnation, SectionVersion};
use crate::recovery::Recipients;
use crate::roots::TpmRoot;
use crate::secret::RootSecret;
use crate::section::{BySeal, Custody, Encryption, NodePolicy, Operation, Presence};
use crate::shares::{Dropped, RootPin};
use crate::wanted::{Authority, Listing, Released, Want};

const G: Generation = Generation(4);
const USER: VaultId = VaultId(uuid::Uuid::from_u128(5));

fn root(byte: u8) -> TpmRoot {
    TpmRoot(RootSecret::copied_from(&[byte; 32]))
}

fn file(name: &str) -> KeyFile {
    KeyFile { name: name.to_owned(), bytes: vec![1, 2, 3] }
}

fn with(generation: Generation, table: Vec<u8>) -> Bundle {
    let files = VaultFiles { protector: file("0123456789abcdef"), policy: file(&"ab".repeat(16)) };
    let vaults = BTreeMap::from([(CONFIG_VAULT, files.clone()), (USER, files)]);
    Bundle::new(&root(1).escrow_key(), None, (DeviceKey([3; 32]), generation), table, vaults)
}

/// TH-6: a table comes back under the roots that are in the TPM, and no other does: what was erased with roots of before is dead in a bundle
/// too. Which shares were dropped after it was made, nobody knows.
#[test]
fn th6_a_table_comes_back_under_the_roots_that_are_there_alone() {
    let table = |generation| {
        let mut table = Table::new(generation);
        table.set_pin(RootPin([7; 32]));
        table.encode(&root(1).table_key())
    };
    let given = |bundle: &Bundle, byte| bundle.table_for(G, &root(byte).table_key());
    let back = given(&with(G, table(G)), 1).expect("its own");
    assert_eq!((back.generation(), back.pin()), (G, Some(RootPin([7; 32]))));
    assert_eq!(back.dropped(USER), Dropped::Perhaps);
    let before = OtherTable::Generation { bundle: Generation(3), tpm: G };
    assert_eq!(given(&with(G, table(Generation(3))), 1), Err(before), "whatever the bundle says");
    let not_ours = Err(OtherTable::Table(TableError::NotAuthentic));
    assert_eq!(given(&with(G, table(G)), 2), not_ours, "another TPM's");
    assert_eq!(given(&with(G, vec![]), 1), Err(OtherTable::Table(TableError::NotATable)));
}

fn seen(dir: Dir, copies: [MetaCopy; 2], mark: Option<Mark>) -> Known {
    let [first, second] = copies;
    let shares = BySeal { tpm: mark, pcrs: None };
    Known {
        seen: Seen { dir, first, second, shares, key: Key::Absent, ..Seen::default() },
        ..Known::default()
    }
}

const STANDS: Dir = Dir::Vault(Encryption::Aes256Xts);
const GONE: [MetaCopy; 2] = [MetaCopy::Absent, MetaCopy::Damaged];

fn node(table: TableSeen) -> Node {
    Node {
        tpm: TpmSeen::Present { table, pcrs: true },
        measured: true,
        past: Past::NOTHING,
        escrow: Escrow::Nothing,
        since_boot: crate::lease::SinceBoot::default(),
        disk_went: false,
        table_lent: false,
    }
}

/// What a made vault lacks is asked for; what was never made, or is not there, or is not seen, or reads in either place, is not.
#[test]
fn only_a_made_vault_without_a_whole_copy_lacks_its_key_files() {
    let good = MetaCopy::Good(crate::condition::Hint::NoEpoch);
    let unseen = Known { unseen: true, ..seen(STANDS, GONE, Some(Mark::Made)) };
    for (what, known, lacks) in [
        ("both copies are gone", seen(STANDS, GONE, Some(Mark::Made)), true),
        ("no TPM has a part in it", seen(STANDS, GONE, None), true),
        ("one copy is whole", seen(STANDS, [MetaCopy::Damaged, good], Some(Mark::Made)), false),
        ("its directory is away", seen(Dir::Absent, GONE, Some(Mark::Made)), false),
        ("another's directory", seen(Dir::OtherVault, GONE, Some(Mark::Made)), false),
        ("it was never made", seen(STANDS, GONE, Some(Mark::Begun)), false),
        ("its share is lost", seen(STANDS, GONE, Some(Mark::Lost)), false),
        ("it could not be looked at", unseen, false),
    ] {
        let (desired, known) = (Desired::default(), BTreeMap::from([(IMAGE_VAULT, known)]));
        let node = node(TableSeen::Open);
        assert_eq!(lacking(&desired, &known, &node) == [IMAGE_VAULT], lacks, "{what}");
        assert_eq!(asks_for_files(&desired, &known, &node), lacks, "{what}");
    }
    let (desired, none) = (Desired::default(), BTreeMap::new());
    for (tpm, asks) in [
        (node(TableSeen::Lost), true),
        (node(TableSeen::Open), false),
        (Node { tpm: TpmSeen::Absent, ..node(TableSeen::Open) }, false),
        (Node { tpm: TpmSeen::Unknown, ..node(TableSeen::Open) }, false),
    ] {
        assert_eq!(asks_for_files(&desired, &none, &tpm), asks, "{tpm:?}");
    }
}

fn listed(authority: Authority, keys: (u64, u64)) -> Desired {
    let policy = NodePolicy {
        encryption: Encryption::Aes256Xts,
        custody: Custody::Controller,
        seal: Seal::Tpm,
        lease: None,
        recovery: Recipients::NONE,
        storage_limit: None,
    };
    let want = Want {
        name: "pay".parse().expect("a name"),
        policy,
        operation: Operation::Unlock,
        standing: Presence::Active,
        created: true,
        recreate: false,
        shut_given_up: false,
        released: Released::Keys { current: Epoch(keys.0), last: Epoch(keys.1) },
        lacks: None,
        authority,
        heard: true,
        floor: None,
    };
    let version = SectionVersion { incarnation: Incarnation([1; 16]), version: 1 };
    let (device, removed) = (DeviceId(uuid::Uuid::from_u128(9)), BTreeSet::new());
    let vaults = BTreeMap::from([(USER, want)]);
    let listing = Listing { authority, device, version, vaults, removed, unjudged: false };
    Desired { listing: Some(listing), ..Desired::default() }
}

/// Invariant 5: key files of an epoch that the controller gives no more are asked back, once the keys that it gives were tried. What opens, what was not
/// tried, and what waits for its key, is not.
#[test]
fn key_files_under_a_key_that_is_not_given_are_lacking() {
    let of = |epoch| [MetaCopy::Good(Hint::Epoch(Epoch(epoch))); 2];
    let given = Keys { current: Some(Epoch(5)), last: Some(Epoch(4)), none_fits: true, ..Keys::default() };
    let opened = OpenedBy { first: Some(Wrapping::Controller(Epoch(5))), second: None };
    for (what, epoch, keys, lacks) in [
        ("an epoch that is over", 3, given, true),
        ("a newer one: of a database that may come back", 7, given, false),
        ("not tried yet", 3, Keys { none_fits: false, ..given }, false),
        ("no key came", 3, Keys { current: None, last: None, ..given }, false),
        ("it opened", 3, Keys { held: Some(opened), none_fits: false, ..given }, false),
    ] {
        for authority in [Authority::Live, Authority::Checkpoint] {
            let known = Known { keys, ..seen(STANDS, of(epoch), None) };
            let (desired, known) = (listed(authority, (5, 4)), BTreeMap::from([(USER, known)]));
            let node = node(TableSeen::Open);
            assert_eq!(lacking(&desired, &known, &node) == [USER], lacks, "{what}, {authority:?}");
            let shut = keys.none_fits && keys.current.is_some() && authority == Authority::Live;
            assert_eq!(stays_shut(USER, &known[&USER], &desired, &node), shut, "{what}, {authority:?}");
        }
    }
}

/// Invariant 4: what was made after the bundle has its share in a newer table; what the bundle knows, or what was not made, has not.
#[test]
fn what_a_bundle_does_not_know_was_made_since() {
    let good = [MetaCopy::Good(Hint::NoEpoch), MetaCopy::Absent];
    let other = VaultId(uuid::Uuid::from_u128(6));
    let mut table = Table::new(G);
    for (what, id, known, is) in [
        ("made since", other, seen(STANDS, good, None), true),
        ("its key files are damaged", other, seen(Dir::Absent, GONE, None), true),
        ("in the bundle", USER, seen(STANDS, good, None), false),
        ("plain files", other, seen(Dir::Plain, [MetaCopy::Absent; 2], None), false),
        ("not seen", other, Known { unseen: true, ..seen(STANDS, good, None) }, false),
    ] {
        let since = made_since(&with(G, vec![]), &table, &BTreeMap::from([(id, known)]));
        assert_eq!(since.contains(&id), is, "{what}");
    }
    table.add_lost(other).expect("there is room");
    let known = BTreeMap::from([(other, seen(STANDS, good, None))]);
    assert!(made_since(&with(G, vec![]), &table, &known).is_empty(), "it has a line");
}

/// Invariant 4: a made vault whose directory is away hangs on what a bundle has of it, where it has no key files here; one that was never made, or
/// that stands, does not.
#[test]
fn a_vault_whose_directory_is_away_hangs_on_a_bundle() {
    let good = [MetaCopy::Good(crate::condition::Hint::NoEpoch), MetaCopy::Absent];
    for (what, known, is) in [
        ("without key files", seen(Dir::Absent, GONE, Some(Mark::Made)), (true, true)),
        ("with key files", seen(Dir::Absent, good, Some(Mark::Made)), (true, false)),
        ("it stands", seen(STANDS, GONE, Some(Mark::Made)), (false, false)),
        ("it was never made", seen(Dir::Absent, GONE, Some(Mark::Begun)), (false, false)),
        ("nothing says that it was made", seen(Dir::Absent, GONE, None), (false, false)),
        (
            "it could not be looked at",
            Known { unseen: true, ..seen(Dir::Absent, GONE, Some(Mark::Made)) },
            (false, false),
        ),
    ] {
        assert_eq!((is_away(&known), hangs_on_a_bundle(&known)), is, "{what}");
    }
}

/// Invariant 4: what was made and of which nothing is here may be in escrow alone: a bundle that is made now lacks it.
#[test]
fn a_vault_of_which_nothing_is_here_may_be_in_escrow_alone() {
    let good = [MetaCopy::Good(Hint::NoEpoch), MetaCopy::Absent];
    let created = |made| {
        let mut desired = listed(Authority::Live, (5, 4));
        let vaults = desired.listing.iter_mut().flat_map(|listing| listing.vaults.values_mut());
        vaults.for_each(|want| want.created = made);
        desired
    };
    for (what, known, made, is) in [
        ("nothing", seen(Dir::Absent, GONE, Some(Mark::Made)), true, true),
        ("nothing, by its share", seen(Dir::Empty, GONE, Some(Mark::Made)), false, true),
        ("nothing, and it needs no share", seen(Dir::Absent, GONE, None), true, true),
        ("never made", seen(Dir::Absent, GONE, None), false, false),
        ("key files", seen(Dir::Absent, good, Some(Mark::Made)), true, false),
        ("its directory", seen(STANDS, GONE, Some(Mark::Made)), true, false),
        ("not seen", Known { unseen: true, ..seen(Dir::Absent, GONE, None) }, true, false),
    ] {
        let alone = is_in_escrow_alone(USER, &known, &created(made), &node(TableSeen::Open));
        assert_eq!(alone, is, "{what}");
    }
}

/// Invariant 4: default vaults have the same names on each node, and by the keys that their directories stand under a disk is told from another's.
#[test]
fn a_bundle_of_another_disk_is_known_by_the_directories() {
    let bundle = with(G, vec![]);
    let (own, other) = (Some([0xab; 16]), Some([0xcd; 16]));
    for (config, user, is) in [
        (own, own, false),
        (own, other, false),
        (other, own, false),
        (other, other, true),
        (None, other, true),
        (None, own, false),
        (None, None, true),
    ] {
        let dir_key = |id| if id == CONFIG_VAULT { config } else { user };
        assert_eq!(is_of_another_disk(&bundle, dir_key), is, "{config:?} {user:?}");
    }
    let bare = Bundle::new(&root(1).escrow_key(), None, (DeviceKey([3; 32]), G), vec![], BTreeMap::new());
    assert!(!is_of_another_disk(&bare, |_| None), "nothing was made that could stand elsewhere");
}

/// Files of another making of the vault open nothing there, and are not written.
#[test]
fn key_files_go_back_to_the_directory_that_they_are_of() {
    let bundle = with(G, vec![]);
    let back = |lacking: &[VaultId], key: Option<DirKey>| {
        key_files(&bundle, lacking, |_| key).iter().map(|(id, _)| *id).collect::<Vec<_>>()
    };
    let own = Some([0xab; 16]);
    assert_eq!(back(&[CONFIG_VAULT, USER], own), [CONFIG_VAULT, USER]);
    assert_eq!(back(&[IMAGE_VAULT, USER], own), [USER], "the bundle has none of the other");
    assert_eq!(back(&[USER], Some([0xcd; 16])), [], "another making");
    assert_eq!(back(&[USER], None), [], "no directory");
    assert_eq!(back(&[], own), []);
}
