//! What a status says, in the words that users see.

use super::*;

pub(super) fn reported(wish: &Wish, seen: &Seen, keys: &Keys, node: &Node) -> VaultReport {
    let view = View { id: USER, wish, seen, keys, node, setbacks: Setbacks::default() };
    report(&view, name(), &next(&view), Remembered::default(), Reasons::default())
}

/// IF-2: what a status says, in the words that users see.
#[test]
fn if2_a_status_says_plainly_what_is_not_done() {
    let wish = Wish::Keep(want(Custody::TpmAndController));
    let open = Seen { key: Key::Present, ..made(Custody::TpmAndController, 3) };
    let unmeasured = Node { measured: false, ..NODE };
    let status = reported(&wish, &open, &held(both(3)), &unmeasured);
    assert_eq!((status.state, status.created, status.epoch), (State::Unlocked, true, Some(Epoch(3))));
    assert_eq!(status.detail, ["not escrowed", "boot not measured", "AK not proved to its EK: not checked"]);
    let gone = reported(&Wish::Gone, &Seen::default(), &Keys::default(), &NODE);
    assert_eq!(gone.state, State::Removed);
    assert_eq!(gone.detail[0], Note::Erased.to_string());
    let half = Seen { second: MetaCopy::Good(Hint::Epoch(Epoch(2))), ..open };
    assert_eq!(reported(&wish, &half, &keys(), &NODE).epoch, Some(Epoch(2)), "the change has not ended");
    let begun = Seen { dir: Dir::Absent, shares: share(Mark::Begun), ..open };
    let status = reported(&wish, &begun, &keys(), &NODE);
    assert_eq!((status.state, status.created), (State::Creating, false));
}

/// IF-2, UC-D: what others go by is a field, and no sentence: that a bundle is behind, and that a vault is locked because that was asked.
#[test]
fn if2_what_is_gone_by_is_told_in_fields() {
    let keep = Wish::Keep(want(Custody::Tpm));
    let open = Seen { key: Key::Present, ..made(Custody::Tpm, 0) };
    for (escrow, behind) in [(Escrow::Nothing, true), (Escrow::Older, true), (Escrow::Newest, false)] {
        let node = Node { escrow, ..NODE };
        let told = reported(&keep, &open, &held(TPM), &node);
        assert_eq!((told.behind_in_escrow, told.is_behind_in_escrow()), (Some(behind), behind), "{escrow:?}");
        // A node that has no field for it has the words.
        let before = VaultReport { behind_in_escrow: None, ..told };
        assert_eq!(before.is_behind_in_escrow(), behind, "{escrow:?}");
    }
    let ordered = Want { operation: Operation::Lock, ..want(Custody::Tpm) };
    for (what, wish, is) in [
        ("asked", Wish::Keep(ordered), true),
        ("open", Wish::Keep(want(Custody::Tpm)), false),
        ("left as it is", Wish::Leave, false),
        ("of another list", Wish::Unlisted, false),
    ] {
        let told = reported(&wish, &made(Custody::Tpm, 0), &Keys::default(), &NODE);
        assert_eq!(told.ordered_locked, is, "{what}: {told:?}");
    }
}

/// IF-2: what a vault was opened by is told while it is open, or still in part, and not of one that is locked.
#[test]
fn if2_what_it_was_opened_by_is_told_while_it_is_open() {
    let wish = Wish::Keep(want(Custody::Tpm));
    for (key, told) in [(Key::Present, true), (Key::Incomplete, true), (Key::Absent, false)] {
        let seen = Seen { key, ..made(Custody::Tpm, 1) };
        let (keys, setbacks) = (keys(), Setbacks::default());
        let view = View { id: USER, wish: &wish, seen: &seen, keys: &keys, node: &NODE, setbacks };
        let opened = Some(Opened { by: By::LocalSeal });
        let past = Remembered { last: None, opened: opened.clone() };
        let report = report(&view, name(), &next(&view), past, Reasons::default());
        assert_eq!(report.opened, opened.filter(|_| told), "{key:?}");
    }
}

/// VC-2, VC-6: the new epoch is reported when the change has ended, old wraps scrubbed, and not before.
#[test]
fn vc2_an_unfinished_change_reports_no_new_epoch() {
    let wish = Wish::Keep(want(Custody::TpmAndController));
    let open = Seen { key: Key::Present, ..made(Custody::TpmAndController, 3) };
    let cut_short = Keys { held: Some(OpenedBy { first: None, second: None }), ..keys() };
    assert_eq!(reported(&wish, &open, &cut_short, &NODE).epoch, None, "old wraps may be there still");
    let half = Seen { second: MetaCopy::Good(Hint::NoEpoch), ..open };
    assert_eq!(reported(&wish, &half, &keys(), &NODE).epoch, None, "a copy opens without the controller");
    let narrower = Wish::Keep(want(Custody::Tpm));
    assert_eq!(reported(&narrower, &half, &keys(), &NODE).epoch, Some(Epoch(3)), "its key is needed still");
}

/// IF-2: an operation that can't be done has an outcome with its error, also when no step of it was tried.
#[test]
fn if2_what_can_not_be_done_is_an_outcome() {
    let failed = |wish: &Wish, seen: &Seen, keys: &Keys, node: &Node| {
        let last = reported(wish, seen, keys, node).last.expect("an outcome");
        (last.operation, last.error.expect("an error"))
    };
    let both = Wish::Keep(want(Custody::TpmAndController));
    let old = Keys { none_fits: true, ..keys() };
    let (operation, error) = failed(&both, &made(Custody::TpmAndController, 1), &old, &NODE);
    assert!(operation == "unlock" && error.contains("wrapped under epoch 1"), "{operation}: {error}");
    assert!(
        error.contains("What is in it is kept") && !error.contains("`eve vault recreate` makes"),
        "{error}"
    );
    let begun = Seen { dir: Dir::Absent, shares: share(Mark::Begun), ..made(Custody::TpmAndController, 1) };
    let (operation, error) = failed(&both, &begun, &old, &NODE);
    assert!(
        operation == "create" && error.contains("nothing is in it: `eve vault recreate`"),
        "{operation}: {error}"
    );
    let new = Wish::Keep(Want { created: false, ..want(Custody::Controller) });
    let away = Seen { dir: Dir::Absent, shares: BySeal::default(), ..made(Custody::Controller, 1) };
    let shareless = Keys { shares: BySeal::default(), ..old };
    let (operation, error) = failed(&new, &away, &shareless, &NODE);
    assert!(operation == "create" && error.contains("is not known here"), "{operation}: {error}");
    let (operation, error) = failed(&both, &Seen::default(), &keys(), &NO_TPM);
    assert!(operation == "create" && error.contains("needs a TPM"), "{operation}: {error}");
    let no_dir = Seen { dir: Dir::Absent, ..made(Custody::TpmAndController, 3) };
    let (operation, error) = failed(&both, &no_dir, &keys(), &NODE);
    assert!(operation == "unlock" && error.contains("missing: its directory"), "{operation}: {error}");
}

/// KO-1: a vault whose share waits for a measured boot says what differs in this one; no other line does.
#[test]
fn ko1_what_waits_for_a_measured_boot_says_what_is_known_of_this_one() {
    let wish = Wish::Keep(want(Custody::Tpm));
    let told = |seen: &Seen, keys: &Keys| {
        let view = View { id: USER, wish: &wish, seen, keys, node: &NODE, setbacks: Setbacks::default() };
        let reasons = Reasons { no_pcrs: Some(&"PCR 4 differs"), hold: None };
        report(&view, name(), &next(&view), Remembered::default(), reasons).detail
    };
    let closed = Keys { none_fits: true, current: None, last: None, shares: key(ShareKey::Closed), ..keys() };
    let lines = told(&made(Custody::Tpm, 0), &closed);
    let waits = format!("{}: PCR 4 differs", Wait::Pcrs);
    assert_eq!(lines.iter().filter(|line| line.contains("PCR 4 differs")).collect::<Vec<_>>(), [&waits]);
    let open = Seen { key: Key::Present, ..made(Custody::Tpm, 0) };
    assert!(told(&open, &held(TPM)).iter().all(|line| !line.contains("PCR 4 differs")));
}

/// Invariants 4 and 5: what is told as due is what is done. On a disk that went nothing is, but a lock, and vaults are told as they were; what writes a
/// table that is lent waits for the TPM, and the rest goes on.
#[test]
fn what_is_told_as_due_is_what_is_done() {
    let went = Node { disk_went: true, ..NODE };
    let lent = Node { table_lent: true, ..NODE };
    let (desired, default) = (Desired::default(), |seen, keys| Known { seen, keys, ..Known::default() });
    let open = Seen { key: Key::Present, ..made(Custody::Tpm, 0) };
    let gone = Seen { first: MetaCopy::Absent, second: MetaCopy::Absent, ..open };
    let ordered = |held| Desired { held: BTreeMap::from([(USER, held)]), ..Desired::default() };
    let locking = ordered(Operation::Lock);
    let begins = Step::MakeShare { seal: Seal::Tpm, mark: Mark::Begun };
    let (locked, nothing) = (made(Custody::Tpm, 0), Seen::default());
    let (disk, tpm) = (Wait::Disk.to_string(), Wait::Tpm.to_string());
    for (what, of, known, node, due, state, told) in [
        (
            "made",
            (&desired, CONFIG_VAULT),
            default(nothing, keys()),
            &NODE,
            Some(begins),
            State::Creating,
            None,
        ),
        (
            "no disk",
            (&desired, CONFIG_VAULT),
            default(nothing, keys()),
            &went,
            None,
            State::Creating,
            Some(&disk),
        ),
        (
            "no table",
            (&desired, CONFIG_VAULT),
            default(nothing, keys()),
            &lent,
            None,
            State::Waiting,
            Some(&tpm),
        ),
        (
            "opened",
            (&desired, CONFIG_VAULT),
            default(locked, keys()),
            &lent,
            Some(Step::Unwrap),
            State::Locked,
            None,
        ),
        (
            "not opened",
            (&desired, CONFIG_VAULT),
            default(locked, keys()),
            &went,
            None,
            State::Locked,
            Some(&disk),
        ),
        (
            "locked",
            (&locking, USER),
            default(open, held(TPM)),
            &went,
            Some(Step::Lock),
            State::Unlocked,
            None,
        ),
        (
            "by heart",
            (&locking, USER),
            default(gone, held(TPM)),
            &NODE,
            Some(Step::WriteByHeart),
            State::Unlocked,
            None,
        ),
        (
            "locked first",
            (&locking, USER),
            default(gone, held(TPM)),
            &went,
            Some(Step::Lock),
            State::Unlocked,
            None,
        ),
    ] {
        let (wish, next) = one(of.0, of.1, &known, node);
        let Known { seen, keys, setbacks, .. } = &known;
        let view = View { id: of.1, wish: &wish, seen, keys, node, setbacks: *setbacks };
        let report = report(&view, name(), &next, Remembered::default(), Reasons::default());
        assert_eq!((step(&next), report.state), (due, state), "{what}: {next:?}");
        let waits = report.detail.iter().find(|line| [&disk, &tpm].contains(line));
        assert_eq!(waits, told, "{what}");
    }
}
