//! The contract of every back-end: what callers rely on, shown by use. A new back-end runs `all` against an empty store of its own.

use uuid::Uuid;
use vault::ids::{DeviceId, Epoch, Name, VaultId};

use evc::store::sqlite::SqliteStore;
use evc::store::*;

const NOW: UnixSeconds = 1_800_000_000;

fn device(number: u8) -> DeviceRow {
    DeviceRow {
        id: DeviceId(Uuid::from_bytes([number; 16])),
        name: name(&format!("edge-{number}")),
        cert_digest: [number; 32],
        cert_der: vec![number; 3],
        serial: format!("S{number}"),
        tpm: Tpm::Unknown,
        learn: true,
        registered_at: NOW,
        last_seen: None,
        section_version: 0,
        section_digest: None,
        report: None,
        verdict: None,
        lost_at: None,
        alarm: None,
        past_sessions: Vec::new(),
        reported: None,
    }
}

fn name(text: &str) -> Name {
    text.parse().expect("a name")
}

fn vault(device: &DeviceRow, number: u8, called: &str) -> VaultRow {
    VaultRow {
        device: device.id,
        id: VaultId(Uuid::from_bytes([number; 16])),
        name: name(called),
        policy: None,
        standing: VaultStanding::Active,
        delete_at: None,
        left_version: None,
        created: false,
        recreate: false,
        current_epoch: Epoch(2),
        last_epoch: Epoch(1),
        reported_epoch: None,
        report: None,
        reported_at: None,
        added_at: NOW,
    }
}

/// Every promise, each on the same store.
async fn all(store: &dyn Engine) {
    unseen_until_committed(store).await;
    devices_are_found_and_unique(store).await;
    a_device_is_found_by_its_serial_and_takes_another_certificate(store).await;
    one_certificate_of_each_kind_is_pinned(store).await;
    onboarding_is_unique(store).await;
    a_nonce_is_taken_once_by_its_device_in_time(store).await;
    vault_names_are_unique_among_those_not_gone(store).await;
    forgetting_a_vault_forgets_its_keys(store).await;
    one_release_stands_for_each_key(store).await;
    references_and_standings_are_kept(store).await;
    one_token_stays_where_all_others_end(store).await;
    all_around_a_device_is_its_own(store).await;
    a_device_that_is_forgotten_leaves_the_row_of_its_removal_alone(store).await;
}

async fn a_device_that_is_forgotten_leaves_the_row_of_its_removal_alone(store: &dyn Engine) {
    let mut tx = store.write(Scope::Fleet).await.expect("tx");
    let (gone, stays) = (device(81), device(82));
    for row in [&gone, &stays] {
        tx.add_device(row).await.expect("added");
        tx.put_vault(&vault(row, 7, "a")).await.expect("put");
        tx.add_nonce(&[row.cert_digest[0]; 32], row.id, NOW + 60).await.expect("added");
        let mut allowed = OnboardRow {
            cert_digest: [80; 32],
            serial: row.serial.clone(),
            cert_der: vec![1],
            name: None,
            added_at: NOW,
            device: None,
        };
        tx.add_onboarding(&allowed).await.expect("added");
        allowed.cert_digest = [79; 32];
        tx.add_onboarding(&allowed).await.expect("added");
        tx.use_onboarding(&[80; 32], &row.serial, row.id).await.expect("used");
    }
    let any = OnboardRow {
        serial: "*".into(),
        ..tx.onboarding(&[80; 32], &stays.serial).await.expect("read").expect("there")
    };
    tx.add_onboarding(&any).await.expect("added");
    tx.use_onboarding(&[80; 32], "*", gone.id).await.expect("used");
    let removed =
        RemovedRow { cert_digest: gone.cert_digest, key: [9; 32], name: gone.name.clone(), removed_at: NOW };
    tx.drop_device(gone.id, &removed).await.expect("dropped");
    assert_eq!(tx.device(gone.id).await.expect("read"), None);
    assert_eq!(tx.around(gone.id).await.expect("read"), Around::default());
    assert!(!tx.take_nonce(&[81; 32], gone.id, 0..=NOW + 60).await.expect("read"));
    for digest in [[80; 32], [79; 32]] {
        assert_eq!(tx.onboarding(&digest, &gone.serial).await.expect("read"), None);
        assert!(tx.onboarding(&digest, &stays.serial).await.expect("read").is_some());
    }
    assert_eq!(tx.onboarding(&[80; 32], "*").await.expect("read").expect("all serials'").device, None);
    for (cert, key, found) in
        [([81; 32], [0; 32], true), ([0; 32], [9; 32], true), ([82; 32], [8; 32], false)]
    {
        assert_eq!(tx.removed_device(&cert, &key).await.expect("read").as_ref() == Some(&removed), found);
    }
    tx.forget_removal(&[9; 32]).await.expect("forgotten");
    assert_eq!(tx.removed_device(&[81; 32], &[9; 32]).await.expect("read"), None);
    assert_eq!(tx.vaults(stays.id).await.expect("read").len(), 1);
}

async fn unseen_until_committed(store: &dyn Engine) {
    let mut tx = store.write(Scope::Fleet).await.expect("tx");
    tx.put_meta("x", b"1").await.expect("put");
    assert_eq!(
        store.read().await.expect("tx").meta("x").await.expect("read"),
        None,
        "seen before the commit"
    );
    drop(tx);
    assert_eq!(store.read().await.expect("tx").meta("x").await.expect("read"), None, "seen though dropped");
    let mut tx = store.write(Scope::Fleet).await.expect("tx");
    tx.put_meta("x", b"2").await.expect("put");
    tx.commit().await.expect("commit");
    assert_eq!(store.read().await.expect("tx").meta("x").await.expect("read").as_deref(), Some(&b"2"[..]));
}

async fn devices_are_found_and_unique(store: &dyn Engine) {
    let (one, two) = (device(1), device(2));
    let mut tx = store.write(Scope::Fleet).await.expect("tx");
    tx.add_device(&one).await.expect("added");
    tx.add_device(&two).await.expect("added");
    let same_name = DeviceRow { name: one.name.clone(), ..device(3) };
    assert!(matches!(tx.add_device(&same_name).await, Err(StoreError::Taken)), "same name");
    let same_cert = DeviceRow { cert_digest: one.cert_digest, ..device(3) };
    assert!(matches!(tx.add_device(&same_cert).await, Err(StoreError::Taken)), "same certificate");
    let changed = DeviceRow {
        tpm: Tpm::Present,
        section_version: 7,
        section_digest: Some([9; 32]),
        lost_at: Some(NOW),
        alarm: Some("two".into()),
        past_sessions: vec![[3; 32], [4; 32]],
        reported: Some(([5; 32], 6)),
        ..one.clone()
    };
    tx.update_device(&changed).await.expect("updated");
    tx.commit().await.expect("commit");
    let mut tx = store.read().await.expect("tx");
    assert_eq!(tx.device(one.id).await.expect("read"), Some(changed.clone()));
    assert_eq!(tx.device_by_cert(&two.cert_digest).await.expect("read"), Some(two.clone()));
    assert_eq!(tx.device_by_name("edge-1").await.expect("read"), Some(changed));
    let page = Page { after: "edge-1".into(), limit: 1 };
    assert_eq!(tx.devices(&page).await.expect("read"), vec![two]);
}

async fn a_device_is_found_by_its_serial_and_takes_another_certificate(store: &dyn Engine) {
    let (one, two) = (device(1).id, device(2));
    let mut tx = store.write(Scope::Fleet).await.expect("tx");
    let serials = |rows: Vec<DeviceRow>| rows.into_iter().map(|row| row.id).collect::<Vec<_>>();
    assert_eq!(serials(tx.devices_of_serial("S1").await.expect("read")), [one]);
    assert_eq!(serials(tx.devices_of_serial("S3").await.expect("read")), []);
    let taken = tx.certify_device(one, &two.cert_digest, &two.cert_der).await;
    assert!(matches!(taken, Err(StoreError::Taken)), "another device's");
    tx.certify_device(one, &[11; 32], &[7]).await.expect("certified");
    let found = tx.device_by_cert(&[11; 32]).await.expect("read").expect("there");
    assert_eq!((found.id, found.cert_der), (one, vec![7]));
    assert_eq!(
        tx.device_by_cert(&device(1).cert_digest).await.expect("read"),
        None,
        "the one before is over"
    );
}

async fn one_certificate_of_each_kind_is_pinned(store: &dyn Engine) {
    let row = |kind, public| CertRow { device: device(1).id, kind, pem: vec![1], public, added_at: NOW };
    let mut tx = store.write(Scope::Fleet).await.expect("tx");
    for row in [row(12, None), row(11, None), row(11, Some(vec![2]))] {
        tx.put_cert(&row).await.expect("put");
    }
    assert_eq!(tx.certs(device(1).id).await.expect("read"), [row(11, Some(vec![2])), row(12, None)]);
    assert_eq!(tx.certs(device(2).id).await.expect("read"), []);
}

async fn onboarding_is_unique(store: &dyn Engine) {
    let row = OnboardRow {
        cert_digest: [5; 32],
        serial: "S".into(),
        cert_der: vec![1],
        name: Some(name("edge-9")),
        added_at: NOW,
        device: None,
    };
    let mut tx = store.write(Scope::Fleet).await.expect("tx");
    tx.add_onboarding(&row).await.expect("added");
    assert!(tx.name_is_kept(&name("edge-9")).await.expect("read"));
    assert!(!tx.name_is_kept(&name("edge-8")).await.expect("read"));
    assert!(matches!(tx.add_onboarding(&row).await, Err(StoreError::Taken)));
    tx.use_onboarding(&[5; 32], "S", device(1).id).await.expect("used");
    let used = tx.onboarding(&[5; 32], "S").await.expect("read").expect("there");
    assert_eq!(used.device, Some(device(1).id));
    assert!(!tx.name_is_kept(&name("edge-9")).await.expect("read"), "a device has it now");
    assert_eq!(tx.onboarding(&[5; 32], "T").await.expect("read"), None);
    tx.add_onboarding(&OnboardRow { serial: "T".into(), ..row }).await.expect("added");
    assert_eq!(tx.onboardings(None, 1).await.expect("read"), vec![used]);
    let rest = tx.onboardings(Some(([5; 32], "S")), 9).await.expect("read");
    assert_eq!(rest.iter().map(|row| row.serial.as_str()).collect::<Vec<_>>(), ["T"]);
    assert!(tx.drop_onboarding(&[5; 32], "T").await.expect("dropped"));
    assert!(!tx.drop_onboarding(&[5; 32], "T").await.expect("dropped"), "once");
    assert_eq!(tx.onboardings(None, 9).await.expect("read").len(), 1);
    tx.commit().await.expect("commit");
}

async fn a_nonce_is_taken_once_by_its_device_in_time(store: &dyn Engine) {
    let (one, two) = (device(1).id, device(2).id);
    let mut tx = store.write(Scope::Fleet).await.expect("tx");
    tx.add_nonce(&[1; 32], one, NOW + 60).await.expect("added");
    let good = |now: UnixSeconds| now + 1..=now + 60;
    assert_eq!(tx.open_nonce(one, NOW + 31..=NOW + 60).await.expect("read"), Some([1; 32]));
    assert_eq!(tx.open_nonce(one, NOW + 61..=NOW + 90).await.expect("read"), None, "not good for that long");
    assert_eq!(tx.open_nonce(one, good(NOW - 1)).await.expect("read"), None, "of a clock that was set back");
    assert_eq!(tx.open_nonce(two, good(NOW)).await.expect("read"), None, "another device's");
    assert!(!tx.take_nonce(&[1; 32], two, good(NOW)).await.expect("taken"), "another device's");
    assert!(!tx.take_nonce(&[1; 32], one, good(NOW + 60)).await.expect("taken"), "too late");
    assert!(
        !tx.take_nonce(&[1; 32], one, good(NOW - 1)).await.expect("taken"),
        "of a clock that was set back"
    );
    tx.keep_nonces(good(NOW)).await.expect("kept");
    assert!(tx.take_nonce(&[1; 32], one, good(NOW)).await.expect("taken"));
    assert!(!tx.take_nonce(&[1; 32], one, good(NOW)).await.expect("taken"), "twice");
    for (ends, now) in [(NOW + 60, NOW + 60), (NOW + 62, NOW + 1)] {
        tx.add_nonce(&[2; 32], one, ends).await.expect("added");
        tx.keep_nonces(good(now)).await.expect("kept");
        assert_eq!(
            tx.open_nonce(one, 0..=NOW + 99).await.expect("read"),
            None,
            "over, or of a clock set back"
        );
    }
    tx.commit().await.expect("commit");
}

async fn vault_names_are_unique_among_those_not_gone(store: &dyn Engine) {
    let one = device(1);
    let mut tx = store.write(Scope::Fleet).await.expect("tx");
    let first = vault(&one, 1, "payments");
    tx.put_vault(&first).await.expect("put");
    assert!(matches!(tx.put_vault(&vault(&one, 2, "payments")).await, Err(StoreError::Taken)));
    let removing = VaultRow { standing: VaultStanding::Removing, delete_at: Some(NOW + 5), ..first.clone() };
    tx.put_vault(&removing).await.expect("put");
    assert_eq!(tx.vaults_to_end(NOW + 4, 9).await.expect("read"), vec![]);
    assert_eq!(tx.vaults_to_end(NOW + 5, 9).await.expect("read"), vec![removing.clone()]);
    tx.put_vault(&VaultRow { standing: VaultStanding::Gone, left_version: Some(3), ..removing })
        .await
        .expect("put");
    tx.put_vault(&vault(&one, 2, "payments")).await.expect("the name is free again");
    let found = tx.vault_by_name(one.id, &name("payments")).await.expect("read").expect("there");
    assert_eq!(found.id, vault(&one, 2, "payments").id);
    assert_eq!(tx.vaults(one.id).await.expect("read").len(), 2);
    let policy = PolicyRow { name: name("p"), canonical: "{}".into(), changed_at: NOW };
    tx.put_policy(&policy).await.expect("put");
    tx.put_vault(&VaultRow { policy: Some(name("p")), ..vault(&one, 2, "payments") }).await.expect("put");
    for (policy, tpm, expected) in
        [("p", Tpm::Present, Some("payments")), ("p", Tpm::Absent, None), ("q", Tpm::Present, None)]
    {
        let found = tx.vault_with_policy_and_tpm(policy, tpm).await.expect("read");
        assert_eq!(found.as_ref().map(|row| row.name.as_str()), expected, "{policy} {tpm:?}");
    }
    assert_eq!(tx.all_vaults(Some((one.id, first.id)), 9).await.expect("read").len(), 1);
    tx.commit().await.expect("commit");
}

async fn forgetting_a_vault_forgets_its_keys(store: &dyn Engine) {
    let row = vault(&device(2), 4, "short-lived");
    let mut tx = store.write(Scope::Fleet).await.expect("tx");
    tx.put_vault(&row).await.expect("put");
    tx.add_period("2026-11", b"sealed").await.expect("added");
    let epoch = EpochRow {
        device: row.device,
        vault: row.id,
        epoch: Epoch(1),
        period: "2026-11".into(),
        sealed: vec![1],
        made_at: NOW,
    };
    tx.add_epoch(&epoch).await.expect("added");
    assert!(matches!(tx.add_epoch(&epoch).await, Err(StoreError::Taken)), "an epoch is made once");
    assert_eq!(tx.epoch(row.device, row.id, Epoch(1)).await.expect("read"), Some(epoch));
    tx.drop_vault(row.device, row.id).await.expect("dropped");
    assert_eq!(tx.epoch(row.device, row.id, Epoch(1)).await.expect("read"), None);
    assert_eq!(tx.vault(row.device, row.id).await.expect("read"), None);
    tx.commit().await.expect("commit");
}

async fn one_release_stands_for_each_key(store: &dyn Engine) {
    let row = ReleaseRow {
        device: device(1).id,
        vault: VaultId(Uuid::from_bytes([1; 16])),
        epoch: Epoch(1),
        custody: "tpm+controller".into(),
        session: [1; 32],
        enc: vec![1],
        ciphertext: vec![2],
    };
    let mut tx = store.write(Scope::Fleet).await.expect("tx");
    tx.put_release(&row).await.expect("put");
    assert_eq!(tx.release(&row).await.expect("read"), Some(row.clone()));
    let later = ReleaseRow { session: [2; 32], ..row.clone() };
    assert_eq!(tx.release(&later).await.expect("read"), None, "another session's");
    tx.put_release(&later).await.expect("put");
    assert_eq!(tx.release(&row).await.expect("read"), None, "the earlier session's is replaced");
    let next = ReleaseRow { epoch: Epoch(2), ..later.clone() };
    tx.put_release(&next).await.expect("put");
    tx.drop_releases_before(row.device, row.vault, Epoch(2)).await.expect("dropped");
    assert_eq!(tx.release(&later).await.expect("read"), None, "of an epoch that is over");
    assert_eq!(tx.release(&next).await.expect("read"), Some(next), "of one that is not");
    tx.commit().await.expect("commit");
}

async fn references_and_standings_are_kept(store: &dyn Engine) {
    let one = device(1).id;
    let mut tx = store.write(Scope::Fleet).await.expect("tx");
    let mut row = ReferenceRow {
        id: 0,
        device: one,
        pcrs: "{}".into(),
        state: ReferenceState::Pending,
        learned_at: NOW,
        decided_at: None,
    };
    row.id = tx.add_reference(&row).await.expect("added");
    tx.judge_reference(row.id, ReferenceState::Approved, NOW + 1).await.expect("judged");
    let judged = tx.reference(row.id).await.expect("read").expect("there");
    assert_eq!((judged.state, judged.decided_at), (ReferenceState::Approved, Some(NOW + 1)));
    assert_eq!(tx.references_of(one).await.expect("read"), tx.references(0, 9).await.expect("read"));
    let standing = StandingRow { device: one, session: [3; 32], at: NOW, renew: false, record: "{}".into() };
    tx.put_standing(&standing).await.expect("put");
    tx.renew_standing(one).await.expect("renewed");
    assert_eq!(tx.standing(one).await.expect("read"), Some(StandingRow { renew: true, ..standing }));
    let cert = CertRow { device: one, kind: 11, pem: vec![1], public: None, added_at: NOW };
    tx.put_cert(&cert).await.expect("added");
    tx.commit().await.expect("commit");
}

async fn one_token_stays_where_all_others_end(store: &dyn Engine) {
    let mut tx = store.write(Scope::Fleet).await.expect("tx");
    for hash in [[1; 32], [2; 32], [3; 32]] {
        tx.add_token(&hash, "operator", NOW).await.expect("added");
    }
    assert!(matches!(tx.add_token(&[2; 32], "operator", NOW).await, Err(StoreError::Taken)));
    assert_eq!(tx.drop_other_tokens(&[2; 32]).await.expect("dropped"), 2);
    assert_eq!(tx.token(&[1; 32]).await.expect("read"), None);
    assert_eq!(tx.token(&[2; 32]).await.expect("read").as_deref(), Some("operator"));
    tx.commit().await.expect("commit");
}

/// What is read in one round is what is read one by one, and nothing of another device's.
async fn all_around_a_device_is_its_own(store: &dyn Engine) {
    let mut tx = store.write(Scope::Fleet).await.expect("tx");
    for called in ["p", "q", "unused"] {
        let row = PolicyRow { name: name(called), canonical: called.into(), changed_at: NOW };
        tx.put_policy(&row).await.expect("put");
    }
    for (of, number, policy) in [(1, 21, "p"), (1, 22, "p"), (1, 20, "q"), (2, 20, "unused")] {
        let row = vault(&device(of), number, &format!("around-{number}"));
        tx.put_vault(&VaultRow { policy: Some(name(policy)), ..row }).await.expect("put");
    }
    for id in [device(1).id, device(2).id] {
        let around = tx.around(id).await.expect("read");
        let (vaults, standing) = (tx.vaults(id).await.expect("read"), tx.standing(id).await.expect("read"));
        assert_eq!((&around.vaults, &around.standing), (&vaults, &standing));
        assert_eq!(around.certs, tx.certs(id).await.expect("read"));
        assert_eq!(around.references, tx.references_of(id).await.expect("read"));
    }
    let mut named = tx.around(device(1).id).await.expect("read").policies;
    named.sort_by_key(|row| row.canonical.clone());
    assert_eq!(
        named,
        [tx.policy("p").await.expect("read"), tx.policy("q").await.expect("read")].map(Option::unwrap)
    );
    assert!(!tx.around(device(1).id).await.expect("read").certs.is_empty(), "each kind is there");
    assert_eq!(tx.around(device(9).id).await.expect("read"), Around::default());
}

#[tokio::test]
async fn sqlite_keeps_the_contract() {
    let dir = tempfile::tempdir().expect("a folder");
    all(&SqliteStore::open(&dir.path().join("evc.db")).await.expect("opened")).await;
}

/// Every file of the database is for its owner only, the log beside it too.
#[tokio::test]
async fn sqlite_files_are_private() {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = tempfile::tempdir().expect("a folder");
    let store = SqliteStore::open(&dir.path().join("evc.db")).await.expect("opened");
    let mut tx = store.write(Scope::Fleet).await.expect("tx");
    tx.put_meta("x", b"1").await.expect("put");
    tx.commit().await.expect("commit");
    let files: Vec<_> =
        std::fs::read_dir(dir.path()).expect("listed").map(|entry| entry.expect("entry")).collect();
    assert!(files.len() >= 2, "the log is there too");
    for file in files {
        let mode = file.metadata().expect("there").permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{}", file.path().display());
    }
}
