use super::*;
use crate::ids::Name;
use crate::section::{Custody, Encryption, NodePolicy, Operation, Presence, Seal};

const ID: VaultId = VaultId(uuid::Uuid::from_u128(7));

fn at(seconds: u64) -> SinceBoot {
    SinceBoot(Duration::from_secs(seconds))
}

fn nonce(n: u8) -> LeaseNonce {
    LeaseNonce([n; 16])
}

fn entry(lease: Option<u32>) -> Entry {
    let lease = lease.map(|seconds| Lease::of_seconds(seconds).expect("within bounds"));
    Entry {
        id: ID,
        name: Name::try_from("lines".to_owned()).expect("a name"),
        policy: NodePolicy {
            encryption: Encryption::Aes256Xts,
            custody: Custody::Tpm,
            seal: Seal::Tpm,
            lease,
            recovery: crate::recovery::Recipients::NONE,
            storage_limit: None,
        },
        operation: Operation::Unlock,
        standing: Presence::Active,
        created: true,
        recreate: false,
        release: Release::NotNeeded,
    }
}

fn section(entry: Entry, lease: Option<LeaseNonce>) -> Section {
    Section {
        device: crate::ids::DeviceId(uuid::Uuid::from_u128(1)),
        device_key: crate::ids::DeviceKey([1; 32]),
        session: attest::SessionKey([1; 32]),
        version: crate::ids::SectionVersion { incarnation: crate::ids::Incarnation([1; 16]), version: 1 },
        follows: None,
        vaults: vec![entry],
        removed: Vec::new(),
        lease,
    }
}

fn until(leases: &Leases) -> Option<SinceBoot> {
    leases.until().get(&ID).copied()
}

/// What was given is not known from the moment on that it is seen to be gone, until a list is in force: a lease that is known stays as it is.
#[test]
fn what_is_not_known_of_leases_has_an_end() {
    let mut leases = Leases::resumed([(ID, at(500))].into()).unknown_since(at(100));
    let end = SinceBoot(at(100).0 + Leases::UNKNOWN);
    assert_eq!((leases.unknown_until(), until(&leases)), (Some(end), Some(at(500))));
    assert_eq!((leases.learn(), leases.learn()), (true, false));
    assert_eq!((leases.unknown_until(), until(&leases)), (None, Some(at(500))));
}

/// A lease counts from the question: an answer that was held back gives less, and one held back for longer than the lease gives nothing.
#[test]
fn a_lease_counts_from_the_question() {
    for heard in [100, 130, 159, 160, 500] {
        let mut leases = Leases::default();
        leases.ask(nonce(1), at(100));
        leases.hear(&section(entry(Some(60)), Some(nonce(1))), at(heard));
        assert_eq!(until(&leases), Some(at(160)), "heard at {heard}");
    }
}

/// A recorded section renews nothing: neither the same one again, nor one that names an earlier question, nor one that names none.
#[test]
fn a_recorded_section_renews_nothing() {
    let mut leases = Leases::default();
    leases.ask(nonce(1), at(100));
    let first = section(entry(Some(60)), Some(nonce(1)));
    leases.hear(&first, at(101));
    let held = leases.clone();
    leases.hear(&first, at(150));
    assert_eq!(leases, held, "the same again");
    leases.ask(nonce(2), at(130));
    for recorded in [first, section(entry(Some(60)), None), section(entry(Some(60)), Some(nonce(9)))] {
        leases.hear(&recorded, at(155));
        assert_eq!(until(&leases), Some(at(160)), "{:?}", recorded.lease);
    }
    leases.hear(&section(entry(Some(60)), Some(nonce(2))), at(155));
    assert_eq!(until(&leases), Some(at(190)), "the answer to the question of now");
}

/// What is withheld, locked or being removed is not renewed, whatever nonce its section names; and the lease that lasts is left to end.
#[test]
fn what_is_not_released_is_not_renewed() {
    let withheld = Release::Withheld { reason: crate::cause::Cause::DeviceLost };
    for refused in [
        Entry { release: withheld, ..entry(Some(60)) },
        Entry { operation: Operation::Lock, ..entry(Some(60)) },
        Entry { standing: Presence::Removing, ..entry(Some(60)) },
    ] {
        let mut leases = Leases::default();
        leases.ask(nonce(1), at(100));
        leases.hear(&section(entry(Some(60)), Some(nonce(1))), at(100));
        leases.ask(nonce(2), at(130));
        leases.hear(&section(refused.clone(), Some(nonce(2))), at(131));
        assert_eq!(until(&leases), Some(at(160)), "{refused:?}");
    }
}

/// A vault gets its first lease while it is open from when the policy came; after a boot none but by an answer to a question.
#[test]
fn the_first_lease_of_an_open_vault_counts_from_when_its_policy_came() {
    let mut leases = Leases::default();
    leases.ask(nonce(1), at(0));
    leases.hear(&section(entry(Some(60)), None), at(500));
    assert_eq!(until(&leases), None, "the first section of this life, and no answer");
    leases.hear(&section(entry(None), None), at(600));
    leases.hear(&section(entry(Some(60)), None), at(700));
    assert_eq!(until(&leases), Some(at(760)));
    leases.hear(&section(entry(Some(60)), None), at(740));
    assert_eq!(until(&leases), Some(at(760)), "once");
}

/// A lease that was lengthened, and a vault that got its first one after the question was answered, wait for no half of a lease: the node
/// asks at once, and once.
#[test]
fn what_an_answer_did_not_give_is_asked_for_at_once() {
    let second = Entry { id: VaultId(uuid::Uuid::from_u128(8)), ..entry(Some(60)) };
    let hour = Lease::of_seconds(3600).expect("within bounds");
    for (what, now) in [("longer", vec![entry(Some(3600))]), ("another", vec![entry(Some(60)), second])] {
        let mut leases = Leases::default();
        leases.ask(nonce(1), at(100));
        leases.hear(&section(entry(Some(60)), Some(nonce(1))), at(101));
        assert_eq!(leases.asks_at(hour), at(1900), "{what}: nothing lacks");
        let changed = |nonce| Section { vaults: now.clone(), ..section(entry(None), nonce) };
        leases.hear(&changed(Some(nonce(1))), at(110));
        assert_eq!(leases.asks_at(hour), at(0), "{what}: at once");
        leases.ask(nonce(2), at(111));
        assert_eq!(leases.asks_at(hour), at(1911), "{what}: it was asked");
        leases.hear(&changed(Some(nonce(2))), at(112));
        assert_eq!(leases.asks_at(hour), at(1911), "{what}: and answered");
        let ends = |entry: &Entry| at(111 + entry.policy.lease.map_or(0, |lease| u64::from(lease.seconds())));
        assert!(now.iter().all(|entry| leases.until().get(&entry.id) == Some(&ends(entry))), "{what}");
    }
}

/// A lease that is made shorter holds at once; one that is taken away leaves nothing; a default vault has none.
#[test]
fn a_lease_follows_its_policy() {
    let mut leases = Leases::default();
    leases.ask(nonce(1), at(0));
    leases.hear(&section(entry(Some(3600)), Some(nonce(1))), at(1));
    leases.hear(&section(entry(Some(60)), None), at(10));
    assert_eq!(until(&leases), Some(at(70)));
    leases.hear(&section(entry(None), None), at(20));
    assert_eq!(until(&leases), None);
    leases.ask(nonce(2), at(30));
    let image = Entry { id: crate::ids::IMAGE_VAULT, ..entry(Some(60)) };
    leases.hear(&section(image, Some(nonce(2))), at(31));
    assert!(leases.until().is_empty(), "{leases:?}");
}

/// It is asked at half of the lease; what lasts is taken up again in the same boot.
#[test]
fn it_is_asked_at_half_of_the_lease() {
    let mut leases = Leases::resumed([(ID, at(500))].into());
    let shortest = Lease::of_seconds(60).expect("within bounds");
    assert_eq!((until(&leases), leases.asks_at(shortest)), (Some(at(500)), at(0)), "at once");
    leases.ask(nonce(1), at(100));
    assert_eq!(leases.asks_at(shortest), at(130));
    assert_eq!(Lease::of_seconds(9).or(Lease::of_seconds(u32::MAX)), None);
}
