//! What a node holds for true, one thing heard at a time: each row a history, and what is in force after it.

use std::collections::BTreeMap;

use attest::SessionKey;
use uuid::Uuid;
use vault::belief::{
    About, Belief, Beside, Effect, Heard, Kept, LockOrders, RecordFound, Roots, Said, Signed, SignedAnswer,
    Voice,
};
use vault::ids::{
    CONFIG_VAULT, DeviceId, DeviceKey, Incarnation, Name, SectionDigest, SectionVersion, VaultId,
};
use vault::section::{Custody, Encryption, Entry, NodePolicy, Operation, Presence, Release, Seal, Section};
use vault::shares::RootPin;
use vault::wanted::{Accepted, Authority, Chain, OrderedAt, Record, RecordSeen};

const DEVICE: DeviceId = DeviceId(Uuid::from_u128(0xd));
const KEY: DeviceKey = DeviceKey([3; 32]);
const SESSION: SessionKey = SessionKey([4; 32]);
const ROOT: RootPin = RootPin([5; 32]);
const VAULT: VaultId = VaultId(Uuid::from_u128(0xbe));

fn digest(byte: u8) -> SectionDigest {
    SectionDigest([byte; 32])
}

fn version(version: u64) -> SectionVersion {
    SectionVersion { incarnation: Incarnation([1; 16]), version }
}

/// A section that removes the vault, the one of a number after another.
fn section(number: u8, follows: Option<u8>) -> Section {
    Section {
        device: DEVICE,
        device_key: KEY,
        session: SESSION,
        version: version(number.into()),
        follows: follows.map(digest),
        vaults: vec![],
        removed: vec![VAULT],
        lease: None,
    }
}

fn answer(section: Section, root: RootPin) -> Heard {
    let number = u8::try_from(section.version.version).expect("small");
    let signed = Signed { envelope: vec![number], certs: vec![] };
    let said = Said::Section(Box::new(section), digest(number));
    Heard::Answer(Authority::Live, Box::new(SignedAnswer { root, said, beside: Beside::default(), signed }))
}

/// What an earlier life kept: section 7, which listed the vault.
fn kept() -> Box<Kept> {
    let accepted = Accepted { device: DEVICE, version: version(7), superseded: vec![] };
    let listed = BTreeMap::from([(VAULT, "berlin".parse().expect("a name"))]);
    let record = Record { accepted, listed, removed: BTreeMap::new(), former: BTreeMap::new() };
    let chain = Chain { head: Some(digest(7)), epochs: BTreeMap::new() };
    Box::new(Kept {
        record,
        chain,
        root: ROOT,
        signed: Signed { envelope: vec![7], certs: vec![] },
        ordered: [].into(),
        ordered_at: None,
    })
}

/// Hears, and carries out what a working disk does.
fn hear(belief: &mut Belief, heard: Heard) -> Vec<Effect> {
    let mut all = Vec::new();
    for effect in belief.hear(heard) {
        if let Effect::Save(kept) = &effect {
            all.extend(belief.hear(Heard::Saved(kept.clone())));
        }
        all.push(effect);
    }
    all
}

fn started(roots: Roots) -> Belief {
    let mut belief = Belief::new(SESSION);
    hear(&mut belief, Heard::Tpm(roots, Some(KEY)));
    belief
}

fn authority(belief: &Belief) -> Option<Authority> {
    belief.desired().listing.as_ref().map(|listing| listing.authority)
}

fn tells(effects: &[Effect], words: &str) -> bool {
    effects.iter().any(|effect| matches!(effect, Effect::Tell(_, told) if told.to_string().contains(words)))
}

/// Twin of all that follows: with the record read, the next section of the node's own history counts.
#[test]
fn the_next_section_of_this_nodes_history_counts() {
    let mut belief = started(Roots::Open(Some(ROOT)));
    hear(&mut belief, Heard::RecordOpened(RecordFound::Read(kept())));
    assert_eq!(belief.head().map(|head| (head.device, head.digest)), Some((DEVICE, digest(7))));
    let effects = hear(&mut belief, answer(section(8, Some(7)), ROOT));
    assert!(effects.iter().any(|effect| matches!(effect, Effect::TakeKeys(_))));
    assert_eq!(authority(&belief), Some(Authority::Live));
    assert_eq!(belief.head().map(|head| head.digest), Some(digest(8)));
    hear(&mut belief, answer(section(8, Some(7)), ROOT));
    assert_eq!(authority(&belief), Some(Authority::Live), "the same again is no other history");
}

/// seen-by-users 0.1: one that follows something else opens and locks, and no more; the head stays where it was.
#[test]
fn a_section_of_another_history_opens_and_locks_only() {
    let mut belief = started(Roots::Open(Some(ROOT)));
    hear(&mut belief, Heard::RecordOpened(RecordFound::Read(kept())));
    for follows in [None, Some(6), Some(9)] {
        let effects = hear(&mut belief, answer(section(9, follows), ROOT));
        assert!(tells(&effects, "does not follow"), "{follows:?}: {effects:?}");
        assert_eq!(authority(&belief), Some(Authority::Checkpoint), "{follows:?}");
        assert_eq!(belief.head().map(|head| head.digest), Some(digest(7)), "{follows:?}");
    }
}

/// A node whose record can't be read yet: what comes meanwhile opens and locks, one after the other, and is held against the record
/// once that is read.
#[test]
fn what_came_before_the_record_was_read_is_held_against_it() {
    for (follows, expected) in [(Some(7), Authority::Live), (Some(6), Authority::Checkpoint)] {
        let mut belief = started(Roots::Open(Some(ROOT)));
        for number in [8, 9] {
            let effects = hear(&mut belief, answer(section(number, follows), ROOT));
            assert!(tells(&effects, "was not read yet"), "nothing tells yet: {effects:?}");
            assert!(effects.iter().any(|effect| matches!(effect, Effect::TakeKeys(_))), "it opens");
            assert_eq!(authority(&belief), Some(Authority::Checkpoint), "and goes no further");
        }
        assert_eq!(belief.head(), None, "nothing is told as accepted");
        assert_eq!(belief.desired().record, RecordSeen::Unreadable, "so nothing is deleted");
        hear(&mut belief, Heard::RecordOpened(RecordFound::Read(kept())));
        assert_eq!(authority(&belief), Some(expected), "{follows:?}");
    }
}

/// A copy of an older section of this life does not undo a newer one while the record is not read.
#[test]
fn an_older_section_does_not_count_before_the_record_is_read() {
    let mut belief = started(Roots::Open(Some(ROOT)));
    hear(&mut belief, answer(section(9, Some(7)), ROOT));
    let effects = hear(&mut belief, answer(section(8, Some(7)), ROOT));
    assert!(tells(&effects, "is older than 9"), "{effects:?}");
    hear(&mut belief, Heard::RecordOpened(RecordFound::Read(kept())));
    assert_eq!(belief.head().map(|head| head.digest), Some(digest(9)));
}

/// DF-1: a first boot has no Config Vault yet and no record: its first section counts, and what came before is judged then.
#[test]
fn a_first_section_counts_where_there_is_no_config_vault_yet() {
    for early in [false, true] {
        let mut belief = started(Roots::NoTpm);
        if early {
            hear(&mut belief, answer(section(1, None), ROOT));
            assert_eq!(authority(&belief), Some(Authority::Checkpoint));
        }
        hear(&mut belief, Heard::NoConfigVault);
        if !early {
            hear(&mut belief, answer(section(1, None), ROOT));
        }
        assert_eq!(authority(&belief), Some(Authority::Live), "{early}");
        hear(&mut belief, Heard::RecordOpened(RecordFound::Nothing));
        assert_eq!(belief.head().map(|head| head.digest), Some(digest(1)), "{early}");
    }
}

/// 0.9 on a node without a TPM: root accepts another controller while the record of the first can't be read.
#[test]
fn another_controller_is_accepted_before_the_record_is_read() {
    let other = RootPin([9; 32]);
    let mut belief = started(Roots::NoTpm);
    hear(&mut belief, Heard::RecordClosed);
    hear(&mut belief, Heard::RootAccepted(other));
    hear(&mut belief, answer(section(1, None), other));
    assert_eq!(authority(&belief), Some(Authority::Live));
    let effects = hear(&mut belief, Heard::RecordOpened(RecordFound::Read(kept())));
    assert!(effects.contains(&Effect::DropRecord), "{effects:?}");
    assert_eq!(authority(&belief), Some(Authority::Live));
    assert_eq!(belief.head().map(|head| head.digest), Some(digest(1)));
}

/// The same, where the new controller had spoken before: it says nothing twice, and an acceptance that is given again takes nothing away.
#[test]
fn what_an_accepted_controller_said_before_counts_and_a_second_acceptance_changes_nothing() {
    let other = RootPin([9; 32]);
    let mut belief = started(Roots::NoTpm);
    hear(&mut belief, Heard::RecordClosed);
    hear(&mut belief, answer(section(1, None), other));
    assert_ne!(authority(&belief), Some(Authority::Live), "the record is not read");
    for nth in 1..=2 {
        hear(&mut belief, Heard::RootAccepted(other));
        assert_eq!(authority(&belief), Some(Authority::Live), "accepted {nth} times");
    }
}

/// Twin of the one above, where root accepted nobody: the record that opens after a section counted without it speaks against that one by whom it is, and by what was
/// accepted before. It is given up, not written over the record, and what was accepted before is verified anew.
#[test]
fn a_record_that_opens_late_is_not_written_over_by_what_it_speaks_against() {
    let other = RootPin([9; 32]);
    for (number, root, says) in
        [(1, other, "another root certificate"), (1, ROOT, "version 1 of the list of vaults is older than 7")]
    {
        let mut belief = started(Roots::NoTpm);
        hear(&mut belief, Heard::NoConfigVault);
        hear(&mut belief, answer(section(number, None), root));
        assert_eq!(authority(&belief), Some(Authority::Live), "{says}");
        let effects = hear(&mut belief, Heard::RecordOpened(RecordFound::Read(kept())));
        assert!(tells(&effects, says), "{effects:?}");
        assert!(!effects.iter().any(|effect| matches!(effect, Effect::Save(_))), "{effects:?}");
        assert!(effects.contains(&Effect::Verify(kept().signed)), "{effects:?}");
        assert_eq!(authority(&belief), None, "{says}");
        assert_eq!(belief.head().map(|head| head.digest), Some(digest(7)), "{says}");
    }
}

/// 0b.5: while the share table is lost nobody counts.
#[test]
fn without_a_share_table_no_section_counts() {
    let mut belief = started(Roots::Lost);
    let effects = hear(&mut belief, answer(section(1, None), ROOT));
    assert!(tells(&effects, "no list of vaults counts"), "{effects:?}");
    assert_eq!(authority(&belief), None);
    hear(&mut belief, Heard::Tpm(Roots::Open(None), None));
    hear(&mut belief, Heard::RecordOpened(RecordFound::Nothing));
    hear(&mut belief, answer(section(1, None), ROOT));
    assert_eq!(authority(&belief), Some(Authority::Live), "root has begun another: a first contact");
}

/// An older share table that was put back has no pin: nobody is pinned by it before the record had its say.
#[test]
fn a_table_without_a_pin_makes_no_first_contact_before_the_record_is_read() {
    let other = RootPin([9; 32]);
    let mut belief = started(Roots::Open(None));
    let effects = hear(&mut belief, answer(section(8, Some(7)), other));
    assert!(!effects.iter().any(|effect| matches!(effect, Effect::Pin(_))), "{effects:?}");
    assert_eq!(authority(&belief), Some(Authority::Checkpoint));
    let effects = hear(&mut belief, Heard::RecordOpened(RecordFound::Read(kept())));
    assert!(!effects.contains(&Effect::DropRecord));
    assert!(tells(&effects, "another root"), "{effects:?}");
}

/// VC-6, first contact: where the table could not be written when the section came, the root is asked for again whenever the table or the record is
/// told to be open, until it stands there; a record alone, of an earlier life, is enough.
#[test]
fn a_root_that_is_believed_is_pinned_until_it_is() {
    let table = |pin| Heard::Tpm(Roots::Open(pin), None);
    let pins = |effects: &[Effect]| effects.contains(&Effect::Pin(ROOT));
    for before in [RecordFound::Nothing, RecordFound::Read(kept())] {
        let follows = matches!(before, RecordFound::Read(_)).then_some(7);
        let mut belief = started(Roots::Open(None));
        assert!(!pins(&hear(&mut belief, table(None))), "nobody is believed yet");
        hear(&mut belief, Heard::RecordOpened(before));
        assert_eq!(pins(&hear(&mut belief, table(None))), follows.is_some(), "the record's");
        assert!(pins(&hear(&mut belief, answer(section(8, follows), ROOT))));
        // None of these was carried out.
        assert!(pins(&hear(&mut belief, table(None))), "the table is back");
        assert!(pins(&hear(&mut belief, Heard::RecordOpen)), "and whenever all is looked at");
        assert!(!pins(&hear(&mut belief, table(Some(ROOT)))), "it stands there");
        assert!(!pins(&hear(&mut belief, Heard::RecordOpen)));
    }
}

/// KO-1: only the controller that is pinned beside the shares has a say on the escrow; while the table is lost, whoever may be it.
#[test]
fn a_word_on_the_escrow_counts_by_the_pin() {
    let other = RootPin([9; 32]);
    for (roots, record, voices) in [
        (Roots::Open(Some(ROOT)), false, [Voice::Pinned, Voice::Another]),
        (Roots::Open(None), true, [Voice::Another, Voice::Another]),
        (Roots::Lost, false, [Voice::Perhaps, Voice::Perhaps]),
        (Roots::Lost, true, [Voice::Perhaps, Voice::Another]),
        (Roots::Unread, false, [Voice::Another, Voice::Another]),
        (Roots::NoTpm, true, [Voice::Another, Voice::Another]),
    ] {
        let mut belief = started(roots);
        if record {
            hear(&mut belief, Heard::RecordOpened(RecordFound::Read(kept())));
        }
        assert_eq!([ROOT, other].map(|root| belief.voice(root)), voices, "{roots:?} {record}");
    }
}

/// 0.10: a damaged record is told, and the next section begins a new one.
#[test]
fn a_damaged_record_is_begun_anew() {
    let mut belief = started(Roots::Open(Some(ROOT)));
    let effects = hear(&mut belief, Heard::RecordOpened(RecordFound::Damaged));
    assert!(matches!(&effects[0], Effect::Tell(About::Record, _)), "{effects:?}");
    let effects = hear(&mut belief, answer(section(9, None), ROOT));
    assert!(effects.contains(&Effect::Settle(About::Record)), "{effects:?}");
    let RecordSeen::Read(record) = &belief.desired().record else { panic!("no record") };
    assert!(record.listed.is_empty(), "nothing counts as listed before");
}

/// 0.9: what another controller said is over once root accepts this one, and not before.
#[test]
fn another_controller_counts_once_it_is_accepted() {
    let other = RootPin([9; 32]);
    let mut belief = started(Roots::Open(Some(ROOT)));
    hear(&mut belief, Heard::RecordOpened(RecordFound::Read(kept())));
    assert!(tells(&hear(&mut belief, answer(section(8, Some(7)), other)), "another root"));
    let effects = hear(&mut belief, Heard::RootAccepted(other));
    assert!(effects.contains(&Effect::Pin(other)) && effects.contains(&Effect::DropRecord), "{effects:?}");
    let (mine, others) = (VaultId(uuid::Uuid::from_u128(0xa)), VaultId(uuid::Uuid::from_u128(0xb)));
    let name: Name = "rome".parse().expect("a name");
    hear(&mut belief, Heard::Former([(others, name.clone()), (mine, name.clone())].into()));
    assert_eq!(belief.desired().name(others), name, "how another controller called it");
    hear(&mut belief, Heard::Tpm(Roots::Open(Some(other)), None));
    hear(&mut belief, answer(section(1, None), other));
    let RecordSeen::Read(record) = &belief.desired().record else { panic!("no record") };
    assert_eq!(record.name(others), Some(&name), "and it stays so");
    assert!(!record.listed.contains_key(&others), "it counts as listed by nobody");
    assert_eq!(authority(&belief), Some(Authority::Live));
    assert!(hear(&mut belief, Heard::RootAccepted(other)).is_empty(), "said again it changes nothing");
}

/// The order of a controller that withholds the section: to lock the vault, at a place of the device's history.
fn order(at: SectionVersion) -> LockOrders {
    LockOrders { device: DEVICE, device_key: KEY, session: SESSION, at, vaults: [VAULT].into() }
}

/// The vault, under the TPM alone.
fn entry(operation: Operation) -> Entry {
    Entry {
        id: VAULT,
        name: "berlin".parse().expect("a name"),
        policy: NodePolicy {
            encryption: Encryption::Aes256Xts,
            custody: Custody::Tpm,
            seal: Seal::Tpm,
            lease: None,
            recovery: vault::recovery::Recipients::NONE,
            storage_limit: None,
        },
        operation,
        standing: Presence::Active,
        created: true,
        recreate: false,
        release: Release::NotNeeded,
    }
}

fn withheld(orders: Option<LockOrders>, root: RootPin) -> Heard {
    let beside = Beside { orders, lacks: Some("PCRs".to_owned()) };
    let signed = Signed { envelope: vec![0], certs: vec![] };
    Heard::Answer(Authority::Live, Box::new(SignedAnswer { root, said: Said::NoSection, beside, signed }))
}

fn ordered(belief: &Belief) -> bool {
    belief.desired().ordered.contains(&VAULT)
}

/// SECURITY TH-3: what withholds the section does not withhold the order. It is kept, and holds until a section that follows this node's own
/// history says otherwise; then the same bytes, given again, say nothing.
#[test]
fn an_order_beside_a_challenge_locks_until_the_next_section() {
    let mut belief = started(Roots::Open(Some(ROOT)));
    hear(&mut belief, Heard::RecordOpened(RecordFound::Read(kept())));
    let effects = hear(&mut belief, withheld(Some(order(version(8))), ROOT));
    assert!(ordered(&belief));
    assert!(tells(&effects, "satisfies no policy (PCRs)"), "{effects:?}");
    let saved = effects.iter().find_map(|effect| match effect {
        Effect::Save(kept) => Some(kept.clone()),
        _ => None,
    });
    let saved = saved.expect("kept over boots");
    assert_eq!(
        (saved.ordered.contains(&VAULT), &saved.record),
        (true, &kept().record),
        "and nothing else is"
    );
    hear(&mut belief, withheld(None, ROOT));
    assert!(ordered(&belief), "silence lifts nothing");
    let other = Section { follows: Some(digest(6)), ..section(9, None) };
    hear(&mut belief, answer(other, ROOT));
    assert!(ordered(&belief), "nor does a section of another history");

    let mut later = started(Roots::Open(Some(ROOT)));
    hear(&mut later, Heard::RecordOpened(RecordFound::Read(saved)));
    assert!(ordered(&later), "a later life, which heard nothing");

    let effects = hear(&mut belief, answer(section(9, Some(7)), ROOT));
    assert!(!ordered(&belief) && belief.desired().lacks.is_none());
    assert!(effects.iter().any(|effect| matches!(effect, Effect::Save(kept) if kept.ordered.is_empty())));
    hear(&mut belief, withheld(Some(order(version(8))), ROOT));
    assert!(!ordered(&belief), "the old order again");
    hear(&mut belief, withheld(Some(order(version(10))), ROOT));
    assert!(ordered(&belief), "a new one");
}

/// VC-2: whoever recorded the section that was accepted before the order gives it again, in the same session. It lifts nothing, also not
/// over a boot; nor does one of an incarnation that an order has gone past.
#[test]
fn a_section_from_before_an_order_that_is_sent_again_does_not_lift_it() {
    let elsewhere = SectionVersion { incarnation: Incarnation([2; 16]), version: 1 };
    for at in [version(9), elsewhere] {
        let mut belief = started(Roots::Open(Some(ROOT)));
        hear(&mut belief, Heard::RecordOpened(RecordFound::Read(kept())));
        hear(&mut belief, answer(section(8, Some(7)), ROOT));
        hear(&mut belief, withheld(Some(order(at)), ROOT));
        let effects = hear(&mut belief, answer(section(8, Some(7)), ROOT));
        assert!(ordered(&belief), "{at:?}");
        let kept =
            effects.iter().all(|effect| !matches!(effect, Effect::Save(kept) if kept.ordered.is_empty()));
        assert!(kept, "{at:?}: {effects:?}");
        let next =
            Section { version: SectionVersion { version: at.version + 1, ..at }, ..section(10, Some(8)) };
        hear(&mut belief, answer(next, ROOT));
        assert!(!ordered(&belief), "the next one lifts it: {at:?}");
    }
}

/// Decision 111: the place of what is ordered is told, also by a later life; and what was sent before it does not lift it there either.
#[test]
fn where_orders_stand_is_told_over_a_boot() {
    let mut belief = started(Roots::Open(Some(ROOT)));
    hear(&mut belief, Heard::RecordOpened(RecordFound::Read(kept())));
    assert_eq!(belief.own_ordered_at(), None);
    let effects = hear(&mut belief, withheld(Some(order(version(12))), ROOT));
    let at = Some(OrderedAt { device: DEVICE, version: version(12) });
    assert_eq!(belief.own_ordered_at(), at);
    let saved = effects.into_iter().find_map(|effect| match effect {
        Effect::Save(kept) => Some(kept),
        _ => None,
    });
    let mut later = started(Roots::Open(Some(ROOT)));
    hear(&mut later, Heard::RecordOpened(RecordFound::Read(saved.expect("kept"))));
    assert_eq!(later.own_ordered_at(), at);
    hear(&mut later, answer(section(8, Some(7)), ROOT));
    assert!(ordered(&later), "a section from before it");
    let effects = hear(&mut later, answer(section(13, Some(8)), ROOT));
    assert_eq!((ordered(&later), later.own_ordered_at()), (false, None));
    let is_kept = |effect: &Effect| matches!(effect, Effect::Save(kept) if kept.ordered_at.is_none());
    assert!(effects.iter().any(is_kept), "{effects:?}");
}

/// What is ordered to another device that the node is taken for is placed by the node alone: no controller gave out that place.
#[test]
fn where_the_orders_of_another_device_stand_is_not_told() {
    let mut belief = started(Roots::Open(Some(ROOT)));
    hear(&mut belief, Heard::RecordOpened(RecordFound::Read(kept())));
    let elsewhere = LockOrders { device: DeviceId(uuid::Uuid::from_u128(77)), ..order(version(3)) };
    hear(&mut belief, withheld(Some(elsewhere), ROOT));
    assert!(ordered(&belief));
    assert_eq!(belief.own_ordered_at(), None);
}

/// An order is for one session of one device, from its own controller.
#[test]
fn an_order_of_somebody_else_is_not_obeyed() {
    let other = LockOrders { device_key: DeviceKey([9; 32]), ..order(version(8)) };
    let session = LockOrders { session: SessionKey([9; 32]), ..order(version(8)) };
    let device = LockOrders { device: DeviceId(Uuid::from_u128(1)), ..order(version(8)) };
    for (what, orders, root, roots, obeyed) in [
        ("its own", order(version(8)), ROOT, Roots::Open(Some(ROOT)), true),
        ("of a node without a TPM", order(version(8)), ROOT, Roots::NoTpm, true),
        ("another device's key", other, ROOT, Roots::Open(Some(ROOT)), false),
        ("the device that its controller takes it for", device, ROOT, Roots::Open(Some(ROOT)), true),
        ("another session", session, ROOT, Roots::Open(Some(ROOT)), false),
        ("another controller", order(version(8)), RootPin([9; 32]), Roots::Open(Some(ROOT)), false),
        ("older than what was accepted", order(version(6)), ROOT, Roots::Open(Some(ROOT)), false),
        ("of a node that lost its table", order(version(8)), ROOT, Roots::Lost, false),
    ] {
        let mut belief = started(roots);
        hear(&mut belief, Heard::RecordOpened(RecordFound::Read(kept())));
        hear(&mut belief, withheld(Some(orders), root));
        assert_eq!(ordered(&belief), obeyed, "{what}");
    }
}

/// TH-3, decision 80: a node that was deleted and let in anew is another device to its controller, whose list it does not take. That it is lost, and
/// what is to be locked, it obeys all the same, beside a challenge and in the list. That holds until a section of its own history comes, which was not
/// accepted before; then what was ordered for the other one is over.
#[test]
fn th3_a_node_that_is_taken_for_another_device_locks_and_does_nothing_else() {
    let other = DeviceId(Uuid::from_u128(1));
    let orders = || withheld(Some(LockOrders { device: other, ..order(version(1)) }), ROOT);
    let list = |operation| {
        let vaults = vec![entry(operation)];
        answer(Section { device: other, vaults, removed: vec![], ..section(1, None) }, ROOT)
    };
    for (what, ordering) in [("an order", orders()), ("a list", list(Operation::Lock))] {
        let mut belief = started(Roots::Open(Some(ROOT)));
        hear(&mut belief, Heard::RecordOpened(RecordFound::Read(kept())));
        let effects = hear(&mut belief, list(Operation::Unlock));
        assert!(tells(&effects, "bring that device back") && !ordered(&belief), "{what}");
        let effects = hear(&mut belief, ordering.clone());
        assert!(ordered(&belief) && authority(&belief) != Some(Authority::Live), "{what}");
        let saved = |effect: &Effect| matches!(effect, Effect::Save(kept) if kept.ordered.contains(&VAULT));
        assert!(effects.iter().any(saved), "over boots: {what}");
        hear(&mut belief, answer(section(7, Some(6)), ROOT));
        hear(&mut belief, list(Operation::Unlock));
        assert!(
            ordered(&belief),
            "what was accepted before lifts nothing, nor does the other's list: {what}"
        );
        hear(&mut belief, answer(section(8, Some(7)), ROOT));
        assert!(!ordered(&belief), "the next one of its own does: {what}");
        hear(&mut belief, ordering);
        assert!(!ordered(&belief), "and what was recorded is over: {what}");
    }
}

/// TH-3: it was deleted and let in anew twice, and had orders as each of these devices. By the next section of its own history those of both are over.
#[test]
fn th3_orders_for_each_device_that_it_was_taken_for_are_over_together() {
    let orders = |device| {
        let device = DeviceId(Uuid::from_u128(device));
        withheld(Some(LockOrders { device, ..order(version(1)) }), ROOT)
    };
    let mut belief = started(Roots::Open(Some(ROOT)));
    hear(&mut belief, Heard::RecordOpened(RecordFound::Read(kept())));
    hear(&mut belief, orders(1));
    hear(&mut belief, orders(2));
    assert!(ordered(&belief));
    hear(&mut belief, answer(section(8, Some(7)), ROOT));
    for device in [1, 2] {
        hear(&mut belief, orders(device));
        assert!(!ordered(&belief), "what was recorded is over: as device {device}");
    }
    hear(&mut belief, orders(3));
    assert!(ordered(&belief), "as one that it was not taken for before");
}

/// An order that comes before the device's key is known waits for it; one from before the record was read is held against it.
#[test]
fn an_order_that_comes_early_is_judged_when_it_can_be() {
    let mut belief = Belief::new(SESSION);
    hear(&mut belief, withheld(Some(order(version(8))), ROOT));
    assert!(!ordered(&belief), "nobody knows whom it is for");
    hear(&mut belief, Heard::Tpm(Roots::Open(Some(ROOT)), Some(KEY)));
    assert!(ordered(&belief), "an order only locks, so it does not wait for the record");
    hear(&mut belief, Heard::RecordOpened(RecordFound::Read(kept())));
    assert!(ordered(&belief));
    for (at, holds) in [(6, false), (8, true)] {
        let mut belief = started(Roots::Open(Some(ROOT)));
        hear(&mut belief, withheld(Some(order(version(at))), ROOT));
        hear(&mut belief, Heard::RecordOpened(RecordFound::Read(kept())));
        assert_eq!(ordered(&belief), holds, "{at}");
    }
    let mut of_another = Belief::new(SESSION);
    hear(&mut of_another, withheld(Some(order(version(8))), RootPin([9; 32])));
    hear(&mut of_another, Heard::Tpm(Roots::Open(Some(ROOT)), Some(KEY)));
    assert!(!ordered(&of_another), "another controller's, from before the pin was read");
    let mut for_another = Belief::new(SESSION);
    hear(&mut for_another, withheld(Some(order(version(8))), ROOT));
    hear(&mut for_another, Heard::Tpm(Roots::Open(Some(ROOT)), Some(DeviceKey([9; 32]))));
    assert!(!ordered(&for_another));
}

/// Invariant 5: a section that came while the share table was lost counts once the table is back, and is held against the pin in it; until then nothing does.
#[test]
fn a_section_that_came_before_the_table_was_back_is_judged_then() {
    for (pin, counts) in [(ROOT, true), (RootPin([9; 32]), false)] {
        let mut belief = started(Roots::Lost);
        assert!(tells(&hear(&mut belief, answer(section(8, Some(7)), ROOT)), "share table"));
        hear(&mut belief, Heard::Tpm(Roots::Lost, None));
        assert_eq!(authority(&belief), None, "still lost");
        hear(&mut belief, Heard::Tpm(Roots::Open(Some(pin)), None));
        hear(&mut belief, Heard::RecordOpened(RecordFound::Read(Box::new(Kept { root: pin, ..*kept() }))));
        assert_eq!(authority(&belief) == Some(Authority::Live), counts, "{pin:?}");
    }
}

/// TH-3: what stands beside a section that waits, for the table or for the record, is judged with it. The section lifts what was ordered before it,
/// and not what came with it.
#[test]
fn th3_an_order_beside_a_section_that_waited_holds() {
    let beside = |orders| match answer(section(8, Some(7)), ROOT) {
        Heard::Answer(authority, answer) => Heard::Answer(
            authority,
            Box::new(SignedAnswer { beside: Beside { orders, lacks: None }, ..*answer }),
        ),
        heard => heard,
    };
    for (orders, holds) in [(Some(order(version(8))), true), (None, false)] {
        for roots in [Roots::Lost, Roots::Unread, Roots::Open(Some(ROOT))] {
            let mut belief = started(roots);
            hear(&mut belief, beside(orders.clone()));
            hear(&mut belief, Heard::Tpm(Roots::Open(Some(ROOT)), None));
            hear(&mut belief, Heard::RecordOpened(RecordFound::Read(kept())));
            assert_eq!(authority(&belief), Some(Authority::Live), "{roots:?}");
            assert_eq!(ordered(&belief), holds, "{roots:?}");
        }
    }
}

/// An order on `config` that came while the record in it could not be read is over once a section after it wants `config` open: only the
/// record lifts the others, and it can't be read before.
#[test]
fn an_order_on_the_vault_of_the_record_is_lifted_without_it() {
    let both = LockOrders { vaults: [CONFIG_VAULT, VAULT].into(), ..order(version(8)) };
    let wants_it_open = |number| Section { removed: vec![], ..section(number, Some(7)) };
    let mut belief = started(Roots::Open(Some(ROOT)));
    hear(&mut belief, withheld(Some(both), ROOT));
    hear(&mut belief, answer(wants_it_open(7), ROOT));
    assert!(belief.desired().ordered.contains(&CONFIG_VAULT), "one from before the order lifts nothing");
    hear(&mut belief, answer(wants_it_open(9), ROOT));
    assert_eq!(belief.desired().ordered, [VAULT].into(), "the record can be read, and the rest waits for it");
    hear(&mut belief, Heard::RecordOpened(RecordFound::Read(kept())));
    assert_eq!((authority(&belief), belief.desired().ordered.len()), (Some(Authority::Live), 0));
}

/// Orders that are sent again, older than those in force, make a section of between them no later one.
#[test]
fn an_older_order_sent_again_opens_no_door_for_a_section() {
    let mut belief = started(Roots::Open(Some(ROOT)));
    hear(&mut belief, Heard::RecordOpened(RecordFound::Read(kept())));
    for at in [8, 10, 8] {
        hear(&mut belief, withheld(Some(order(version(at))), ROOT));
    }
    let ordered = belief.desired().ordered.clone();
    assert!(!ordered.is_empty());
    hear(&mut belief, answer(section(9, Some(7)), ROOT));
    assert_eq!(belief.desired().ordered, ordered, "section 9 was made before the orders of 10");
}

/// While the record can't be read an older section of this session does not count again, whatever came between.
#[test]
fn what_was_heard_before_the_record_was_read_is_not_forgotten_by_an_answer_without_a_section() {
    let mut belief = started(Roots::Open(Some(ROOT)));
    for number in [8, 9] {
        hear(&mut belief, answer(section(number, Some(7)), ROOT));
    }
    hear(&mut belief, withheld(None, ROOT));
    let effects = hear(&mut belief, answer(section(8, Some(7)), ROOT));
    assert!(!effects.iter().any(|effect| matches!(effect, Effect::TakeKeys(_))), "{effects:?}");
    let effects = hear(&mut belief, answer(section(9, Some(7)), ROOT));
    assert!(effects.iter().any(|effect| matches!(effect, Effect::TakeKeys(_))), "the newest counts again");
}

/// 0.9: the new controller spoke before root accepted it, and says nothing twice: what it said last is judged then, and nothing of it before.
#[test]
fn what_a_controller_said_before_it_was_accepted_counts_then() {
    let other = RootPin([9; 32]);
    let mut belief = started(Roots::Open(Some(ROOT)));
    hear(&mut belief, Heard::RecordOpened(RecordFound::Read(kept())));
    assert!(!belief.is_unheard());
    hear(&mut belief, answer(section(1, None), other));
    hear(&mut belief, Heard::Tpm(Roots::Open(Some(ROOT)), None));
    assert_eq!((authority(&belief), belief.is_unheard()), (None, true), "it is another's");
    hear(&mut belief, Heard::RootAccepted(other));
    assert!(belief.is_unheard());
    let effects = hear(&mut belief, Heard::Tpm(Roots::Open(Some(other)), None));
    assert!(effects.iter().any(|effect| matches!(effect, Effect::TakeKeys(_))), "{effects:?}");
    assert_eq!((authority(&belief), belief.is_unheard()), (Some(Authority::Live), false));
    assert_eq!(belief.root(), Some(other));

    let mut silent = started(Roots::Open(Some(ROOT)));
    hear(&mut silent, Heard::RecordOpened(RecordFound::Read(kept())));
    hear(&mut silent, answer(section(1, None), other));
    hear(&mut silent, answer(section(8, Some(7)), ROOT));
    assert_eq!((authority(&silent), silent.is_unheard()), (Some(Authority::Live), false));
    hear(&mut silent, Heard::RootAccepted(other));
    hear(&mut silent, Heard::Tpm(Roots::Open(Some(other)), None));
    assert_eq!((authority(&silent), silent.is_unheard()), (None, true), "it is to speak again");
}

/// TH-3: an order that came while the share table was lost holds once it is back.
#[test]
fn th3_an_order_that_came_while_the_table_was_lost_holds_once_it_is_back() {
    for pin in [ROOT, RootPin([9; 32])] {
        let mut belief = started(Roots::Lost);
        hear(&mut belief, withheld(Some(order(version(8))), ROOT));
        hear(&mut belief, Heard::Tpm(Roots::Lost, None));
        assert!(!ordered(&belief) && belief.is_unheard(), "nobody knows whose word it is");
        hear(&mut belief, Heard::Tpm(Roots::Open(Some(pin)), None));
        assert_eq!(ordered(&belief), pin == ROOT);
    }
}

/// TH-3: whatever was refused is to be said again, for what it was held against may be mended; what was taken, or is kept to be judged, is not.
#[test]
fn what_did_not_count_is_to_be_said_again() {
    let read = |roots| {
        let mut belief = started(roots);
        hear(&mut belief, Heard::RecordOpened(RecordFound::Read(kept())));
        belief
    };
    let open = Roots::Open(Some(ROOT));
    let for_key = Section { device_key: DeviceKey([9; 32]), ..section(8, Some(7)) };
    for (what, mut belief, heard, unheard) in [
        ("taken", read(open), answer(section(8, Some(7)), ROOT), false),
        ("kept for the record", started(open), answer(section(8, Some(7)), ROOT), false),
        ("nothing said", read(open), withheld(None, ROOT), false),
        ("an order", read(open), withheld(Some(order(version(8))), ROOT), false),
        ("another history", read(open), answer(section(8, Some(6)), ROOT), true),
        ("an older one", read(open), answer(section(3, None), ROOT), true),
        ("another device's", read(open), answer(for_key, ROOT), true),
        ("another controller's", read(open), answer(section(8, Some(7)), RootPin([9; 32])), true),
        ("an order of another's", read(open), withheld(Some(order(version(8))), RootPin([9; 32])), true),
        ("an older order", read(open), withheld(Some(order(version(3))), ROOT), true),
        ("the table is lost", read(Roots::Lost), answer(section(8, Some(7)), ROOT), true),
    ] {
        hear(&mut belief, heard);
        assert_eq!(belief.is_unheard(), unheard, "{what}");
        if what != "the table is lost" {
            hear(&mut belief, answer(section(9, Some(if what == "taken" { 8 } else { 7 })), ROOT));
            assert!(!belief.is_unheard(), "{what}: what counts ends it");
        }
    }
}
