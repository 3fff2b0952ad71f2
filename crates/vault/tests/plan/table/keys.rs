//! Which keys open a vault, and what it is wrapped under next.

use super::*;

/// VC-6, VC-2: opens by what fits, then takes the newest; and what is said when it can't.
#[test]
fn vc6_an_open_vault_takes_the_newest_epoch() {
    let (last, current) = (both(2), both(3));
    let lame = Keys { held: Some(OpenedBy { first: None, second: Some(current) }), ..keys() };
    let half = Keys { held: Some(OpenedBy { first: Some(current), second: Some(last) }), ..keys() };
    for (what, seen, keys, expected) in [
        ("locked", made(Custody::TpmAndController, 2), keys(), Step::Unwrap),
        ("opened by the last", made(Custody::TpmAndController, 2), held(last), Step::Rewrap(current)),
        ("half changed", made(Custody::TpmAndController, 2), half, Step::Rewrap(current)),
        ("changed", made(Custody::TpmAndController, 3), held(current), Step::AddKey),
        (
            "one copy does not open",
            made(Custody::TpmAndController, 3),
            lame,
            Step::RepairCopy { from: MetaPlace::Second },
        ),
    ] {
        assert_eq!(step(&keep(want(Custody::TpmAndController), seen, keys)), Some(expected), "{what}");
    }
    let old = Keys { none_fits: true, ..keys() };
    let two_behind = keep(want(Custody::TpmAndController), made(Custody::TpmAndController, 1), old);
    let newer = keep(want(Custody::Controller), made(Custody::Controller, 9), old);
    assert_eq!(
        newer,
        Next::Wait(Wait::NewerEpoch { under: Epoch(9), newest: Epoch(3) }),
        "attack F4: of an older copy"
    );
    assert_eq!(two_behind, Next::Wait(Wait::OtherEpoch { under: Some(Epoch(1)), finished: Finished::Yes }));
}

/// Nothing authenticates a name: one that was changed is written anew, also where it does not read any more. A later life would go by it.
#[test]
fn a_name_that_was_changed_is_written_anew() {
    let open = Seen { key: Key::Present, ..made(Custody::Controller, 3) };
    let current = Wrapping::Controller(Epoch(3));
    for hint in [Hint::Unknown, Hint::NoEpoch, Hint::Epoch(Epoch(2))] {
        let copy = MetaCopy::Good(hint);
        for seen in [Seen { first: copy, ..open }, Seen { second: copy, ..open }] {
            let next = keep(want(Custody::Controller), seen, held(current));
            assert_eq!(step(&next), Some(Step::Rewrap(current)), "{hint:?}");
        }
    }
    assert_eq!(step(&keep(want(Custody::Controller), open, held(current))), None, "as it is to be");
}

/// Attack F4: a vault is not taken back to a key of an earlier epoch on the word of a controller that may be an older copy. It opens as it is, and says so; where
/// it is known that no older one speaks it is taken there.
#[test]
fn f4_a_lower_epoch_is_not_taken_on_an_older_copys_word() {
    let open = Seen { key: Key::Present, ..made(Custody::Controller, 5) };
    let (above, given) = (Wrapping::Controller(Epoch(5)), Wrapping::Controller(Epoch(3)));
    let lower = Wait::LowerEpoch { given: Epoch(3), under: Epoch(5) };
    for floor in [None, Some(Epoch(5)), Some(Epoch(6))] {
        let next = keep(Want { floor, ..want(Custody::Controller) }, open, held(above));
        let Next::Settled(settled) = &next else { panic!("{floor:?}: {next:?}") };
        assert_eq!(settled.state, State::Unlocked, "{floor:?}");
        assert_eq!(settled.notes, [Note::ChangeDue(lower.clone())], "{floor:?}");
        let shut = Seen { key: Key::Absent, ..open };
        let next = keep(Want { floor, ..want(Custody::Controller) }, shut, held(above));
        assert_eq!(step(&next), Some(Step::AddKey), "{floor:?}: it opens as it is");
    }
    let known = Want { floor: Some(Epoch(4)), ..want(Custody::Controller) };
    assert_eq!(step(&keep(known, open, held(above))), Some(Step::Rewrap(given)));
}

/// KO-1: with the share's root unreadable nothing is wrapped or tried under it, and the status says why.
#[test]
fn ko1_a_share_out_of_reach_is_waited_for() {
    let closed = Keys { shares: key(ShareKey::Closed), ..keys() };
    assert_eq!(closed.candidates(), [Wrapping::Controller(Epoch(3)), Wrapping::Controller(Epoch(2))]);
    let begun = Seen { shares: share(Mark::Begun), ..Seen::default() };
    assert_eq!(keep(want(Custody::TpmAndController), begun, closed), Next::Wait(Wait::Pcrs));
    let shut = Keys { none_fits: true, current: None, last: None, ..closed };
    assert_eq!(keep(want(Custody::Tpm), made(Custody::Tpm, 0), shut), Next::Wait(Wait::Pcrs));
}

/// A withheld vault is left as it is: open stays open, locked stays locked, nothing is re-keyed.
#[test]
fn withheld_changes_nothing() {
    let withheld = Want { released: Released::Withheld(Cause::Pcrs), ..want(Custody::TpmAndController) };
    let without = Keys { current: None, last: None, ..keys() };
    let refused = Keys { none_fits: true, ..without };
    let locked = keep(withheld.clone(), made(Custody::TpmAndController, 3), refused);
    assert_eq!(locked, Next::Wait(Wait::Withheld(NoKey::Told(Cause::Pcrs))));
    let open = Seen { key: Key::Present, ..made(Custody::TpmAndController, 3) };
    let protector = Keys { held: held(both(3)).held, ..without };
    let Next::Settled(settled) = keep(withheld, open, protector) else { panic!("not settled") };
    assert_eq!(settled.state, State::Unlocked);
    assert_eq!(settled.notes, [Note::Waits(Wait::Withheld(NoKey::Told(Cause::Pcrs)))]);
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

/// DF-4: custody and seal change step by step, and only by a live section.
#[test]
fn df4_a_custody_changes_by_a_live_section_alone() {
    let open = |custody, epoch| Seen { key: Key::Present, ..made(custody, epoch) };
    let pcrs =
        Want { policy: NodePolicy { seal: Seal::Pcrs, ..want(Custody::Tpm).policy }, ..want(Custody::Tpm) };
    let (tpm, controller) = (TPM, Wrapping::Controller(Epoch(3)));
    let sealed = Wrapping::Tpm(Seal::Pcrs);
    let made_both = BySeal { tpm: Some(Mark::Made), pcrs: Some(Mark::Made) };
    let with_both = Seen { shares: made_both, ..open(Custody::Tpm, 0) };
    let with_share = Seen { shares: share(Mark::Made), ..open(Custody::Controller, 3) };
    let fresh = Step::MakeShare { seal: Seal::Tpm, mark: Mark::Made };
    for (what, want, seen, held_under, expected) in [
        ("narrowed", want(Custody::TpmAndController), open(Custody::Tpm, 0), tpm, Step::Rewrap(both(3))),
        (
            "to the controller",
            want(Custody::Controller),
            open(Custody::Tpm, 0),
            tpm,
            Step::Rewrap(controller),
        ),
        (
            "its share is of no use",
            want(Custody::Controller),
            with_share,
            controller,
            Step::DropShare(Seal::Tpm),
        ),
        ("from the controller", want(Custody::Tpm), open(Custody::Controller, 3), controller, fresh),
        (
            "other seal",
            pcrs.clone(),
            open(Custody::Tpm, 0),
            tpm,
            Step::MakeShare { seal: Seal::Pcrs, mark: Mark::Made },
        ),
        ("its share is there", pcrs.clone(), with_both, tpm, Step::Rewrap(sealed)),
        ("the old one serves nothing", pcrs, with_both, sealed, Step::DropShare(Seal::Tpm)),
    ] {
        assert_eq!(
            step(&keep(want.clone(), seen, with_shares(seen, held(held_under)))),
            Some(expected),
            "{what}"
        );
        for authority in [Authority::Checkpoint, Authority::Builtin] {
            let next = keep(Want { authority, ..want.clone() }, seen, with_shares(seen, held(held_under)));
            assert_eq!(step(&next), None, "{what} by {authority:?}");
        }
    }
}

/// Invariant 5, KO-1: custody and seal change together in one re-wrap. Until that can be done the vault opens as before, and by
/// nothing less: not by the TPM in any state, not without the controller.
#[test]
fn a_change_of_custody_and_seal_has_no_weaker_state_between() {
    let policy = |custody, seal| NodePolicy {
        encryption: AES,
        custody,
        seal,
        lease: None,
        recovery: vault::recovery::Recipients::NONE,
        storage_limit: None,
    };
    let (at_tpm, at_pcrs) = (share(Mark::Made), BySeal { tpm: None, pcrs: Some(Mark::Made) });
    let moved = Node {
        tpm: TpmSeen::Present { table: TableSeen::Open, pcrs: false },
        measured: true,
        past: Past::NOTHING,
        escrow: Escrow::Nothing,
        since_boot: SinceBoot::default(),
        disk_went: false,
        table_lent: false,
    };
    let both_shares = BySeal { tpm: Some(Mark::Made), pcrs: Some(Mark::Made) };
    let sealed = Wrapping::Tpm(Seal::Pcrs);
    let to_pcrs = Want { policy: policy(Custody::Tpm, Seal::Pcrs), ..want(Custody::Tpm) };
    let to_both =
        Want { policy: policy(Custody::TpmAndController, Seal::Tpm), ..want(Custody::TpmAndController) };
    let make = |seal| Step::MakeShare { seal, mark: Mark::Made };
    let withheld = |keys| Keys { current: None, last: None, ..keys };
    for (what, node, want, shares, keys, expected) in [
        ("P can't be read", moved, &to_pcrs, at_tpm, held(both(3)), None),
        ("P can be read", NODE, &to_pcrs, at_tpm, held(both(3)), Some(make(Seal::Pcrs))),
        ("with its share", NODE, &to_pcrs, both_shares, held(both(3)), Some(Step::Rewrap(sealed))),
        ("its key is withheld", NODE, &to_both, at_pcrs, withheld(held(sealed)), None),
        ("its key is there", NODE, &to_both, at_pcrs, held(sealed), Some(make(Seal::Tpm))),
        ("both are there", NODE, &to_both, both_shares, held(sealed), Some(Step::Rewrap(both(3)))),
        ("changed", NODE, &to_both, both_shares, held(both(3)), Some(Step::DropShare(Seal::Pcrs))),
    ] {
        let seen = Seen { key: Key::Present, shares, ..made(Custody::TpmAndController, 3) };
        let next = ask(USER, &Wish::Keep(want.clone()), &seen, &with_shares(seen, keys), &node);
        assert_eq!(step(&next), expected, "{what}");
    }
}

/// VC-6, KO-1: a vault that is kept locked takes the stricter seal too.
#[test]
fn a_locked_vault_takes_another_seal() {
    let policy = NodePolicy { seal: Seal::Pcrs, ..want(Custody::TpmAndController).policy };
    let locked = Want { operation: Operation::Lock, policy, ..want(Custody::TpmAndController) };
    let seen = made(Custody::TpmAndController, 3);
    let moved = Node {
        tpm: TpmSeen::Present { table: TableSeen::Open, pcrs: false },
        measured: true,
        past: Past::NOTHING,
        escrow: Escrow::Nothing,
        since_boot: SinceBoot::default(),
        disk_went: false,
        table_lent: false,
    };
    let ask = |keys, node| step(&ask(USER, &Wish::Keep(locked.clone()), &seen, &keys, node));
    assert_eq!(ask(keys(), &NODE), Some(Step::Unwrap));
    assert_eq!(ask(held(both(3)), &NODE), Some(Step::MakeShare { seal: Seal::Pcrs, mark: Mark::Made }));
    assert_eq!(ask(keys(), &moved), None, "not opened for nothing");
}

/// Invariant 5: the share stays as long as one copy is wrapped under it.
#[test]
fn a_share_stays_while_a_copy_needs_it() {
    let (tpm, controller) = (Some(TPM), Some(Wrapping::Controller(Epoch(3))));
    let seen = Seen { key: Key::Present, shares: share(Mark::Made), ..made(Custody::Controller, 3) };
    for (first, second, expected) in [
        (controller, tpm, Step::Rewrap(Wrapping::Controller(Epoch(3)))),
        (tpm, controller, Step::Rewrap(Wrapping::Controller(Epoch(3)))),
        (controller, controller, Step::DropShare(Seal::Tpm)),
    ] {
        let keys = Keys { held: Some(OpenedBy { first, second }), ..keys() };
        assert_eq!(
            step(&keep(want(Custody::Controller), seen, keys)),
            Some(expected),
            "{first:?} {second:?}"
        );
    }
}

/// A step that failed is waited for, and what does not depend on it goes on.
#[test]
fn a_setback_stops_only_what_depends_on_it() {
    let mut setbacks = Setbacks::default();
    setbacks.insert(StepKind::Rewrap);
    let wish = Wish::Keep(want(Custody::TpmAndController));
    let (seen, keys) = (made(Custody::TpmAndController, 2), held(both(2)));
    let next = next(&View { id: USER, wish: &wish, seen: &seen, keys: &keys, node: &NODE, setbacks });
    assert_eq!(step(&next), Some(Step::AddKey));
}

fn with_shares(seen: Seen, keys: Keys) -> Keys {
    let open = |mark: Option<Mark>| mark.map_or(ShareKey::Nothing, |_| ShareKey::Open);
    Keys { shares: BySeal::each(|seal| open(seen.shares.of(seal))), ..keys }
}

/// UC-D: the controller that speaks asks for no key of its own, and the vault is under one: that is another controller's, whatever its number, and only who
/// gives up what is in it has it made anew. So it is also where the list can't be judged to the end, for the record lies in that very vault. What is said by an
/// earlier list, or by no list, proves nothing.
#[test]
fn a_controllers_key_that_the_list_knows_nothing_of_is_anothers() {
    let seen = Seen { shares: share(Mark::Made), ..made(Custody::TpmAndController, 2) };
    let tried = Keys { shares: key(ShareKey::Open), none_fits: true, ..Keys::default() };
    let wants = Want { released: Released::NotNeeded, created: true, ..want(Custody::Tpm) };
    for id in [CONFIG_VAULT, USER] {
        let next = |want: &Want, keys: &Keys| ask(id, &Wish::Keep(want.clone()), &seen, keys, &NODE);
        let other = Next::Wait(Wait::OtherKey { under: Epoch(2) });
        assert_eq!(next(&wants, &tried), other);
        assert_eq!(next(&Want { recreate: true, ..wants.clone() }, &tried), other, "it stands");
        let given_up = Want { recreate: true, shut_given_up: true, ..wants.clone() };
        let act = Act { op: Op::Recreate, step: Step::ForgetMetadata };
        assert_eq!(next(&given_up, &tried), Next::Do(act));
        let untried = Keys { none_fits: false, ..tried };
        assert!(matches!(next(&given_up, &untried), Next::Do(act) if act.step == Step::Unwrap), "{id}");
        for authority in [Authority::Checkpoint, Authority::Builtin] {
            let unjudged = Want { authority, ..wants.clone() };
            assert_eq!(next(&unjudged, &tried), other, "{authority:?}");
            let kept = Want { authority, heard: false, ..given_up.clone() };
            assert_ne!(next(&kept, &tried), Next::Do(act), "{authority:?}");
            assert_ne!(next(&kept, &tried), other, "{authority:?}");
        }
    }
}
