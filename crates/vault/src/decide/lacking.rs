//! What a node is told of evidence that is good and satisfies no policy.

use super::{Decision, Withheld};
use crate::policy::Check;

/// Which demand is told to a session whose evidence is taken and in force, and satisfies no listed vault's policy, coarsely. None where there
/// is no such evidence: then the challenge says what is wanted.
#[must_use]
pub fn lacking(decisions: &[Decision]) -> Option<Check> {
    let lacks: Option<Vec<_>> = decisions.iter().map(|decision| decision.lacks.as_ref()).collect();
    lacks?.into_iter().find_map(|why| match why {
        Withheld::Failed { check, .. } => Some(*check),
        _ => None,
    })
}
