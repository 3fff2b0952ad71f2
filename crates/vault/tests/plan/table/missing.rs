//! Parts that are gone, and orders to make anew.

use super::*;
use vault::condition::{Condition, Facts};

/// Invariant 4: what was made and lacks a part is missing, until an order; and then only what is left of it goes.
#[test]
fn a_made_vault_that_lacks_a_part_is_missing() {
    let whole = made(Custody::Tpm, 0);
    let gone = (MetaCopy::Damaged, MetaCopy::Absent);
    let no_metadata = Seen { first: gone.0, second: gone.1, ..whole };
    let no_share = Seen { shares: BySeal::default(), ..whole };
    let no_dir = Seen { dir: Dir::Absent, ..whole };
    for (seen, keys, parts, first_step) in [
        (no_dir, keys(), vec![Part::Directory], Step::ForgetMetadata),
        (no_metadata, keys(), vec![Part::Metadata], Step::ForgetMetadata),
        (Seen { key: Key::Present, ..no_metadata }, keys(), vec![Part::Metadata], Step::Lock),
        (
            no_share,
            Keys { shares: key(ShareKey::Nothing), ..keys() },
            vec![Part::Share],
            Step::ForgetMetadata,
        ),
        (whole, Keys { shares: key(ShareKey::Damaged), ..keys() }, vec![Part::Share], Step::ForgetMetadata),
        (
            Seen { shares: share(Mark::Lost), ..whole },
            Keys::default(),
            vec![Part::Share],
            Step::ForgetMetadata,
        ),
    ] {
        let keys = Keys { none_fits: parts == [Part::Share], ..keys };
        assert_eq!(missing(&keep(want(Custody::Tpm), seen, keys)), parts, "{seen:?}");
        let ordered = keep(Want { recreate: true, ..want(Custody::Tpm) }, seen, keys);
        assert_eq!(step(&ordered), Some(first_step), "{seen:?}");
    }
    let created = Want { created: true, ..want(Custody::Controller) };
    let parts = missing(&keep(created.clone(), Seen::default(), keys()));
    assert_eq!(parts, [Part::Directory, Part::Metadata], "by the section's word alone");
    let ordered = keep(Want { recreate: true, ..created }, Seen::default(), keys());
    assert_eq!(
        step(&ordered),
        Some(Step::MakeMetadata { wrapping: Wrapping::Controller(Epoch(3)), encryption: AES })
    );
}

/// TH-3, invariant 5: key files that went while the key is at hand are written anew before that key is given up, whatever is wanted of the vault but
/// its end. Where that failed a short while ago it is told as missing, and one that nobody vouches for is locked.
#[test]
fn key_files_that_are_known_by_heart_are_written_anew() {
    let gone = Seen {
        first: MetaCopy::Absent,
        second: MetaCopy::Damaged,
        key: Key::Present,
        ..made(Custody::Tpm, 0)
    };
    let (kept, lock) = (want(Custody::Tpm), Want { operation: Operation::Lock, ..want(Custody::Tpm) });
    for wish in [Wish::Keep(kept.clone()), Wish::Keep(lock), Wish::Orphan, Wish::Unlisted, Wish::Lock] {
        let next = ask(USER, &wish, &gone, &held(TPM), &NODE);
        assert_eq!(step(&next), Some(Step::WriteByHeart), "{wish:?}");
    }
    let keep = |seen: Seen, keys: Keys| step(&ask(USER, &Wish::Keep(kept.clone()), &seen, &keys, &NODE));
    assert_eq!(keep(gone, keys()), None, "nobody knows them");
    assert_eq!(keep(Seen { dir: Dir::Absent, ..gone }, held(TPM)), None, "it is not there that they are of");
    assert_eq!(step(&ask(USER, &Wish::Delete, &gone, &held(TPM), &NODE)), Some(Step::Lock));
    let failed = |wish: &Wish| {
        let mut setbacks = Setbacks::default();
        setbacks.insert(StepKind::WriteByHeart);
        let (node, keys) = (NODE, held(TPM));
        next(&View { id: USER, wish, seen: &gone, keys: &keys, node: &node, setbacks })
    };
    assert_eq!(missing(&failed(&Wish::Keep(kept.clone()))), [Part::Metadata]);
    assert_eq!(step(&failed(&Wish::Orphan)), Some(Step::Lock));
}

/// DF-3: a node without a TPM has no list in force before its Config Vault is open. That the key is the right one tells all the same: the mark in the
/// name, or a protector that it opens. Of another key of that number nothing is known.
#[test]
fn damage_is_proved_by_the_right_key_whoever_gave_it() {
    let (right, other) = (EpochMark([7; 16]), EpochMark([8; 16]));
    let copy = |mark| MetaCopy::Good(Hint::Key(Epoch(3), mark));
    let seen = |mark| Seen { first: copy(mark), second: copy(mark), ..made(Custody::Controller, 3) };
    let tried = Keys { none_fits: true, marks: [Some(right), None], ..keys() };
    let kept = || Want { authority: Authority::Checkpoint, ..want(Custody::Controller) };
    assert_eq!(missing(&keep(kept(), seen(right), tried)), [Part::KeyFiles]);
    assert_eq!(missing(&keep(kept(), seen(other), tried)), []);
    assert_eq!(
        missing(&keep(kept(), seen(other), Keys { leads_to_damage: true, ..tried })),
        [Part::KeyFiles]
    );
    assert_eq!(missing(&keep(kept(), seen(right), Keys { none_fits: false, ..tried })), [], "not tried yet");
}

/// A name is a hint, and one flipped bit makes `e0` of `e1`: no share is missed by it, and nothing discarded, before the keys at hand were
/// tried; nor where the twin names an epoch whose key is yet to come.
#[test]
fn a_share_is_not_missed_by_a_name_before_keys_were_tried() {
    let whole = made(Custody::Controller, 3);
    let at_hand = Keys { shares: key(ShareKey::Nothing), ..keys() };
    let tried = Keys { none_fits: true, ..at_hand };
    let none = Keys { current: None, last: None, ..at_hand };
    let e0 = MetaCopy::Good(Hint::NoEpoch);
    let e1 = MetaCopy::Good(Hint::Epoch(Epoch(1)));
    for recreate in [false, true] {
        let order = Want { recreate, created: true, ..want(Custody::Controller) };
        for seen in [
            Seen { first: e0, ..whole },
            Seen { second: e0, ..whole },
            Seen { first: e0, second: e0, ..whole },
        ] {
            assert_eq!(step(&keep(order.clone(), seen, at_hand)), Some(Step::Unwrap), "{seen:?}");
            let failed = Wish::Keep(order.clone());
            let mut setbacks = Setbacks::default();
            setbacks.insert(StepKind::Unwrap);
            let view = View { id: USER, wish: &failed, seen: &seen, keys: &at_hand, node: &NODE, setbacks };
            assert_eq!(step(&next(&view)), None, "a failure to try discards nothing: {seen:?}");
        }
        let mixed = Seen { first: e0, second: e1, ..whole };
        for keys in [none, tried] {
            let next = keep(order.clone(), mixed, keys);
            assert_eq!((missing(&next), step(&next)), (vec![], None), "its key is not here: {keys:?}");
        }
    }
}

/// A `recreate` for a vault that is whole does nothing to it.
#[test]
fn recreate_of_a_whole_vault_destroys_nothing() {
    let order = Want { recreate: true, created: true, ..want(Custody::Tpm) };
    assert_eq!(step(&keep(order, made(Custody::Tpm, 0), keys())), Some(Step::Unwrap));
}

/// Invariant 4: an order waits while a bundle in escrow may bring back what the vault lacks.
#[test]
fn what_may_come_back_is_not_discarded() {
    let gone = Seen { first: MetaCopy::Absent, second: MetaCopy::Absent, ..made(Custody::Tpm, 0) };
    let desired = Desired { recreate: BTreeSet::from([IMAGE_VAULT]), ..Desired::default() };
    for hoped in [false, true] {
        let known = Known { seen: gone, keys: keys(), hoped, ..Known::default() };
        let (_, next) = vault::plan::one(&desired, IMAGE_VAULT, &known, &NODE);
        assert_eq!(matches!(next, Next::Do(_)), !hoped, "{next:?}");
        assert!(!hoped || missing(&next) == [Part::Metadata], "{next:?}");
    }
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
    assert_eq!(next, Next::Wait(Wait::Table), "the table is the node's, and begun by a step of its own");
    let there = Known { seen: made(Custody::Tpm, 0), ..Known::default() };
    let unseen = Known { unseen: true, ..Known::default() };
    let (never, hidden) = (VaultId(uuid::Uuid::from_u128(6)), VaultId(uuid::Uuid::from_u128(7)));
    let known = BTreeMap::from([(USER, there), (never, Known::default()), (hidden, unseen)]);
    let begin = plan(&ordered, &known, &TABLE_LOST).node;
    assert_eq!(
        begin,
        Some(NodeStep::BeginTable { lost: vec![USER, hidden, IMAGE_VAULT] }),
        "all that may be there"
    );
    assert_eq!(plan(&desired, &known, &TABLE_LOST).node, None, "never without an order");
    let hoped = Known { hoped: true, ..Known::default() };
    let with = |id| known.clone().into_iter().chain([(id, hoped.clone())]).collect();
    assert_eq!(plan(&ordered, &with(CONFIG_VAULT), &TABLE_LOST).node, None, "never while it may come back");
    for (dir, staged) in [
        (Dir::OtherVault, Staged::Nothing),
        (Dir::Stranger, Staged::Nothing),
        (Dir::Covered, Staged::Nothing),
        (Dir::Absent, Staged::Plain),
    ] {
        let stopped = Known { seen: Seen { dir, staged, ..Seen::default() }, ..Known::default() };
        let known = known.clone().into_iter().chain([(CONFIG_VAULT, stopped)]).collect();
        assert_eq!(plan(&ordered, &known, &TABLE_LOST).node, None, "the order stops at it: {dir:?}");
    }
    assert_eq!(plan(&ordered, &known, &NODE).node, None, "never in place of one that is open");
    let user = ask(USER, &Wish::Keep(want(Custody::Tpm)), &Seen::default(), &Keys::default(), &TABLE_LOST);
    assert_eq!(user, Next::Wait(Wait::Table));
}

/// A vault that never needed its share lacks nothing when a table was begun anew, whose mark of loss then goes; one whose
/// metadata does not open without it does.
#[test]
fn a_lost_share_is_missed_only_where_it_served() {
    let lost = |custody| Seen { shares: share(Mark::Lost), ..made(custody, 3) };
    let without = Keys { shares: key(ShareKey::Nothing), ..keys() };
    let opened = Keys { shares: key(ShareKey::Nothing), ..held(Wrapping::Controller(Epoch(3))) };
    let refused = Keys { none_fits: true, ..without };
    let seen = lost(Custody::Controller);
    assert_eq!(step(&keep(want(Custody::Controller), seen, without)), Some(Step::Unwrap));
    assert_eq!(step(&keep(want(Custody::Controller), seen, opened)), Some(Step::DropShare(Seal::Tpm)));
    let away = Keys { current: None, last: None, ..without };
    assert_eq!(missing(&keep(want(Custody::Controller), seen, away)), [], "its key is not here yet");
    let wants_both = want(Custody::TpmAndController);
    assert_eq!(step(&keep(wants_both.clone(), seen, without)), Some(Step::Unwrap), "it may open without");
    let anew = Step::MakeShare { seal: Seal::Tpm, mark: Mark::Made };
    assert_eq!(step(&keep(wants_both.clone(), seen, opened)), Some(anew), "in the place of the mark");
    assert_eq!(missing(&keep(wants_both, seen, refused)), [Part::Share]);
}

/// TH-1: a user's vault whose share lies in a table that does not open says so, and is kept.
#[test]
fn th1_a_user_vault_waits_for_the_lost_table() {
    let seen = Seen { shares: BySeal::default(), ..made(Custody::Tpm, 0) };
    let next = ask(USER, &Wish::Keep(want(Custody::Tpm)), &seen, &Keys::default(), &TABLE_LOST);
    assert_eq!(next, Next::Wait(Wait::Table));
}

/// VC-2: a directory that was moved away, with a stranger or nothing in its place, does not keep its key in the kernel; a key
/// that could not be given back stays.
#[test]
fn vc2_a_moved_directory_does_not_escape_a_lock() {
    let order = Want { operation: Operation::Lock, ..want(Custody::Tpm) };
    let whole = Seen { key: Key::Present, ..made(Custody::Tpm, 0) };
    for dir in [Dir::Absent, Dir::Stranger, Dir::Plain, Dir::OtherVault] {
        let moved = Seen { dir, ..whole };
        assert_eq!(step(&keep(order.clone(), moved, keys())), Some(Step::Lock), "{dir:?}");
        let locked = Seen { key: Key::Absent, ..moved };
        assert_eq!(step(&keep(order.clone(), locked, keys())), None, "{dir:?}");
    }
    let no_metadata = Seen { first: MetaCopy::Damaged, second: MetaCopy::Absent, ..whole };
    let stays = keep(order, no_metadata, keys());
    assert_eq!(step(&stays), None);
    // That it could not be locked is said, and first.
    assert!(matches!(&stays, Next::Settled(said) if said.notes[0] == Note::OpenStill), "{stays:?}");
}

/// 0b.3, invariant 4: a mount over a vault is no loss of it. It is not called missing, nothing of it is discarded by any order, of root's or the controller's, or
/// deleted, and it locks.
#[test]
fn nothing_is_concluded_of_a_vault_that_a_mount_hides() {
    let hidden = Seen { dir: Dir::Covered, ..made(Custody::Tpm, 0) };
    let bare = Seen { first: MetaCopy::Absent, second: MetaCopy::Absent, ..hidden };
    for seen in [hidden, bare, Seen { key: Key::Present, ..hidden }] {
        for (recreate, shut_given_up) in [(false, false), (true, false), (true, true)] {
            let wish = Want { recreate, shut_given_up, ..want(Custody::Tpm) };
            let next = keep(wish, seen, keys());
            assert_eq!(
                next,
                Next::Settled(vault::plan::Settled { state: State::Failed, notes: vec![Note::Covered] }),
                "{seen:?}"
            );
        }
    }
    let deleted = ask(USER, &Wish::Delete, &hidden, &keys(), &NODE);
    assert_eq!(
        deleted,
        Next::Settled(vault::plan::Settled { state: State::Failed, notes: vec![Note::Covered] })
    );
    let order = Want { operation: Operation::Lock, ..want(Custody::Tpm) };
    let open = Seen { key: Key::Present, ..hidden };
    assert_eq!(step(&keep(order.clone(), open, keys())), Some(Step::Lock));
    // The mount itself holds the directory: that is said, with what to do.
    let (held, wish) = (Seen { key: Key::Incomplete, ..hidden }, Wish::Keep(order.clone()));
    let mut setbacks = Setbacks::default();
    setbacks.insert(StepKind::Lock);
    let view = View { id: USER, wish: &wish, seen: &held, keys: &keys(), node: &NODE, setbacks };
    let notes = vec![Note::Covered];
    assert_eq!(next(&view), Next::Settled(vault::plan::Settled { state: State::LockIncomplete, notes }));
    // It was not made yet, and is not taken for made.
    let begun = Seen { shares: share(Mark::Begun), ..open };
    assert_eq!(step(&keep(order, begun, keys())), Some(Step::Lock));
}

/// VC-2, KO-3: a vault that can't be looked at is locked by whatever wants it locked: the name of its key is enough. Nothing else is done to it. With
/// its key files gone when it was seen last, the kernel's key may be the last one, and stays.
#[test]
fn vc2_a_vault_that_can_t_be_looked_at_locks() {
    let open = Seen { key: Key::Present, ..made(Custody::Tpm, 0) };
    let known = |seen| Known { seen, keys: held(TPM), unseen: true, ..Known::default() };
    let unlisted = Desired::default();
    let locks = |id| Desired { held: BTreeMap::from([(id, Operation::Lock)]), ..Desired::default() };
    let asked = |desired: &Desired, id, seen| one(desired, id, &known(seen), &NODE).1;
    for id in [USER, IMAGE_VAULT] {
        assert_eq!(step(&asked(&locks(id), id, open)), Some(Step::Lock), "{id}");
        assert_eq!(asked(&unlisted, id, open), Next::Wait(Wait::Unseen), "nobody wants it locked: {id}");
        let locked = Seen { key: Key::Absent, ..open };
        assert_eq!(asked(&locks(id), id, locked), Next::Wait(Wait::Unseen), "{id}");
    }
    let busy = Seen { key: Key::Incomplete, ..open };
    assert_eq!(step(&asked(&locks(IMAGE_VAULT), IMAGE_VAULT, busy)), Some(Step::Lock), "tried again");
    let mut setbacks = Setbacks::default();
    setbacks.insert(StepKind::Lock);
    let failed = Known { setbacks, ..known(busy) };
    assert_eq!(one(&locks(IMAGE_VAULT), IMAGE_VAULT, &failed, &NODE).1, Next::Wait(Wait::Busy));
    let bare = Seen { first: MetaCopy::Damaged, second: MetaCopy::Absent, ..open };
    assert_eq!(asked(&locks(IMAGE_VAULT), IMAGE_VAULT, bare), Next::Wait(Wait::Unseen));
    let order = Desired { recreate: BTreeSet::from([IMAGE_VAULT]), ..Desired::default() };
    let shut = Seen { key: Key::Absent, ..bare };
    assert_eq!(asked(&order, IMAGE_VAULT, shut), Next::Wait(Wait::Unseen), "nothing is discarded");
}

/// Invariant 4: while the TPM is not heard nothing says that a share is gone, whatever is ordered.
#[test]
fn a_share_is_not_missed_while_the_tpm_is_not_heard() {
    let unseen = Seen { shares: BySeal::default(), ..made(Custody::Tpm, 0) };
    for recreate in [false, true] {
        let wish = Wish::Keep(Want { recreate, ..want(Custody::Tpm) });
        let next = ask(USER, &wish, &unseen, &Keys::default(), &TPM_NOT_HEARD);
        assert_eq!(next, Next::Wait(Wait::Tpm));
    }
    assert_eq!(missing(&keep(want(Custody::Tpm), unseen, Keys::default())), [Part::Share]);
}

/// A share is made before its metadata: metadata under the TPM without one has lost it, and is not replaced without an order.
#[test]
fn metadata_without_its_share_is_missing_its_share() {
    let seen = Seen { dir: Dir::Absent, shares: BySeal::default(), ..made(Custody::Tpm, 0) };
    assert_eq!(missing(&keep(want(Custody::Tpm), seen, Keys::default())), [Part::Share]);
    let ordered = Want { recreate: true, ..want(Custody::Tpm) };
    assert_eq!(step(&keep(ordered, seen, Keys::default())), Some(Step::ForgetMetadata));
}

/// IF-2: with every key at hand that the copies name, and none that opens them, what a key protects is damaged: said so, and not taken
/// for an older epoch; kept, and not locked, until an order.
#[test]
fn damage_is_told_from_an_older_key() {
    let tried = Keys { none_fits: true, ..keys() };
    let closed = Keys { shares: key(ShareKey::Closed), ..tried };
    let (tpm, controller, both) = (Custody::Tpm, Custody::Controller, Custody::TpmAndController);
    for (what, custody, epoch, keys, damaged) in [
        ("the share alone", tpm, 0, tried, true),
        ("the controller's current key", controller, 3, tried, true),
        ("the controller's last key", controller, 2, tried, true),
        ("both", both, 3, tried, true),
        ("an older epoch", both, 1, tried, false),
        ("an older epoch of the controller's", controller, 1, tried, false),
        ("its share is shut", both, 3, closed, false),
    ] {
        let next = keep(want(custody), made(custody, epoch), keys);
        assert_eq!(missing(&next) == [Part::KeyFiles], damaged, "{what}: {next:?}");
        let open = Seen { key: Key::Present, ..made(custody, epoch) };
        let lock = keep(Want { operation: Operation::Lock, ..want(custody) }, open, keys);
        assert_eq!(step(&lock), (!damaged).then_some(Step::Lock), "{what}: the kernel's key may be the last");
    }
    let ordered = Want { recreate: true, ..want(tpm) };
    assert_eq!(step(&keep(ordered, made(tpm, 0), tried)), Some(Step::ForgetMetadata));
}

/// DF-3: a lost table takes nothing from a default vault whose names say a controller's key, where nothing asks for a share of it: it waits for that key.
/// One that may need a share is missing, and so is one that an order wants anew.
#[test]
fn df3_a_lost_table_is_told_of_default_vaults_that_may_need_it() {
    let builtin = Want { authority: Authority::Builtin, ..want(Custody::Tpm) };
    let anew = Want { recreate: true, ..builtin.clone() };
    let of = |custody| Seen { shares: BySeal::default(), ..made(custody, 3) };
    for (what, seen, want, lost) in [
        ("a controller's", of(Custody::Controller), want(Custody::Controller), false),
        ("a controller's, with no list", of(Custody::Controller), builtin.clone(), false),
        ("the same, wanted anew", of(Custody::Controller), anew, true),
        ("both", of(Custody::TpmAndController), want(Custody::TpmAndController), true),
        ("the TPM's", of(Custody::Tpm), builtin.clone(), true),
        ("the TPM's, whatever the list says", of(Custody::Tpm), want(Custody::Controller), true),
        ("without key files", Seen::default(), want(Custody::Controller), true),
    ] {
        let facts = Facts { id: CONFIG_VAULT, seen: &seen, keys: &Keys::default(), node: &TABLE_LOST };
        let condition = Condition::of(&facts, &want);
        let is = matches!(&condition, Condition::Broken(parts) if parts.contains(&Part::Table));
        assert_eq!(is, lost, "{what}: {condition:?}");
        let next = ask(CONFIG_VAULT, &Wish::Keep(want), &seen, &Keys::default(), &TABLE_LOST);
        assert!(!matches!(next, Next::Do(_)), "{what}: {next:?}");
    }
}
