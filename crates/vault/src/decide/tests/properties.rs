//! What holds of every decision, whatever is asked.

use attest::{Appraisal, DeviceSession};
use proptest::prelude::*;

use super::made::{References, appraisal, device_session};
use super::*;

proptest! {
    /// Nothing is ever released to a session other than the evidence's own, at any age, under any policy.
    #[test]
    fn only_the_evidences_own_session_gets_keys(
        asks in 1_u8..4, shown in 1_u8..4, age in 0_u64..4000, custody in 0..3, tpm in 0..3, kind in 0..3, pcrs: bool, lock: bool,
    ) {
        let custody = [Custody::Tpm, Custody::Controller, Custody::TpmAndController][custody as usize];
        let tpm = [TpmPin::Unknown, TpmPin::Present, TpmPin::Absent][tpm as usize];
        let require: &[Check] = if pcrs { &[Check::Pcrs] } else { &[] };
        let policy = policy(custody, require, if lock { Door::Lock } else { Door::Unlock });
        let shown_session = SessionKey([shown; 32]);
        let (quoted, signed): (Appraisal, DeviceSession) = (appraisal(shown_session, References::Passed), device_session(shown_session));
        let standing = [Standing::None, Standing::Quoted(&quoted), Standing::DeviceSigned(&signed)][kind as usize];
        let asking = Asking { session: SessionKey([asks; 32]), ..asking(tpm) };
        let decision = decide(&subject(&policy), &evidence(standing), &asking, NOW + age);
        if let Ruling::Release(granted) = decision.ruling {
            prop_assert_eq!(granted.session(), shown_session);
            prop_assert_eq!(asks, shown);
            prop_assert!(age <= 600 + RENEWAL_GRACE.as_secs());
            prop_assert!(!lock && custody.needs_controller());
            prop_assert_eq!(kind == 1, tpm == TpmPin::Present);
        }
    }

    /// AC-5: until the time that is told, the same is decided of the same; nothing is told of times before now.
    #[test]
    fn a_decision_holds_until_it_is_told_to_change(
        every in proptest::collection::vec(1_u64..3000, 0..4), at in 0_u64..1300, after in 0_u64..3500, renew: bool, shown in 1_u8..3,
        pcrs: bool, kind in 0..3, needed in proptest::option::of(0_u64..4000),
    ) {
        let bundle = BundleNeeded(needed.map(|after| NOW + after));
        let (quoted, signed) = (appraisal(SessionKey([shown; 32]), References::Failed), device_session(SessionKey([shown; 32])));
        let standing = [Standing::None, Standing::Quoted(&quoted), Standing::DeviceSigned(&signed)][kind as usize];
        let evidence = StandingAt { standing, at: NOW + at, renew };
        let asking = asking(if kind == 2 { TpmPin::Absent } else { TpmPin::Present });
        let require: &[Check] = if pcrs { &[Check::Pcrs] } else { &[] };
        let policies: Vec<VaultPolicy> = every.iter().map(|every| VaultPolicy {
            attest: Attest { every: Duration::from_secs(*every), require: require.iter().copied().collect() },
            ..policy(Custody::Controller, require, Door::Unlock)
        }).collect();
        let said = |now: u64| {
            let decided: Vec<_> = policies.iter().map(|policy| decide(&subject(policy), &evidence, &asking, now)).collect();
            let challenge = challenge(&decided, &evidence, &asking, bundle, now);
            let coarse = |ruling: &Ruling| match ruling {
                Ruling::Withhold(why) => Some(Some(why.coarse())),
                Ruling::Release(_) => Some(None),
                Ruling::NotNeeded => None,
            };
            let each: Vec<_> = decided.iter().map(|one| (coarse(&one.ruling), one.met(), one.renewal_due)).collect();
            (each, challenge)
        };
        let now = NOW + after;
        let until = changes_at(policies.iter().map(|policy| policy.attest.every), &evidence, bundle, now);
        prop_assert!(until > now);
        for then in [now, now + 1, (until - 1).min(now + 5000), now.midpoint((until - 1).min(now + 5000))] {
            if then < until {
                prop_assert_eq!(said(then), said(now), "{} s on", then - now);
            }
        }
    }
}
