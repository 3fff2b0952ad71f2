//! What a section says of a device, row by row: what is listed, withheld, ordered to be locked and removed, and what takes a number.

mod lost;

use std::time::Duration;

use attest::{Appraisal, SessionKey};
use uuid::Uuid;

use super::*;
use crate::decide::tests::made::{References, appraisal};
use crate::decide::{RENEWAL_GRACE, Standing};
use crate::ids::{CONFIG_VAULT, Epoch, SectionDigest};
use crate::lease::Lease;
use crate::ledger::Sent;
use crate::policy::{Attest, Door, VaultPolicy};
use crate::rotation::Epochs;
use crate::section::{Custody, MAX_ORDERS};

const NOW: u64 = 1_800_000_000;
const OURS: SessionKey = SessionKey([1; 32]);
const DEVICE: DeviceId = DeviceId(Uuid::from_u128(1));
const OTHER: DeviceId = DeviceId(Uuid::from_u128(2));
const NONCE: LeaseNonce = LeaseNonce([3; 16]);
const NOT_ASKED: Asked = Asked { lease: None, bundle: BundleNeeded::NEVER };
const ASKED: Asked = Asked { lease: Some(NONCE), ..NOT_ASKED };

fn vault(n: u128) -> VaultId {
    VaultId(Uuid::from_u128(n))
}

/// With a lease, and PCRs required.
fn policy(custody: Custody, operation: Door) -> VaultPolicy {
    let plain = VaultPolicy::of_default_vault(true);
    let attest = Attest { every: Duration::from_secs(600), require: BTreeSet::from([Check::Pcrs]) };
    let node = crate::section::NodePolicy { custody, lease: Lease::of_seconds(3600), ..plain.node };
    VaultPolicy { node, attest, operation, ..plain }
}

fn both() -> VaultPolicy {
    policy(Custody::TpmAndController, Door::Unlock)
}

fn listed(policy: &VaultPolicy, n: u128) -> ToList<'_> {
    let subject = Subject {
        vault: vault(n),
        policy,
        epochs: Epochs::first().rotate(),
        reported: Some(Epoch(2)),
        standing: Presence::Active,
    };
    ToList { subject, name: &policy.name, made: true, recreate: false }
}

fn stands(policy: &VaultPolicy, standing: Presence) -> ToList<'_> {
    let listed = listed(policy, 7);
    ToList { subject: Subject { standing, ..listed.subject }, ..listed }
}

/// What a node tells of vaults that no row is kept of.
fn strays(ids: impl IntoIterator<Item = VaultId>) -> Vec<VaultReport> {
    let of = |id| VaultReport {
        id,
        name: "stray".parse().expect("a name"),
        state: crate::report::State::Unlocked,
        created: true,
        epoch: None,
        wanted: Operation::Unlock,
        last: None,
        opened: None,
        storage: None,
        change_due: false,
        holds_escrow_up: false,
        under_anothers_key: false,
        behind_in_escrow: None,
        ordered_locked: false,
        detail: Vec::new(),
    };
    ids.into_iter().map(of).collect()
}

/// A device whose node shows this.
fn facts<'a>(shown: &'a Appraisal, listed: Vec<ToList<'a>>) -> Facts<'a> {
    static ALL_OPEN: BTreeSet<VaultId> = BTreeSet::new();
    Facts {
        listed,
        gone: &[],
        unread: Vec::new(),
        told: Told::default(),
        evidence: StandingAt { standing: Standing::Quoted(shown), at: NOW, renew: false },
        asking: Asking { device: DEVICE, session: OURS, tpm: TpmPin::Present, barred: None },
        unopened: &ALL_OPEN,
    }
}

fn barred(facts: Facts<'_>, bar: Bar) -> Facts<'_> {
    Facts { asking: Asking { barred: Some(bar), ..facts.asking }, ..facts }
}

/// The same device, whose node holds to the lists of another one.
fn held_to<'a>(facts: Facts<'a>, strays: &'a [VaultReport], accepted_for: DeviceId) -> Facts<'a> {
    Facts { told: Told { accepted_for: Some(accepted_for), strays }, ..facts }
}

fn drafted(facts: &Facts<'_>) -> Draft {
    Draft::of(facts, ASKED, NOW)
}

fn reason(line: &Line) -> Option<Cause> {
    match &line.entry.release {
        Release::Withheld { reason } => Some(reason.clone()),
        _ => None,
    }
}

/// VC-2, VC-3, AC-1: each listed vault says what its operator wants and what its node has yet to do, and gets what was decided for it.
#[test]
fn an_entry_says_what_is_wanted_and_what_was_decided() {
    let good = appraisal(OURS, References::Passed);
    let (open, shut, alone) =
        (both(), policy(Custody::Controller, Door::Lock), VaultPolicy::of_default_vault(true));
    let behind = |policy, reported| {
        let listed = listed(policy, 7);
        ToList { subject: Subject { reported, ..listed.subject }, ..listed }
    };
    for (what, vault, operation, withheld) in [
        ("open", behind(&open, Some(Epoch(2))), Operation::Unlock, Some(Cause::UNSAID)),
        ("behind", behind(&open, Some(Epoch(1))), Operation::ChangeKey, Some(Cause::UNSAID)),
        ("not made yet", behind(&open, None), Operation::Unlock, Some(Cause::UNSAID)),
        ("the TPM's alone, behind", behind(&alone, Some(Epoch(1))), Operation::Unlock, Some(Cause::UNSAID)),
        ("the TPM's alone", behind(&alone, None), Operation::Unlock, None),
        ("to be locked", behind(&shut, Some(Epoch(1))), Operation::Lock, Some(Cause::LockedByOperator)),
        ("removing", stands(&open, Presence::Removing), Operation::Lock, Some(Cause::BeingRemoved)),
        ("retained", stands(&open, Presence::Retained), Operation::Lock, Some(Cause::Retained)),
        (
            "the TPM's alone, removing",
            stands(&alone, Presence::Removing),
            Operation::Lock,
            Some(Cause::BeingRemoved),
        ),
    ] {
        let draft = drafted(&facts(&good, vec![vault]));
        let [line] = &draft.lines[..] else { panic!("{what}: {:?}", draft.lines) };
        let releases = matches!(line.decision.ruling, Ruling::Release(_));
        assert_eq!(releases, withheld == Some(Cause::UNSAID), "{what}");
        assert_eq!((line.entry.operation, reason(line)), (operation, withheld), "{what}");
        assert_eq!((draft.challenge, draft.lacks), (ChallengeWay::None, None), "{what}");
        assert!(draft.orders.is_empty() && draft.digest.is_some(), "{what}");
    }
}

/// H2: a key that does not open is withheld of its vault alone, and nothing else is said of that.
#[test]
fn what_does_not_open_is_withheld_of_its_vault_alone() {
    let (good, policy, unopened) = (appraisal(OURS, References::Passed), both(), [vault(1), vault(9)].into());
    let shut = policy_locked();
    let facts = Facts {
        unopened: &unopened,
        ..facts(&good, vec![listed(&policy, 1), listed(&policy, 2), listed(&shut, 9)])
    };
    let draft = drafted(&facts);
    let said: Vec<_> = draft.lines.iter().map(reason).collect();
    assert_eq!(said, [Some(Cause::KeyUnopened), Some(Cause::UNSAID), Some(Cause::LockedByOperator)]);
    assert!(draft.lines.iter().all(|line| line.decision.met()));
}

fn policy_locked() -> VaultPolicy {
    policy(Custody::Controller, Door::Lock)
}

/// AC-2, H1: while the section is withheld, what it would lock is ordered, nothing else is; which demand is not met is told then alone.
#[test]
fn what_a_withheld_section_would_lock_is_ordered() {
    let (bad, good) = (appraisal(OURS, References::Failed), appraisal(OURS, References::Passed));
    let (open, shut) = (both(), policy_locked());
    let three = || {
        let removing = ToList {
            subject: Subject { vault: vault(3), ..stands(&open, Presence::Removing).subject },
            ..listed(&open, 3)
        };
        vec![listed(&open, 1), listed(&shut, 2), removing]
    };
    let withheld = drafted(&facts(&bad, three()));
    assert_eq!((withheld.challenge, withheld.lacks), (ChallengeWay::InPlace, Some(Check::Pcrs)));
    assert_eq!(withheld.orders, [vault(2), vault(3)]);
    assert!(withheld.digest.is_some() && withheld.lease.is_none(), "orders take a number");
    let nothing = drafted(&facts(&bad, vec![listed(&open, 1)]));
    assert_eq!((nothing.orders.len(), nothing.digest), (0, None), "nothing goes out that has a number");
    let given = drafted(&facts(&good, three()));
    assert_eq!((given.challenge, given.orders.len(), given.lacks), (ChallengeWay::None, 0, None));
    let mixed = VaultPolicy { attest: Attest { require: BTreeSet::new(), ..open.attest.clone() }, ..both() };
    let mixed = drafted(&facts(&bad, vec![listed(&open, 1), listed(&mixed, 2)]));
    assert_ne!(mixed.challenge, ChallengeWay::InPlace);
    assert_eq!(mixed.lacks, None, "of one vault alone it is told in its line");
}

/// Attack B: to a session that another one followed nothing goes out that takes a number.
#[test]
fn a_past_session_is_challenged_and_takes_no_number() {
    let (good, open) = (appraisal(OURS, References::Passed), both());
    let past = drafted(&facts(&good, vec![listed(&open, 1)])).of_past_session();
    assert_eq!((past.challenge, past.digest), (ChallengeWay::InPlace, None));
    assert_eq!(past.says_more(None, &Ledger::default()), None);
}

/// VC-6, KO-7: what left the list is named as removed, no more of it than a section takes.
#[test]
fn what_is_gone_is_named_as_removed() {
    let (good, open) = (appraisal(OURS, References::Passed), both());
    let gone: Vec<VaultId> = (1..=MAX_VAULTS as u128 + 1).map(vault).collect();
    let draft = drafted(&Facts { gone: &gone, ..facts(&good, vec![listed(&open, 5000)]) });
    assert_eq!(draft.removed, gone[..MAX_VAULTS]);
}

/// Decision 71: a question renews the leases of a section that goes out and gives one; else it changes nothing, and takes no number.
#[test]
fn a_question_counts_where_a_lease_is_given() {
    let (good, bad) = (appraisal(OURS, References::Passed), appraisal(OURS, References::Failed));
    let (open, shut, alone) = (both(), policy_locked(), VaultPolicy::of_default_vault(true));
    let (leased, locked) = (policy(Custody::Tpm, Door::Unlock), policy(Custody::Tpm, Door::Lock));
    let of_tpm = |policy| {
        let listed = listed(policy, 4);
        ToList { subject: Subject { reported: None, ..listed.subject }, ..listed }
    };
    let unopened = BTreeSet::from([vault(1)]);
    for (what, facts, renewed) in [
        ("leased", facts(&good, vec![listed(&alone, 3), listed(&open, 1)]), true),
        ("no lease", facts(&good, vec![listed(&alone, 3)]), false),
        ("locked", facts(&good, vec![listed(&shut, 1)]), false),
        ("removing", facts(&good, vec![stands(&open, Presence::Removing)]), false),
        ("the TPM's alone", facts(&good, vec![of_tpm(&leased)]), true),
        ("the TPM's alone, locked", facts(&good, vec![of_tpm(&locked)]), false),
        ("withheld", Facts { unopened: &unopened, ..facts(&good, vec![listed(&open, 1)]) }, false),
        ("no section", facts(&bad, vec![listed(&open, 1)]), false),
    ] {
        let (asked, not) = (drafted(&facts), Draft::of(&facts, NOT_ASKED, NOW));
        assert_eq!(asked.lease.is_some(), renewed, "{what}");
        assert_eq!(asked.digest != not.digest, renewed, "{what}");
    }
}

/// Whatever a node would act on has another digest, and the same has the same: by it a section takes a number.
#[test]
fn each_thing_that_a_node_acts_on_is_counted() {
    let (good, open, shut) = (appraisal(OURS, References::Passed), both(), policy_locked());
    let (one, gone, told, unopened) = (listed(&open, 1), [vault(8)], strays([vault(5)]), [vault(1)].into());
    let device = |vault| facts(&good, vec![vault]);
    let epochs = |epochs| ToList { subject: Subject { epochs, ..one.subject }, ..one };
    let digests: Vec<_> = [
        device(one),
        device(listed(&open, 2)),
        device(listed(&shut, 1)),
        device(ToList { made: false, ..one }),
        device(ToList { recreate: true, ..one }),
        device(ToList { subject: Subject { standing: Presence::Removing, ..one.subject }, ..one }),
        // Of one that is not made yet, or the operation would tell it.
        device(ToList { subject: Subject { reported: None, ..epochs(Epochs::first()).subject }, ..one }),
        device(epochs(Epochs::first().rotate().rotate())),
        facts(&good, vec![one, listed(&open, 2)]),
        Facts { gone: &gone, ..device(one) },
        Facts { unopened: &unopened, ..device(one) },
        barred(device(one), Bar::Lost),
        held_to(barred(device(one), Bar::Lost), &told, OTHER),
    ]
    .iter()
    .map(|facts| drafted(facts).digest.expect("it goes out"))
    .collect();
    let unlike: BTreeSet<_> = digests.iter().collect();
    assert_eq!(unlike.len(), digests.len());
    let later =
        drafted(&Facts { evidence: StandingAt { renew: true, ..device(one).evidence }, ..device(one) });
    assert_eq!(
        (later.challenge, later.digest),
        (ChallengeWay::Beside, Some(digests[0])),
        "a challenge is none"
    );
}

/// VC-5, TH-5: what has its number takes no other, but for a node that did not take the last section for the next of its history.
#[test]
fn what_was_numbered_takes_no_other_number() {
    let (good, bad) = (appraisal(OURS, References::Passed), appraisal(OURS, References::Failed));
    let (open, shut) = (both(), policy_locked());
    let section = drafted(&facts(&good, vec![listed(&open, 1)]));
    let orders = drafted(&facts(&bad, vec![listed(&shut, 1)]));
    let nothing = drafted(&facts(&bad, vec![listed(&open, 1)]));
    let in_turn = Ledger::default();
    let sent = vec![Sent { digest: SectionDigest([1; 32]), follows: None, number: 1 }];
    let astray = Ledger { head: Some(SectionDigest([9; 32])), sent, ..Ledger::default() };
    assert!(astray.is_astray() && !in_turn.is_astray());
    for (what, draft, ledger, known, unknown) in [
        ("a section", &section, &in_turn, false, true),
        ("a section to a node elsewhere", &section, &astray, true, true),
        ("orders", &orders, &in_turn, false, true),
        ("orders to a node elsewhere", &orders, &astray, false, true),
        ("nothing", &nothing, &astray, false, false),
    ] {
        assert_eq!(draft.says_more(draft.digest, ledger).is_some(), known, "{what}");
        assert_eq!(
            draft.says_more(Some([9; 32]), ledger).is_some(),
            unknown,
            "{what}, and another went before"
        );
        assert_eq!(draft.says_more(None, ledger).is_some(), unknown, "{what}, and nothing went before");
    }
}

/// The time at which the same facts may say something else is that of the vault whose evidence is due first.
#[test]
fn it_holds_until_the_first_of_its_vaults_wants_evidence() {
    let (good, open) = (appraisal(OURS, References::Passed), both());
    let soon =
        VaultPolicy { attest: Attest { every: Duration::from_secs(300), ..open.attest.clone() }, ..both() };
    let until = |vaults, at| Draft::of(&facts(&good, vaults), NOT_ASKED, at).until;
    assert_eq!(until(vec![listed(&open, 1), listed(&soon, 2)], NOW + 60), NOW + 300);
    assert_eq!(until(vec![listed(&open, 1)], NOW + 60), NOW + 600);
    assert_eq!(until(vec![listed(&soon, 1)], NOW + 300), NOW + 301 + RENEWAL_GRACE.as_secs());
}
