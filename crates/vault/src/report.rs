//! What a node reports of its vaults (IF-2). Holds no secret; goes to the bus, to `eve status` and to the controller.

use std::fmt::Display;

use serde::{Deserialize, Serialize};

use crate::condition::{Escrow, Hint, OpenedBy, TpmSeen};
use crate::ids::{Epoch, Name, VaultId};
use crate::plan::{Finished, Hold, Next, Note, Op, View, Wait, recovery_note};
use crate::section::Operation;
use crate::shares::{Dropped, Mark};
use crate::wanted::Wish;

pub use crate::condition::State;
pub use crate::opened::{By, Opened};
pub use crate::space::Storage;

/// The last operation on a vault and how it ended (IF-2).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// `create`, `unlock`, `lock`, `change-key`, `delete`, `recreate`.
    pub operation: String,
    /// Nothing when it succeeded; else the error and what to do.
    pub error: Option<String>,
}

/// The status of one vault.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VaultReport {
    /// Its identity.
    pub id: VaultId,
    /// Its user's name.
    pub name: Name,
    /// Where it stands.
    pub state: State,
    /// Made once on this node: directory, policy, metadata and share were there together.
    pub created: bool,
    /// The epoch that its protector is wrapped under, when a controller's key is part of it.
    pub epoch: Option<Epoch>,
    /// What is asked of it.
    pub wanted: Operation,
    /// The last operation and its outcome.
    pub last: Option<Outcome>,
    /// By what it was opened, while it is open and that is known: an earlier life of vaultmgr may have opened it. Always written: the bus
    /// carries fields by their place.
    #[serde(default)]
    pub opened: Option<Opened>,
    /// What it takes of the disk, and the limit in force, where the kernel counts that.
    #[serde(default)]
    pub storage: Option<Storage>,
    /// Its policy asks for another custody, key or seal than it is under, and what that takes is not there. A node from before this was told says it in
    /// words alone, and nothing is decided by those.
    #[serde(default)]
    pub change_due: bool,
    /// Its node puts nothing into escrow before a key has told whether this vault's key files are good. Written always: the bus has no names of fields.
    #[serde(default)]
    pub holds_escrow_up: bool,
    /// The key that the controller gives is another one than that which it is wrapped under, of the same number. Written always, as that.
    #[serde(default)]
    pub under_anothers_key: bool,
    /// What is in escrow is not what its node has: of before its last change, of other roots of the TPM, or nothing. None: a node from before this was told.
    /// Written always, as that.
    #[serde(default)]
    pub behind_in_escrow: Option<bool>,
    /// It is locked by what it was asked to be, and not for want of a list that names it. Written always, as that.
    #[serde(default)]
    pub ordered_locked: bool,
    /// Human words: what it waits for, what is missing, "not escrowed", "boot not measured".
    pub detail: Vec<String>,
}

/// How nodes say it that have no field for it. These words are theirs, whatever ours become.
const BEHIND_IN_WORDS: [&str; 2] = ["not escrowed", "not escrowed since its last change"];

impl VaultReport {
    /// Its node says that what is in escrow is not what it has: of before its last change, of other roots of the TPM, or nothing.
    #[must_use]
    pub fn is_behind_in_escrow(&self) -> bool {
        let in_words = || self.detail.iter().any(|line| BEHIND_IN_WORDS.contains(&line.as_str()));
        self.holds_escrow_up || self.behind_in_escrow.unwrap_or_else(in_words)
    }
}

/// What is remembered of a vault in this life.
#[derive(Debug, Clone, Default)]
pub struct Remembered {
    /// The last operation.
    pub last: Option<Outcome>,
    /// By what it was opened last.
    pub opened: Option<Opened>,
}

/// What is known of the node that a vault's own facts do not tell.
#[derive(Clone, Copy, Default)]
pub struct Reasons<'a> {
    /// Why the TPM does not give the root that is bound to a measured boot, where it does not and that is known.
    pub no_pcrs: Option<&'a dyn Display>,
    /// Why shares that were dropped are not dead yet.
    pub hold: Option<Hold>,
}

/// The status of one vault, from what the plan was made of and what it says.
#[must_use]
pub fn report(
    view: &View<'_>,
    name: Name,
    next: &Next,
    past: Remembered,
    reasons: Reasons<'_>,
) -> VaultReport {
    let (notes, state) = (notes(view, next), state(view, next));
    VaultReport {
        id: view.id,
        name,
        state,
        created: created(view),
        epoch: epoch(view),
        wanted: wanted(view),
        last: outcome(view, next, past.last),
        opened: past.opened.filter(|_| is_open(view)),
        storage: Storage::of(view.seen.space).filter(|_| view.seen.is_vault()),
        holds_escrow_up: false,
        change_due: notes.iter().any(|note| matches!(note, Note::ChangeDue(_))),
        under_anothers_key: notes.iter().any(waits_for_another_key),
        behind_in_escrow: Some(notes.iter().any(is_behind)),
        ordered_locked: state == State::Locked && is_ordered_locked(view, &notes),
        detail: notes.iter().map(|note| line(note, reasons)).collect(),
    }
}

fn waits_for_another_key(note: &Note) -> bool {
    matches!(note, Note::Waits(Wait::OtherKey { .. }) | Note::ChangeDue(Wait::OtherKey { .. }))
}

fn is_behind(note: &Note) -> bool {
    matches!(note, Note::NotEscrowed | Note::NotEscrowedSince)
}

/// One that is locked for want of a list that names it, or by the end of its lease, says so itself.
fn is_ordered_locked(view: &View<'_>, notes: &[Note]) -> bool {
    let says_why = |note: &Note| {
        matches!(note, Note::LeftAsItIs | Note::Unlisted | Note::LeaseEnded | Note::LeaseNotKnown)
    };
    wanted(view) == Operation::Lock && !notes.iter().any(says_why)
}

/// One that waits for a measured boot says what is known of this one, and what is not dead yet says why.
fn line(note: &Note, reasons: Reasons<'_>) -> String {
    match (note, reasons.no_pcrs, reasons.hold) {
        (Note::Waits(wait) | Note::ChangeDue(wait), Some(why), _) if wait.is_for_pcrs() => {
            format!("{note}: {why}")
        }
        (Note::Erasing | Note::OlderShare, _, Some(hold)) => format!("{note}: {hold}"),
        _ => note.to_string(),
    }
}

/// The epoch that the change has ended at: of both copies, or the older one. While a change is under way in this life, or the
/// copies differ on the way to a custody with the controller, none; nor while a wrap of before is not wiped. No change is under way in a vault that is not listed.
fn epoch(view: &View<'_>) -> Option<Epoch> {
    if view.seen.unwiped {
        return None;
    }
    let Wish::Keep(want) = view.wish else { return lowest_epoch(view) };
    if view.keys.held.is_none() && view.seen.hints().any(|hint| view.keys.has_another(hint)) {
        // The number is another controller's.
        return None;
    }
    let cut_short = view.keys.held == Some(OpenedBy { first: None, second: None });
    let widens = want.policy.custody.needs_controller();
    let without = view.seen.hints().any(|hint| hint == Hint::NoEpoch);
    lowest_epoch(view).filter(|_| !(cut_short || widens && without))
}

fn lowest_epoch(view: &View<'_>) -> Option<Epoch> {
    view.seen.hints().filter_map(Hint::epoch).min()
}

/// Its key, or what was opened by it, is still in the kernel.
fn is_open(view: &View<'_>) -> bool {
    matches!(view.seen.state(), State::Unlocked | State::LockIncomplete)
}

/// The last operation; or the one that can't be done at all, though no step of it failed.
fn outcome(view: &View<'_>, next: &Next, last: Option<Outcome>) -> Option<Outcome> {
    let failed = |op: Op, why: String| Some(Outcome { operation: op.to_string(), error: Some(why) });
    let fault = |note: &&Note| {
        matches!(
            note,
            Note::Missing(_) | Note::NoTpm(_) | Note::PathTaken | Note::PlainFiles | Note::PlainStaged(_)
        )
    };
    match next {
        _ if last.as_ref().is_some_and(|last| last.error.is_some()) => last,
        Next::Wait(wait @ (Wait::NewerEpoch { .. } | Wait::OtherEpoch { finished: Finished::Yes, .. })) => {
            failed(Op::Unlock, wait.to_string())
        }
        Next::Wait(wait @ Wait::OtherKey { .. }) => failed(Op::Unlock, wait.to_string()),
        Next::Wait(wait @ Wait::OtherEpoch { .. }) => failed(Op::Create, wait.to_string()),
        Next::Settled(settled) => match settled.notes.iter().find(fault) {
            Some(note) => failed(impossible(view, note), note.to_string()),
            None => last,
        },
        _ => last,
    }
}

fn impossible(view: &View<'_>, note: &Note) -> Op {
    match (note, view.seen.state()) {
        (Note::Missing(_), _) | (_, State::Locked) => Op::Unlock,
        (_, State::Unlocked) => Op::ChangeKey,
        _ => Op::Create,
    }
}

fn state(view: &View<'_>, next: &Next) -> State {
    let seen = view.seen.state();
    match (next, view.wish) {
        (Next::Settled(settled), _) => settled.state,
        (Next::Wait(Wait::Unseen), _) => State::Failed,
        (Next::Wait(Wait::Retry(_)), _) if seen != State::Unlocked => State::Failed,
        (Next::Do(_) | Next::Wait(Wait::UnderWay(_) | Wait::Disk), Wish::Keep(_))
            if seen == State::Waiting =>
        {
            State::Creating
        }
        _ => seen,
    }
}

/// Made once. Without a share only the section keeps the memory of it, so there the node says what it sees.
fn created(view: &View<'_>) -> bool {
    let seen = view.seen;
    let section_says = matches!(view.wish, Wish::Keep(want) if want.created && !want.recreate);
    match seen.mark() {
        Some(mark) => mark != Mark::Begun,
        None => section_says || (seen.is_vault() && seen.has_metadata()),
    }
}

fn wanted(view: &View<'_>) -> Operation {
    match view.wish {
        Wish::Keep(want) => want.operation,
        Wish::Leave if view.seen.state() == State::Unlocked => Operation::Unlock,
        Wish::Delete | Wish::Gone | Wish::Orphan | Wish::Unlisted | Wish::Lock | Wish::Leave => {
            Operation::Lock
        }
    }
}

fn notes(view: &View<'_>, next: &Next) -> Vec<Note> {
    let own = match next {
        Next::Settled(settled) => settled.notes.clone(),
        Next::Wait(wait) => vec![Note::Waits(wait.clone())],
        Next::Do(_) => Vec::new(),
    };
    let has_tpm = matches!(view.node.tpm, TpmSeen::Present { .. });
    let others = view.seen.others;
    let always = [
        (others.count() > 0, Note::OtherProtectors(others)),
        (*view.wish != Wish::Gone && view.seen.dropped == Dropped::Yes, Note::OlderShare),
        (view.seen.has_share() && view.node.escrow == Escrow::Nothing, Note::NotEscrowed),
        (view.seen.has_share() && view.node.escrow == Escrow::Older, Note::NotEscrowedSince),
        (has_tpm && !view.node.measured, Note::NotMeasured),
        (has_tpm, Note::AkNotProved),
    ];
    own.into_iter()
        .chain(recovery_note(view))
        .chain(always.into_iter().filter_map(|(said, note)| said.then_some(note)))
        .collect()
}
