//! What opens a vault beside our own protector: told, brought over to the second copy, and a reason for nothing else.

use vault::condition::Others;

use super::*;

const ONE: Others = Others { passphrases: 1, logins: 0, key_files: 0, named_ours: 0, unknown: 0 };

/// KO-1, KO-3: a protector of somebody else's opens the vault by less than its custody. Open or locked the status says so, with what to
/// do; without one it says nothing of it.
#[test]
fn ko1_another_protector_is_told() {
    let two = Others { key_files: 1, ..ONE };
    for (others, words) in [
        (ONE, "another protector opens this vault too (1 with a passphrase)"),
        (two, "2 other protectors: each opens this vault too (1 with a passphrase, 1 with a key file)"),
    ] {
        for key in [Key::Present, Key::Absent] {
            let detail = detail(Seen { key, others, ..made(Custody::Tpm, 0) });
            let told =
                detail.iter().find(|line| line.starts_with(words)).unwrap_or_else(|| panic!("{detail:?}"));
            assert!(told.contains("fscrypt metadata remove-protector-from-policy"), "{told}");
        }
    }
    assert!(!detail(made(Custody::Tpm, 0)).iter().any(|line| line.contains("too (")));
}

fn detail(seen: Seen) -> Vec<String> {
    let (wish, keys) = (Wish::Keep(want(Custody::Tpm)), held(TPM));
    let view =
        View { id: USER, wish: &wish, seen: &seen, keys: &keys, node: &NODE, setbacks: Setbacks::default() };
    report(&view, name(), &next(&view), Remembered::default(), Reasons::default()).detail
}

/// Each copy opens the vault: one that was taken away from the first and is in the second still does.
#[test]
fn what_either_copy_has_counts() {
    let both = ONE.or(Others { passphrases: 0, key_files: 2, ..ONE });
    assert_eq!((both.passphrases, both.key_files, both.count()), (1, 2, 3));
    assert_eq!(Others::default().count(), 0);
}

/// Invariant 5: the second copy follows the first once a key has opened what is ours there, and not before: until then neither is known
/// to be the good one.
#[test]
fn the_second_copy_follows_what_a_key_has_proved() {
    let seen = Seen { lags: true, others: ONE, key: Key::Present, ..made(Custody::Tpm, 0) };
    let follow = Step::RepairCopy { from: MetaPlace::First };
    let locked = Want { operation: Operation::Lock, ..want(Custody::Tpm) };
    let second = OpenedBy { first: None, second: Some(TPM) };
    for (what, want, keys, seen, expected) in [
        ("open", want(Custody::Tpm), held(TPM), seen, Some(follow)),
        ("the same", want(Custody::Tpm), held(TPM), Seen { lags: false, ..seen }, None),
        ("not tried", want(Custody::Tpm), keys(), seen, Some(Step::Unwrap)),
        ("none fits", want(Custody::Tpm), Keys { none_fits: true, ..keys() }, seen, None),
        (
            "only the second opened",
            want(Custody::Tpm),
            Keys { held: Some(second), ..keys() },
            seen,
            Some(Step::RepairCopy { from: MetaPlace::Second }),
        ),
        ("locked", locked, keys(), Seen { key: Key::Absent, ..seen }, None),
    ] {
        assert_eq!(step(&keep(want, seen, keys)), expected, "{what}");
    }
}

/// Invariant 4: nothing is decided by what others added: with and without it the same step comes next.
#[test]
fn others_decide_nothing() {
    for key in [Key::Present, Key::Absent, Key::Incomplete] {
        for wish in [Wish::Keep(want(Custody::TpmAndController)), Wish::Delete, Wish::Orphan, Wish::Leave] {
            for keys in [keys(), held(both(2)), held(both(3)), Keys { none_fits: true, ..keys() }] {
                let seen = Seen { key, ..made(Custody::TpmAndController, 3) };
                let more = Seen { others: ONE, ..seen };
                assert_eq!(
                    ask(USER, &wish, &seen, &keys, &NODE),
                    ask(USER, &wish, &more, &keys, &NODE),
                    "{wish:?}"
                );
            }
        }
    }
}
