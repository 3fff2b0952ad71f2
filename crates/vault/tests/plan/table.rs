//! One row per situation and what comes next: what is to happen, and what must not.

use std::collections::{BTreeMap, BTreeSet};

use vault::custody::Wrapping;
use vault::ids::{CONFIG_VAULT, Epoch, IMAGE_VAULT, Incarnation, Name, SectionVersion, VaultId};
use vault::plan::{
    Authority, Desired, Dir, Held, Hint, Key, Keys, Known, Listing, MetaCopy, Next, Node, Note, Part, Record,
    RecordSeen, Released, Seen, Setbacks, ShareKey, ShareSeen, Step, StepKind, TableSeen, Tpm, View, Wait,
    Want, Wish, next, plan,
};
use vault::report::{State, VaultReport, report};
use vault::section::{Custody, Encryption, NodePolicy, Operation, Seal, Standing};
use vault::shares::Mark;

const USER: VaultId = VaultId(uuid::Uuid::from_u128(5));
const AES: Encryption = Encryption::Aes256Xts;
const NODE: Node = Node { tpm: Tpm::Present { table: TableSeen::Open, pcrs: true }, measured: true };
const TABLE_LOST: Node = Node { tpm: Tpm::Present { table: TableSeen::Lost, pcrs: true }, measured: true };
const NO_TPM: Node = Node { tpm: Tpm::Absent, measured: false };
const TPM_NOT_HEARD: Node = Node { tpm: Tpm::Unknown, measured: false };

fn name() -> Name {
    "berlin".parse().expect("a name")
}

fn want(custody: Custody) -> Want {
    let keys = Released::Keys { current: Epoch(3), last: Epoch(2) };
    Want {
        name: name(),
        policy: NodePolicy { encryption: AES, custody, seal: Seal::Tpm },
        operation: Operation::Unlock,
        standing: Standing::Active,
        created: false,
        recreate: false,
        released: if custody.needs_controller() { keys } else { Released::NotNeeded },
        authority: Authority::Live,
    }
}

fn share(mark: Mark) -> Option<ShareSeen> {
    Some(ShareSeen { seal: Seal::Tpm, mark })
}

/// A made vault, locked.
fn made(custody: Custody, epoch: u64) -> Seen {
    let copy =
        MetaCopy::Good(if custody == Custody::Tpm { Hint::NoEpoch } else { Hint::Epoch(Epoch(epoch)) });
    let share = if custody.needs_tpm() { share(Mark::Made) } else { None };
    Seen { dir: Dir::Vault(AES), first: copy, second: copy, share, ..Seen::default() }
}

fn keys() -> Keys {
    Keys { share: ShareKey::Open, current: Some(Epoch(3)), last: Some(Epoch(2)), ..Keys::default() }
}

fn held(wrapping: Wrapping) -> Keys {
    Keys { held: Some(Held { first: Some(wrapping), second: Some(wrapping) }), ..keys() }
}

fn ask(id: VaultId, wish: &Wish, seen: &Seen, keys: &Keys, node: &Node) -> Next {
    next(&View { id, wish, seen, keys, node, setbacks: Setbacks::default() })
}

fn keep(want: Want, seen: Seen, keys: Keys) -> Next {
    ask(USER, &Wish::Keep(want), &seen, &keys, &NODE)
}

fn step(next: &Next) -> Option<Step> {
    match next {
        Next::Do(act) => Some(act.step),
        _ => None,
    }
}

fn missing(next: &Next) -> Vec<Part> {
    let Next::Settled(settled) = next else { return Vec::new() };
    let part = |note: &Note| if let Note::Missing(part) = note { Some(*part) } else { None };
    settled.notes.iter().filter_map(part).collect()
}

/// IF-5: the order of making: share, metadata, key, directory, policy, mark.
#[test]
fn if5_a_vault_is_made_in_order() {
    let begun = Seen { share: share(Mark::Begun), ..Seen::default() };
    let written = Seen { dir: Dir::Absent, share: share(Mark::Begun), ..made(Custody::TpmAndController, 3) };
    let both = Wrapping::Both(Epoch(3));
    for (what, seen, keys, expected) in [
        ("nothing there", Seen::default(), keys(), Step::MakeShare { seal: Seal::Tpm, mark: Mark::Begun }),
        ("share", begun, keys(), Step::MakeMetadata(both)),
        ("one copy", Seen { second: MetaCopy::Absent, ..written }, keys(), Step::RepairCopy),
        ("metadata", written, keys(), Step::Unwrap),
        ("protector", written, held(both), Step::AddKey),
        ("key", Seen { key: Key::Present, ..written }, held(both), Step::MakeDir),
        (
            "directory",
            Seen { key: Key::Present, dir: Dir::Empty, ..written },
            held(both),
            Step::SetPolicy(AES),
        ),
        ("policy", Seen { key: Key::Present, dir: Dir::Vault(AES), ..written }, held(both), Step::MarkMade),
        ("cut before the mark", Seen { dir: Dir::Vault(AES), ..written }, held(both), Step::AddKey),
        ("of no use", written, Keys { none_fits: true, ..keys() }, Step::ForgetMetadata),
    ] {
        assert_eq!(step(&keep(want(Custody::TpmAndController), seen, keys)), Some(expected), "{what}");
    }
}

/// VC-6, VC-2: opens by what fits, then takes the newest; and what is said when it can't.
#[test]
fn vc6_an_open_vault_takes_the_newest_epoch() {
    let (last, current) = (Wrapping::Both(Epoch(2)), Wrapping::Both(Epoch(3)));
    let lame = Keys { held: Some(Held { first: None, second: Some(current) }), ..keys() };
    let half = Keys { held: Some(Held { first: Some(current), second: Some(last) }), ..keys() };
    for (what, seen, keys, expected) in [
        ("locked", made(Custody::TpmAndController, 2), keys(), Step::Unwrap),
        ("opened by the last", made(Custody::TpmAndController, 2), held(last), Step::Rewrap(current)),
        ("half changed", made(Custody::TpmAndController, 2), half, Step::Rewrap(current)),
        ("changed", made(Custody::TpmAndController, 3), held(current), Step::AddKey),
        ("one copy does not open", made(Custody::TpmAndController, 3), lame, Step::RepairCopy),
    ] {
        assert_eq!(step(&keep(want(Custody::TpmAndController), seen, keys)), Some(expected), "{what}");
    }
    let old = Keys { none_fits: true, ..keys() };
    let two_behind = keep(want(Custody::TpmAndController), made(Custody::TpmAndController, 1), old);
    assert_eq!(two_behind, Next::Wait(Wait::OtherEpoch { under: Some(Epoch(1)) }));
}

/// KO-1: with the share's root unreadable nothing is wrapped or tried under it, and the status says why.
#[test]
fn ko1_a_share_out_of_reach_is_waited_for() {
    let closed = Keys { share: ShareKey::Closed, ..keys() };
    assert_eq!(closed.candidates(), [Wrapping::Controller(Epoch(3)), Wrapping::Controller(Epoch(2))]);
    let begun = Seen { share: share(Mark::Begun), ..Seen::default() };
    assert_eq!(keep(want(Custody::TpmAndController), begun, closed), Next::Wait(Wait::Pcrs));
    let shut = Keys { none_fits: true, current: None, last: None, ..closed };
    assert_eq!(keep(want(Custody::Tpm), made(Custody::Tpm, 0), shut), Next::Wait(Wait::Pcrs));
}

/// A withheld vault is left as it is: open stays open, locked stays locked, nothing is re-keyed.
#[test]
fn withheld_changes_nothing() {
    let withheld =
        Want { released: Released::Withheld("PCR 4".to_owned()), ..want(Custody::TpmAndController) };
    let without = Keys { current: None, last: None, ..keys() };
    let refused = Keys { none_fits: true, ..without };
    let locked = keep(withheld.clone(), made(Custody::TpmAndController, 3), refused);
    assert_eq!(locked, Next::Wait(Wait::Withheld("PCR 4".to_owned())));
    let open = Seen { key: Key::Present, ..made(Custody::TpmAndController, 3) };
    let protector = Keys { held: held(Wrapping::Both(Epoch(3))).held, ..without };
    let Next::Settled(settled) = keep(withheld, open, protector) else { panic!("not settled") };
    assert_eq!(settled.state, State::Unlocked);
    assert_eq!(settled.notes, [Note::Waits(Wait::Withheld("PCR 4".to_owned()))]);
}

/// VC-6: a vault that is kept locked still takes a newer epoch, without being opened.
#[test]
fn vc6_a_locked_vault_keeps_up() {
    let locked = Want { operation: Operation::Lock, ..want(Custody::Controller) };
    let seen = made(Custody::Controller, 2);
    assert_eq!(step(&keep(locked.clone(), seen, keys())), Some(Step::Unwrap));
    let opened = held(Wrapping::Controller(Epoch(2)));
    assert_eq!(step(&keep(locked.clone(), seen, opened)), Some(Step::Rewrap(Wrapping::Controller(Epoch(3)))));
    let next = keep(locked, made(Custody::Controller, 3), keys());
    assert_eq!(next, Next::Settled(vault::plan::Settled { state: State::Locked, notes: vec![] }));
}

/// Invariant 4: what was made and lacks a part is missing, until an order; and then only what is left of it goes.
#[test]
fn a_made_vault_that_lacks_a_part_is_missing() {
    let whole = made(Custody::Tpm, 0);
    let gone = (MetaCopy::Damaged, MetaCopy::Absent);
    let no_metadata = Seen { first: gone.0, second: gone.1, ..whole };
    let no_share = Seen { share: None, ..whole };
    let no_dir = Seen { dir: Dir::Absent, ..whole };
    for (seen, keys, parts, first_step) in [
        (no_dir, keys(), vec![Part::Directory], Step::ForgetMetadata),
        (Seen { dir: Dir::Plain, ..whole }, keys(), vec![Part::Directory], Step::ForgetMetadata),
        (Seen { dir: Dir::Stranger, ..whole }, keys(), vec![Part::Path], Step::ForgetMetadata),
        (Seen { dir: Dir::OtherVault, ..whole }, keys(), vec![Part::Path], Step::ForgetMetadata),
        (no_metadata, keys(), vec![Part::Metadata], Step::ForgetMetadata),
        (Seen { key: Key::Present, ..no_metadata }, keys(), vec![Part::Metadata], Step::Lock),
        (no_share, Keys { share: ShareKey::Nothing, ..keys() }, vec![Part::Share], Step::ForgetMetadata),
        (whole, Keys { share: ShareKey::Damaged, ..keys() }, vec![Part::Share], Step::ForgetMetadata),
        (
            Seen { share: share(Mark::Lost), ..whole },
            Keys::default(),
            vec![Part::Share],
            Step::ForgetMetadata,
        ),
    ] {
        assert_eq!(missing(&keep(want(Custody::Tpm), seen, keys)), parts, "{seen:?}");
        let ordered = keep(Want { recreate: true, ..want(Custody::Tpm) }, seen, keys);
        assert_eq!(step(&ordered), Some(first_step), "{seen:?}");
    }
    let created = Want { created: true, ..want(Custody::Controller) };
    let parts = missing(&keep(created.clone(), Seen::default(), keys()));
    assert_eq!(parts, [Part::Directory, Part::Metadata], "by the section's word alone");
    let ordered = keep(Want { recreate: true, ..created }, Seen::default(), keys());
    assert_eq!(step(&ordered), Some(Step::MakeMetadata(Wrapping::Controller(Epoch(3)))));
}

/// A `recreate` for a vault that is whole does nothing to it.
#[test]
fn recreate_of_a_whole_vault_destroys_nothing() {
    let order = Want { recreate: true, created: true, ..want(Custody::Tpm) };
    assert_eq!(step(&keep(order, made(Custody::Tpm, 0), keys())), Some(Step::Unwrap));
}

/// TH-1: a wiped or reinstalled disk under a TPM that has our roots: the default vaults are missing, not silently made anew.
#[test]
fn th1_a_lost_share_table_is_missing_not_new() {
    let desired = Desired::default();
    for id in [CONFIG_VAULT, IMAGE_VAULT] {
        let wish = desired.wish(id, &TABLE_LOST, true);
        let parts = missing(&ask(id, &wish, &Seen::default(), &Keys::default(), &TABLE_LOST));
        assert!(parts.contains(&Part::Table), "{parts:?}");
    }
    let ordered = Desired { recreate: BTreeSet::from([CONFIG_VAULT]), ..Desired::default() };
    let wish = ordered.wish(CONFIG_VAULT, &TABLE_LOST, true);
    let next = ask(CONFIG_VAULT, &wish, &Seen::default(), &Keys::default(), &TABLE_LOST);
    assert_eq!(step(&next), Some(Step::NewTable));
    let user = ask(USER, &Wish::Keep(want(Custody::Tpm)), &Seen::default(), &Keys::default(), &TABLE_LOST);
    assert_eq!(user, Next::Wait(Wait::Table));
}

/// UC-E: a custody that this node can't give fails clearly and takes nothing away.
#[test]
fn uce_tpm_custody_without_a_tpm_fails() {
    for (seen, state) in [
        (Seen::default(), State::Failed),
        (Seen { key: Key::Present, ..made(Custody::Controller, 3) }, State::Unlocked),
    ] {
        let next = ask(USER, &Wish::Keep(want(Custody::Tpm)), &seen, &keys(), &NO_TPM);
        let Next::Settled(settled) = next else { panic!("{next:?}") };
        assert_eq!((settled.state, settled.notes), (state, vec![Note::NoTpm(Custody::Tpm)]));
    }
    let unknown =
        ask(USER, &Wish::Keep(want(Custody::Tpm)), &Seen::default(), &Keys::default(), &TPM_NOT_HEARD);
    assert_eq!(unknown, Next::Wait(Wait::Tpm), "a TPM that fails is not an absent one");
}

/// DF-3: with no configuration the default vaults are made under the TPM; without a TPM they wait for first contact.
#[test]
fn df3_default_vaults_without_configuration() {
    let desired = Desired::default();
    let with = desired.wish(CONFIG_VAULT, &NODE, true);
    let next = ask(CONFIG_VAULT, &with, &Seen::default(), &Keys::default(), &NODE);
    assert_eq!(step(&next), Some(Step::MakeShare { seal: Seal::Tpm, mark: Mark::Begun }));
    let without = desired.wish(CONFIG_VAULT, &NO_TPM, true);
    let next = ask(CONFIG_VAULT, &without, &Seen::default(), &Keys::default(), &NO_TPM);
    assert!(matches!(next, Next::Wait(Wait::Withheld(_))), "{next:?}");
}

/// DF-5: plain files are moved into a default vault; in a user's vault's place they stop it, and stay.
#[test]
fn df5_plain_files_are_moved_in_or_left() {
    let plain =
        Seen { dir: Dir::Plain, key: Key::Present, share: share(Mark::Begun), ..made(Custody::Tpm, 0) };
    let wish = Wish::Keep(want(Custody::Tpm));
    let next = ask(CONFIG_VAULT, &wish, &plain, &held(Wrapping::Tpm), &NODE);
    assert_eq!(step(&next), Some(Step::MoveIn(AES)));
    let user = ask(USER, &wish, &plain, &held(Wrapping::Tpm), &NODE);
    assert_eq!(
        user,
        Next::Settled(vault::plan::Settled { state: State::Failed, notes: vec![Note::PathTaken] })
    );
}

/// DF-4: custody and seal change step by step, and only by a live section.
#[test]
fn df4_a_custody_changes_by_a_live_section_alone() {
    let open = |custody, epoch| Seen { key: Key::Present, ..made(custody, epoch) };
    let pcrs =
        Want { policy: NodePolicy { seal: Seal::Pcrs, ..want(Custody::Tpm).policy }, ..want(Custody::Tpm) };
    let (tpm, controller) = (Wrapping::Tpm, Wrapping::Controller(Epoch(3)));
    let with_share = Seen { share: share(Mark::Made), ..open(Custody::Controller, 3) };
    let fresh = Step::MakeShare { seal: Seal::Tpm, mark: Mark::Made };
    for (what, want, seen, held_under, expected) in [
        (
            "narrowed",
            want(Custody::TpmAndController),
            open(Custody::Tpm, 0),
            tpm,
            Step::Rewrap(Wrapping::Both(Epoch(3))),
        ),
        (
            "to the controller",
            want(Custody::Controller),
            open(Custody::Tpm, 0),
            tpm,
            Step::Rewrap(controller),
        ),
        ("its share is of no use", want(Custody::Controller), with_share, controller, Step::DropShare),
        ("from the controller", want(Custody::Tpm), open(Custody::Controller, 3), controller, fresh),
        ("other seal", pcrs, open(Custody::Tpm, 0), tpm, Step::Reseal(Seal::Pcrs)),
    ] {
        assert_eq!(step(&keep(want.clone(), seen, held(held_under))), Some(expected), "{what}");
        for authority in [Authority::Checkpoint, Authority::Builtin] {
            let next = keep(Want { authority, ..want.clone() }, seen, held(held_under));
            assert_eq!(step(&next), None, "{what} by {authority:?}");
        }
    }
}

/// IF-5: a checkpoint makes nothing; it opens and resumes.
#[test]
fn if5_a_checkpoint_makes_nothing() {
    let kept = Want { authority: Authority::Checkpoint, ..want(Custody::Tpm) };
    assert_eq!(keep(kept.clone(), Seen::default(), keys()), Next::Wait(Wait::Contact));
    assert_eq!(step(&keep(kept.clone(), made(Custody::Tpm, 0), keys())), Some(Step::Unwrap));
    let half = Seen { dir: Dir::Absent, share: share(Mark::Begun), ..made(Custody::Tpm, 0) };
    assert_eq!(step(&keep(kept, half, held(Wrapping::Tpm))), Some(Step::AddKey));
}

fn version(incarnation: u8, version: u64) -> SectionVersion {
    SectionVersion { incarnation: Incarnation([incarnation; 16]), version }
}

fn listing(authority: Authority, version: SectionVersion, listed: bool) -> Listing {
    let vaults = listed.then(|| (USER, want(Custody::Tpm))).into_iter().collect();
    Listing { authority, version, vaults }
}

/// IF-5, invariant 4: what deletes, and all that must not.
#[test]
fn if5_absence_alone_never_deletes() {
    let record = |version, listed: bool| {
        let listed = listed.then(|| (USER, name())).into_iter().collect();
        RecordSeen::Read(Record { version, listed, removed: BTreeMap::new() })
    };
    let live = |version| Some(listing(Authority::Live, version, false));
    let kept = Some(listing(Authority::Checkpoint, version(1, 8), false));
    for (what, listing, record, expected) in [
        ("newer, listed before", live(version(1, 8)), record(version(1, 7), true), Wish::Delete),
        ("the same again after a crash", live(version(1, 8)), record(version(1, 8), true), Wish::Delete),
        ("never listed", live(version(1, 8)), record(version(1, 7), false), Wish::Orphan),
        ("another incarnation", live(version(2, 8)), record(version(1, 7), true), Wish::Orphan),
        ("an older version", live(version(1, 6)), record(version(1, 7), true), Wish::Orphan),
        ("no record", live(version(1, 8)), RecordSeen::Nothing, Wish::Orphan),
        ("record unreadable", live(version(1, 8)), RecordSeen::Unreadable, Wish::Leave),
        ("checkpoint", kept, record(version(1, 7), true), Wish::Leave),
        ("withheld", None, record(version(1, 7), true), Wish::Leave),
    ] {
        let desired = Desired { listing, record, ..Desired::default() };
        assert_eq!(desired.wish(USER, &NODE, false), expected, "{what}");
    }
}

/// The default vaults are never deleted by absence (DF-1, DF-2): unlisted, they return to their default policy.
#[test]
fn df4_unlisted_a_default_vault_returns_to_its_default_policy() {
    let listing = Some(listing(Authority::Live, version(1, 8), false));
    let listed = BTreeMap::from([(CONFIG_VAULT, "config".parse().unwrap())]);
    let record = RecordSeen::Read(Record { version: version(1, 7), listed, removed: BTreeMap::new() });
    let desired = Desired { listing, record, ..Desired::default() };
    let Wish::Keep(want) = desired.wish(CONFIG_VAULT, &NODE, false) else { panic!("not kept") };
    assert_eq!((want.policy.custody, want.authority), (Custody::Tpm, Authority::Live));
}

/// The record: an older version is refused, a new incarnation forgets what the other listed, a deletion is remembered.
#[test]
fn the_record_counts_versions_within_an_incarnation() {
    let first = Record::accept(None, &listing(Authority::Live, version(1, 5), true)).unwrap();
    let empty = |v| listing(Authority::Live, v, false);
    assert!(Record::accept(Some(&first), &empty(version(1, 4))).is_err());
    let mut later = Record::accept(Some(&first), &empty(version(1, 6))).unwrap();
    assert!(later.listed.contains_key(&USER), "until it is deleted here");
    later.removed(USER);
    assert!(later.removed.contains_key(&USER) && !later.listed.contains_key(&USER));
    let other = Record::accept(Some(&first), &empty(version(2, 1))).unwrap();
    assert!(other.listed.is_empty());
    let again = Record::accept(Some(&later), &listing(Authority::Live, version(1, 7), true)).unwrap();
    assert!(again.removed.is_empty());
}

/// Root on the node may hold a vault locked; it can't lift the controller's lock.
#[test]
fn local_orders_only_take_away() {
    let with = |operation, held| {
        let mut listing = listing(Authority::Live, version(1, 1), true);
        listing.vaults.values_mut().for_each(|want| want.operation = operation);
        let desired =
            Desired { listing: Some(listing), held: BTreeMap::from([(USER, held)]), ..Desired::default() };
        let Wish::Keep(want) = desired.wish(USER, &NODE, false) else { panic!("not kept") };
        want.operation
    };
    assert_eq!(with(Operation::Unlock, Operation::Lock), Operation::Lock);
    assert_eq!(with(Operation::Lock, Operation::Unlock), Operation::Lock);
}

/// A step that failed is waited for, and what does not depend on it goes on.
#[test]
fn a_setback_stops_only_what_depends_on_it() {
    let mut setbacks = Setbacks::default();
    setbacks.insert(StepKind::Rewrap);
    let wish = Wish::Keep(want(Custody::TpmAndController));
    let (seen, keys) = (made(Custody::TpmAndController, 2), held(Wrapping::Both(Epoch(2))));
    let next = next(&View { id: USER, wish: &wish, seen: &seen, keys: &keys, node: &NODE, setbacks });
    assert_eq!(step(&next), Some(Step::AddKey));
}

/// AC-6: the Config Vault comes first, then the Image Vault, then the others.
#[test]
fn ac6_default_vaults_come_first() {
    let known = BTreeMap::from([(USER, Known::default())]);
    let ids: Vec<VaultId> = plan(&Desired::default(), &known, &NODE).into_iter().map(|(id, ..)| id).collect();
    assert_eq!(ids, [CONFIG_VAULT, IMAGE_VAULT, USER]);
}

fn reported(wish: &Wish, seen: &Seen, keys: &Keys, node: &Node) -> VaultReport {
    let view = View { id: USER, wish, seen, keys, node, setbacks: Setbacks::default() };
    report(&view, name(), &next(&view), None)
}

/// IF-2: what a status says, in the words that users see.
#[test]
fn if2_a_status_says_plainly_what_is_not_done() {
    let wish = Wish::Keep(want(Custody::TpmAndController));
    let open = Seen { key: Key::Present, ..made(Custody::TpmAndController, 3) };
    let unmeasured = Node { measured: false, ..NODE };
    let status = reported(&wish, &open, &held(Wrapping::Both(Epoch(3))), &unmeasured);
    assert_eq!((status.state, status.created, status.epoch), (State::Unlocked, true, Some(Epoch(3))));
    assert_eq!(status.detail, ["not escrowed", "boot not measured", "AK not proved to its EK: not checked"]);
    let gone = reported(&Wish::Gone, &Seen::default(), &Keys::default(), &NODE);
    assert_eq!(gone.state, State::Removed);
    assert_eq!(gone.detail[0], "removed, not crypto-erased");
    let half = Seen { second: MetaCopy::Good(Hint::Epoch(Epoch(2))), ..open };
    assert_eq!(reported(&wish, &half, &keys(), &NODE).epoch, Some(Epoch(2)), "the change has not ended");
    let begun = Seen { dir: Dir::Absent, share: share(Mark::Begun), ..open };
    let status = reported(&wish, &begun, &keys(), &NODE);
    assert_eq!((status.state, status.created), (State::Creating, false));
}
