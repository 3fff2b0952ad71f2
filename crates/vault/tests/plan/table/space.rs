//! A vault with a storage limit: when it is bounded, and that it is never in the way.

use vault::space::{Keeps, Project, Space, StorageLimit, Unbounded};

use super::*;

const LIMIT: Option<StorageLimit> = StorageLimit::of_bytes(20 << 30);
const KEPT: Space =
    Space { keeps: Keeps::Bounds, project: Project::None, limit: None, used: 0, uncounted: false };
const COUNTED: Space = Space { project: Project::Own, ..KEPT };
const BOUNDED: Space = Space { limit: LIMIT, ..COUNTED };

fn limited(limit: Option<StorageLimit>) -> Want {
    let custody = Custody::Tpm;
    Want { policy: NodePolicy { storage_limit: limit, ..want(custody).policy }, ..want(custody) }
}

fn of(id: VaultId, want: Want, seen: Seen, setbacks: Setbacks) -> Next {
    next(&View { id, wish: &Wish::Keep(want), seen: &seen, keys: &held(TPM), node: &NODE, setbacks })
}

fn open(space: Space) -> Seen {
    Seen { key: Key::Present, space, ..made(Custody::Tpm, 0) }
}

fn failed() -> Setbacks {
    let mut failed = Setbacks::default();
    failed.insert(StepKind::Bound);
    failed
}

fn notes(next: &Next) -> Vec<Note> {
    let Next::Settled(settled) = next else { panic!("it rests: {next:?}") };
    assert_eq!(settled.state, State::Unlocked);
    settled.notes.clone()
}

/// IF-1, VC-7: the empty directory gets its project before it is encrypted, so that nothing in it is ever uncounted; with a limit or without.
#[test]
fn a_vault_is_counted_and_bounded_before_anything_is_in_it() {
    let empty = |space| Seen { dir: Dir::Empty, shares: share(Mark::Begun), ..open(space) };
    let step_of = |want, space, setbacks| step(&of(USER, want, empty(space), setbacks));
    let none = Setbacks::default();
    assert_eq!(step_of(limited(LIMIT), KEPT, none), Some(Step::Bound(LIMIT)));
    assert_eq!(step_of(limited(LIMIT), COUNTED, none), Some(Step::Bound(LIMIT)));
    assert_eq!(step_of(limited(LIMIT), BOUNDED, none), Some(Step::SetPolicy(AES)));
    assert_eq!(step_of(limited(None), KEPT, none), Some(Step::Bound(None)));
    assert_eq!(step_of(limited(None), COUNTED, none), Some(Step::SetPolicy(AES)));
    // Where it can't be, the vault is made all the same.
    for space in [Space::default(), Space { project: Project::Foreign(7), ..KEPT }] {
        assert_eq!(step_of(limited(LIMIT), space, none), Some(Step::SetPolicy(AES)), "{space:?}");
    }
    assert_eq!(step_of(limited(LIMIT), KEPT, failed()), Some(Step::SetPolicy(AES)));
}

/// IF-1: the limit of a vault that is open changes as its policy does; only a live section changes it, and none is changed that is in force.
#[test]
fn the_limit_of_an_open_vault_follows_its_policy() {
    let after = |want, space| step(&of(USER, want, open(space), Setbacks::default()));
    let other = StorageLimit::of_bytes(1 << 30);
    assert_eq!(after(limited(LIMIT), KEPT), Some(Step::Bound(LIMIT)));
    assert_eq!(after(limited(other), BOUNDED), Some(Step::Bound(other)));
    assert_eq!(after(limited(None), BOUNDED), Some(Step::Bound(None)));
    assert_eq!(after(limited(LIMIT), BOUNDED), None);
    assert_eq!(after(limited(None), KEPT), None, "nobody asked");
    let kept = Want { authority: Authority::Checkpoint, ..limited(other) };
    assert_eq!(after(kept, BOUNDED), None);
    let closed = Seen { key: Key::Absent, ..open(KEPT) };
    assert_eq!(
        step(&of(USER, limited(LIMIT), closed, Setbacks::default())),
        Some(Step::AddKey),
        "files take none while locked"
    );
}

/// VC-7: the files of before are counted once the limit is in force, never before; and a failure at that holds up no other limit.
#[test]
fn files_are_counted_once_the_limit_is_in_force() {
    let uncounted = |space| Space { uncounted: true, ..space };
    let after = |limit, space, setbacks| step(&of(USER, limited(limit), open(uncounted(space)), setbacks));
    let none = Setbacks::default();
    assert_eq!(after(LIMIT, KEPT, none), Some(Step::Bound(LIMIT)));
    assert_eq!(after(LIMIT, BOUNDED, none), Some(Step::Count));
    assert_eq!(after(None, COUNTED, none), None, "no limit, nobody asks");
    let mut failed = Setbacks::default();
    failed.insert(StepKind::Count);
    assert_eq!(after(LIMIT, BOUNDED, failed), None);
    let other = StorageLimit::of_bytes(1 << 30);
    assert_eq!(after(other, BOUNDED, failed), Some(Step::Bound(other)));
    let not_mounted = Space { keeps: Keeps::Counts, ..BOUNDED };
    assert_eq!(after(LIMIT, not_mounted, none), None, "it bounds nothing");
}

/// Invariant 8: what is not enforced is told with the reason, and the vault is open all the same.
#[test]
fn a_limit_that_bounds_nothing_is_told() {
    let told = |space, setbacks| notes(&of(USER, limited(LIMIT), open(space), setbacks));
    let none = Setbacks::default();
    assert_eq!(told(BOUNDED, none), []);
    assert_eq!(told(Space::default(), none), [Note::LimitNotEnforced(Unbounded::NoQuota)]);
    let foreign = Space { project: Project::Foreign(7), ..KEPT };
    assert_eq!(told(foreign, none), [Note::LimitNotEnforced(Unbounded::Foreign(7))]);
    let not_mounted = Space { keeps: Keeps::Counts, ..BOUNDED };
    assert_eq!(told(not_mounted, none), [Note::LimitNotEnforced(Unbounded::NotMounted)]);
    assert_eq!(told(KEPT, failed()), [Note::LimitDue(LIMIT.expect("a limit"))]);
    let words = Note::LimitNotEnforced(Unbounded::NoQuota).to_string();
    assert!(words.starts_with("storage limit not enforced: ") && words.contains("tune2fs"), "{words}");
}

/// Invariant 5: in the Config Vault lies what the node was told, which must always be written.
#[test]
fn the_config_vault_has_no_limit() {
    for space in [KEPT, COUNTED, Space::default()] {
        assert_eq!(
            notes(&of(CONFIG_VAULT, limited(LIMIT), open(space), Setbacks::default())),
            [],
            "{space:?}"
        );
    }
    let lifted = step(&of(CONFIG_VAULT, limited(LIMIT), open(BOUNDED), Setbacks::default()));
    assert_eq!(lifted, Some(Step::Bound(None)));
}
