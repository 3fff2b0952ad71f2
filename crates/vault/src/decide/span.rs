//! How long a decision holds while nothing but the time changes.

use std::time::Duration;

use super::{BundleNeeded, RENEWAL_GRACE, RETRY_AFTER, StandingAt};
use crate::policy::DEFAULT_ATTEST_EVERY;

/// The first second after `now` at which [`super::decide`] or [`super::challenge`] may say something else than now, of vaults whose policies
/// want their evidence renewed `every` so long; `u64::MAX` where they never do. Only the words of a refusal, which tell an age, change
/// before. It says nothing of times before `now`.
///
/// Time enters both by the age of the evidence, held against these bounds, and by when the bundle in escrow is needed.
#[must_use]
pub fn changes_at(
    every: impl IntoIterator<Item = Duration>,
    evidence: &StandingAt<'_>,
    bundle: BundleNeeded,
    now: u64,
) -> u64 {
    let mut every = every.into_iter().peekable();
    let unlisted = every.peek().is_none().then_some(DEFAULT_ATTEST_EVERY);
    let of_policies =
        every.chain(unlisted).flat_map(|every| [every.as_secs(), (every + RENEWAL_GRACE).as_secs() + 1]);
    let ages_s = of_policies.chain([0, RETRY_AFTER.as_secs()]);
    let turns = ages_s.map(|age_s| evidence.at.saturating_add(age_s)).chain(bundle.turns(evidence));
    turns.filter(|turn| *turn > now).min().unwrap_or(u64::MAX)
}
