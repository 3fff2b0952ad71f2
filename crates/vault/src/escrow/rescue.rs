//! When another `P_g` than the TPM gives in this boot is wanted: back from escrow, to be bound to this boot; or, where nothing hangs on the one that
//! is there, fresh. A boot that no operator approved gets neither: a bundle goes to an approved one alone, and only such a one is told that none is
//! held (`decide::escrow` comes before that answer).

use super::hope::Back;
use crate::condition::Node;
use crate::ids::VaultId;
use crate::section::{Presence, Seal};
use crate::shares::Mark;
use crate::wanted::{Authority, Desired, Wish};

/// Why `P_g` is not at hand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lack {
    /// The TPM gives it in another boot.
    Moved,
    /// It is not known yet in which.
    Unsteady,
    /// Its NV index is gone: what is sealed under it opens by a bundle's alone.
    Gone,
    /// There is a damaged one. Where the TPM has no PCRs to bind it to, a fresh one would be no better.
    Unreadable,
}

/// What hangs on the `P_g` that is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hanging {
    /// Shares that were dropped are dead only when the generation ends.
    pub dropped: bool,
    /// Shares are sealed under it.
    pub shares: bool,
}

/// Whether the root is wanted back. `listed`: a vault waits for its first share under it.
pub fn is_wanted(lack: Lack, hanging: Hanging, listed: impl FnOnce() -> bool) -> bool {
    match lack {
        Lack::Moved | Lack::Gone => hanging.dropped || hanging.shares || listed(),
        Lack::Unreadable => hanging.shares,
        Lack::Unsteady => false,
    }
}

/// Whether a fresh one takes its place with the next generation, where it is wanted back: no share is lost by that, and none is to be had.
#[must_use]
pub fn begins_anew(lack: Lack, hanging: Hanging, back: Option<Back>) -> bool {
    let none_has_it = match lack {
        Lack::Moved => back == Some(Back::NoneHeld),
        // A bundle that came and had it took its place: then nothing is lacking.
        Lack::Gone => matches!(back, Some(Back::NoneHeld | Back::Came)),
        Lack::Unsteady | Lack::Unreadable => false,
    };
    none_has_it && !hanging.shares
}

/// Whether a list that was accepted in this session wants a vault under `seal: pcrs` that has no share there. `share`: a vault's, under that seal.
pub fn is_listed(desired: &Desired, node: &Node, share: impl Fn(VaultId) -> Option<Mark>) -> bool {
    let wants = |id: VaultId| match desired.wish(id, node, false) {
        Wish::Keep(want) => {
            want.authority == Authority::Live
                && want.standing == Presence::Active
                && want.policy.custody.needs_tpm()
                && want.policy.seal == Seal::Pcrs
        }
        _ => false,
    };
    let shareless = |id: VaultId| matches!(share(id), None | Some(Mark::Lost));
    node.measured && desired.vaults().any(|id| shareless(id) && wants(id))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOTHING: Hanging = Hanging { dropped: false, shares: false };
    const SHARES: Hanging = Hanging { shares: true, ..NOTHING };
    const DROPPED: Hanging = Hanging { dropped: true, ..NOTHING };

    /// Decision 82: also for a vault that is yet to get its first share there; and never where the TPM gives it, or may.
    #[test]
    fn what_was_never_used_is_wanted_back_for_the_first_vault_that_needs_it() {
        for (lack, hanging, listed, wanted) in [
            (Lack::Moved, NOTHING, false, false),
            (Lack::Moved, NOTHING, true, true),
            (Lack::Moved, SHARES, false, true),
            (Lack::Moved, DROPPED, false, true),
            (Lack::Gone, NOTHING, false, false),
            (Lack::Gone, NOTHING, true, true),
            (Lack::Gone, SHARES, false, true),
            (Lack::Gone, DROPPED, false, true),
            (Lack::Unreadable, NOTHING, true, false),
            (Lack::Unreadable, DROPPED, true, false),
            (Lack::Unreadable, SHARES, false, true),
            (Lack::Unsteady, SHARES, true, false),
        ] {
            assert_eq!(is_wanted(lack, hanging, || listed), wanted, "{lack:?} {hanging:?} {listed}");
        }
    }

    /// Invariant 4: never while a share hangs on it, and never before the controller has said, to an approved boot, that there is none.
    #[test]
    fn a_fresh_one_takes_no_share_away() {
        for (lack, hanging, back, anew) in [
            (Lack::Moved, NOTHING, Some(Back::NoneHeld), true),
            (Lack::Moved, DROPPED, Some(Back::NoneHeld), true),
            (Lack::Moved, SHARES, Some(Back::NoneHeld), false),
            (Lack::Moved, NOTHING, Some(Back::Withheld), false),
            (Lack::Moved, NOTHING, Some(Back::Came), false),
            (Lack::Moved, NOTHING, None, false),
            (Lack::Gone, NOTHING, Some(Back::NoneHeld), true),
            (Lack::Gone, SHARES, Some(Back::NoneHeld), false),
            (Lack::Gone, NOTHING, Some(Back::Came), true),
            (Lack::Gone, DROPPED, Some(Back::Came), true),
            (Lack::Gone, SHARES, Some(Back::Came), false),
            (Lack::Gone, NOTHING, Some(Back::Withheld), false),
            (Lack::Gone, NOTHING, None, false),
            (Lack::Unreadable, NOTHING, Some(Back::NoneHeld), false),
            (Lack::Unsteady, NOTHING, Some(Back::NoneHeld), false),
        ] {
            assert_eq!(begins_anew(lack, hanging, back), anew, "{lack:?} {hanging:?} {back:?}");
        }
    }
}
