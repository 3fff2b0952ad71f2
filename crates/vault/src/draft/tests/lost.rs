//! What a lost device is ordered, whatever of it is known here.

use super::*;

/// seen-by-users 1.2: a lost device's vaults are locked whatever they are, the Image Vault with them where it is in no list. Not the Config Vault.
#[test]
fn a_lost_devices_vaults_are_locked() {
    let (good, open, alone) =
        (appraisal(OURS, References::Passed), both(), VaultPolicy::of_default_vault(true));
    let two = || vec![listed(&open, 1), listed(&alone, 2)];
    let draft = drafted(&barred(facts(&good, two()), Bar::Lost));
    let said = |draft: &Draft| -> Vec<_> {
        draft.lines.iter().map(|line| (line.entry.id, line.entry.operation)).collect()
    };
    assert_eq!(
        said(&draft),
        [(vault(1), Operation::Lock), (vault(2), Operation::Lock), (IMAGE_VAULT, Operation::Lock)]
    );
    assert!(draft.lines.iter().all(|line| reason(line) == Some(Cause::DeviceLost)));
    let listed_image =
        ToList { subject: Subject { vault: IMAGE_VAULT, ..listed(&alone, 2).subject }, ..listed(&alone, 2) };
    let full = (1..=MAX_VAULTS as u128).map(|n| listed(&open, n)).collect();
    let lost = |vaults| barred(facts(&good, vaults), Bar::Lost);
    for (what, facts, lines) in [
        ("listed", lost(vec![listed_image]), 1),
        ("no room", lost(full), MAX_VAULTS),
        ("doubled", barred(facts(&good, two()), Bar::Doubled), 2),
        ("not barred", facts(&good, two()), 2),
    ] {
        assert_eq!(drafted(&facts).lines.len(), lines, "{what}");
    }
    let without_tpm = lost(two());
    let without_tpm = Facts { asking: Asking { tpm: TpmPin::Absent, ..without_tpm.asking }, ..without_tpm };
    assert_eq!(drafted(&without_tpm).lines.len(), 2, "without a TPM it is listed");
}

/// seen-by-users 1.2: a lost device whose node takes no list of this one is ordered to lock all that it has, what it is to erase among it; the Config
/// Vault, in which it keeps what it was told, is not; nor is a device that is not lost, or whose node holds to its own lists.
#[test]
fn what_no_list_reaches_is_ordered_to_lock() {
    let (good, open) = (appraisal(OURS, References::Passed), both());
    let told = strays([vault(1), vault(5), CONFIG_VAULT, IMAGE_VAULT, vault(6)]);
    let gone = [vault(6), vault(8)];
    let device = || Facts { gone: &gone, ..facts(&good, vec![listed(&open, 1)]) };
    let orders = |facts: &Facts<'_>| drafted(facts).orders;
    let lost = held_to(barred(device(), Bar::Lost), &told, OTHER);
    assert_eq!(orders(&lost), [vault(6), vault(8), vault(5), IMAGE_VAULT]);
    for (what, facts) in [
        ("not lost", held_to(device(), &told, OTHER)),
        ("doubled", held_to(barred(device(), Bar::Doubled), &told, OTHER)),
        ("its own lists", held_to(barred(device(), Bar::Lost), &told, DEVICE)),
        ("nothing told", barred(device(), Bar::Lost)),
    ] {
        assert!(orders(&facts).is_empty(), "{what}");
    }
    // Withheld too: what its own list would lock comes first, none of it twice, and no more than an answer takes.
    let bad = appraisal(OURS, References::Failed);
    let many = strays((100..100 + MAX_ORDERS as u128).map(vault));
    let lost = held_to(barred(facts(&bad, vec![listed(&open, 1)]), Bar::Lost), &told, OTHER);
    assert_eq!(orders(&lost), [vault(1), IMAGE_VAULT, vault(5), vault(6)]);
    assert_eq!(orders(&Facts { told: Told { strays: &many, ..lost.told }, ..lost }).len(), MAX_ORDERS);
}

/// seen-by-users 1.2: a vault of a lost device whose row does not read stands in no line, and is ordered to lock where no list goes out, once.
#[test]
fn what_does_not_read_of_a_lost_device_is_ordered_to_lock() {
    let (good, bad, open) =
        (appraisal(OURS, References::Passed), appraisal(OURS, References::Failed), both());
    let told = strays([vault(5), vault(7)]);
    let device = |shown| Facts { unread: vec![vault(7)], ..facts(shown, vec![listed(&open, 1)]) };
    let lost = |shown| barred(device(shown), Bar::Lost);
    assert_eq!(drafted(&lost(&bad)).orders, [vault(1), IMAGE_VAULT, vault(7)]);
    assert!(drafted(&lost(&good)).orders.is_empty(), "the list locks it");
    assert!(drafted(&device(&bad)).orders.is_empty(), "not lost");
    assert_eq!(drafted(&held_to(lost(&good), &told, OTHER)).orders, [vault(7), vault(5)]);
    let ours = held_to(lost(&bad), &told, DEVICE);
    assert_eq!(orders_of_lost(&ours), [vault(1), IMAGE_VAULT, vault(7), vault(5)]);
}

/// seen-by-users 1.2: of a lost device whose database is older than it all is ordered to be locked that is known of; of one that is not lost nothing.
#[test]
fn a_lost_device_locks_though_its_database_is_older() {
    let (good, open) = (appraisal(OURS, References::Passed), both());
    let told = strays([vault(5), CONFIG_VAULT, vault(6)]);
    let gone = [vault(6), vault(8)];
    let device = || Facts { gone: &gone, ..facts(&good, vec![listed(&open, 1)]) };
    let lost = held_to(barred(device(), Bar::Lost), &told, DEVICE);
    assert_eq!(orders_of_lost(&lost), [vault(1), IMAGE_VAULT, vault(6), vault(8), vault(5)]);
    assert!(orders_of_lost(&held_to(device(), &told, DEVICE)).is_empty());
    assert!(orders_of_lost(&held_to(barred(device(), Bar::Doubled), &told, DEVICE)).is_empty());
}
