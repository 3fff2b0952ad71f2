//! The release decision, row by row: what is released, and everything that is not.

#![allow(clippy::disallowed_types, reason = "a software TPM makes keys")]

use std::collections::BTreeSet;

use uuid::Uuid;

use super::*;
use crate::policy::Attest;
use crate::policy::Removal;
use crate::section::{Encryption, NodePolicy, Seal};

pub(crate) mod fake_tpm;
pub(crate) mod made;
mod properties;

use made::{References, after_a_power_cut, appraisal, device_session, rolled_back};

const NOW: u64 = 1_800_000_000;
const OURS: SessionKey = SessionKey([1; 32]);
const OTHER: SessionKey = SessionKey([2; 32]);

fn policy(custody: Custody, require: &[Check], operation: Door) -> VaultPolicy {
    VaultPolicy {
        name: "p".parse().expect("a name"),
        node: NodePolicy {
            encryption: Encryption::Aes256Xts,
            custody,
            seal: Seal::Tpm,
            lease: None,
            recovery: crate::recovery::Recipients::NONE,
            storage_limit: None,
        },
        attest: Attest {
            every: Duration::from_secs(600),
            require: require.iter().copied().collect::<BTreeSet<_>>(),
        },
        on_removal: Removal::DeleteAfter(Duration::ZERO),
        operation,
    }
}

fn subject(policy: &VaultPolicy) -> Subject<'_> {
    Subject {
        vault: VaultId(Uuid::from_u128(7)),
        policy,
        epochs: Epochs::first().rotate(),
        reported: None,
        standing: section::Presence::Active,
    }
}

fn asking(tpm: TpmPin) -> Asking {
    Asking { device: DeviceId(Uuid::from_u128(1)), session: OURS, tpm, barred: None }
}

fn evidence(standing: Standing<'_>) -> StandingAt<'_> {
    StandingAt { standing, at: NOW, renew: false }
}

fn withheld(decision: &Decision) -> Option<Withheld> {
    match &decision.ruling {
        Ruling::Withhold(why) => Some(why.clone()),
        Ruling::NotNeeded | Ruling::Release(_) => None,
    }
}

/// AC-1, VC-3, seen-by-users 1.1: good evidence of the right kind, after a power cut too, releases the current and the last epoch to this session, and nothing wider.
#[test]
fn good_evidence_releases_two_epochs_to_its_own_session() {
    let (quoted, signed) = (appraisal(OURS, References::Passed), device_session(OURS));
    let cut = after_a_power_cut(OURS);
    for (custody, tpm, standing) in [
        (Custody::TpmAndController, TpmPin::Present, Standing::Quoted(&cut)),
        (Custody::TpmAndController, TpmPin::Present, Standing::Quoted(&quoted)),
        (Custody::Controller, TpmPin::Present, Standing::Quoted(&quoted)),
        (Custody::Controller, TpmPin::Absent, Standing::DeviceSigned(&signed)),
    ] {
        let policy = policy(custody, &[], Door::Unlock);
        let decision = decide(&subject(&policy), &evidence(standing), &asking(tpm), NOW);
        let Ruling::Release(granted) = decision.ruling else { panic!("{custody:?}: {decision:?}") };
        assert!(decision.lacks.is_none() && !decision.renewal_due);
        assert_eq!((granted.session(), granted.custody()), (OURS, custody));
        assert_eq!((granted.epochs().current(), granted.epochs().last()), (Epoch(2), Epoch(1)));
    }
}

/// seen-by-users 1.2, 0.12: to a device that is lost, or may be two, nothing goes out, however good its evidence; a lost one's vaults are
/// to be locked whatever their custody, and it still gets the section that says so.
#[test]
fn nothing_goes_out_to_a_device_that_is_barred() {
    let quoted = appraisal(OURS, References::Passed);
    for (bar, custody, why) in [
        (Bar::Lost, Custody::Controller, Some(Withheld::DeviceLost)),
        (Bar::Lost, Custody::TpmAndController, Some(Withheld::DeviceLost)),
        (Bar::Lost, Custody::Tpm, Some(Withheld::DeviceLost)),
        (Bar::Doubled, Custody::Controller, Some(Withheld::DeviceDoubled)),
        (Bar::Doubled, Custody::Tpm, None),
    ] {
        let (policy, evidence) = (policy(custody, &[], Door::Unlock), evidence(Standing::Quoted(&quoted)));
        let asking = Asking { barred: Some(bar), ..asking(TpmPin::Present) };
        let decision = decide(&subject(&policy), &evidence, &asking, NOW);
        assert_eq!(withheld(&decision), why, "{bar:?} {custody:?}");
        assert!(!matches!(decision.ruling, Ruling::Release(_)), "{bar:?} {custody:?}");
        assert_eq!(
            challenge(&[decision], &evidence, &asking, BundleNeeded::NEVER, NOW),
            ChallengeWay::None,
            "{bar:?} {custody:?}"
        );
    }
}

/// AC-2, AC-5, TH-2: every other state of the evidence withholds, and says why.
#[test]
fn evidence_that_is_not_plainly_good_withholds() {
    let (quoted, signed) = (appraisal(OURS, References::Passed), device_session(OURS));
    let (foreign, failed, unchecked) = (
        appraisal(OTHER, References::Passed),
        appraisal(OURS, References::Failed),
        appraisal(OURS, References::NotChecked),
    );
    let unmeasured = appraisal(OURS, References::NotMeasured);
    let backwards = rolled_back(OURS);
    let (pcrs, none): (&[Check], &[Check]) = (&[Check::Pcrs], &[]);
    for (what, require, standing, tpm, expected) in [
        ("nothing", none, Standing::None, TpmPin::Present, "NoEvidence"),
        ("nothing, no TPM", none, Standing::None, TpmPin::Absent, "NoEvidence"),
        ("another session's quote", none, Standing::Quoted(&foreign), TpmPin::Present, "OtherSession"),
        ("a signature where a TPM is", none, Standing::DeviceSigned(&signed), TpmPin::Present, "MustQuote"),
        (
            "a signature where a TPM may be",
            none,
            Standing::DeviceSigned(&signed),
            TpmPin::Unknown,
            "MustQuote",
        ),
        ("a quote of an unpinned TPM", none, Standing::Quoted(&quoted), TpmPin::Unknown, "MustQuote"),
        ("a quote where there is no TPM", none, Standing::Quoted(&quoted), TpmPin::Absent, "MustQuote"),
        ("a TPM that went back", none, Standing::Quoted(&backwards), TpmPin::Present, "WentBack"),
        ("changed PCRs", pcrs, Standing::Quoted(&failed), TpmPin::Present, "Failed"),
        ("PCRs that were not checked", pcrs, Standing::Quoted(&unchecked), TpmPin::Present, "Failed"),
        ("PCRs that nothing measured", pcrs, Standing::Quoted(&unmeasured), TpmPin::Present, "Failed"),
        ("PCRs of no TPM", pcrs, Standing::DeviceSigned(&signed), TpmPin::Absent, "Failed"),
    ] {
        let policy = policy(Custody::Controller, require, Door::Unlock);
        let decision = decide(&subject(&policy), &evidence(standing), &asking(tpm), NOW);
        let why = withheld(&decision).unwrap_or_else(|| panic!("{what}: {decision:?}"));
        assert!(format!("{why:?}").starts_with(expected), "{what}: {why:?}");
        assert!(!decision.met(), "{what}");
        assert!(!why.coarse().to_string().is_empty());
    }
}

/// TH-3, seen-by-users 0.12: a lease is a word of the controller's, also where the TPM alone opens the vault: a device that may be two, or
/// that does not show what the policy asks for, gets none. Without a lease nothing is asked for.
#[test]
fn a_lease_of_a_vault_that_needs_no_key_stands_on_the_same_demands() {
    let (good, bad) = (appraisal(OURS, References::Passed), appraisal(OURS, References::Failed));
    let leased = |lease| {
        let policy = policy(Custody::Tpm, &[Check::Pcrs], Door::Unlock);
        VaultPolicy { node: NodePolicy { lease, ..policy.node }, ..policy }
    };
    let (with, without) = (leased(crate::lease::Lease::of_seconds(3600)), leased(None));
    let late = NOW + 600 + RENEWAL_GRACE.as_secs() + 1;
    for (what, shown, barred, now, refused) in [
        ("good", &good, None, NOW, false),
        ("may be two", &good, Some(Bar::Doubled), NOW, true),
        ("other PCRs", &bad, None, NOW, true),
        ("too old", &good, None, late, true),
    ] {
        let asking = Asking { barred, ..asking(TpmPin::Present) };
        let decided = |policy| decide(&subject(policy), &evidence(Standing::Quoted(shown)), &asking, now);
        assert_eq!(withheld(&decided(&with)).is_some(), refused, "{what}");
        assert_eq!(withheld(&decided(&without)), None, "{what}: no lease");
        assert!(!matches!(decided(&with).ruling, Ruling::Release(_)), "{what}: there is no key to release");
    }
}

/// Evidence ages: due at `every`, good for the grace after it, then not; a clock set back is no way around.
#[test]
fn evidence_ages_by_the_controllers_clock() {
    let quoted = appraisal(OURS, References::Passed);
    let policy = policy(Custody::TpmAndController, &[], Door::Unlock);
    let end = 600 + RENEWAL_GRACE.as_secs();
    for (now, released, due) in [
        (NOW, true, false),
        (NOW + 599, true, false),
        (NOW + 600, true, true),
        (NOW + end, true, true),
        (NOW + end + 1, false, true),
        (NOW - 1, false, false),
    ] {
        let decision =
            decide(&subject(&policy), &evidence(Standing::Quoted(&quoted)), &asking(TpmPin::Present), now);
        assert_eq!(matches!(decision.ruling, Ruling::Release(_)), released, "{now}");
        assert_eq!(decision.renewal_due, due, "{now}");
    }
}

/// What needs no key gets none; a vault that leaves the controller's custody still gets what it is wrapped under.
#[test]
fn a_key_goes_out_only_where_it_is_part_of_the_vault_and_wanted() {
    let quoted = appraisal(OURS, References::Passed);
    let good = evidence(Standing::Quoted(&quoted));
    let tpm = policy(Custody::Tpm, &[], Door::Unlock);
    let rule = |subject: Subject<'_>| decide(&subject, &good, &asking(TpmPin::Present), NOW);
    assert!(matches!(rule(subject(&tpm)).ruling, Ruling::NotNeeded));
    let leaving = Subject { reported: Some(Epoch(2)), ..subject(&tpm) };
    assert!(matches!(rule(leaving).ruling, Ruling::Release(_)));
    let locked = policy(Custody::TpmAndController, &[], Door::Lock);
    let decision = rule(subject(&locked));
    assert_eq!((withheld(&decision), decision.met()), (Some(Withheld::LockedByOperator), true));
    let open = policy(Custody::TpmAndController, &[], Door::Unlock);
    let removing = rule(Subject { standing: section::Presence::Removing, ..subject(&open) });
    assert_eq!((withheld(&removing), removing.met()), (Some(Withheld::BeingRemoved), true));
    let retained = rule(Subject { standing: section::Presence::Retained, ..subject(&open) });
    assert_eq!((withheld(&retained), retained.met()), (Some(Withheld::Retained), true));
}

/// A custody with a TPM on a node without one is refused in words, whatever the evidence.
#[test]
fn a_tpm_custody_without_a_tpm_is_refused_clearly() {
    let signed = device_session(OURS);
    for custody in [Custody::Tpm, Custody::TpmAndController] {
        let policy = policy(custody, &[], Door::Unlock);
        let decision = decide(
            &subject(&policy),
            &evidence(Standing::DeviceSigned(&signed)),
            &asking(TpmPin::Absent),
            NOW,
        );
        assert_eq!(withheld(&decision), Some(Withheld::NoTpm), "{custody:?}");
    }
}

/// AC-2: the challenge takes the section's place while nothing is met, and rides beside it when evidence is due; but a vault that is
/// not met asks for no evidence within a minute of the last.
#[test]
fn the_challenge_stands_in_place_or_beside() {
    let (quoted, failed) = (appraisal(OURS, References::Passed), appraisal(OURS, References::Failed));
    let (plain, strict) = (
        policy(Custody::Controller, &[], Door::Unlock),
        policy(Custody::Controller, &[Check::Pcrs], Door::Unlock),
    );
    let asked = |policies: &[&VaultPolicy], standing: Standing<'_>, now: u64, renew: bool| {
        let evidence = StandingAt { standing, at: NOW, renew };
        let asking = asking(TpmPin::Present);
        let decisions: Vec<_> =
            policies.iter().map(|policy| decide(&subject(policy), &evidence, &asking, now)).collect();
        challenge(&decisions, &evidence, &asking, BundleNeeded::NEVER, now)
    };
    for (what, policies, standing, now, renew, expected) in [
        ("no vault, no evidence", &[][..], Standing::None, NOW, false, ChallengeWay::InPlace),
        ("no vault, evidence", &[], Standing::Quoted(&quoted), NOW, false, ChallengeWay::None),
        ("no vault, old evidence", &[], Standing::Quoted(&quoted), NOW + 901, false, ChallengeWay::Beside),
        ("met", &[&strict], Standing::Quoted(&quoted), NOW, false, ChallengeWay::None),
        ("none met", &[&strict], Standing::Quoted(&failed), NOW, false, ChallengeWay::InPlace),
        ("one met of two", &[&strict, &plain], Standing::Quoted(&failed), NOW, false, ChallengeWay::None),
        (
            "a minute later",
            &[&strict, &plain],
            Standing::Quoted(&failed),
            NOW + 60,
            false,
            ChallengeWay::Beside,
        ),
        (
            "none met, a minute later",
            &[&strict],
            Standing::Quoted(&failed),
            NOW + 60,
            false,
            ChallengeWay::InPlace,
        ),
        (
            "one met of two, wanted anew",
            &[&strict, &plain],
            Standing::Quoted(&failed),
            NOW,
            true,
            ChallengeWay::Beside,
        ),
        ("due", &[&plain], Standing::Quoted(&quoted), NOW + 600, false, ChallengeWay::Beside),
        ("wanted anew", &[&plain], Standing::Quoted(&quoted), NOW, true, ChallengeWay::Beside),
        ("too old", &[&plain], Standing::Quoted(&quoted), NOW + 901, false, ChallengeWay::InPlace),
    ] {
        assert_eq!(asked(policies, standing, now, renew), expected, "{what}");
    }
}

/// A policy may be content with evidence of days ago, and the bundle in escrow is not: where that is needed, evidence is asked for. Not before, not of
/// who would not get it, and no more once it is fresh.
#[test]
fn a_bundle_that_is_needed_asks_for_evidence() {
    let quoted = appraisal(OURS, References::Passed);
    let mut patient = policy(Custody::Tpm, &[], Door::Unlock);
    patient.attest.every = Duration::from_secs(30 * 86_400);
    let late = NOW + 1201;
    let (needed, lost) = (BundleNeeded(Some(NOW)), Some(Bar::Lost));
    for (what, bundle, barred, now, expected) in [
        ("not needed", BundleNeeded::NEVER, None, late, ChallengeWay::None),
        ("needed, and too old for it", needed, None, late, ChallengeWay::Beside),
        ("needed, and fresh", needed, None, late - 1, ChallengeWay::None),
        ("needed later", BundleNeeded(Some(late + 1)), None, late, ChallengeWay::None),
        ("needed by who is lost", needed, lost, late, ChallengeWay::None),
    ] {
        let (evidence, asking) =
            (evidence(Standing::Quoted(&quoted)), Asking { barred, ..asking(TpmPin::Present) });
        let decision = decide(&subject(&patient), &evidence, &asking, now);
        assert_eq!(challenge(&[decision], &evidence, &asking, bundle, now), expected, "{what}");
        let given = escrow(&evidence, &asking, now).is_ok();
        let waits = bundle.0.is_some_and(|from| from <= now) && barred.is_none() && !given;
        assert_eq!(waits, expected == ChallengeWay::Beside, "{what}: who waits for it is challenged");
    }
}

/// What a node is told of good evidence that satisfies no policy: which demand, and nothing while its evidence is what is missing.
#[test]
fn a_node_is_told_which_demand_its_evidence_does_not_meet() {
    let (quoted, failed) = (appraisal(OURS, References::Passed), appraisal(OURS, References::Failed));
    let unmeasured = appraisal(OURS, References::NotMeasured);
    let (plain, strict) =
        (policy(Custody::Tpm, &[], Door::Unlock), policy(Custody::Tpm, &[Check::Pcrs], Door::Unlock));
    for (what, policies, standing, now, expected) in [
        ("no vault", &[][..], Standing::Quoted(&failed), NOW, None),
        ("no evidence", &[&strict], Standing::None, NOW, None),
        ("met", &[&strict], Standing::Quoted(&quoted), NOW, None),
        ("differs", &[&strict], Standing::Quoted(&failed), NOW, Some(Check::Pcrs)),
        ("not measured", &[&strict], Standing::Quoted(&unmeasured), NOW, Some(Check::Pcrs)),
        ("too old", &[&strict], Standing::Quoted(&failed), NOW + 901, None),
        ("one met", &[&strict, &plain], Standing::Quoted(&failed), NOW, None),
    ] {
        let (evidence, asking) = (evidence(standing), asking(TpmPin::Present));
        let decisions: Vec<_> =
            policies.iter().map(|policy| decide(&subject(policy), &evidence, &asking, now)).collect();
        assert_eq!(lacking(&decisions), expected, "{what}");
    }
}

/// Invariant 2, TH-5: the bundle goes back to an approved boot alone, whatever policies ask; not to one that was not measured or differs, not to
/// another session, nor to a device that is barred or has no TPM.
#[test]
fn the_bundle_goes_back_to_an_approved_boot_alone() {
    let of = |references| appraisal(OURS, references);
    let (good, failed) = (of(References::Passed), of(References::Failed));
    let (unchecked, unmeasured) = (of(References::NotChecked), of(References::NotMeasured));
    let (foreign, signed) = (appraisal(OTHER, References::Passed), device_session(OURS));
    let asked = |standing, asking: &Asking, now| escrow(&evidence(standing), asking, now);
    let granted = asked(Standing::Quoted(&good), &asking(TpmPin::Present), NOW).expect("is granted");
    assert_eq!((granted.device(), granted.session()), (asking(TpmPin::Present).device, OURS));
    for (what, standing, tpm) in [
        ("no evidence", Standing::None, TpmPin::Present),
        ("PCRs that differ", Standing::Quoted(&failed), TpmPin::Present),
        ("nothing approved", Standing::Quoted(&unchecked), TpmPin::Present),
        ("not measured", Standing::Quoted(&unmeasured), TpmPin::Present),
        ("another session's", Standing::Quoted(&foreign), TpmPin::Present),
        ("no TPM", Standing::DeviceSigned(&signed), TpmPin::Absent),
        ("a TPM that does not quote", Standing::DeviceSigned(&signed), TpmPin::Present),
    ] {
        assert!(asked(standing, &asking(tpm), NOW).is_err(), "{what}");
    }
    for (bar, why) in [(Bar::Lost, Withheld::DeviceLost), (Bar::Doubled, Withheld::DeviceDoubled)] {
        let barred = Asking { barred: Some(bar), ..asking(TpmPin::Present) };
        assert_eq!(asked(Standing::Quoted(&good), &barred, NOW).expect_err("is barred"), why);
    }
    assert!(asked(Standing::Quoted(&good), &asking(TpmPin::Present), NOW + 86_400).is_err(), "too old");
    assert!(asked(Standing::Quoted(&good), &asking(TpmPin::Present), NOW - 1).is_err(), "from the future");
}
