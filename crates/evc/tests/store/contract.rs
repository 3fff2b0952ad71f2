//! The contract of every engine: what callers rely on, shown by use. A new engine runs [`all`] against an empty store of its own.
//! What an engine fails to do is said again until it is done: so one that fails now and then keeps it too.

use std::time::Duration;

use ::attest::{
    BadDeviceSignature, ClockFell, Difference, Discontinuity, Finding, NotAppraised, QuoteError, SessionKey,
    Unchecked, Unmeasured, Verdict,
};
use evc::fleet::evidence::{BadEvidence, BadQuote, BadSignature};
use evc::store::*;
use uuid::Uuid;
use vault::decide::TpmPin;
use vault::escrow::BundleId;
use vault::escrow::drill::Drills;
use vault::escrow::history::Contents;
use vault::ids::{DeviceId, Epoch, Generation, Incarnation, Name, Project, SectionDigest, VaultId};
use vault::labels::Labels;
use vault::ledger::{Asker, Ledger, Mark, Older, Sent, Told};
use vault::policy::VaultRule;
use vault::policy::{Removal, VaultPolicy};
use vault::report::{Outcome, State, VaultReport};
use vault::section::Operation;
use wire::info::{AttestationState, TpmPresence};

const NOW: UnixSeconds = 1_800_000_000;

pub(crate) fn device(number: u8) -> DeviceRow {
    DeviceRow {
        id: DeviceId(Uuid::from_bytes([number; 16])),
        project: Project::default(),
        name: name(&format!("edge-{number}")),
        labels: Labels::default(),
        cert_digest: [number; 32],
        cert_der: vec![number; 3],
        key: Some([number; 32]),
        let_in_by: None,
        serial: format!("S{number}"),
        tpm: TpmPin::Unknown,
        learn: true,
        registered_at: NOW,
        last_seen: None,
        proved_at: None,
        answered: 0,
        section_version: 0,
        section_digest: None,
        ledger: Ledger::default(),
        older: None,
        report: NodeWord::nothing(),
        verdict: NodeWord::nothing(),
        lost_at: None,
        alarm: None,
        reported: None,
        uploaded: None,
        held: None,
        drills: NodeWord::nothing(),
        no_room_at: None,
    }
}

fn name(text: &str) -> Name {
    text.parse().expect("a name")
}

fn of_vault(number: u64) -> VaultReport {
    VaultReport {
        id: VaultId(Uuid::from_bytes([1; 16])),
        name: name("payments"),
        state: State::LockIncomplete,
        created: true,
        epoch: Some(Epoch(number)),
        wanted: Operation::Lock,
        last: Some(Outcome { operation: "lock".into(), error: Some("it is \"open\"".into()) }),
        opened: None,
        storage: None,
        change_due: false,
        holds_escrow_up: false,
        under_anothers_key: false,
        behind_in_escrow: None,
        ordered_locked: false,
        detail: vec!["ä".into()],
    }
}

fn report() -> DeviceReport {
    DeviceReport {
        of_gone: [vault::ids::CONFIG_VAULT].into(),
        received: Moment(NOW),
        tpm: TpmPresence::NotFound,
        tpm_info: "ready".into(),
        attestation: AttestationState::RestartWait,
        attestation_error: Some("none".into()),
        accepted_for: Some(DeviceId(uuid::Uuid::from_u128(5))),
        accepted: Some(Accepted { incarnation: [9; 16], version: 7 }),
        notes: vec!["not escrowed".into()],
        vaults: vec![of_vault(1)],
        vaults_received: Some(Moment(NOW - 1)),
        disk_away: true,
        generation: Some(vault::ids::Generation(4)),
        measured: Some(false),
        repeated: Some(Repeated { at: Moment(NOW), but: [VaultId(uuid::Uuid::from_u128(3))].into() }),
    }
}

/// The first quote fell behind the one before.
fn alarm() -> Alarm {
    let fell = Discontinuity::Resets { was: 9, is: 7 };
    Alarm::Gave { at: NOW, cause: AlarmCause::WentBack(fell.into()) }
}

fn fared() -> Fared {
    Fared {
        at: NOW,
        from: Some([192, 0, 2, 1].into()),
        session: Some("aabb".into()),
        pcrs: Some("0, 1".into()),
        outcome: Appraised::Refused,
        found: Some(OfEvidence::NoTpm),
        words: vec!["a".into()],
        strange: None,
        went_back: false,
        unmet: false,
    }
}

/// What may be found of evidence, with values of both banks.
fn findings() -> [OfEvidence; 3] {
    let differences = vec![
        Difference { pcr: 4, was: None, is: Some([7; 48].into()) },
        Difference { pcr: 7, was: Some([0xa5; 32].into()), is: None },
    ];
    let unmeasured = Unchecked::NotMeasured(Unmeasured::Untouched(vec![0, 4]));
    let differ = OfEvidence::Checked {
        references: Verdict::Failed(Finding::Pcrs { pcrs: "4, 7".into(), differences }),
        firmware: Verdict::NotChecked(unmeasured),
        clock: Verdict::Failed(ClockFell { was: 9, is: 7 }.into()),
    };
    let unread = NotAppraised::Quote(QuoteError::TrailingBytes { count: 3 });
    let bad = OfEvidence::Bad(BadEvidence::Quote(BadQuote::Appraised(unread)));
    let unsigned = BadSignature::Unverified(BadDeviceSignature);
    [differ, bad, OfEvidence::Bad(BadEvidence::Signature(unsigned))]
}

/// What a device showed can't be made outside of where it is taken in: it is read.
fn record() -> Record {
    let (session, pcrs) = ([3_u8; 32], serde_json::json!({ "0": "a5".repeat(32) }));
    serde_json::from_value(serde_json::json!({
        "session": session, "nonce": session, "claims": "00ff", "attest_data": "", "signature": "01",
        "device_signature": null, "pcrs": pcrs, "before": "02",
    }))
    .expect("a record")
}

fn policy(project: Project, called: &str, grace_s: u64) -> PolicyRow {
    let policy = VaultPolicy::of_default_vault(true);
    let policy = VaultPolicy {
        name: name(called),
        on_removal: Removal::DeleteAfter(Duration::from_secs(grace_s)),
        ..policy
    };
    PolicyRow { project, policy, changed_at: NOW }
}

fn here() -> Project {
    Project::default()
}

fn elsewhere() -> Project {
    "elsewhere".parse().expect("a name")
}

fn vault(device: &DeviceRow, number: u8, called: &str) -> VaultRow {
    VaultRow {
        project: device.project.clone(),
        device: device.id,
        id: VaultId(Uuid::from_bytes([number; 16])),
        name: name(called),
        policy: Some("shop".parse().expect("a name")),
        standing: VaultStanding::Active,
        delete_at: None,
        left_version: None,
        created: false,
        recreate: false,
        current_epoch: Epoch(2),
        last_epoch: Epoch(1),
        reported_epoch: None,
        report: NodeWord::nothing(),
        reported_at: None,
        added_at: NOW,
        others_epoch: Some(Epoch(1)),
    }
}

/// More tries than any engine of these tests needs: one that fails each time is told with what it said, and not tried for ever.
const TRIES: usize = 20_000;

/// Says it again until it is done, or refused.
async fn write<'e, T>(
    store: &Store,
    body: impl for<'t> Fn(&'t mut (dyn Tx + 'e)) -> Running<'t, T, StoreError>,
) -> Stored<T> {
    let mut last = None;
    for _ in 0..TRIES {
        match store.write(Scope::Fleet, &body).await {
            Err(
                error @ (StoreError::Disk(_)
                | StoreError::Failed(_)
                | StoreError::Busy(_)
                | StoreError::Again),
            ) => last = Some(error),
            ended => return ended,
        }
    }
    panic!("it fails each time: {last:?}");
}

/// Reads until it is told.
async fn read<'e, T>(
    store: &Store,
    body: impl for<'t> Fn(&'t mut (dyn Tx + 'e)) -> Running<'t, T, StoreError>,
) -> T {
    let mut last = None;
    for _ in 0..TRIES {
        match store.read(&body).await {
            Ok(told) => return told,
            Err(error) => last = Some(error),
        }
    }
    panic!("it fails each time: {last:?}");
}

macro_rules! holds {
    ($store:ident: $($body:ident,)*) => {
        $(write($store, |tx| Box::pin($body(tx))).await.expect(stringify!($body));)*
    };
}

macro_rules! taken {
    ($store:ident: $($body:ident,)*) => {
        $(let told = write($store, |tx| Box::pin($body(tx))).await;
        assert!(matches!(told, Err(StoreError::Taken)), "{}: {told:?}", stringify!($body));)*
    };
}

/// Every promise, each on the same store. What is refused ends its transaction.
pub(crate) async fn all(store: &Store) {
    unseen_until_committed(store).await;
    holds!(store: two_devices, a_policy,);
    taken!(store: a_name_twice, a_certificate_twice,);
    holds!(store: devices_are_found, a_device_changes_where_it_is_told, a_key_finds_its_device,);
    taken!(store: anothers_certificate, anothers_key,);
    holds!(store: sessions_that_are_over_are_remembered,);
    holds!(store: a_device_takes_another_certificate, one_certificate_of_each_kind_is_pinned, onboarding,);
    taken!(store: onboarding_twice,);
    holds!(store: onboarding_is_listed_and_withdrawn, a_vault,);
    taken!(store: a_vaults_name_twice,);
    no_vault_is_under_a_policy_that_is_not_there(store).await;
    holds!(store: a_vault_leaves_and_frees_its_name, graces_are_over_one_after_the_other, ko7_a_retained_vault_has_no_end,);
    holds!(store: vaults_that_were_are_remembered_by_name_and_identity,);
    holds!(store: sections_that_were_sent_before_are_remembered, a_new_life_begins_with_nothing_of_the_one_before,);
    holds!(store: a_policy_is_found_by_its_vaults, labels_name_devices, rules_are_kept_by_name,);
    holds!(store: an_operators_word_stays_whatever_a_node_reports, a_nodes_word_stays_whatever_an_operator_says,);
    holds!(store: an_epoch,);
    taken!(store: an_epoch_twice, a_period_twice,);
    holds!(store: epochs_of_before_projects_are_found_and_bound_once,);
    bound_twice_is_an_error(store).await;
    holds!(store: forgetting_a_vault_forgets_its_keys, one_release_stands_for_each_key,);
    holds!(store: references_and_standings_are_kept, tokens,);
    holds!(store: bundles_are_kept_and_the_newest_stands_in_the_devices_row,);
    taken!(store: a_token_twice,);
    holds!(store: one_token_stays_where_all_others_end, all_around_a_device,);
    holds!(store: a_device_that_is_forgotten_leaves_the_row_of_its_removal_alone, what_is_marked_on_a_device_stays,);
    holds!(store: what_is_kept_of_a_deleted_device_goes_part_by_part, no_grace_of_a_deleted_device_outlives_a_life,);
    holds!(store: a_device_has_another_identity_with_all_that_is_kept_of_it,);
    taken!(store: anothers_identity,);
    all_around_a_device_is_its_own(store).await;
    holds!(store: names_of_one_project_are_free_in_another,);
    taken!(store: a_name_twice_in_another_project, a_certificate_and_serial_of_another_project,);
    holds!(store: what_is_of_one_project_is_not_found_in_another,);
    no_row_is_of_another_project_than_its_device(store).await;
    let absent = write(store, |tx| tx.saw_device(device(9).id, NOW)).await;
    assert!(matches!(absent, Err(StoreError::Damaged(_))), "a change of nothing is an error: {absent:?}");
}

async fn unseen_until_committed(store: &Store) {
    let put = write(store, |tx| {
        Box::pin(async move {
            tx.put_meta("x", b"1").await?;
            assert_eq!(read(store, |tx| tx.meta("x")).await, None, "seen before the commit");
            Err::<(), _>(StoreError::InUse)
        })
    });
    assert!(matches!(put.await, Err(StoreError::InUse)), "the body's own");
    assert_eq!(read(store, |tx| tx.meta("x")).await, None, "seen though it ended badly");
    let mut tries = 0..TRIES;
    while store.rehearse(Scope::Fleet, |tx| tx.put_meta("x", b"1")).await.is_err() {
        assert!(tries.next().is_some(), "it fails each time");
    }
    assert_eq!(read(store, |tx| tx.meta("x")).await, None, "seen though it was but tried");
    write(store, |tx| tx.put_meta("x", b"2")).await.expect("put");
    assert_eq!(read(store, |tx| tx.meta("x")).await.as_deref(), Some(&b"2"[..]));
}

async fn two_devices(tx: &mut dyn Tx) -> Stored<()> {
    tx.add_device(&device(1)).await?;
    tx.add_device(&device(2)).await
}

/// The one that vaults of these tests are under.
async fn a_policy(tx: &mut dyn Tx) -> Stored<()> {
    tx.put_policy(&policy(here(), "shop", 0)).await
}

/// No vault is under a policy that is not there, neither from its first row on nor by a change.
async fn no_vault_is_under_a_policy_that_is_not_there(store: &Store) {
    let absent = name("absent");
    let row = VaultRow { policy: Some(absent.clone()), ..vault(&device(1), 60, "under-none") };
    let made = store.write(Scope::Fleet, |tx| tx.add_vault(&row)).await;
    assert!(made.is_err(), "made under it");
    let there = vault(&device(1), 1, "payments").id;
    let changed = store.write(Scope::Fleet, |tx| tx.want_vault(device(1).id, there, Some(&absent))).await;
    assert!(changed.is_err(), "put under it");
}

async fn a_name_twice(tx: &mut dyn Tx) -> Stored<()> {
    tx.add_device(&DeviceRow { name: device(1).name, ..device(3) }).await
}

async fn a_certificate_twice(tx: &mut dyn Tx) -> Stored<()> {
    tx.add_device(&DeviceRow { cert_digest: device(1).cert_digest, ..device(3) }).await
}

async fn devices_are_found(tx: &mut dyn Tx) -> Stored<()> {
    let (one, two) = (device(1), device(2));
    assert_eq!(tx.device(one.id).await?, Some(one.clone()));
    assert_eq!(tx.device_by_cert(&two.cert_digest).await?, Some(two.clone()));
    assert_eq!(tx.device_by_name(&here(), "edge-1").await?, Some(one));
    assert_eq!(all_whole(tx.devices(&here(), &Page { after: "edge-1".into(), limit: 1 }).await?)?, vec![two]);
    Ok(())
}

/// Each method writes what it means, and nothing beside it.
async fn a_device_changes_where_it_is_told(tx: &mut dyn Tx) -> Stored<()> {
    let mut row = device(1);
    tx.pin_tpm(row.id, TpmPin::Present).await?;
    row.tpm = TpmPin::Present;
    assert_eq!(tx.device(row.id).await?.as_ref(), Some(&row));
    tx.set_learning(row.id, false).await?;
    row.learn = false;
    assert_eq!(tx.device(row.id).await?.as_ref(), Some(&row));
    tx.put_report(row.id, &report(), NOW + 1).await?;
    (row.report, row.last_seen) = (report().into(), Some(NOW + 1));
    assert_eq!(tx.device(row.id).await?.as_ref(), Some(&row));
    let good = Fared { outcome: Appraised::Quoted, ..fared() };
    tx.answered(row.id, &good, NOW + 2).await?;
    (row.verdict, row.last_seen, row.answered) = (good.into(), Some(NOW + 2), 1);
    row.proved_at = Some(NOW + 2);
    assert_eq!(tx.device(row.id).await?.as_ref(), Some(&row));
    for found in findings() {
        let fared = Fared { found: Some(found), words: Vec::new(), ..fared() };
        tx.answered(row.id, &fared, NOW + 3).await?;
        assert_eq!(tx.device(row.id).await?.and_then(|row| row.verdict.take()), Some(fared));
    }
    tx.answered(row.id, &fared(), NOW + 3).await?;
    (row.verdict, row.last_seen, row.answered) = (fared().into(), Some(NOW + 3), 5);
    assert_eq!(tx.device(row.id).await?.as_ref(), Some(&row), "what is worth nothing proves nothing");
    tx.put_section(row.id, 7, &[9; 32]).await?;
    (row.section_version, row.section_digest) = (7, Some([9; 32]));
    assert_eq!(tx.device(row.id).await?.as_ref(), Some(&row));
    tx.saw_device(row.id, NOW + 3).await?;
    row.last_seen = Some(NOW + 3);
    tx.heard_device(row.id, NOW + 2).await?;
    assert_eq!(tx.device(row.id).await?.as_ref(), Some(&row), "it was heard later");
    tx.heard_device(row.id, NOW + 1_000_000).await?;
    tx.heard_device(row.id, NOW + 4).await?;
    assert_eq!(
        tx.device(row.id).await?.and_then(|row| row.last_seen),
        Some(NOW + 4),
        "by a clock that is right again"
    );
    tx.heard_device(row.id, NOW + 2).await?;
    tx.heard_device(device(9).id, NOW + 4).await?;
    row.last_seen = Some(NOW + 4);
    assert_eq!(tx.device(row.id).await?.as_ref(), Some(&row));
    tx.end_section(row.id).await?;
    row.section_digest = None;
    assert_eq!(tx.device(row.id).await?.as_ref(), Some(&row));
    let sent = Sent { digest: SectionDigest([1; 32]), follows: None, number: 1 };
    row.ledger = Ledger {
        head: Some(SectionDigest([2; 32])),
        sent: vec![sent],
        before_chain: None,
        furthest: Some(Told { version: 7, digest: SectionDigest([2; 32]) }),
        ordered: Some(9),
    };
    row.older = Some(Older::Behind { reported: 9, own: 7 }.into());
    tx.put_ledger(row.id, &row.ledger).await?;
    tx.set_older(row.id, row.older).await?;
    assert_eq!(tx.device(row.id).await?.as_ref(), Some(&row));
    let asker = Asker { session: SessionKey([3; 32]), stands: Some(SessionKey([4; 32])) };
    row.older = Some(Mark::shown(None, Older::Forked, asker, &row.ledger));
    tx.set_older(row.id, row.older).await?;
    assert_eq!(tx.device(row.id).await?.as_ref(), Some(&row), "with what was known then");
    assert_eq!(tx.all_older().await?, [Older::Forked]);
    tx.number_anew().await?;
    (row.ledger, row.older, row.section_version) = (Ledger::default(), None, 0);
    assert_eq!(tx.device(row.id).await?, Some(row));
    assert_eq!(tx.device(device(2).id).await?, Some(device(2)), "another one's is as it was");
    Ok(())
}

async fn a_new_life_begins_with_nothing_of_the_one_before(tx: &mut dyn Tx) -> Stored<()> {
    let (of, row) = (device(1).id, vault(&device(1), 40, "ordered"));
    tx.add_vault(&row).await?;
    tx.set_recreate(of, row.id, true).await?;
    tx.report_vault(of, row.id, &said(1, false, true)).await?;
    tx.begin_grace(of, row.id, NOW + 5).await?;
    assert!(!tx.vault(of, row.id).await?.expect("there").recreate, "its order to be made anew is taken back");
    tx.set_recreate(of, row.id, true).await?;
    tx.keep_ending(NOW).await?;
    let kept = tx.vault(of, row.id).await?.expect("there");
    assert!(
        !kept.recreate && kept.standing == VaultStanding::Retained,
        "nothing that was ordered before destroys: {kept:?}"
    );
    tx.add_sent_before(of, &[SectionDigest([41; 32])]).await?;
    let life = Older::LaterLife(Incarnation([42; 16]));
    assert_eq!(tx.all_older().await?, []);
    for (device, mark) in [(of, life), (device(2).id, life)] {
        tx.set_older(device, Some(mark.into())).await?;
    }
    assert_eq!(tx.all_older().await?, [life], "each once");
    tx.set_older(device(2).id, None).await?;
    tx.hold_back(true).await?;
    let mark = |row: Option<DeviceRow>| row.and_then(|row| row.older).map(Mark::older);
    assert_eq!(mark(tx.device(of).await?), Some(life), "what it showed stays");
    let both = tx.device(of).await?.and_then(|row| row.older);
    assert!(both.is_some_and(Mark::is_put_back), "{both:?}");
    assert_eq!(mark(tx.device(device(2).id).await?), Some(Older::PutBack));
    tx.hold_back(false).await?;
    assert_eq!(tx.device(of).await?.and_then(|row| row.older), Some(life.into()), "and alone again");
    assert_eq!(tx.all_older().await?, [life]);
    tx.number_anew().await?;
    let retained = VaultRow { standing: VaultStanding::Retained, ..row.clone() };
    assert_eq!(tx.vault(of, row.id).await?, Some(retained), "not ordered anew, and nothing said");
    assert!(!tx.was_sent_before(of, &SectionDigest([41; 32])).await?);
    assert_eq!(tx.all_older().await?, []);
    tx.drop_vault(of, row.id).await
}

async fn a_key_finds_its_device(tx: &mut dyn Tx) -> Stored<()> {
    assert_eq!(tx.device_by_key(&[1; 32]).await?.map(|row| row.id), Some(device(1).id));
    assert_eq!(tx.device_by_key(&[3; 32]).await?, None);
    assert_eq!(tx.let_in_by(&[7; 32]).await?, 0);
    for number in [71, 72] {
        tx.add_device(&DeviceRow { key: None, let_in_by: Some([7; 32]), ..device(number) }).await?;
    }
    assert_eq!(tx.let_in_by(&[7; 32]).await?, 2);
    let before_keys = |rows: Vec<DeviceRow>| rows.into_iter().map(|row| row.id).collect::<Vec<_>>();
    let both = [device(71).id, device(72).id];
    assert_eq!(before_keys(all_whole(tx.devices_before_keys(None, 9).await?)?), both);
    assert_eq!(before_keys(all_whole(tx.devices_before_keys(Some(both[0]), 9).await?)?), both[1..]);
    assert_eq!(before_keys(all_whole(tx.devices_before_keys(None, 1).await?)?), both[..1]);
    tx.put_device_key(both[0], &[71; 32]).await?;
    assert_eq!(before_keys(all_whole(tx.devices_before_keys(None, 9).await?)?), both[1..]);
    assert_eq!(tx.device_by_key(&[71; 32]).await?.map(|row| row.id), Some(both[0]));
    let removed = |row: DeviceRow| RemovedRow {
        cert_digest: row.cert_digest,
        key: [0; 32],
        name: row.name,
        serial: None,
        removed_at: NOW,
        lost_at: None,
        alarm: None,
    };
    for number in [71, 72] {
        tx.heard_device(device(number).id, NOW).await?;
        tx.drop_device(device(number).id, &removed(device(number))).await?;
    }
    tx.forget_removal(&[0; 32]).await
}

async fn anothers_key(tx: &mut dyn Tx) -> Stored<()> {
    tx.add_device(&DeviceRow { key: Some([1; 32]), ..device(73) }).await
}

async fn sessions_that_are_over_are_remembered(tx: &mut dyn Tx) -> Stored<()> {
    let past = |of: u8, number: u8, ended_at| PastSession {
        device: device(of).id,
        session: [number; 32],
        ended_at,
        settled: false,
        booted: false,
    };
    let (one, other) = (device(1).id, device(2).id);
    for row in [past(1, 1, NOW), past(1, 2, NOW + 1), past(2, 1, NOW), past(1, 3, NOW + 2)] {
        tx.end_session(&row, 3).await?;
    }
    assert_eq!(tx.past_session(one, &[1; 32]).await?, Some(past(1, 1, NOW)));
    assert_eq!((tx.sessions_since(one, NOW).await?, tx.sessions_since(other, NOW - 1).await?), (2, 1));
    let booted = PastSession { booted: true, ..past(2, 5, NOW + 1) };
    tx.end_session(&booted, 3).await?;
    assert_eq!(tx.past_session(other, &[5; 32]).await?, Some(booted));
    assert_eq!(tx.sessions_since(other, NOW - 1).await?, 1, "a boot is not counted");
    tx.end_session(&past(1, 4, NOW + 3), 3).await?;
    assert_eq!(tx.past_session(one, &[1; 32]).await?, None, "the oldest goes");
    assert!(tx.past_session(other, &[1; 32]).await?.is_some(), "and none of another device's");
    tx.resume_session(one, &[2; 32]).await?;
    assert_eq!(tx.past_session(one, &[2; 32]).await?, None);
    tx.settle_sessions(one).await?;
    assert_eq!(
        tx.past_session(one, &[3; 32]).await?,
        Some(PastSession { settled: true, ..past(1, 3, NOW + 2) })
    );
    assert_eq!((tx.sessions_since(one, 0).await?, tx.sessions_since(other, 0).await?), (0, 1));
    Ok(())
}

async fn anothers_certificate(tx: &mut dyn Tx) -> Stored<()> {
    tx.certify_device(device(1).id, &device(2).cert_digest, &device(2).cert_der, 2).await
}

async fn a_device_takes_another_certificate(tx: &mut dyn Tx) -> Stored<()> {
    tx.certify_device(device(1).id, &[11; 32], &[7], 2).await?;
    let found = tx.device_by_cert(&[11; 32]).await?.expect("there");
    assert_eq!((found.id, found.cert_der), (device(1).id, vec![7]));
    let by_the_one_before = tx.device_by_cert(&device(1).cert_digest).await?.expect("of the same key");
    assert_eq!((by_the_one_before.id, by_the_one_before.cert_digest), (device(1).id, [11; 32]));
    tx.certify_device(device(1).id, &device(1).cert_digest, &[7], 2).await?;
    assert!(tx.device_by_cert(&[11; 32]).await?.is_some(), "and back again");
    tx.certify_device(device(1).id, &[12; 32], &[7], 1).await?;
    assert_eq!(tx.device_by_cert(&[11; 32]).await?, None, "the oldest is forgotten");
    assert!(
        tx.device_by_cert(&device(1).cert_digest).await?.is_some()
            && tx.device_by_cert(&[12; 32]).await?.is_some()
    );
    tx.certify_device(device(1).id, &[11; 32], &[7], 2).await
}

async fn one_certificate_of_each_kind_is_pinned(tx: &mut dyn Tx) -> Stored<()> {
    let row = |kind, public| CertRow { device: device(1).id, kind, pem: vec![1], public, added_at: NOW };
    for row in [row(12, None), row(11, None), row(11, Some(vec![2]))] {
        tx.put_cert(&row).await?;
    }
    assert_eq!(tx.certs(device(1).id).await?, [row(11, Some(vec![2])), row(12, None)]);
    assert_eq!(tx.certs(device(2).id).await?, []);
    Ok(())
}

fn allowance() -> OnboardRow {
    OnboardRow {
        project: here(),
        cert_digest: [5; 32],
        serial: "S".into(),
        cert_der: vec![1],
        name: Some(name("edge-9")),
        labels: "site=berlin".parse().expect("labels"),
        added_at: NOW,
        device: None,
        give_back: false,
    }
}

async fn onboarding(tx: &mut dyn Tx) -> Stored<()> {
    tx.add_onboarding(&allowance()).await?;
    assert!(tx.name_is_kept(&here(), &name("edge-9")).await?);
    assert!(!tx.name_is_kept(&here(), &name("edge-8")).await?);
    Ok(())
}

async fn onboarding_twice(tx: &mut dyn Tx) -> Stored<()> {
    tx.add_onboarding(&allowance()).await
}

async fn onboarding_is_listed_and_withdrawn(tx: &mut dyn Tx) -> Stored<()> {
    tx.use_onboarding(&[5; 32], "S", device(1).id).await?;
    let used = tx.onboarding(&[5; 32], "S").await?.expect("there");
    assert_eq!(used.device, Some(device(1).id));
    assert!(!tx.name_is_kept(&here(), &name("edge-9")).await?, "a device has it now");
    assert_eq!(tx.onboarding(&[5; 32], "T").await?, None);
    tx.add_onboarding(&OnboardRow { serial: "T".into(), ..allowance() }).await?;
    assert_eq!(all_whole(tx.onboardings(&here(), None, 1).await?)?, vec![used]);
    let rest = all_whole(tx.onboardings(&here(), Some(([5; 32], "S")), 9).await?)?;
    assert_eq!(rest.iter().map(|row| row.serial.as_str()).collect::<Vec<_>>(), ["T"]);
    assert!(tx.drop_onboarding(&[5; 32], "T").await?);
    assert!(!tx.drop_onboarding(&[5; 32], "T").await?, "once");
    assert_eq!(all_whole(tx.onboardings(&here(), None, 9).await?)?.len(), 1);
    Ok(())
}

async fn a_vault(tx: &mut dyn Tx) -> Stored<()> {
    tx.add_vault(&vault(&device(1), 1, "payments")).await
}

async fn a_vaults_name_twice(tx: &mut dyn Tx) -> Stored<()> {
    tx.add_vault(&vault(&device(1), 2, "payments")).await
}

async fn a_vault_leaves_and_frees_its_name(tx: &mut dyn Tx) -> Stored<()> {
    let first = vault(&device(1), 1, "payments");
    tx.begin_grace(first.device, first.id, NOW + 5).await?;
    let removing = VaultRow { standing: VaultStanding::Removing, delete_at: Some(NOW + 5), ..first.clone() };
    assert_eq!(tx.vault(first.device, first.id).await?, Some(removing.clone()));
    tx.end_grace(first.device, first.id, 3).await?;
    // It is under none any more.
    let gone = VaultRow { standing: VaultStanding::Gone, left_version: Some(3), policy: None, ..removing };
    assert_eq!(tx.vault(first.device, first.id).await?, Some(gone));
    let second = vault(&device(1), 2, "payments");
    tx.add_vault(&second).await?;
    assert_eq!(tx.graces_over(NOW + 5, None, 9).await?, [], "it is over once");
    assert_eq!(tx.vault_by_name(first.device, &first.name).await?, Some(second), "the name is free again");
    assert_eq!(tx.vaults(first.device).await?.len(), 2);
    assert_eq!(all_whole(tx.all_vaults(&here(), Some((first.device, first.id)), 9).await?)?.len(), 1);
    Ok(())
}

/// CC-1: of a name that is waited for it is known whether a vault was called so.
async fn vaults_that_were_are_remembered_by_name_and_identity(tx: &mut dyn Tx) -> Stored<()> {
    let (of, other) = (device(112), device(113));
    tx.add_device(&of).await?;
    tx.add_device(&other).await?;
    let one = vault(&of, 201, "was-here");
    let by_id: Name = one.id.to_string().parse().expect("a name");
    tx.add_vault(&one).await?;
    assert!(!tx.was_vault(of.id, &one.name).await?, "it is there");
    tx.drop_vault(of.id, one.id).await?;
    assert!(tx.was_vault(of.id, &one.name).await? && tx.was_vault(of.id, &by_id).await?);
    assert!(!tx.was_vault(of.id, &name("was-her")).await?, "another name");
    assert!(!tx.was_vault(other.id, &one.name).await?, "another device's");
    Ok(())
}

/// The same, of more than are remembered. Many steps: not for engines that fail now and then.
pub(crate) async fn no_more_vaults_that_were_than_there_is_room_for(store: &Store) {
    holds!(store: more_vaults_that_were,);
}

async fn more_vaults_that_were(tx: &mut dyn Tx) -> Stored<()> {
    let of = device(112);
    for number in 0..=PAST_VAULTS {
        let id = VaultId(uuid::Uuid::from_u128(5000 + u128::from(number)));
        let next = VaultRow { id, name: name(&format!("past-{number}")), ..vault(&of, 202, "x") };
        tx.add_vault(&next).await?;
        tx.drop_vault(of.id, id).await?;
    }
    assert!(!tx.was_vault(of.id, &name("past-0")).await?, "there is no room for more");
    assert!(tx.was_vault(of.id, &name("past-1")).await?);
    Ok(())
}

/// KO-7: no time ends it; it is wanted again, or given a time.
async fn ko7_a_retained_vault_has_no_end(tx: &mut dyn Tx) -> Stored<()> {
    let row = vault(&device(1), 50, "retained");
    let (of, id) = (row.device, row.id);
    tx.add_vault(&row).await?;
    tx.begin_grace(of, id, NOW + 5).await?;
    tx.retain_vault(of, id).await?;
    let retained = VaultRow { standing: VaultStanding::Retained, delete_at: None, ..row.clone() };
    assert_eq!(tx.vault(of, id).await?, Some(retained.clone()));
    assert_eq!(tx.vault_by_name(of, &row.name).await?, Some(retained), "it keeps its name");
    assert_eq!(tx.graces_over(u64::MAX >> 1, None, 9).await?, []);
    tx.want_vault(of, id, row.policy.as_ref()).await?;
    assert_eq!(tx.vault(of, id).await?, Some(row.clone()));
    let renamed = VaultRow { name: name("renamed"), ..row.clone() };
    tx.rename_vault(of, id, &renamed.name).await?;
    assert_eq!(tx.vault_by_name(of, &row.name).await?, None, "its name is free");
    assert_eq!(tx.vault_by_name(of, &renamed.name).await?, Some(renamed));
    tx.drop_vault(of, id).await
}

/// By their end, part after part; a delay moves those that run.
async fn graces_are_over_one_after_the_other(tx: &mut dyn Tx) -> Stored<()> {
    let rows = [(1, 31, 6), (2, 32, 5), (1, 33, 5)]
        .map(|(of, number, until)| (vault(&device(of), number, &format!("grace-{number}")), NOW + until));
    for (row, until) in &rows {
        tx.add_vault(row).await?;
        tx.begin_grace(row.device, row.id, *until).await?;
    }
    let grace = |of: usize| Grace { until: rows[of].1, device: rows[of].0.device, vault: rows[of].0.id };
    assert_eq!(tx.graces_over(NOW + 4, None, 9).await?, []);
    assert_eq!(tx.graces_over(NOW + 5, None, 9).await?, [grace(2), grace(1)]);
    assert_eq!(tx.graces_over(NOW + 9, None, 2).await?, [grace(2), grace(1)]);
    assert_eq!(tx.graces_over(NOW + 9, Some(grace(1)), 2).await?, [grace(0)]);
    tx.set_older(device(1).id, Some(Older::Forked.into())).await?;
    assert_eq!(tx.graces_over(NOW + 9, None, 9).await?, [], "none of any, where one is ahead");
    assert_eq!(tx.one_older().await?, Some(Older::Forked));
    tx.set_older(device(1).id, None).await?;
    assert_eq!(tx.one_older().await?, None);
    tx.move_graces(100).await?;
    assert_eq!(tx.graces_over(NOW + 9, None, 9).await?, []);
    let later = Grace { until: NOW + 106, ..grace(0) };
    assert_eq!(tx.graces_over(NOW + 106, Some(grace(0)), 9).await?.last(), Some(&later));
    let wanted = tx.vault(device(1).id, vault(&device(1), 2, "payments").id).await?.expect("there");
    assert_eq!(wanted.delete_at, None, "one that is wanted has no end");
    tx.move_graces(-6).await?;
    let sooner = tx.graces_over(NOW + 100, Some(grace(0)), 9).await?;
    assert_eq!(sooner.last(), Some(&Grace { until: NOW + 100, ..grace(0) }), "and back");
    for (by, until) in [(-i64::MAX, 0), (7, 7), (i64::MAX, i64::MAX), (-7, i64::MAX)] {
        tx.move_graces(by).await?;
        let moved = tx.vault(later.device, later.vault).await?.expect("there");
        assert_eq!(moved.delete_at, u64::try_from(until).ok(), "{by}: and reads back");
    }
    for (row, _) in rows {
        tx.drop_vault(row.device, row.id).await?;
    }
    Ok(())
}

/// Of each device its own, so many, the last ones.
async fn sections_that_were_sent_before_are_remembered(tx: &mut dyn Tx) -> Stored<()> {
    let (one, two) = (device(1).id, device(2).id);
    let digest = |number: u32| {
        let mut bytes = [7; 32];
        bytes[..4].copy_from_slice(&number.to_be_bytes());
        SectionDigest(bytes)
    };
    tx.add_sent_before(one, &[digest(0), digest(1)]).await?;
    assert!(tx.was_sent_before(one, &digest(1)).await?);
    assert!(!tx.was_sent_before(one, &digest(2)).await?);
    assert!(!tx.was_sent_before(two, &digest(1)).await?, "another device's");
    // The first one once more, so that the second is the oldest.
    let more: Vec<_> = [0].into_iter().chain(2..=SENT_BEFORE).map(digest).collect();
    for some in more.chunks(1024) {
        tx.add_sent_before(one, some).await?;
    }
    assert!(!tx.was_sent_before(one, &digest(1)).await?, "there is no room for more");
    assert!(tx.was_sent_before(one, &digest(0)).await? && tx.was_sent_before(one, &digest(2)).await?);
    tx.add_sent_before(two, &[digest(1)]).await?;
    assert!(tx.was_sent_before(one, &digest(0)).await?, "another device takes no room of it");
    Ok(())
}

async fn a_policy_is_found_by_its_vaults(tx: &mut dyn Tx) -> Stored<()> {
    tx.put_policy(&policy(here(), "p", 0)).await?;
    let row = vault(&device(1), 2, "payments");
    tx.want_vault(row.device, row.id, Some(&name("p"))).await?;
    let found = tx.vault_with_policy(&here(), "p").await?;
    assert_eq!(found, Some(VaultRow { policy: Some(name("p")), ..row }));
    tx.pin_tpm(device(1).id, TpmPin::Present).await?;
    for (policy, tpm, expected) in
        [("p", TpmPin::Present, Some("payments")), ("p", TpmPin::Absent, None), ("q", TpmPin::Present, None)]
    {
        let found = tx.vault_with_policy_and_tpm(&here(), policy, tpm).await?;
        assert_eq!(found.as_ref().map(|row| row.name.as_str()), expected, "{policy} {tpm:?}");
    }
    let under = tx.vaults_under(&here(), &name("p"), 9).await?;
    assert!(under.len() == 1 && under[0].name.as_str() == "payments", "{under:?}");
    assert_eq!(tx.vaults_under(&here(), &name("p"), 0).await?, [], "no more than are asked for");
    assert_eq!(tx.vaults_under(&here(), &name("q"), 9).await?, []);
    assert_eq!(tx.vaults_under(&elsewhere(), &name("p"), 9).await?, [], "of one project");
    Ok(())
}

async fn labels_name_devices(tx: &mut dyn Tx) -> Stored<()> {
    for (number, labels) in [(1, "site=berlin,tier=gold"), (2, "site=berlin"), (2, "site=Berlin.2,tier=gold")]
    {
        tx.put_labels(device(number).id, &labels.parse().expect("labels")).await?;
    }
    for (selector, after, named) in [
        ("tier=gold", "", &[1, 2][..]),
        ("tier=gold", "edge-1", &[2]),
        ("tier=gold,site=berlin", "", &[1]),
        ("site=Berlin.2", "", &[2]),
        ("site=berlin", "", &[1]),
        ("berlin=site", "", &[]),
        ("", "", &[]),
    ] {
        let page = Page { after: after.into(), limit: 9 };
        let found =
            all_whole(tx.devices_named_by(&here(), &selector.parse().expect("labels"), &page).await?)?;
        let found: Vec<DeviceId> = found.iter().map(|row| row.id).collect();
        let named: Vec<DeviceId> = named.iter().map(|number| device(*number).id).collect();
        assert_eq!(found, named, "{selector} after {after:?}");
        assert!(
            all_whole(tx.devices_named_by(&elsewhere(), &selector.parse().expect("labels"), &page).await?)?
                .is_empty()
        );
    }
    let one = Page { after: String::new(), limit: 1 };
    let found = all_whole(tx.devices_named_by(&here(), &"tier=gold".parse().expect("labels"), &one).await?)?;
    assert_eq!(found.len(), 1, "no more than are asked for");
    tx.put_labels(device(2).id, &Labels::default()).await?;
    assert_eq!(tx.device(device(2).id).await?.expect("there").labels, Labels::default());
    tx.put_labels(device(1).id, &Labels::default()).await
}

async fn rules_are_kept_by_name(tx: &mut dyn Tx) -> Stored<()> {
    let rule = |called: &str, devices: &str| VaultRule {
        name: name(called),
        devices: devices.parse().expect("labels"),
        policy: name("p"),
    };
    for (called, devices) in [("r", "site=berlin"), ("s", "a=b"), ("r", "site=paris,tier=gold")] {
        tx.put_rule(&here(), &rule(called, devices), NOW).await?;
    }
    let row = RuleRow { project: here(), rule: rule("r", "site=paris,tier=gold"), changed_at: NOW };
    assert_eq!(tx.rule(&here(), &name("r")).await?, Some(row.clone()));
    assert_eq!(tx.rule(&elsewhere(), &name("r")).await?, None);
    let page = |after: &str, limit| Page { after: after.into(), limit };
    assert_eq!(all_whole(tx.rules(&here(), &page("", 1)).await?)?, [row]);
    assert_eq!(all_whole(tx.rules(&here(), &page("r", 9)).await?)?.len(), 1);
    assert!(all_whole(tx.rules(&elsewhere(), &page("", 9)).await?)?.is_empty());
    assert!(tx.rule_with_policy(&here(), &name("p")).await?.is_some());
    assert!(tx.rule_with_policy(&elsewhere(), &name("p")).await?.is_none());
    assert!(tx.rule_with_policy(&here(), &name("q")).await?.is_none());
    assert!(!tx.drop_rule(&elsewhere(), &name("r")).await?);
    for called in ["r", "s"] {
        assert!(tx.drop_rule(&here(), &name(called)).await?);
    }
    assert!(!tx.drop_rule(&here(), &name("r")).await?);
    Ok(())
}

fn said(epoch: u64, created: bool, recreate: bool) -> VaultSaid {
    VaultSaid { created, recreate, epoch: Some(Epoch(epoch)), report: of_vault(epoch), at: NOW + epoch }
}

/// A report writes what it is told to, and undoes nothing else of an operator's acts. What of it may change, `vault::life` says.
async fn an_operators_word_stays_whatever_a_node_reports(tx: &mut dyn Tx) -> Stored<()> {
    let row = vault(&device(1), 5, "acted-on");
    let (of, id) = (row.device, row.id);
    tx.add_vault(&row).await?;
    for recreate in [true, false, true] {
        tx.set_recreate(of, id, recreate).await?;
        assert_eq!(tx.vault(of, id).await?.expect("there").recreate, recreate);
    }
    tx.begin_grace(of, id, NOW + 5).await?;
    tx.put_epochs(of, id, Epoch(3), Epoch(2)).await?;
    tx.report_vault(of, id, &said(1, true, true)).await?;
    let row = VaultRow {
        standing: VaultStanding::Removing,
        delete_at: Some(NOW + 5),
        recreate: true,
        current_epoch: Epoch(3),
        last_epoch: Epoch(2),
        created: true,
        reported_epoch: Some(Epoch(1)),
        report: of_vault(1).into(),
        reported_at: Some(NOW + 1),
        ..row
    };
    assert_eq!(tx.vault(of, id).await?, Some(row.clone()));
    tx.want_vault(of, id, Some(&name("p"))).await?;
    tx.report_vault(of, id, &said(2, true, false)).await?;
    let wanted =
        VaultRow { standing: VaultStanding::Active, delete_at: None, policy: Some(name("p")), ..row };
    let told = VaultRow { reported_epoch: Some(Epoch(2)), report: of_vault(2).into(), ..wanted };
    let expected = VaultRow { recreate: false, reported_at: Some(NOW + 2), ..told };
    assert_eq!(tx.vault(of, id).await?, Some(expected), "the order is carried out");
    Ok(())
}

async fn a_nodes_word_stays_whatever_an_operator_says(tx: &mut dyn Tx) -> Stored<()> {
    let (of, id) = (device(1).id, vault(&device(1), 5, "acted-on").id);
    let nodes = |row: VaultRow| (row.created, row.reported_epoch, row.report, row.reported_at);
    let before = tx.vault(of, id).await?.map(nodes);
    tx.want_vault(of, id, None).await?;
    tx.begin_grace(of, id, NOW + 9).await?;
    tx.set_recreate(of, id, true).await?;
    tx.put_epochs(of, id, Epoch(4), Epoch(3)).await?;
    tx.end_grace(of, id, 9).await?;
    assert_eq!(tx.vault(of, id).await?.map(nodes), before);
    Ok(())
}

fn first_epoch() -> EpochRow {
    let row = vault(&device(2), 4, "short-lived");
    let period = "2026-11".into();
    let (project, sealed) = (Some(here()), vec![1]);
    EpochRow { project, device: row.device, vault: row.id, epoch: Epoch(1), period, sealed, made_at: NOW }
}

async fn an_epoch(tx: &mut dyn Tx) -> Stored<()> {
    tx.add_vault(&vault(&device(2), 4, "short-lived")).await?;
    tx.add_period("2026-11", b"sealed").await?;
    tx.add_epoch(&first_epoch()).await
}

async fn an_epoch_twice(tx: &mut dyn Tx) -> Stored<()> {
    tx.add_epoch(&first_epoch()).await
}

fn old_epoch(number: u64) -> EpochRow {
    EpochRow { project: None, epoch: Epoch(number), sealed: vec![7], ..first_epoch() }
}

async fn epochs_of_before_projects_are_found_and_bound_once(tx: &mut dyn Tx) -> Stored<()> {
    for number in [7, 8, 9] {
        tx.add_epoch(&old_epoch(number)).await?;
    }
    let found = tx.epochs_before_projects(None, 2).await?;
    assert_eq!(found, [old_epoch(7), old_epoch(8)], "those alone, and at most so many");
    let after = Some((found[1].device, found[1].vault, found[1].epoch));
    assert_eq!(tx.epochs_before_projects(after, 9).await?, [old_epoch(9)]);
    let bound = EpochRow { project: Some(elsewhere()), sealed: vec![8], ..old_epoch(7) };
    tx.bind_epoch(&bound).await?;
    assert_eq!(tx.epoch(bound.device, bound.vault, bound.epoch).await?, Some(bound));
    assert_eq!(tx.epochs_before_projects(None, 9).await?, [old_epoch(8), old_epoch(9)]);
    Ok(())
}

async fn bound_twice_is_an_error(store: &Store) {
    let bound = EpochRow { project: Some(here()), ..old_epoch(7) };
    let told = write(store, |tx| tx.bind_epoch(&bound)).await;
    assert!(matches!(told, Err(StoreError::Damaged(_))), "{told:?}");
}

async fn a_period_twice(tx: &mut dyn Tx) -> Stored<()> {
    tx.add_period("2026-11", b"another").await
}

async fn forgetting_a_vault_forgets_its_keys(tx: &mut dyn Tx) -> Stored<()> {
    let row = first_epoch();
    assert_eq!(tx.epoch(row.device, row.vault, Epoch(1)).await?.as_ref(), Some(&row));
    tx.drop_vault(row.device, row.vault).await?;
    assert_eq!(tx.epoch(row.device, row.vault, Epoch(1)).await?, None);
    assert_eq!(tx.vault(row.device, row.vault).await?, None);
    Ok(())
}

async fn one_release_stands_for_each_key(tx: &mut dyn Tx) -> Stored<()> {
    let row = ReleaseRow {
        project: here(),
        device: device(1).id,
        vault: VaultId(Uuid::from_bytes([1; 16])),
        epoch: Epoch(1),
        custody: "tpm+controller".into(),
        session: [1; 32],
        enc: vec![1],
        number: 3,
        ciphertext: vec![2],
    };
    let one = row.device;
    tx.put_release(&row).await?;
    assert_eq!(tx.releases(&here(), one, &[1; 32]).await?, std::slice::from_ref(&row));
    assert_eq!(tx.releases(&here(), one, &[2; 32]).await?, [], "another session's");
    assert_eq!(tx.releases(&elsewhere(), one, &[1; 32]).await?, [], "another project's");
    assert_eq!(tx.releases(&here(), device(9).id, &[1; 32]).await?, [], "another device's");
    let later = ReleaseRow { session: [2; 32], ..row.clone() };
    tx.put_release(&later).await?;
    assert_eq!(tx.releases(&here(), one, &[1; 32]).await?, [], "the earlier session's is replaced");
    let next = ReleaseRow { epoch: Epoch(2), ..later.clone() };
    tx.put_release(&next).await?;
    assert_eq!(tx.releases(&here(), one, &[2; 32]).await?, [later.clone(), next.clone()]);
    tx.drop_old_releases(row.device, row.vault, Epoch(99)).await?;
    let left = tx.releases(&here(), one, &[2; 32]).await?;
    assert_eq!(left, std::slice::from_ref(&next), "the newest that went out stays");
    tx.put_release(&later).await?;
    tx.drop_releases_before(row.device, row.vault, Epoch(2)).await?;
    assert_eq!(
        tx.releases(&here(), one, &[2; 32]).await?,
        std::slice::from_ref(&next),
        "of epochs that are not over"
    );
    assert_eq!(tx.releases_of(next.device, next.vault).await?, std::slice::from_ref(&next));
    assert_eq!(tx.releases_of(device(9).id, next.vault).await?, [], "another device's");
    let alone = ReleaseRow { custody: "controller".into(), ..next.clone() };
    tx.put_release(&alone).await?;
    assert_eq!(tx.releases_of(next.device, next.vault).await?, [alone, next], "under each custody");
    Ok(())
}

async fn references_and_standings_are_kept(tx: &mut dyn Tx) -> Stored<()> {
    let one = device(1).id;
    let mut row = ReferenceRow {
        id: 0,
        project: here(),
        device: one,
        pcrs: Pcrs([(0, [7; 32].into()), (14, [0; 32].into())].into()),
        state: ReferenceState::Pending,
        learned_at: NOW,
        decided_at: None,
    };
    row.id = tx.add_reference(&row).await?;
    tx.judge_reference(row.id, ReferenceState::Approved, NOW + 1).await?;
    let judged = ReferenceRow { state: ReferenceState::Approved, decided_at: Some(NOW + 1), ..row };
    assert_eq!(tx.reference(&here(), judged.id).await?, Some(judged));
    assert_eq!(tx.references_of(one).await?, all_whole(tx.references(&here(), 0, 9).await?)?);
    let standing = StandingRow { device: one, session: [3; 32], at: NOW, renew: false, record: record() };
    tx.put_standing(&standing).await?;
    tx.renew_standing(one).await?;
    assert_eq!(tx.standing(one).await?, Some(StandingRow { renew: true, ..standing }));
    let cert = CertRow { device: one, kind: 11, pem: vec![1], public: None, added_at: NOW };
    tx.put_cert(&cert).await?;
    Ok(())
}

fn bundle(of: &DeviceRow, generation: u32, digest: u8, received_at: UnixSeconds) -> BundleRow {
    let id = BundleId { generation: Generation(generation), digest: [digest; 32] };
    let held = HeldBundle { id, received_at };
    BundleRow { project: here(), device: of.id, held, has: None, sealed: vec![digest] }
}

/// Invariant 4: the newest is dropped by nobody; which is given back is its operator's word, else the newest.
async fn bundles_are_kept_and_the_newest_stands_in_the_devices_row(tx: &mut dyn Tx) -> Stored<()> {
    let one = device(1);
    let row = |generation, digest, received_at| bundle(&one, generation, digest, received_at);
    assert_eq!((tx.bundles(one.id).await?, tx.bundle_of(one.id, Generation(1)).await?), (vec![], None));
    let (first, second, third) = (row(1, 1, NOW - 9), row(1, 2, NOW - 8), row(2, 3, NOW - 7));
    for row in [&first, &second, &third] {
        tx.put_bundle(row).await?;
        assert_eq!(tx.device(one.id).await?.and_then(|row| row.held), Some(row.held));
    }
    let listed = |of: &BundleRow, offered| ListedBundle { held: of.held, has: of.has.clone(), offered };
    let all = [&third, &second, &first].map(|row| listed(row, false));
    assert_eq!(tx.bundles(one.id).await?, all, "the newest first");
    assert_eq!(tx.bundle_of(one.id, Generation(1)).await?, Some(second.clone()));
    assert_eq!(tx.bundle(one.id, &[1; 32]).await?, Some(first.clone()));
    assert_eq!(tx.bundle(device(2).id, &[1; 32]).await?, None, "another device's");
    tx.offer_bundle(one.id, Some(&[1; 32])).await?;
    assert_eq!(tx.bundle_of(one.id, Generation(1)).await?, Some(first.clone()), "the one that was chosen");
    assert_eq!(tx.bundles(one.id).await?[2], listed(&first, true));
    tx.offer_bundle(one.id, Some(&[2; 32])).await?;
    assert_eq!(tx.bundle_of(one.id, Generation(1)).await?, Some(second.clone()), "one alone is chosen");
    tx.offer_bundle(one.id, None).await?;
    assert!(tx.bundles(one.id).await?.iter().all(|listed| !listed.offered));
    let has: Contents = serde_json::from_value(
        serde_json::json!({ (vault::ids::CONFIG_VAULT.0.to_string()): { "f": true } }),
    )
    .expect("read");
    tx.note_contents(one.id, &[1; 32], &has).await?;
    assert_eq!(tx.bundle(one.id, &[1; 32]).await?.and_then(|row| row.has), Some(has));
    tx.put_bundle(&second).await?;
    let held: Vec<_> = tx.bundles(one.id).await?.iter().map(|listed| listed.held).collect();
    assert_eq!(held, [second.held, third.held, first.held], "once, and the newest again");
    tx.drop_bundle(one.id, &[1; 32]).await?;
    tx.drop_bundle(one.id, &[3; 32]).await?;
    assert_eq!(tx.bundles(one.id).await?, [listed(&second, false)], "and no other goes with it");
    tx.put_bundle(&row(4, 9, NOW)).await?;
    let mut drills = Drills { since: Some(NOW), ..Drills::default() };
    drills.fail(row(4, 9, NOW).held.id, "the root".into(), NOW + 1);
    tx.put_drills(one.id, &drills).await?;
    assert_eq!(tx.device(one.id).await?.and_then(|row| row.drills.take()), Some(drills));
    assert_eq!(tx.bundles(device(2).id).await?, [], "another device's");
    Ok(())
}

fn token(number: u8, project: Project) -> TokenRow {
    TokenRow { hash: [number; 32], project, name: "operator".into(), added_at: NOW }
}

async fn tokens(tx: &mut dyn Tx) -> Stored<()> {
    for number in [1, 2, 3] {
        tx.add_token(&token(number, here())).await?;
    }
    tx.add_token(&token(4, elsewhere())).await
}

async fn a_token_twice(tx: &mut dyn Tx) -> Stored<()> {
    tx.add_token(&token(2, elsewhere())).await
}

async fn one_token_stays_where_all_others_end(tx: &mut dyn Tx) -> Stored<()> {
    assert_eq!(tx.drop_other_tokens(&here(), &[2; 32]).await?, 2);
    assert_eq!(tx.token(&[1; 32]).await?, None);
    assert_eq!(tx.token(&[2; 32]).await?, Some(token(2, here())));
    assert_eq!(tx.token(&[4; 32]).await?, Some(token(4, elsewhere())), "another project's");
    Ok(())
}

async fn all_around_a_device(tx: &mut dyn Tx) -> Stored<()> {
    for called in ["p", "q", "unused"] {
        tx.put_policy(&policy(here(), called, 1)).await?;
    }
    for (of, number, under) in [(1, 21, "p"), (1, 22, "p"), (1, 20, "q"), (2, 20, "unused")] {
        let row = vault(&device(of), number, &format!("around-{number}"));
        tx.add_vault(&VaultRow { policy: Some(name(under)), ..row }).await?;
    }
    Ok(())
}

/// What is read in one round is what is read one by one, and nothing of another device's.
async fn all_around_a_device_is_its_own(store: &Store) {
    read(store, |tx| Box::pin(around_is_what_is_read_one_by_one(tx))).await;
}

async fn around_is_what_is_read_one_by_one(tx: &mut dyn Tx) -> Stored<()> {
    for id in [device(1).id, device(2).id] {
        let around = tx.around(id).await?;
        let (vaults, standing) = (tx.vaults(id).await?, tx.standing(id).await?);
        assert_eq!((&around.vaults, &around.standing), (&vaults, &standing));
        assert_eq!(around.certs, tx.certs(id).await?);
        assert_eq!(around.references, tx.references_of(id).await?);
    }
    let mut named = tx.around(device(1).id).await?.policies;
    named.sort_by_key(|row| row.policy.name.clone());
    assert_eq!(named, [tx.policy(&here(), "p").await?, tx.policy(&here(), "q").await?].map(Option::unwrap));
    assert!(!tx.around(device(1).id).await?.certs.is_empty(), "each kind is there");
    assert_eq!(tx.around(device(9).id).await?, Around::default());
    Ok(())
}

/// What the newer database said of a vault is not known: its grace is over, as that of a device that is there, and not that of a device that
/// comes back.
async fn no_grace_of_a_deleted_device_outlives_a_life(tx: &mut dyn Tx) -> Stored<()> {
    let gone = device(94);
    tx.add_device(&gone).await?;
    tx.add_vault(&vault(&gone, 7, "a")).await?;
    tx.begin_grace(gone.id, vault(&gone, 7, "a").id, NOW + 5).await?;
    let (name, serial) = (gone.name.clone(), gone.serial.clone());
    let row = DeletedRow {
        id: device(95).id,
        device: gone.id,
        node_of: None,
        labels: Labels::default(),
        project: here(),
        key: [8; 32],
        name,
        serial,
        deleted_at: NOW,
        until: NOW + 5,
    };
    tx.keep_deleted(&row).await?;
    let kept = tx.of_deleted(row.id).await?.vaults;
    assert_eq!((kept[0].standing, kept[0].delete_at), (VaultStanding::Removing, Some(NOW + 5)));
    tx.keep_ending(NOW + 3).await?;
    let kept = tx.of_deleted(row.id).await?.vaults;
    assert_eq!((kept[0].standing, kept[0].delete_at), (VaultStanding::Retained, None));
    // A clock that is behind takes nothing off.
    tx.keep_ending(NOW).await?;
    assert_eq!(tx.deleted_over(NOW + 7).await?, [], "its grace of 5 s from then on");
    assert_eq!(tx.deleted_over(NOW + 8).await?, [OrDamaged::Whole(row.id)]);
    tx.number_anew().await?;
    let kept = tx.of_deleted(row.id).await?.vaults;
    assert_eq!((kept[0].standing, kept[0].delete_at), (VaultStanding::Retained, None));
    tx.forget_deleted(row.id).await?;
    let removed = RemovedRow {
        cert_digest: gone.cert_digest,
        key: [8; 32],
        name: gone.name.clone(),
        serial: None,
        removed_at: NOW,
        lost_at: None,
        alarm: None,
    };
    tx.drop_device(gone.id, &removed).await
}

async fn anothers_identity(tx: &mut dyn Tx) -> Stored<()> {
    tx.add_device(&device(95)).await?;
    tx.identify(device(95).id, device(2).id, &SealedAnew::default()).await
}

/// Invariant 4: what is kept of a device is kept of it under its new identity, sealed for that; and nothing was sent under it, ends by it, or is made
/// anew.
async fn a_device_has_another_identity_with_all_that_is_kept_of_it(tx: &mut dyn Tx) -> Stored<()> {
    let (was, is) = (device(93), device(94).id);
    tx.add_device(&was).await?;
    let (kept, ends, gone) = (vault(&was, 7, "kept"), vault(&was, 8, "ends"), vault(&was, 9, "gone"));
    for row in [&kept, &ends, &gone] {
        tx.add_vault(row).await?;
    }
    tx.begin_grace(was.id, ends.id, NOW).await?;
    tx.set_recreate(was.id, kept.id, true).await?;
    tx.end_grace(was.id, gone.id, 9).await?;
    let key = |device: DeviceId, sealed: u8| EpochRow {
        project: Some(here()),
        device,
        vault: kept.id,
        epoch: Epoch(1),
        period: "2026-11".into(),
        sealed: vec![sealed],
        made_at: NOW,
    };
    match tx.add_period("2026-11", b"sealed").await {
        Ok(()) | Err(StoreError::Taken) => {}
        failed => return failed,
    }
    tx.add_epoch(&key(was.id, 1)).await?;
    let out = ReleaseRow {
        project: here(),
        device: was.id,
        vault: kept.id,
        epoch: Epoch(1),
        custody: "tpm".into(),
        session: [3; 32],
        enc: vec![1],
        number: 0,
        ciphertext: vec![2],
    };
    tx.put_release(&out).await?;
    tx.put_bundle(&bundle(&was, 1, 1, NOW)).await?;
    tx.put_section(was.id, 7, &[3; 32]).await?;
    tx.put_ledger(was.id, &Ledger { head: Some(SectionDigest([4; 32])), ..Ledger::default() }).await?;
    tx.add_sent_before(was.id, &[SectionDigest([5; 32])]).await?;
    tx.put_report_place(was.id, &[6; 32], 8).await?;
    let over = PastSession { device: was.id, session: [7; 32], ended_at: NOW, settled: false, booted: false };
    tx.end_session(&over, 2).await?;
    let standing = StandingRow { device: was.id, session: [3; 32], at: NOW, renew: false, record: record() };
    tx.put_standing(&standing).await?;
    let cert = CertRow { device: was.id, kind: 11, pem: vec![1], public: None, added_at: NOW };
    tx.put_cert(&cert).await?;
    let anew = bundle(&DeviceRow { id: is, ..was.clone() }, 1, 1, NOW);
    let anew = BundleRow { sealed: vec![9, 9], ..anew };
    let sealed = SealedAnew { epochs: vec![key(is, 2)], bundles: vec![anew.clone()] };
    tx.identify(was.id, is, &sealed).await?;
    assert_eq!(tx.device(was.id).await?, None);
    assert_eq!((tx.vaults(was.id).await?, tx.certs(was.id).await?), (vec![], vec![]));
    let row = tx.device(is).await?.expect("there");
    assert_eq!((row.name, row.key, row.reported), (was.name, was.key, Some(([6; 32], 8))));
    assert_eq!((row.section_version, row.section_digest, row.ledger), (0, None, Ledger::default()));
    assert!(!tx.was_sent_before(is, &SectionDigest([5; 32])).await?);
    assert!(tx.past_session(is, &[7; 32]).await?.is_some());
    assert!(tx.standing(is).await?.is_some_and(|standing| standing.renew && standing.device == is));
    assert_eq!(tx.certs(is).await?, [CertRow { device: is, ..cert }]);
    let vaults = tx.vaults(is).await?;
    let told: Vec<_> = vaults
        .iter()
        .map(|row| (row.id, row.standing, row.recreate, row.delete_at, row.left_version))
        .collect();
    let expected = [
        (kept.id, VaultStanding::Active, false, None, None),
        (ends.id, VaultStanding::Retained, false, None, None),
        (gone.id, VaultStanding::Gone, false, None, Some(1)),
    ];
    assert_eq!(told, expected);
    assert_eq!(tx.epoch(is, kept.id, Epoch(1)).await?, Some(key(is, 2)));
    let to_nobody = ReleaseRow { device: is, session: [0; 32], enc: vec![], ciphertext: vec![], ..out };
    assert_eq!(tx.releases_of(is, kept.id).await?, [to_nobody]);
    assert_eq!(tx.bundle(is, &[1; 32]).await?, Some(anew));
    tx.drop_vault(is, kept.id).await
}

/// Which bundle was chosen and how its drills stood is kept with it; each part goes by itself where it was given back.
async fn what_is_kept_of_a_deleted_device_goes_part_by_part(tx: &mut dyn Tx) -> Stored<()> {
    let gone = device(97);
    tx.add_device(&gone).await?;
    tx.add_vault(&vault(&gone, 7, "a")).await?;
    let before = vault(&gone, 8, "before");
    tx.add_vault(&before).await?;
    tx.drop_vault(gone.id, before.id).await?;
    for digest in [1, 2] {
        tx.put_bundle(&bundle(&gone, 1, digest, NOW)).await?;
    }
    tx.offer_bundle(gone.id, Some(&[1; 32])).await?;
    let drills = Drills { since: Some(NOW), ..Drills::default() };
    tx.put_drills(gone.id, &drills).await?;
    for since in [Some(NOW), None] {
        tx.set_no_room(gone.id, since).await?;
        assert_eq!(tx.device(gone.id).await?.expect("there").no_room_at, since);
    }
    let (name, serial) = (gone.name.clone(), gone.serial.clone());
    let (deleted_at, until) = (NOW, NOW + 5);
    let row = DeletedRow {
        id: device(98).id,
        device: gone.id,
        node_of: Some(gone.id),
        labels: Labels::default(),
        project: here(),
        key: [9; 32],
        name,
        serial,
        deleted_at,
        until,
    };
    tx.put_section(gone.id, 7, &[3; 32]).await?;
    let ledger = Ledger { head: Some(SectionDigest([4; 32])), ..Ledger::default() };
    tx.put_ledger(gone.id, &ledger).await?;
    tx.add_sent_before(gone.id, &[SectionDigest([5; 32])]).await?;
    tx.put_report_place(gone.id, &[6; 32], 8).await?;
    tx.put_upload_place(gone.id, &[6; 32], 9).await?;
    let over =
        PastSession { device: gone.id, session: [7; 32], ended_at: NOW, settled: false, booted: false };
    tx.end_session(&over, 2).await?;
    tx.keep_deleted(&row).await?;
    let row_of_it = DeletedRow { id: device(99).id, ..row.clone() };
    tx.keep_deleted(&row_of_it).await?;
    assert_eq!(
        all_whole(tx.deleted(&here()).await?)?,
        [row.clone(), row_of_it.clone()],
        "a device may be deleted twice"
    );
    tx.forget_deleted(row_of_it.id).await?;
    let again = device(96);
    tx.add_device(&again).await?;
    tx.go_on(row.id, again.id).await?;
    let on = tx.device(again.id).await?.expect("there");
    assert_eq!((on.section_version, on.section_digest, &on.ledger), (7, None, &ledger));
    assert_eq!((on.reported, on.uploaded), (Some(([6; 32], 8)), Some(([6; 32], 9))));
    assert!(tx.was_sent_before(again.id, &SectionDigest([5; 32])).await?);
    assert!(tx.past_session(again.id, &[7; 32]).await?.is_some());
    assert!(tx.was_vault(again.id, &before.name).await? && !tx.was_vault(again.id, &gone.name).await?);
    let gone = DeviceRow { id: row.id, ..gone };
    let of = tx.of_deleted(gone.id).await?;
    assert_eq!(of.vaults[0].device, row.device, "as it was that device's");
    assert_eq!(of.bundles.iter().map(|kept| kept.offered).collect::<Vec<_>>(), [true, false]);
    assert_eq!(of.drills.get(), Some(&drills));
    tx.forget_deleted_bundle(gone.id, &[1; 32]).await?;
    tx.forget_deleted_vault(gone.id, of.vaults[0].id).await?;
    let left = tx.of_deleted(gone.id).await?;
    assert_eq!((left.vaults, left.epochs), (vec![], vec![]));
    assert_eq!(left.bundles, of.bundles[1..]);
    tx.forget_deleted(gone.id).await
}

async fn a_device_that_is_forgotten_leaves_the_row_of_its_removal_alone(tx: &mut dyn Tx) -> Stored<()> {
    let (gone, stays) = (DeviceRow { let_in_by: Some([78; 32]), ..device(81) }, device(82));
    for row in [&gone, &stays] {
        tx.add_device(row).await?;
        tx.add_vault(&vault(row, 7, "a")).await?;
        tx.add_sent_before(row.id, &[SectionDigest([6; 32])]).await?;
        let mut allowed = OnboardRow {
            project: here(),
            cert_digest: [80; 32],
            serial: row.serial.clone(),
            cert_der: vec![1],
            name: None,
            labels: Labels::default(),
            added_at: NOW,
            device: None,
            give_back: true,
        };
        tx.add_onboarding(&allowed).await?;
        for digest in [[78; 32], [79; 32]] {
            allowed.cert_digest = digest;
            tx.add_onboarding(&allowed).await?;
        }
        tx.certify_device(row.id, &[row.cert_digest[0] + 20; 32], &[7], 2).await?;
        tx.use_onboarding(&[80; 32], &row.serial, row.id).await?;
    }
    let any =
        OnboardRow { serial: "*".into(), ..tx.onboarding(&[80; 32], &stays.serial).await?.expect("there") };
    tx.add_onboarding(&any).await?;
    tx.use_onboarding(&[80; 32], "*", gone.id).await?;
    let kept = DeletedRow {
        id: gone.id,
        device: gone.id,
        node_of: None,
        labels: Labels::default(),
        project: here(),
        key: [9; 32],
        name: gone.name.clone(),
        serial: gone.serial.clone(),
        deleted_at: NOW,
        until: NOW + 5,
    };
    let there = (tx.vaults(gone.id).await?, tx.bundles(gone.id).await?.len());
    tx.keep_deleted(&kept).await?;
    let removed = RemovedRow {
        cert_digest: gone.cert_digest,
        key: [9; 32],
        name: gone.name.clone(),
        serial: Some("S".into()),
        removed_at: NOW,
        lost_at: Some(NOW),
        alarm: Some(alarm()),
    };
    tx.drop_device(gone.id, &removed).await?;
    let of = tx.of_deleted(gone.id).await?;
    assert_eq!((of.vaults, of.bundles.len()), there, "as it was");
    assert_eq!(all_whole(tx.deleted(&here()).await?)?, std::slice::from_ref(&kept));
    assert_eq!(all_whole(tx.deleted(&elsewhere()).await?)?, []);
    assert_eq!(
        (all_whole(tx.deleted_by_key(&[9; 32]).await?)?, all_whole(tx.deleted_by_key(&[8; 32]).await?)?),
        (vec![kept.clone()], vec![])
    );
    for id in [kept.device, kept.id] {
        assert_eq!(all_whole(tx.deleted_as(id).await?)?, std::slice::from_ref(&kept), "in whichever project");
    }
    assert_eq!(all_whole(tx.deleted_as(DeviceId(uuid::Uuid::from_u128(0xdead))).await?)?, []);
    assert_eq!((tx.deleted_over(NOW + 4).await?.len(), tx.deleted_over(NOW + 5).await?.len()), (0, 1));
    tx.move_graces(1).await?;
    assert_eq!(tx.deleted_over(NOW + 5).await?, [], "it runs with the clock");
    tx.forget_deleted(gone.id).await?;
    assert_eq!(
        (all_whole(tx.deleted(&here()).await?)?, tx.of_deleted(gone.id).await?),
        (vec![], OfDeleted::default())
    );
    assert_eq!(tx.device(gone.id).await?, None);
    assert_eq!(tx.around(gone.id).await?, Around::default());
    assert!(!tx.was_sent_before(gone.id, &SectionDigest([6; 32])).await?);
    assert!(tx.was_sent_before(stays.id, &SectionDigest([6; 32])).await?);
    for (digest, is_left) in [([80; 32], false), ([78; 32], false), ([79; 32], true)] {
        assert_eq!(tx.onboarding(&digest, &gone.serial).await?.is_some(), is_left, "of what it came in by");
        assert!(tx.onboarding(&digest, &stays.serial).await?.is_some());
    }
    assert_eq!(tx.device_by_cert(&gone.cert_digest).await?, None);
    assert_eq!(tx.device_by_cert(&stays.cert_digest).await?.expect("there").id, stays.id);
    assert_eq!(tx.onboarding(&[80; 32], "*").await?.expect("all serials'").device, None);
    for (cert, key, found) in
        [([81; 32], [0; 32], true), ([0; 32], [9; 32], true), ([82; 32], [8; 32], false)]
    {
        assert_eq!(tx.removed_device(&cert, &key).await?.as_ref() == Some(&removed), found);
    }
    tx.forget_removal(&[9; 32]).await?;
    assert_eq!(tx.removed_device(&[81; 32], &[9; 32]).await?, None);
    assert_eq!(tx.vaults(stays.id).await?.len(), 1);
    Ok(())
}

async fn what_is_marked_on_a_device_stays(tx: &mut dyn Tx) -> Stored<()> {
    let row = device(83);
    tx.add_device(&row).await?;
    tx.set_lost(row.id, Some(NOW)).await?;
    tx.set_alarm(row.id, Some(&alarm())).await?;
    tx.proved_device(row.id, NOW + 1).await?;
    tx.put_report_place(row.id, &[5; 32], 6).await?;
    tx.put_upload_place(row.id, &[6; 32], 7).await?;
    let marked = DeviceRow {
        lost_at: Some(NOW),
        alarm: Some(alarm()),
        proved_at: Some(NOW + 1),
        reported: Some(([5; 32], 6)),
        uploaded: Some(([6; 32], 7)),
        ..row.clone()
    };
    assert_eq!(tx.device(row.id).await?, Some(marked.clone()));
    let told = Alarm::Told("of a build of before, in words".into());
    let turns = AlarmCause::Turns { again: [1, 2, 3, 4], other: [5, 6, 7, 8] };
    for alarm in
        [told, Alarm::Gave { at: NOW, cause: turns }, Alarm::Gave { at: 0, cause: AlarmCause::Flood(17) }]
    {
        tx.set_alarm(row.id, Some(&alarm)).await?;
        assert_eq!(tx.device(row.id).await?.and_then(|row| row.alarm), Some(alarm));
    }
    tx.set_lost(row.id, None).await?;
    tx.set_alarm(row.id, None).await?;
    assert_eq!(tx.device(row.id).await?, Some(DeviceRow { lost_at: None, alarm: None, ..marked }));
    Ok(())
}

/// One of another project, called as one of here.
fn namesake() -> DeviceRow {
    DeviceRow { project: elsewhere(), name: device(1).name, ..device(90) }
}

/// UC-C: a name is its project's.
async fn names_of_one_project_are_free_in_another(tx: &mut dyn Tx) -> Stored<()> {
    let (one, other) = (device(1), namesake());
    tx.add_device(&other).await?;
    tx.put_policy(&policy(elsewhere(), "p", 2)).await?;
    let row = VaultRow { policy: Some(name("p")), ..vault(&other, 91, "payments") };
    tx.add_vault(&row).await?;
    tx.add_onboarding(&OnboardRow { project: elsewhere(), serial: "E".into(), ..allowance() }).await?;
    assert_eq!(tx.device_by_name(&here(), "edge-1").await?.map(|row| row.id), Some(one.id));
    assert_eq!(tx.device_by_name(&elsewhere(), "edge-1").await?, Some(other.clone()));
    assert_eq!(tx.policy(&elsewhere(), "p").await?, Some(policy(elsewhere(), "p", 2)));
    assert_eq!(tx.policy(&here(), "p").await?, Some(policy(here(), "p", 1)), "as it was");
    assert_eq!(tx.around(other.id).await?.policies, [policy(elsewhere(), "p", 2)], "its own project's");
    assert_eq!(tx.vault_with_policy(&elsewhere(), "p").await?, Some(row.clone()));
    assert_eq!(tx.vault_with_policy_and_tpm(&elsewhere(), "p", TpmPin::Unknown).await?, Some(row));
    Ok(())
}

async fn a_name_twice_in_another_project(tx: &mut dyn Tx) -> Stored<()> {
    tx.add_device(&DeviceRow { cert_digest: [99; 32], id: device(99).id, ..namesake() }).await
}

/// They alone say into which project a device comes.
async fn a_certificate_and_serial_of_another_project(tx: &mut dyn Tx) -> Stored<()> {
    tx.add_onboarding(&OnboardRow { serial: "E".into(), ..allowance() }).await
}

async fn what_is_of_one_project_is_not_found_in_another(tx: &mut dyn Tx) -> Stored<()> {
    let (all, third) = (Page { after: String::new(), limit: 99 }, "third".parse().expect("a name"));
    assert_eq!(all_whole(tx.devices(&elsewhere(), &all).await?)?, [namesake()]);
    assert!(all_whole(tx.devices(&here(), &all).await?)?.iter().all(|row| row.project == here()));
    assert_eq!(all_whole(tx.policies(&elsewhere(), &all).await?)?, [policy(elsewhere(), "p", 2)]);
    assert!(all_whole(tx.policies(&here(), &all).await?)?.iter().all(|row| row.project == here()));
    assert_eq!(all_whole(tx.all_vaults(&elsewhere(), None, 99).await?)?, tx.vaults(namesake().id).await?);
    assert!(all_whole(tx.all_vaults(&here(), None, 99).await?)?.iter().all(|row| row.project == here()));
    let serials = |rows: Vec<OnboardRow>| rows.into_iter().map(|row| row.serial).collect::<Vec<_>>();
    assert_eq!(serials(all_whole(tx.onboardings(&elsewhere(), None, 99).await?)?), ["E"]);
    assert!(!serials(all_whole(tx.onboardings(&here(), None, 99).await?)?).contains(&"E".to_owned()));
    assert!(tx.name_is_kept(&elsewhere(), &name("edge-9")).await?);
    assert!(!tx.name_is_kept(&here(), &name("edge-9")).await?);
    let ours = all_whole(tx.references(&here(), 0, 9).await?)?.pop().expect("there");
    assert_eq!(tx.reference(&here(), ours.id).await?, Some(ours.clone()));
    assert_eq!(tx.reference(&elsewhere(), ours.id).await?, None);
    assert_eq!(all_whole(tx.references(&elsewhere(), 0, 9).await?)?, []);
    assert_eq!(tx.device_by_name(&third, "edge-1").await?, None);
    assert_eq!(tx.vault_with_policy(&third, "p").await?, None);
    assert_eq!(tx.vault_with_policy_and_tpm(&third, "p", TpmPin::Unknown).await?, None);
    tx.drop_policy(&third, "p").await?;
    assert!(tx.policy(&here(), "p").await?.is_some(), "another's is not dropped");
    Ok(())
}

async fn no_row_is_of_another_project_than_its_device(store: &Store) {
    let lost = VaultRow { project: elsewhere(), ..vault(&device(1), 95, "lost") };
    let put = || store.write(Scope::Fleet, |tx| tx.add_vault(&lost));
    assert!(put().await.is_err());
    assert_eq!(read(store, |tx| tx.vault(lost.device, lost.id)).await, None);
}
