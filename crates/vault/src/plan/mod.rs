//! What to do next on the node, for every vault: from what is wanted, what is there, and which keys are at hand.
//! `desired` is the last authentic section; `observed` was read back from kernel, TPM and disk. Keys are named here, never held.
//! Invariants: absence never destroys (only [`Wish::Delete`] or an ordered `recreate` leads to a step that removes); every step is
//! atomic and safe to repeat, so that after a power cut anywhere the next plan mends what is there.

mod desired;
mod keep;
mod make;
mod record;
mod refit;
mod remove;
mod seen;
mod step;

use std::collections::{BTreeMap, BTreeSet};

use crate::ids::{CONFIG_VAULT, IMAGE_VAULT, VaultId};
use crate::report::State;

pub use desired::{Authority, Desired, Listing, RecordSeen, Released, Want, Wish, default_policy};
pub use record::{Accepted, Record, Refused};
pub use seen::{Dir, Held, Hint, Key, Keys, MetaCopy, Node, Seen, ShareKey, Staged, TableSeen, Tpm};
pub use step::{Act, Note, Op, Part, Setbacks, Step, StepKind, Wait};

/// What to do next for one vault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// One step; observe and ask again after it.
    Do(Act),
    /// Nothing until something outside changes.
    Wait(Wait),
    /// As wanted, or as far as it can be.
    Settled(Settled),
}

/// Where a vault came to rest, and what is to be said of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settled {
    /// Its state.
    pub state: State,
    /// Human words go with it.
    pub notes: Vec<Note>,
}

impl Next {
    pub(crate) fn settled(state: State) -> Self {
        Self::Settled(Settled { state, notes: Vec::new() })
    }
    pub(crate) fn noted(state: State, note: Note) -> Self {
        Self::Settled(Settled { state, notes: vec![note] })
    }
}

/// All that one vault's next step depends on.
#[derive(Debug, Clone, Copy)]
pub struct View<'a> {
    /// Which vault.
    pub id: VaultId,
    /// What is wanted of it.
    pub wish: &'a Wish,
    /// What is there.
    pub seen: &'a Seen,
    /// Which keys are at hand.
    pub keys: &'a Keys,
    /// The node's own facts.
    pub node: &'a Node,
    /// Steps that failed a short while ago, and one that is under way.
    pub setbacks: Setbacks,
}

/// What to do next for one vault. Pure and cheap: no allocation on the way to a step.
#[must_use]
pub fn next(view: &View<'_>) -> Next {
    let next = match view.wish {
        Wish::Keep(want) => keep::next(view, want),
        Wish::Delete => remove::delete(view),
        Wish::Gone => Next::noted(State::Removed, Note::NotCryptoErased),
        Wish::Orphan => remove::lock(view, Next::noted(State::Orphan, Note::Orphan)),
        Wish::Lock => remove::lock(view, Next::noted(view.seen.state(), Note::LeftAsItIs)),
        Wish::Leave => Next::noted(view.seen.state(), Note::LeftAsItIs),
    };
    match next {
        Next::Do(act) if view.setbacks.contains(act.step.kind()) => {
            Next::Wait(view.setbacks.wait(act.step.kind()))
        }
        next => next,
    }
}

/// One vault as the shell knows it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Known {
    /// What is there.
    pub seen: Seen,
    /// Which keys are at hand.
    pub keys: Keys,
    /// Steps that failed a short while ago, and one that is under way.
    pub setbacks: Setbacks,
}

/// The next step of every vault that is listed, remembered, observed or a default one; in the order to take them:
/// the Config Vault, for it holds the record of sections, the Image Vault, then the others by identity.
#[must_use]
pub fn plan(desired: &Desired, known: &BTreeMap<VaultId, Known>, node: &Node) -> Vec<(VaultId, Wish, Next)> {
    let unknown = Known::default();
    let one = |id: VaultId| {
        let known = known.get(&id).unwrap_or(&unknown);
        let wish = desired.wish(id, node, known.seen.is_nothing());
        let view =
            View { id, wish: &wish, seen: &known.seen, keys: &known.keys, node, setbacks: known.setbacks };
        let next = next(&view);
        (id, wish, next)
    };
    order(desired.vaults().chain(known.keys().copied())).into_iter().map(one).collect()
}

fn order(ids: impl Iterator<Item = VaultId>) -> Vec<VaultId> {
    let others: BTreeSet<VaultId> = ids.filter(|id| !id.is_default()).collect();
    [CONFIG_VAULT, IMAGE_VAULT].into_iter().chain(others).collect()
}
