//! A vault with a lease: what the plan does with it as time goes by.

use super::*;

const UNTIL: SinceBoot = SinceBoot(Duration::from_secs(100));

fn leased(custody: Custody) -> Want {
    let policy = NodePolicy { lease: Lease::of_seconds(60), ..want(custody).policy };
    Want { policy, ..want(custody) }
}

fn at(seconds: u64) -> Node {
    Node { since_boot: SinceBoot(Duration::from_secs(seconds)), ..NODE }
}

fn asked(id: VaultId, want: Want, seen: Seen, keys: Keys, node: Node) -> Next {
    let wish = Wish::Keep(want);
    next(&View { id, wish: &wish, seen: &seen, keys: &keys, node: &node, setbacks: Setbacks::default() })
}

/// The key goes at the end of the lease, to the second, whatever keys are at hand; then it rests locked, and says why.
#[test]
fn an_open_vault_is_locked_when_its_lease_ended() {
    let custody = Custody::TpmAndController;
    let open = Seen { key: Key::Present, ..made(custody, 3) };
    let keys = Keys { leased_until: Some(UNTIL), ..held(both(3)) };
    let of = |node, seen| asked(USER, leased(custody), seen, keys, node);
    assert!(matches!(of(at(99), open), Next::Settled(settled) if settled.state == State::Unlocked));
    assert!(matches!(of(at(100), open), Next::Do(act) if act.step == Step::Lock));
    let locked = Seen { key: Key::Absent, ..open };
    let Next::Settled(rest) = of(at(100), locked) else { panic!("it rests") };
    assert_eq!((rest.state, rest.notes), (State::Locked, vec![Note::LeaseEnded]));
    let none = Keys { leased_until: None, ..keys };
    let Next::Settled(rest) = asked(USER, leased(custody), locked, none, at(1)) else { panic!("it rests") };
    assert_eq!((rest.state, rest.notes), (State::Locked, vec![Note::NoLease]));
}

/// No list is in force, for the record can't be read and no controller answers: the end of a lease needs neither. What root opened
/// by its recovery key stays open, and so does what has no lease.
#[test]
fn a_lease_ends_though_no_list_is_in_force() {
    let open = Seen { key: Key::Present, ..made(Custody::TpmAndController, 3) };
    let keys = Keys { leased_until: Some(UNTIL), ..Keys::default() };
    let of = |seen: Seen, keys: Keys, seconds| {
        let known = Known { seen, keys, ..Known::default() };
        let (wish, next) = one(&Desired::default(), USER, &known, &at(seconds));
        assert_eq!(wish, Wish::Leave);
        next
    };
    let stays = |next| matches!(next, Next::Settled(rest) if rest.state == State::Unlocked);
    assert!(stays(of(open, keys, 99)));
    assert!(matches!(of(open, keys, 100), Next::Do(act) if act.step == Step::Lock));
    let Next::Settled(rest) = of(Seen { key: Key::Absent, ..open }, keys, 100) else { panic!("it rests") };
    assert_eq!((rest.state, rest.notes), (State::Locked, vec![Note::LeaseEnded]));
    assert!(stays(of(open, Keys { recovered: true, ..keys }, 100)));
    assert!(stays(of(open, Keys { leased_until: None, ..keys }, 100)));
}

/// TH-4: whether it is leased is not known, for what says so is gone and no list is in force: it stays open for as long as is asked, and no
/// longer. A list in force says it, so there the same moment closes nothing, and opens nothing that waits for a lease.
#[test]
fn a_vault_whose_lease_is_not_known_is_locked_in_time() {
    let open = Seen { key: Key::Present, ..made(Custody::Tpm, 3) };
    let keys = Keys { unknown_until: Some(UNTIL), ..held(Wrapping::Tpm(Seal::Tpm)) };
    let of = |id, seen: Seen, keys: Keys, seconds| {
        let known = Known { seen, keys, ..Known::default() };
        one(&Desired::default(), id, &known, &at(seconds)).1
    };
    let stays = |next: Next| matches!(next, Next::Settled(rest) if rest.state == State::Unlocked);
    assert!(stays(of(USER, open, keys, 99)));
    assert!(matches!(of(USER, open, keys, 100), Next::Do(act) if act.step == Step::Lock));
    let Next::Settled(rest) = of(USER, Seen { key: Key::Absent, ..open }, keys, 100) else {
        panic!("it rests")
    };
    assert_eq!((rest.state, rest.notes), (State::Locked, vec![Note::LeaseNotKnown]));
    assert!(stays(of(USER, open, Keys { recovered: true, ..keys }, 100)));
    assert!(stays(of(USER, open, Keys { leased_until: Some(at(200).since_boot), ..keys }, 100)));
    assert!(stays(of(IMAGE_VAULT, open, keys, 100)));
    assert!(stays(asked(USER, want(Custody::Tpm), open, keys, at(100))), "it is listed, and has none");
    let closed = asked(USER, leased(Custody::Tpm), Seen { key: Key::Absent, ..open }, keys, at(99));
    assert!(matches!(closed, Next::Settled(rest) if rest.notes == [Note::NoLease]));
}

/// By custody `tpm` all that opens it is on the node, and it stays closed for all that.
#[test]
fn a_boot_needs_contact_though_the_tpm_has_the_key() {
    let closed = made(Custody::Tpm, 3);
    let keys = Keys { leased_until: None, ..held(Wrapping::Tpm(Seal::Tpm)) };
    let Next::Settled(rest) = asked(USER, leased(Custody::Tpm), closed, keys, at(5)) else {
        panic!("it opens without a lease")
    };
    assert_eq!((rest.state, rest.notes), (State::Locked, vec![Note::NoLease]));
    let given = Keys { leased_until: Some(UNTIL), ..keys };
    let opens = asked(USER, leased(Custody::Tpm), closed, given, at(5));
    assert!(matches!(opens, Next::Do(act) if act.step == Step::AddKey), "{opens:?}");
}

/// Design, section 6: default vaults have no lease, whatever a section says; in one lies what tells the node whom it belongs to.
#[test]
fn a_default_vault_has_no_lease() {
    let open = Seen { key: Key::Present, ..made(Custody::Tpm, 3) };
    let keys = held(Wrapping::Tpm(Seal::Tpm));
    for id in [CONFIG_VAULT, IMAGE_VAULT] {
        let rests = asked(id, leased(Custody::Tpm), open, keys, at(10_000));
        assert!(matches!(&rests, Next::Settled(rest) if rest.state == State::Unlocked), "{rests:?}");
    }
}

/// A vault that is not made yet is not made without a lease: it would be locked at once.
#[test]
fn it_is_not_made_without_a_lease() {
    let made_of = |keys| {
        let want = Want { created: false, ..leased(Custody::Controller) };
        asked(USER, want, Seen::default(), keys, at(5))
    };
    assert!(matches!(made_of(keys()), Next::Settled(rest) if rest.notes == [Note::NoLease]));
    assert!(matches!(made_of(Keys { leased_until: Some(UNTIL), ..keys() }), Next::Do(_)));
}
