//! What a vault *is*, told from what was seen of it and from the keys at hand: made and whole, made and broken, or not made and how
//! far. What to do about it is the plan's. Here alone it is decided what counts as made, and what as lost.
//!
//! *Made* means: the share's mark says so, or the section's `created` does. While the share table is lost, the default vaults count as
//! made. A made vault that lacks something is broken: its status is `missing`, with what is missing, until an order to recreate it.
//! It is never made anew by itself.

mod claim;
mod disk;
mod keys;
mod node;
mod others;
mod recovery;
mod seen;
mod tried;

use std::fmt;

use serde::{Deserialize, Serialize};

pub use claim::KeyClaim;
pub use disk::{DiskThere, PlaceSeen, RootsTold};
pub use keys::{Keys, OpenedBy, ShareKey};
pub use node::{Escrow, Node, Past, Upcoming};
pub use others::Others;
pub use recovery::{Recovery, RecoveryHint};
pub use seen::{Dir, Hint, Key, MetaCopy, MetaPlace, Seen, Staged, TableSeen, TpmSeen};
pub use tried::{Ended, Tried};

use crate::ids::VaultId;
use crate::section::Seal;
use crate::shares::Mark;
use crate::wanted::{Authority, Want};

/// Where a vault stands on its node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// Not made yet, and what for is in `detail`.
    Waiting,
    /// Being made.
    Creating,
    /// Key absent from the kernel.
    Locked,
    /// Key removed, files still held open.
    LockIncomplete,
    /// Open and proved to be this vault.
    Unlocked,
    /// Made before, and a part of it is gone. Kept until an operator decides.
    Missing,
    /// Gone from this node's disk.
    Removed,
    /// Listed by no section of this incarnation: locked, kept.
    Orphan,
    /// An operation failed; `error` says why, data kept.
    Failed,
}

impl fmt::Display for State {
    /// As it is written everywhere.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Waiting => "waiting",
            Self::Creating => "creating",
            Self::Locked => "locked",
            Self::LockIncomplete => "lock-incomplete",
            Self::Unlocked => "unlocked",
            Self::Missing => "missing",
            Self::Removed => "removed",
            Self::Orphan => "orphan",
            Self::Failed => "failed",
        })
    }
}

/// A part of a made vault that is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The directory with its policy.
    Directory,
    /// Both copies of the metadata.
    Metadata,
    /// What its keys open of the metadata: no copy does, with all keys that it names at hand.
    KeyFiles,
    /// The TPM's share.
    Share,
    /// The same of one that nothing says whether it has one: it went with a table.
    PerhapsShare,
    /// The node's share table.
    Table,
    /// The path: something else stands there.
    Path,
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Directory => "its directory",
            Self::Metadata => "both copies of its metadata",
            Self::KeyFiles => "what its keys open: both copies of its key files are damaged, or wrapped under another key of this number (of another controller, or of another copy of its database). Bring that controller back, or put a copy of the files back from a backup, and start eve again",
            Self::Share => "its TPM share",
            Self::PerhapsShare => "its TPM share, if one is part of its key (custody `controller` has none)",
            Self::Table => "the node's share table",
            Self::Path => "its directory: something else stands at its path",
        })
    }
}

/// What a vault that is to be there is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Condition {
    /// Not made, and how far its making is.
    Unmade(Stage),
    /// Not made, and what stands in its place is not ours to take.
    Foreign,
    /// Its directory with its policy, and at least one copy of its metadata.
    Whole,
    /// Made, and these parts are gone.
    Broken(Vec<Part>),
}

/// How far the making of a vault is. Each stage is what the step before it left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Without the TPM's share that its custody asks for.
    Shareless(Seal),
    /// Without metadata.
    Keyless,
    /// One copy of its metadata is whole.
    Single {
        /// That one.
        whole: MetaPlace,
    },
    /// Both copies are, and no key opened them yet.
    Closed,
    /// Its content key is at hand, and not in the kernel.
    Opened,
    /// Its content key is in the kernel; what is at its place.
    Keyed(Site),
}

/// What a vault is made on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Site {
    /// Nothing.
    Bare,
    /// An empty directory.
    Empty,
    /// Plain files, to be moved in.
    Plain,
    /// Whatever stands there: a copy of plain files that was cut short is in the way of another.
    Half,
    /// Nothing, or an empty directory; and beside it what an exchange left.
    Leftover,
}

/// All that a condition is told from.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    /// Which vault.
    pub id: VaultId,
    /// What is there.
    pub seen: &'a Seen,
    /// Which keys are at hand.
    pub keys: &'a Keys,
    /// The node's own facts.
    pub node: &'a Node,
}

impl Condition {
    /// Tells it for a vault that is to be there as `want` says.
    #[must_use]
    pub fn of(facts: &Facts<'_>, want: &Want) -> Self {
        let missing = missing(facts, want);
        if !missing.is_empty() {
            Self::Broken(missing)
        } else if facts.seen.is_vault() {
            Self::Whole
        } else if path_taken(facts) {
            Self::Foreign
        } else {
            Self::Unmade(Stage::of(facts, want))
        }
    }
}

impl Stage {
    /// A share is made before its metadata. So metadata that is there without one is the controller's, and perhaps a made vault's of
    /// which nobody here remembers that it was made: it is opened and finished as it is, never replaced, but by an order.
    pub(crate) fn of(facts: &Facts<'_>, want: &Want) -> Self {
        let (seen, seal) = (facts.seen, want.policy.seal);
        let anew = want.recreate || !seen.has_metadata();
        if anew && want.policy.custody.needs_tpm() && seen.shares.of(seal).is_none() {
            return Self::Shareless(seal);
        }
        match seen.whole_copies() {
            (None, _) => Self::Keyless,
            (Some(whole), false) => Self::Single { whole },
            (Some(_), true) if facts.keys.held.is_none() => Self::Closed,
            (Some(_), true) if seen.key != Key::Present => Self::Opened,
            (Some(_), true) => Self::Keyed(Site::of(seen)),
        }
    }
}

impl Site {
    fn of(seen: &Seen) -> Self {
        match (seen.dir, seen.staged) {
            (Dir::Absent, Staged::Nothing) => Self::Bare,
            (Dir::Empty, Staged::Nothing) => Self::Empty,
            (_, Staged::Copy) => Self::Half,
            (Dir::Absent | Dir::Empty, _) => Self::Leftover,
            _ => Self::Plain,
        }
    }
}

/// Plain originals at the staging path may be the only copy while no vault stands at the vault's own: not ours to remove.
fn path_taken(facts: &Facts<'_>) -> bool {
    match facts.seen.dir {
        Dir::Plain => !facts.id.is_default() || facts.seen.staged.is_in_the_way(),
        Dir::Absent | Dir::Empty => facts.seen.staged.is_in_the_way(),
        Dir::Stranger | Dir::OtherVault | Dir::Covered => true,
        Dir::Vault(_) => false,
    }
}

/// Made: its share says so, or the signed section does. An ordered `recreate` voids the section's word, so that what the
/// order began is resumed; a lost table counts against the default vaults, which every node has made.
fn made(facts: &Facts<'_>, want: &Want) -> bool {
    let share_says = matches!(facts.seen.mark(), Some(Mark::Made | Mark::Lost));
    let section_says = want.created && !want.recreate;
    share_says || section_says || (facts.id.is_default() && facts.node.table_lost())
}

/// The parts that a made vault lacks. A directory under a policy counts as made: nothing is put in its place.
fn missing(facts: &Facts<'_>, want: &Want) -> Vec<Part> {
    let seen = facts.seen;
    let made = made(facts, want);
    let there = made || seen.is_vault() || seen.dir == Dir::OtherVault;
    // A share is made before its metadata: metadata that needs one and is there without it has lost it.
    let shareless = seen.has_metadata() && !seen.has_share();
    // Opened by its recovery key, for which neither share, nor table, nor our own protector is needed.
    let by_custody = !facts.keys.by_recovery_alone();
    let checks = [
        (
            Part::Table,
            made && facts.id.is_default() && facts.node.table_lost() && by_custody && by_table(facts, want),
        ),
        (Part::Directory, made && matches!(seen.dir, Dir::Absent | Dir::Empty | Dir::Plain)),
        (Part::Path, made && seen.dir == Dir::Stranger || seen.dir == Dir::OtherVault),
        (Part::Metadata, there && !seen.has_metadata() && by_custody),
        (Part::KeyFiles, there && damaged(facts, want) && by_custody),
        (
            Part::Share,
            (there || shareless) && share_gone(facts, want) && !facts.node.table_lost() && by_custody,
        ),
    ];
    checks.into_iter().filter_map(|(part, gone)| gone.then_some(part)).collect()
}

/// Whether a default vault may be wrapped under a share of the lost table. One whose names say a controller's key is not, where nothing asks for a share
/// of it; an order to have it anew stands over what is only guessed.
fn by_table(facts: &Facts<'_>, want: &Want) -> bool {
    let guessed = want.authority == Authority::Builtin;
    let asks = if guessed { want.recreate } else { want.policy.custody.needs_tpm() };
    asks || !facts.seen.has_metadata() || facts.seen.hints().any(|hint| hint.epoch().is_none())
}

/// What a vault lacks that no list wants: nothing is known of its policy, so by what is there alone.
pub(crate) fn orphan_lacks(facts: &Facts<'_>) -> Vec<Part> {
    let Facts { seen, keys, node, .. } = facts;
    let named = seen.hints().any(|hint| hint == Hint::NoEpoch);
    // A new table enters all that is there as lost, also what never had a share.
    let entered = seen.mark() == Some(Mark::Lost) && !named;
    let usable = keys.has_share(ShareKey::Open) || keys.has_share(ShareKey::Closed);
    let read = matches!(node.tpm, TpmSeen::Present { table: TableSeen::Open, .. });
    let shut = !usable && !keys.opens();
    let checks = [
        (Part::Table, named && shut && node.table_lost()),
        (Part::Directory, seen.has_metadata() && matches!(seen.dir, Dir::Absent | Dir::Empty | Dir::Plain)),
        (Part::Path, seen.dir == Dir::OtherVault || seen.has_metadata() && seen.dir == Dir::Stranger),
        (Part::Metadata, seen.is_vault() && !seen.has_metadata()),
        (Part::Share, named && shut && read),
        (Part::PerhapsShare, entered && shut && read),
    ];
    checks.into_iter().filter_map(|(part, gone)| gone.then_some(part)).collect()
}

/// What keys have shown of the metadata so far, and its names hint at where nothing shows: whether a share of the TPM's is part of what it is wrapped under.
enum ShareEvidence {
    /// It is: by its hint, or because the controller's key of the very epoch does not open it alone.
    Part,
    /// Perhaps not: a key that is at hand, and was not tried, may open a copy alone.
    PerhapsNot,
    /// Nothing tells.
    Nothing,
}

fn share_evidence(facts: &Facts<'_>, want: &Want) -> ShareEvidence {
    let at_hand = |hint| facts.keys.has_key(hint);
    let hints = || facts.seen.hints().filter(|hint| hint.epoch().is_some());
    let (known, away) = (hints().any(at_hand), !hints().all(at_hand));
    let without_epoch = facts.seen.hints().any(|hint| hint == Hint::NoEpoch);
    let tried = facts.keys.none_fits || !facts.keys.any();
    // Nothing authenticates a name: it is believed once no key at hand opens, and where the twin's name says nothing else.
    match (known, without_epoch) {
        (true, _) | (_, true) if !tried => ShareEvidence::PerhapsNot,
        (_, true) if !away => ShareEvidence::Part,
        (true, _) if want.policy.custody.needs_tpm() => ShareEvidence::Part,
        _ => ShareEvidence::Nothing,
    }
}

/// Its share is gone for certain: damaged, or lost with a table, or absent, where it is part of what the vault is wrapped under.
pub(crate) fn share_gone(facts: &Facts<'_>, want: &Want) -> bool {
    let opens = facts.keys.has_share(ShareKey::Open) || facts.keys.has_share(ShareKey::Closed);
    match (facts.seen.mark(), facts.node.tpm, share_evidence(facts, want)) {
        _ if opens || facts.keys.held.is_some_and(without_share) => false,
        (Some(Mark::Begun | Mark::Made), ..) => facts.keys.has_share(ShareKey::Damaged),
        (Some(Mark::Lost), _, ShareEvidence::Nothing) => want.policy.custody.needs_tpm(),
        (None, TpmSeen::Unknown, _) => false,
        (_, _, shown) => matches!(shown, ShareEvidence::Part),
    }
}

/// Whether a copy opened by the controller's key alone.
fn without_share(held: OpenedBy) -> bool {
    [held.first, held.second].iter().flatten().any(|wrapping| !wrapping.custody().needs_tpm())
}

/// A key opened the protectors, and the rest is damaged; or every key that the copies name was tried, and none opens one. An older epoch's key would
/// not be at hand, nor would another controller's of the same number. A list that is not live may be of a database that a newer one superseded, whose keys of this number are others: it proves
/// nothing.
pub(crate) fn damaged(facts: &Facts<'_>, want: &Want) -> bool {
    let keys = facts.keys;
    let share = keys.has_share(ShareKey::Open);
    let tried = |hint| match hint {
        Hint::NoEpoch => share,
        Hint::Epoch(_) | Hint::Key(..) => {
            let released =
                keys.is_of_one_at_hand(hint) || want.authority == Authority::Live && keys.has_key(hint);
            released && (share || !want.policy.custody.needs_tpm())
        }
        Hint::Unknown => false,
    };
    let all = shares_are_readable(facts) && facts.seen.hints().all(tried);
    keys.none_fits && facts.seen.has_metadata() && (keys.leads_to_damage || all)
}

/// Whether no share of the TPM's is out of sight or out of reach for now.
pub(crate) fn shares_are_readable(facts: &Facts<'_>) -> bool {
    let out_of_sight = facts.node.tpm == TpmSeen::Unknown || facts.node.table_lost();
    !out_of_sight && !facts.keys.has_share(ShareKey::Closed)
}
