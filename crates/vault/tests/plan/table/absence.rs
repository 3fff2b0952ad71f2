//! What is concluded of a vault that a section does not list, and what of orders on the node.

use super::*;

fn version(incarnation: u8, version: u64) -> SectionVersion {
    SectionVersion { incarnation: Incarnation([incarnation; 16]), version }
}

fn listing(authority: Authority, version: SectionVersion, listed: bool) -> Listing {
    let vaults = listed.then(|| (USER, want(Custody::Tpm))).into_iter().collect();
    Listing { authority, device: DEVICE, version, vaults, removed: BTreeSet::new(), unjudged: false }
}

fn removing(authority: Authority, version: SectionVersion) -> Listing {
    Listing { removed: BTreeSet::from([USER]), ..listing(authority, version, false) }
}

fn accepted(version: SectionVersion) -> Accepted {
    Accepted { device: DEVICE, version, superseded: vec![] }
}

fn after(before: Option<&Record>, listing: &Listing) -> Result<Record, NotTaken> {
    let accepted = Accepted::after(before.map(|record| &record.accepted).into_iter(), listing)?;
    Ok(Record::after(before, accepted, listing))
}

/// IF-5, invariant 4: what deletes, and all that must not.
#[test]
fn if5_absence_alone_never_deletes() {
    let record = |version, listed: bool| {
        let listed = listed.then(|| (USER, name())).into_iter().collect();
        RecordSeen::Read(Record {
            accepted: accepted(version),
            listed,
            removed: BTreeMap::new(),
            former: BTreeMap::new(),
        })
    };
    let live = |version| Some(removing(Authority::Live, version));
    let kept = Some(removing(Authority::Checkpoint, version(1, 8)));
    let absent = Some(listing(Authority::Live, version(1, 8), false));
    for (what, listing, record, expected) in [
        ("newer, removed, listed before", live(version(1, 8)), record(version(1, 7), true), Wish::Delete),
        ("the same again after a crash", live(version(1, 8)), record(version(1, 8), true), Wish::Delete),
        ("absent, and not named as removed", absent.clone(), record(version(1, 7), true), Wish::Orphan),
        ("never listed", live(version(1, 8)), record(version(1, 7), false), Wish::Orphan),
        ("another incarnation", live(version(2, 8)), record(version(1, 7), true), Wish::Orphan),
        ("an older version", live(version(1, 6)), record(version(1, 7), true), Wish::Orphan),
        ("no record", live(version(1, 8)), RecordSeen::Nothing, Wish::Orphan),
        ("record unreadable", live(version(1, 8)), RecordSeen::Unreadable, Wish::Unlisted),
        ("checkpoint", kept, record(version(1, 7), true), Wish::Leave),
        ("withheld", None, record(version(1, 7), true), Wish::Leave),
    ] {
        let desired = Desired { listing, record, ..Desired::default() };
        assert_eq!(desired.wish(USER, &NODE, false), expected, "{what}");
    }
}

/// Invariant 3: where nothing is left of a vault that no list speaks of it is not told as kept: the record remembers so many removals and no more. That a list is
/// in force, and the record known, is needed.
#[test]
fn what_nothing_is_left_of_is_not_told_as_kept() {
    let listing = Some(listing(Authority::Live, version(1, 8), false));
    let read = RecordSeen::Read(Record {
        accepted: accepted(version(1, 7)),
        listed: BTreeMap::new(),
        removed: BTreeMap::new(),
        former: BTreeMap::new(),
    });
    for (listing, record, expected) in [
        (listing.clone(), read.clone(), Wish::Gone),
        (listing, RecordSeen::Unreadable, Wish::Unlisted),
        (None, read, Wish::Leave),
    ] {
        let desired = Desired { listing, record, ..Desired::default() };
        assert_eq!(desired.wish(USER, &NODE, true), expected);
    }
}

/// seen-by-users 0.10: what a live section does not list is locked at once, also while the record can't be read; erasing waits.
#[test]
fn if5_an_unlisted_vault_is_locked_though_the_record_is_unreadable() {
    let listing = Some(listing(Authority::Live, version(1, 8), false));
    let desired = Desired { listing, ..Desired::default() };
    let open = Known { seen: Seen { key: Key::Present, ..made(Custody::Tpm, 0) }, ..Known::default() };
    let (_, next) = one(&desired, USER, &open, &NODE);
    assert_eq!(step(&next), Some(Step::Lock));
    let shut = Known { seen: made(Custody::Tpm, 0), ..Known::default() };
    let (_, Next::Settled(settled)) = one(&desired, USER, &shut, &NODE) else { panic!("not at rest") };
    assert_eq!((settled.state, settled.notes), (State::Locked, vec![Note::Unlisted]));
}

/// VC-2: what no list speaks of is locked also where its directory is hidden by a mount, or can't be looked at, and nothing but its key files is known of it: a
/// vault of custody controller has no share, and a new life of vaultmgr no key of it. Of a directory that is seen key files alone lock nothing: they may name
/// another vault's key.
#[test]
fn vc2_what_is_dropped_is_locked_though_it_is_hidden() {
    let key_files = Seen { dir: Dir::Absent, shares: BySeal::default(), ..made(Custody::Controller, 3) };
    let open = Seen { key: Key::Present, ..key_files };
    let none = Seen { first: MetaCopy::Absent, second: MetaCopy::Damaged, ..open };
    let read = RecordSeen::Nothing;
    for record in [read, RecordSeen::Unreadable] {
        let listing = Some(listing(Authority::Live, version(1, 8), false));
        let desired = Desired { listing, record, ..Desired::default() };
        for (what, seen, unseen, locks) in [
            ("under a mount", Seen { dir: Dir::Covered, ..open }, false, true),
            ("not to be looked at", open, true, true),
            ("no directory", open, false, false),
            ("another vault's", Seen { dir: Dir::OtherVault, ..open }, false, false),
            ("a mount, and no key files", Seen { dir: Dir::Covered, ..none }, false, false),
            ("not to be looked at, and no key files", none, true, false),
        ] {
            let known = Known { seen, unseen, ..Known::default() };
            let (_, next) = one(&desired, USER, &known, &NODE);
            assert_eq!(step(&next), locks.then_some(Step::Lock), "{what}: {next:?}");
        }
    }
}

/// The default vaults are never deleted by absence (DF-1, DF-2): unlisted, they return to their default policy.
#[test]
fn df4_unlisted_a_default_vault_returns_to_its_default_policy() {
    let listing = Some(listing(Authority::Live, version(1, 8), false));
    let listed = BTreeMap::from([(CONFIG_VAULT, "config".parse().unwrap())]);
    let record = RecordSeen::Read(Record {
        accepted: accepted(version(1, 7)),
        listed,
        removed: BTreeMap::new(),
        former: BTreeMap::new(),
    });
    let desired = Desired { listing, record, ..Desired::default() };
    let Wish::Keep(want) = desired.wish(CONFIG_VAULT, &NODE, false) else { panic!("not kept") };
    assert_eq!((want.policy.custody, want.authority), (Custody::Tpm, Authority::Live));
}

/// The record: an older version is refused, a new incarnation forgets what the other listed, a deletion is remembered.
#[test]
fn the_record_counts_versions_within_an_incarnation() {
    let first = after(None, &listing(Authority::Live, version(1, 5), true)).unwrap();
    let empty = |v| listing(Authority::Live, v, false);
    assert!(after(Some(&first), &empty(version(1, 4))).is_err());
    let mut later = after(Some(&first), &empty(version(1, 6))).unwrap();
    assert!(later.listed.contains_key(&USER), "until it is deleted here");
    later.removed(USER);
    assert!(later.removed.contains_key(&USER) && !later.listed.contains_key(&USER));
    let other = after(Some(&first), &empty(version(2, 1))).unwrap();
    assert!(other.listed.is_empty());
    let again = after(Some(&later), &listing(Authority::Live, version(1, 7), true)).unwrap();
    assert!(again.removed.is_empty());
}

/// IF-5: what was superseded does not come back, and another device's word is none, whatever its version.
#[test]
fn if5_a_superseded_incarnation_and_another_device_are_refused() {
    let live = |version| listing(Authority::Live, version, true);
    let one = after(None, &live(version(1, 5))).unwrap();
    let two = after(Some(&one), &live(version(2, 1))).unwrap();
    assert_eq!(after(Some(&two), &live(version(1, 9))), Err(NotTaken::Superseded));
    let three = after(Some(&two), &live(version(3, 1))).unwrap();
    assert_eq!(after(Some(&three), &live(version(1, 9))), Err(NotTaken::Superseded), "still");
    assert!(after(Some(&three), &live(version(3, 1))).is_ok(), "the one in force is none of them");
    let given = DeviceId(uuid::Uuid::from_u128(0xe));
    let other = Listing { device: given, ..live(version(3, 9)) };
    assert_eq!(after(Some(&three), &other), Err(NotTaken::OtherDevice { given, known: DEVICE }));
    // What this life accepted before the record could be read counts beside it.
    let life = accepted(version(4, 1));
    let both = [&three.accepted, &life];
    assert_eq!(Accepted::after(both.into_iter(), &live(version(2, 9))), Err(NotTaken::Superseded));
    let five = Accepted::after(both.into_iter(), &live(version(5, 1))).unwrap();
    assert_eq!(five.superseded.len(), 4, "{five:?}");
}

/// The record stays small however often a database is restored; the latest ones are what could be replayed.
#[test]
fn superseded_incarnations_are_bounded() {
    let live = |incarnation| listing(Authority::Live, version(incarnation, 1), true);
    let mut record = after(None, &live(0)).unwrap();
    for incarnation in 1..=200 {
        record = after(Some(&record), &live(incarnation)).unwrap();
    }
    assert_eq!(record.accepted.superseded.len(), 64);
    assert_eq!(after(Some(&record), &live(199)), Err(NotTaken::Superseded));
}

/// Root's lock counts where no section in force speaks of the vault, too: it is locked, and nothing more is done to it.
#[test]
fn a_local_lock_needs_no_section() {
    let held = BTreeMap::from([(USER, Operation::Lock)]);
    let desired = Desired { held, ..Desired::default() };
    let wish = desired.wish(USER, &NODE, false);
    assert_eq!(wish, Wish::Lock);
    let open = Seen { key: Key::Present, ..made(Custody::Tpm, 0) };
    assert_eq!(step(&ask(USER, &wish, &open, &keys(), &NODE)), Some(Step::Lock));
    let rest = ask(USER, &wish, &made(Custody::Tpm, 0), &keys(), &NODE);
    let Next::Settled(settled) = rest else { panic!("{rest:?}") };
    assert_eq!((settled.state, settled.notes), (State::Locked, vec![Note::LeftAsItIs]));
    assert_eq!(Desired::default().wish(USER, &NODE, false), Wish::Leave, "without the order");
}

/// The controller's order beside a challenge is over the kept list, over none, and over the defaults; and a vault that waits for a key says which
/// demand is not met.
#[test]
fn an_order_of_the_controllers_needs_no_section() {
    let ordered = BTreeSet::from([USER, IMAGE_VAULT]);
    let lacks = Some("PCRs".to_owned());
    for listing in [None, Some(listing(Authority::Checkpoint, version(1, 1), true))] {
        let desired =
            Desired { listing, ordered: ordered.clone(), lacks: lacks.clone(), ..Desired::default() };
        for id in [USER, IMAGE_VAULT] {
            let wish = desired.wish(id, &NODE, false);
            let open = Seen { key: Key::Present, ..made(Custody::Tpm, 0) };
            assert_eq!(step(&ask(id, &wish, &open, &keys(), &NODE)), Some(Step::Lock), "{wish:?}");
        }
        let Wish::Keep(config) = desired.wish(CONFIG_VAULT, &NODE, false) else { panic!("not kept") };
        assert_eq!(config.operation, Operation::Unlock, "which nobody ordered");
    }
    let waits = Want { authority: Authority::Checkpoint, lacks, ..want(Custody::Controller) };
    let none = Keys::default();
    let next = ask(USER, &Wish::Keep(waits), &made(Custody::Controller, 3), &none, &NODE);
    let Next::Wait(Wait::Withheld(why)) = next else { panic!("{next:?}") };
    assert_eq!(why.to_string(), "this node's evidence satisfies no policy (PCRs)");
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

/// Invariant 4: an order to make a vault anew is the live section's alone: a kept one, or one that is live no more, orders nothing.
#[test]
fn only_a_live_section_orders_a_vault_made_anew() {
    let entry = Entry {
        id: USER,
        name: name(),
        policy: want(Custody::Tpm).policy,
        operation: Operation::Unlock,
        standing: Presence::Active,
        created: true,
        recreate: true,
        release: Release::NotNeeded,
    };
    let (device, session) = (DeviceId(uuid::Uuid::from_u128(1)), SessionKey([1; 32]));
    let device_key = DeviceKey([1; 32]);
    let section = Section {
        device,
        device_key,
        session,
        version: version(1, 1),
        follows: None,
        vaults: vec![entry],
        removed: vec![],
        lease: None,
    };
    let orders = |listing: Listing| listing.vaults[&USER].recreate;
    assert!(orders(Listing::of(&section, Authority::Live)));
    assert!(!orders(Listing::of(&section, Authority::Checkpoint)));
    assert!(!orders(Listing::of(&section, Authority::Live).kept()));
}

/// DF-4: that a section does not list a default vault says something while it is live, and nothing when it is kept from before.
#[test]
fn df4_a_kept_section_re_keys_no_default_vault() {
    for (authority, expected) in
        [(Authority::Live, Authority::Live), (Authority::Checkpoint, Authority::Builtin)]
    {
        let desired =
            Desired { listing: Some(listing(authority, version(1, 1), false)), ..Desired::default() };
        let Wish::Keep(want) = desired.wish(CONFIG_VAULT, &NODE, false) else { panic!("not kept") };
        assert_eq!(want.authority, expected);
    }
}

/// Key files alone may be a copy of another vault's, under a name that nobody lists: what they name is not locked. By a directory, a share or a
/// key that opened it, it is the vault's own.
#[test]
fn a_key_that_is_not_shown_to_be_its_own_is_not_locked() {
    let ghost =
        Seen { dir: Dir::Absent, shares: BySeal::default(), key: Key::Present, ..made(Custody::Tpm, 0) };
    let opened = held(Wrapping::Tpm(Seal::Tpm));
    for wish in [Wish::Orphan, Wish::Unlisted] {
        for (what, seen, keys, locks) in [
            ("key files alone", ghost, keys(), false),
            ("its directory", Seen { dir: Dir::Vault(AES), ..ghost }, keys(), true),
            ("its share", Seen { shares: share(Mark::Made), ..ghost }, keys(), true),
            ("a key that opened it", ghost, opened, true),
        ] {
            let next = ask(USER, &wish, &seen, &keys, &NODE);
            assert_eq!(step(&next), locks.then_some(Step::Lock), "{wish:?}: {what}");
        }
    }
}

/// seen-by-users 0.11: begun anew, a controller lists less. Each vault that it does not list keeps the name that people know it by, also
/// after later sections and further lives; and none of these names lets anybody delete one.
#[test]
fn a_vault_that_a_new_incarnation_does_not_list_keeps_its_name() {
    let first = after(None, &listing(Authority::Live, version(1, 7), true)).unwrap();
    let absent = |incarnation, number| listing(Authority::Live, version(incarnation, number), false);
    let later = [absent(2, 1), absent(2, 2), absent(3, 1)];
    let record = later.iter().fold(first, |record, said| after(Some(&record), said).unwrap());
    let live = Some(removing(Authority::Live, version(3, 2)));
    let desired = Desired { listing: live, record: RecordSeen::Read(record), ..Desired::default() };
    assert_eq!(desired.name(USER), name());
    assert_eq!(desired.wish(USER, &NODE, false), Wish::Orphan);
}

/// An orphan that another controller called `config` is not taken for the Config Vault: it is known by its UUID, whoever names it.
#[test]
fn an_orphan_is_not_called_as_a_default_vault_is() {
    let config: Name = "config".parse().expect("a name");
    let former = BTreeMap::from([(USER, config.clone())]);
    let desired = Desired { former, ..Desired::default() };
    assert_eq!(desired.name(USER).as_str(), USER.to_string());
    assert_eq!(desired.name(CONFIG_VAULT), config);
}
