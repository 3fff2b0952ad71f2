//! When a generation ends, what it waits for, and what is said meanwhile.

use super::*;

const DROPPED: Past = Past { dropped: true, ..Past::NOTHING };
const OTHER: VaultId = VaultId(uuid::Uuid::from_u128(6));
const LAST: VaultId = VaultId(uuid::Uuid::from_u128(7));

fn rest(id: VaultId, shares: ShareKey) -> (VaultId, Known) {
    let keys = Keys { shares: key(shares), ..held(TPM) };
    (id, Known { seen: Seen { key: Key::Present, ..made(Custody::Tpm, 0) }, keys, ..Known::default() })
}

fn all_open() -> BTreeMap<VaultId, Known> {
    [CONFIG_VAULT, IMAGE_VAULT, USER].into_iter().map(|id| rest(id, ShareKey::Open)).collect()
}

fn planned(known: &BTreeMap<VaultId, Known>, node: Node) -> (Option<NodeStep>, Option<Hold>) {
    let plan = plan(&Desired::default(), known, &node);
    (plan.node, plan.hold)
}

/// A live list with or without the other vault, after one that had it.
fn wanting(want_of: Option<Want>, removed: &[VaultId]) -> Desired {
    let list = |number, of: Option<Want>| Listing {
        unjudged: false,
        authority: Authority::Live,
        device: DEVICE,
        version: SectionVersion { incarnation: Incarnation([1; 16]), version: number },
        vaults: of.into_iter().map(|want| (OTHER, want)).collect(),
        removed: removed.iter().copied().collect(),
    };
    let before = list(1, Some(want(Custody::Tpm)));
    let accepted = Accepted::after(std::iter::empty(), &before).expect("the first");
    let record = RecordSeen::Read(Record::after(None, accepted, &before));
    Desired { listing: Some(list(2, want_of)), record, ..Desired::default() }
}

fn held_by(known: &BTreeMap<VaultId, Known>, node: Node) -> Hold {
    let (step, hold) = planned(known, node);
    assert_eq!(step, None, "{hold:?}");
    hold.expect("it is held")
}

/// TH-6: a generation from which a share was dropped ends once each share opens and every vault is at rest, and no other ends.
#[test]
fn th6_a_generation_ends_when_something_was_dropped_and_all_opens() {
    let past = |past| Node { past, ..NODE };
    assert_eq!(planned(&all_open(), NODE), (None, None), "nothing was dropped");
    let due = (Some(NodeStep::NextGeneration), Some(Hold::Due));
    assert_eq!(planned(&all_open(), past(DROPPED)), due);
    let gone = BTreeMap::from_iter(all_open().into_iter().filter(|(id, _)| *id != USER));
    assert_eq!(planned(&gone, past(DROPPED)), due);
    for past in [Past { others: true, ..DROPPED }, Past { others: true, ..Past::NOTHING }] {
        let first = (Some(NodeStep::DropGenerations), Some(Hold::Leftovers));
        assert_eq!(planned(&all_open(), Node { past, ..NODE }), first, "what was left comes first");
        assert_eq!(held_by(&all_open(), Node { past: Past { setback: true, ..past }, ..NODE }), Hold::Retry);
    }
    assert_eq!(held_by(&all_open(), past(Past { setback: true, ..DROPPED })), Hold::Retry);
}

/// TH-6: without a look at any vault it is known that no step is due, and why; what says so agrees with the whole plan. Where one may be due nothing is
/// concluded.
#[test]
fn what_is_known_at_a_glance_is_what_the_plan_says() {
    let tpm = |table| TpmSeen::Present { table, pcrs: true };
    let (open, lost) = (tpm(TableSeen::Open), tpm(TableSeen::Lost));
    let set_back = Past { setback: true, ..DROPPED };
    for (tpm, past, asked, expected) in [
        (open, Past::NOTHING, false, NodeGlance::Rests(None)),
        (open, Past::NOTHING, true, NodeGlance::Rests(None)),
        (open, DROPPED, false, NodeGlance::PlanIt),
        (open, Past { others: true, ..Past::NOTHING }, false, NodeGlance::PlanIt),
        (open, set_back, false, NodeGlance::Rests(Some(Hold::Retry))),
        (open, set_back, true, NodeGlance::Rests(Some(Hold::Asked))),
        (open, DROPPED, true, NodeGlance::Rests(Some(Hold::Asked))),
        (lost, Past::NOTHING, false, NodeGlance::PlanIt),
        (lost, Past { setback: true, ..Past::NOTHING }, false, NodeGlance::Rests(Some(Hold::Table))),
        (lost, Past::NOTHING, true, NodeGlance::Rests(Some(Hold::Table))),
        (TpmSeen::Unknown, Past::NOTHING, false, NodeGlance::Rests(Some(Hold::Tpm))),
        (TpmSeen::Absent, Past::NOTHING, false, NodeGlance::Rests(None)),
    ] {
        let node = Node { tpm, past, ..NODE };
        let glance = NodeGlance::of(&node, asked);
        assert_eq!(glance, expected, "{tpm:?} {past:?} {asked}");
        if let (NodeGlance::Rests(hold), false) = (glance, asked) {
            assert_eq!(planned(&all_open(), node), (None, hold), "{tpm:?} {past:?}");
        }
    }
}

/// Invariant 4: what does not open is not left behind, and neither is what may be brought back.
#[test]
fn a_generation_does_not_end_while_a_share_would_be_left_behind() {
    let node = Node { past: DROPPED, ..NODE };
    let moved = Node { tpm: TpmSeen::Present { table: TableSeen::Open, pcrs: false }, ..node };
    assert_eq!(held_by(&all_open(), moved), Hold::Pcrs);
    let with = |more: (VaultId, Known)| all_open().into_iter().chain([more]).collect::<BTreeMap<_, _>>();
    assert_eq!(held_by(&with(rest(OTHER, ShareKey::Damaged)), node), Hold::Damaged(OTHER));
    let (_, known) = rest(OTHER, ShareKey::Nothing);
    let lost = Known { seen: Seen { shares: share(Mark::Lost), ..known.seen }, ..known };
    assert_eq!(held_by(&with((OTHER, lost)), node), Hold::Lost(OTHER));
    assert_eq!(held_by(&all_open(), Node { past: DROPPED, ..TABLE_LOST }), Hold::Table);
    assert_eq!(held_by(&all_open(), TPM_NOT_HEARD), Hold::Tpm);
    assert_eq!(planned(&all_open(), NO_TPM), (None, None));
}

/// Invariant 4: a share that the table has no line of may lie in a newer table. Absence proves nothing: the generation ends only when a key has opened
/// the vault without it, when its list says that it needs none, or when it is to go.
#[test]
fn a_generation_does_not_end_while_a_share_may_be_absent() {
    let node = Node { past: DROPPED, ..NODE };
    let shareless = |custody| Known {
        seen: Seen { shares: BySeal::default(), ..made(custody, 2) },
        keys: Keys { shares: BySeal::default(), current: None, last: None, ..keys() },
        ..Known::default()
    };
    let opened = |custody| Known {
        keys: Keys { shares: BySeal::default(), ..held(Wrapping::Controller(Epoch(2))) },
        ..shareless(custody)
    };
    let unseen = || Known { unseen: true, ..Known::default() };
    let other_share =
        Known { seen: made(Custody::Tpm, 0), keys: Keys { none_fits: true, ..keys() }, ..Known::default() };
    let keep = |custody| wanting(Some(want(custody)), &[]);
    let created = || wanting(Some(Want { created: true, ..want(Custody::Tpm) }), &[]);
    let anew = || wanting(Some(Want { recreate: true, created: true, ..want(Custody::Tpm) }), &[]);
    let orphan = || wanting(None, &[]);
    let unlisted = || Desired { record: RecordSeen::Unreadable, ..orphan() };
    let lock = || Desired { held: BTreeMap::from([(OTHER, Operation::Lock)]), ..Desired::default() };
    for (what, known, desired, holds) in [
        ("named, of an orphan", shareless(Custody::Tpm), orphan(), true),
        ("named, left as it is", shareless(Custody::Tpm), Desired::default(), false),
        ("named, not listed", shareless(Custody::Tpm), unlisted(), true),
        ("named, locked by root", shareless(Custody::Tpm), lock(), true),
        ("named, whatever the list says", shareless(Custody::Tpm), keep(Custody::Controller), true),
        ("by its policy", shareless(Custody::TpmAndController), keep(Custody::TpmAndController), true),
        ("perhaps", shareless(Custody::TpmAndController), orphan(), true),
        ("perhaps, too: a name tells an epoch alone", shareless(Custody::Controller), orphan(), true),
        ("not seen", unseen(), orphan(), true),
        ("nothing but the list's word", Known::default(), created(), true),
        ("another share opens it", other_share, keep(Custody::Tpm), true),
        ("none is needed", shareless(Custody::Controller), keep(Custody::Controller), false),
        ("opened without", opened(Custody::Controller), keep(Custody::TpmAndController), false),
        ("not made yet", Known::default(), keep(Custody::Tpm), false),
        ("to be erased", shareless(Custody::Tpm), wanting(None, &[OTHER]), false),
        ("made anew by an order", shareless(Custody::Tpm), anew(), false),
    ] {
        let hold = plan(&desired, &BTreeMap::from([(OTHER, known)]), &node).hold;
        assert_eq!(hold == Some(Hold::Absent(OTHER)), holds, "{what}: {hold:?}");
        // Before a list is in force nothing is said of it, and nothing ends.
        assert!(what != "named, left as it is" || hold == Some(Hold::Steps), "{what}: {hold:?}");
    }
    assert!(
        Hold::Absent(OTHER).to_string().contains("`evc adopt vault`"),
        "an orphan can't be opened or removed else"
    );
    let with = |known| all_open().into_iter().chain([(OTHER, known)]).collect::<BTreeMap<_, _>>();
    assert_eq!(held_by(&with(shareless(Custody::Tpm)), node), Hold::Steps);
    let past = Past { next: Upcoming::Unmade, ..DROPPED };
    assert_eq!(held_by(&with(shareless(Custody::Tpm)), Node { past, ..NODE }), Hold::Steps);
    let lacks = |known: Known, desired| vault::plan::lacks_line(OTHER, &known, &desired, &NODE);
    assert!(lacks(shareless(Custody::Tpm), orphan()), "a bundle may have the line");
    assert!(lacks(Known::default(), created()));
    assert!(!lacks(shareless(Custody::TpmAndController), orphan()), "nobody knows whether there was one");
    assert!(!lacks(shareless(Custody::TpmAndController), keep(Custody::TpmAndController)), "nor here, yet");
    assert!(
        !lacks(unseen(), orphan()) && !lacks(opened(Custody::Controller), keep(Custody::TpmAndController))
    );
    assert!(!vault::plan::lacks_line(OTHER, &shareless(Custody::Tpm), &orphan(), &TABLE_LOST));
}

/// Invariant 4: a vault that was made and is not on this disk, or has no key files here, may come back with another disk, or with a bundle of this
/// generation. The generation does not end before it is here again, is made anew by an order, or is to go: whoever says that it was made.
#[test]
fn a_generation_does_not_end_while_a_made_vault_is_not_here() {
    let node = Node { past: DROPPED, ..NODE };
    let whole = rest(OTHER, ShareKey::Open).1;
    let as_seen = |seen: &dyn Fn(Seen) -> Seen| {
        let keys = Keys { held: None, ..whole.keys };
        Known { seen: Seen { key: Key::Absent, ..seen(whole.seen) }, keys, ..whole.clone() }
    };
    let bare = |seen| Seen { first: MetaCopy::Absent, second: MetaCopy::Damaged, ..seen };
    let no_dir = || as_seen(&|seen| Seen { dir: Dir::Absent, ..seen });
    let nothing = || as_seen(&|seen| bare(Seen { dir: Dir::Absent, ..seen }));
    let begun = || as_seen(&|seen| bare(Seen { dir: Dir::Absent, shares: share(Mark::Begun), ..seen }));
    let shareless = || as_seen(&|seen| bare(Seen { dir: Dir::Absent, shares: BySeal::default(), ..seen }));
    let of = |want: Want| wanting(Some(want), &[]);
    let keep = || of(want(Custody::Tpm));
    let created = || of(Want { created: true, ..want(Custody::Controller) });
    let anew = || of(Want { recreate: true, created: true, ..want(Custody::Tpm) });
    let lock = || Desired { held: BTreeMap::from([(OTHER, Operation::Lock)]), ..Desired::default() };
    for (what, known, desired, holds) in [
        ("nothing of it is here", nothing(), keep(), true),
        ("its directory is away", no_dir(), keep(), true),
        ("its key files are", as_seen(&bare), keep(), true),
        ("something else stands there", as_seen(&|seen| Seen { dir: Dir::Stranger, ..seen }), keep(), true),
        ("of an orphan", nothing(), wanting(None, &[]), true),
        ("before any list", nothing(), Desired::default(), true),
        ("locked by root", nothing(), lock(), true),
        ("the list alone says that it was made", shareless(), created(), true),
        ("it is here", as_seen(&|seen| seen), keep(), false),
        ("it was never made", begun(), keep(), false),
        ("made anew by an order", nothing(), anew(), false),
        ("to be erased", nothing(), wanting(None, &[OTHER]), false),
    ] {
        let hold = plan(&desired, &BTreeMap::from([(OTHER, known)]), &node).hold;
        assert_eq!(hold == Some(Hold::Away(OTHER)), holds, "{what}: {hold:?}");
    }
    let all = |known| all_open().into_iter().chain([(OTHER, known)]).collect::<BTreeMap<_, _>>();
    for past in
        [DROPPED, Past { next: Upcoming::Unmade, ..DROPPED }, Past { next: Upcoming::Held, ..DROPPED }]
    {
        let node = Node { past, ..NODE };
        assert_eq!(held_by(&all(nothing()), node), Hold::Away(OTHER), "not prepared, nor ended: {past:?}");
        assert!(planned(&all(as_seen(&|seen| seen)), node).1 != Some(Hold::Away(OTHER)), "{past:?}");
    }
    // What is hidden may be all there. Nothing ends meanwhile, and what is away is told before it.
    let unseen = |known: Known| Known { unseen: true, ..known };
    let covered = |seen: Seen| Seen { dir: Dir::Covered, ..seen };
    for (what, known, expected) in [
        ("a mount hides it", as_seen(&covered), Hold::Steps),
        ("nor has it key files", as_seen(&|seen| bare(covered(seen))), Hold::Away(OTHER)),
        ("it was not looked at", unseen(nothing()), Hold::Steps),
        ("nor since it was seen", unseen(whole.clone()), Hold::Steps),
    ] {
        assert_eq!(held_by(&all(known), node), expected, "{what}");
    }
    let both: BTreeMap<_, _> = all(nothing()).into_iter().chain([(LAST, as_seen(&covered))]).collect();
    assert_eq!(held_by(&both, node), Hold::Away(OTHER), "that is told which can be mended");
    let words = Hold::Away(OTHER).to_string();
    for what in ["put the right one back", "eve vault recreate", "evc recreate vault", "evc adopt vault"] {
        assert!(words.contains(what), "{words}");
    }
    assert!(!Hold::Away(OTHER).ends_by_itself());
}

/// Invariant 4: while neither the record nor a list says which vaults there are, one without a share may be away and nobody knows of it.
#[test]
fn a_generation_does_not_end_before_it_is_known_which_vaults_there_are() {
    let node = Node { past: DROPPED, ..NODE };
    let mut all = all_open();
    let config = all.get_mut(&CONFIG_VAULT).expect("there");
    (config.keys.held, config.seen.key) = (None, Key::Absent);
    config.setbacks.insert(StepKind::Unwrap);
    let lock = Desired { held: BTreeMap::from([(CONFIG_VAULT, Operation::Lock)]), ..Desired::default() };
    assert_eq!(plan(&lock, &all, &node).hold, Some(Hold::Unheard));
    for desired in [Desired { record: RecordSeen::Nothing, ..lock.clone() }, wanting(None, &[OTHER])] {
        assert_ne!(plan(&desired, &all, &node).hold, Some(Hold::Unheard), "{desired:?}");
    }
}

/// Several deletions share one change: it waits for what vaults are about to do, and not for what failed.
#[test]
fn a_generation_ends_after_the_steps_of_vaults() {
    let (id, known) = rest(USER, ShareKey::Open);
    let locked = Known { seen: Seen { key: Key::Absent, ..known.seen }, ..known };
    let mut all = all_open();
    all.insert(id, locked.clone());
    all.insert(CONFIG_VAULT, locked);
    let node = Node { past: DROPPED, ..NODE };
    assert_eq!(held_by(&all, node), Hold::Steps);
    assert_eq!(held_by(&all, Node { disk_went: true, ..node }), Hold::Steps, "also what waits for the disk");
    all.values_mut().for_each(|known| known.setbacks.insert(StepKind::AddKey));
    assert_eq!(planned(&all, node).0, Some(NodeStep::NextGeneration));
}

/// IF-2: what is gone is told as dead only when it is, and until then why not; what has another share now says the same of the older.
#[test]
fn if2_what_is_not_dead_yet_says_why() {
    let told = |wish: &Wish, dropped| {
        let open = Seen { key: Key::Present, ..made(Custody::Tpm, 0) };
        let seen = if *wish == Wish::Gone { Seen::default() } else { open };
        let seen = Seen { dropped, ..seen };
        let (keys, setbacks) = (held(TPM), Setbacks::default());
        let view = View { id: USER, wish, seen: &seen, keys: &keys, node: &NODE, setbacks };
        let reasons = Reasons { hold: Some(Hold::Pcrs), no_pcrs: None };
        report(&view, name(), &next(&view), Remembered::default(), reasons).detail
    };
    let not_dead = format!("{}: {}", Note::Erasing, Hold::Pcrs);
    assert!(not_dead.contains("not yet dead"), "{not_dead}");
    for dropped in [Dropped::Yes, Dropped::Perhaps] {
        assert_eq!(told(&Wish::Gone, dropped)[0], not_dead);
    }
    assert_eq!(told(&Wish::Gone, Dropped::None)[0], Note::Erased.to_string());
    let kept = Wish::Keep(want(Custody::Tpm));
    let older = format!("{}: {}", Note::OlderShare, Hold::Pcrs);
    assert!(told(&kept, Dropped::Yes).contains(&older));
    for dropped in [Dropped::Perhaps, Dropped::None] {
        assert!(!told(&kept, dropped).iter().any(|line| line.contains("older share")));
    }
}

/// Invariant 5: where a bundle may be in escrow the next generation's is there before this one ends, and only its end waits for that. What came back
/// from escrow is bound to this boot in the same way.
#[test]
fn a_generation_ends_after_the_next_one_is_in_escrow() {
    let rescued = Past { rescued: true, ..Past::NOTHING };
    for past in [DROPPED, rescued] {
        let with = |next| planned(&all_open(), Node { past: Past { next, ..past }, ..NODE });
        assert_eq!(with(Upcoming::Free), (Some(NodeStep::NextGeneration), Some(Hold::Due)));
        assert_eq!(with(Upcoming::Unmade), (Some(NodeStep::PrepareGeneration), Some(Hold::Unmade)));
        assert_eq!(with(Upcoming::Made), (None, Some(Hold::Escrow)), "the controller is waited for");
        assert_eq!(with(Upcoming::Held), (Some(NodeStep::NextGeneration), Some(Hold::Due)));
    }
    let idle = Node { past: Past { next: Upcoming::Unmade, ..Past::NOTHING }, ..NODE };
    assert_eq!(planned(&all_open(), idle), (None, None), "nothing is to end");
    let moved = Node { tpm: TpmSeen::Present { table: TableSeen::Open, pcrs: false }, ..idle };
    let moved = Node { past: Past { next: Upcoming::Unmade, ..DROPPED }, ..moved };
    assert_eq!(held_by(&all_open(), moved), Hold::Pcrs, "what can't be carried over is not prepared");
}

/// "Not escrowed" until the controller says that it holds all, and "since" when it holds what was before.
#[test]
fn what_is_not_in_escrow_is_told() {
    let told = |escrow| {
        let seen = Seen { key: Key::Present, ..made(Custody::Tpm, 0) };
        let (keys, setbacks) = (held(TPM), Setbacks::default());
        let (wish, node) = (Wish::Keep(want(Custody::Tpm)), Node { escrow, ..NODE });
        let view = View { id: USER, wish: &wish, seen: &seen, keys: &keys, node: &node, setbacks };
        let reasons = Reasons { hold: None, no_pcrs: None };
        let lines = report(&view, name(), &next(&view), Remembered::default(), reasons).detail;
        lines.into_iter().filter(|line| line.contains("escrow")).collect::<Vec<_>>()
    };
    assert_eq!(told(Escrow::Nothing), ["not escrowed"]);
    assert_eq!(told(Escrow::Older), ["not escrowed since its last change"]);
    assert!(told(Escrow::Newest).is_empty());
}
