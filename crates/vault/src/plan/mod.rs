//! What to do next on the node, for every vault: from what is wanted, what is there, and which keys are at hand.
//! `desired` is the last authentic section; `observed` was read back from kernel, TPM and disk. Keys are named here, never held.
//! Invariants: absence never destroys (only [`Wish::Delete`] or an ordered `recreate` leads to a step that removes); every step is
//! atomic and safe to repeat, so that after a power cut anywhere the next plan mends what is there.

mod absent;
mod at_hand;
mod away;
mod erasing;
mod in_the_way;
mod keep;
mod make;
mod node;
mod note;
mod reach;
mod record;
mod recovery;
mod refit;
mod remove;
mod space;
mod step;

use std::collections::BTreeMap;

use crate::condition::{Facts, Keys, Node, Seen, State, orphan_lacks};
use crate::defaults;
use crate::ids::VaultId;
use crate::wanted::{Desired, Wish};

pub use absent::lacks_line;
pub use at_hand::AtHand;
pub use away::is_not_here;
pub use erasing::{Hold, NodeGlance};
pub(crate) use keep::opens_by_another_key;
pub use node::NodeStep;
pub use note::{Note, RecoveryKept};
pub use record::RecordDoor;
pub(crate) use recovery::note as recovery_note;
pub use step::{Act, Finished, NoKey, Op, Setbacks, Step, StepKind, Wait};

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

impl<'a> View<'a> {
    /// What the vault's condition is told from.
    #[must_use]
    pub fn facts(&self) -> Facts<'a> {
        Facts { id: self.id, seen: self.seen, keys: self.keys, node: self.node }
    }
}

/// What to do next for one vault. Pure and cheap.
#[must_use]
pub fn next(view: &View<'_>) -> Next {
    held_back(view, by_heart(view).map_or_else(|| wished(view), Next::Do))
}

/// Key files that are gone while the key is at hand are written anew before that key is given up, whatever is wanted of the vault but its end.
/// Where they can't be, as on a disk that went, what is due of the vault, a lock above all, is not held up by that.
fn by_heart(view: &View<'_>) -> Option<Act> {
    let act = Act { op: Op::Unlock, step: Step::WriteByHeart };
    let gone = view.seen.is_vault() && !view.seen.has_metadata() && view.keys.held.is_some();
    let stays = *view.wish != Wish::Delete && !view.setbacks.contains(act.step.kind());
    (gone && stays && !view.node.disk_went).then_some(act)
}

/// Open, by its recovery key.
fn is_recovered(view: &View<'_>) -> bool {
    view.keys.recovered && view.seen.state() == State::Unlocked
}

fn wished(view: &View<'_>) -> Next {
    match view.wish {
        Wish::Keep(want) => keep::next(view, want),
        Wish::Delete => remove::delete(view),
        Wish::Gone => remove::lock_own(view, Next::noted(State::Removed, erasing::note(view.seen))),
        Wish::Orphan | Wish::Unlisted | Wish::Leave if keep::opens_unasked(view) => {
            Next::Do(Act { op: Op::Unlock, step: Step::AddKey })
        }
        Wish::Orphan if is_recovered(view) => orphan(view, Note::OrphanOpen),
        Wish::Orphan => remove::lock_own(view, orphan(view, Note::Orphan)),
        Wish::Unlisted if is_recovered(view) => Next::noted(view.seen.state(), Note::UnlistedOpen),
        Wish::Unlisted => remove::lock_own(view, Next::noted(view.seen.state(), Note::Unlisted)),
        Wish::Lock => remove::lock(view, Next::noted(view.seen.state(), Note::LeftAsItIs)),
        Wish::Leave if let Some(note) = keep::unlisted_lease_over(view) => {
            remove::lock_own(view, Next::noted(view.seen.state(), note))
        }
        Wish::Leave => Next::noted(view.seen.state(), Note::LeftAsItIs),
    }
}

/// With what it lacks: whoever takes it in is to know.
fn orphan(view: &View<'_>, note: Note) -> Next {
    let lacks = orphan_lacks(&view.facts()).into_iter().map(Note::Missing);
    Next::Settled(Settled { state: State::Orphan, notes: [note].into_iter().chain(lacks).collect() })
}

/// Of a vault that can't be looked at nothing is concluded, but it locks all the same: a lock needs no more than the name of its key. Else
/// whoever can have its directory not be looked at would keep it open.
fn unseen(view: &View<'_>) -> Next {
    let waits = Next::Wait(Wait::Unseen);
    let next = match view.wish {
        Wish::Keep(want) => keep::unseen(view, want, waits),
        Wish::Delete | Wish::Lock => remove::lock(view, waits),
        Wish::Leave if keep::unlisted_lease_over(view).is_none() => waits,
        Wish::Orphan | Wish::Unlisted if view.keys.recovered => waits,
        Wish::Gone | Wish::Orphan | Wish::Unlisted | Wish::Leave => remove::lock_unseen(view, waits),
    };
    held_back(view, next)
}

/// What failed a short while ago, or is under way, waits.
fn held_back(view: &View<'_>, next: Next) -> Next {
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
    /// It was not observed yet, or could not be: nothing is planned by what was seen before, but that its key leaves the kernel.
    pub unseen: bool,
    /// A bundle in escrow may bring back what it lacks, and the controller was not heard on that: no order makes it anew meanwhile.
    pub hoped: bool,
}

/// What to do next on the node: for itself first, then for each vault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// A step of the node's own. Vaults that need it wait for it.
    pub node: Option<NodeStep>,
    /// Why shares that were dropped are not dead yet.
    pub hold: Option<Hold>,
    /// Every vault that is listed, remembered, observed or a default one; in the order to take them: the Config Vault, for it holds
    /// the record of sections, the Image Vault, then the others by identity.
    pub vaults: Vec<(VaultId, Wish, Next)>,
}

/// The plan for the whole node.
#[must_use]
pub fn plan(desired: &Desired, known: &BTreeMap<VaultId, Known>, node: &Node) -> Plan {
    let unknown = Known::default();
    let ids = defaults::first(desired.vaults().chain(known.keys().copied()));
    let due = |id: VaultId| {
        let (wish, next) = due(desired, id, known.get(&id).unwrap_or(&unknown), node);
        (id, wish, next)
    };
    let due: Vec<_> = ids.into_iter().map(due).collect();
    // What can't be carried out now is to be, and may drop more.
    let hold = erasing::hold(desired, known, &due, node);
    let vaults = due.into_iter().map(|(id, wish, next)| (id, wish, next.within_reach(node))).collect();
    Plan { node: node::step(desired, known, node, hold), hold, vaults }
}

/// One vault's part of the plan: what is wanted of it, and what to do next.
#[must_use]
pub fn one(desired: &Desired, id: VaultId, known: &Known, node: &Node) -> (Wish, Next) {
    let (wish, next) = due(desired, id, known, node);
    (wish, next.within_reach(node))
}

/// The same, whether or not it can be carried out now.
fn due(desired: &Desired, id: VaultId, known: &Known, node: &Node) -> (Wish, Next) {
    let mut wish = desired.wish(id, node, !known.unseen && known.seen.is_nothing());
    if let Wish::Keep(want) = &mut wish {
        want.recreate &= !known.hoped;
    }
    // What no list wants open its recovery key opens, until somebody wants it locked.
    let shut = !matches!(wish, Wish::Keep(_)) && desired.kept_locked(id);
    let keys = Keys { recovered: known.keys.recovered && !shut, ..known.keys };
    let view = View { id, wish: &wish, seen: &known.seen, keys: &keys, node, setbacks: known.setbacks };
    let next = if known.unseen { unseen(&view) } else { next(&view) };
    (wish, next)
}
