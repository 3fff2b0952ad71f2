//! The escrow drill: a node opens the bundle that its controller holds, as it would after its PCRs moved, and drops it again. So a bundle that would
//! not open is found while it is not needed. Here stand when one is due, what a bundle has to show on the node, and what an answer is worth.
//! A bundle is a bundle, drill or not: it goes out by [`crate::decide::escrow`] alone. Pure.

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{SHA256, digest};
use serde::{Deserialize, Serialize};

use super::restore::OtherTable;
use super::{Bundle, BundleId, NotOurs, VaultFiles};
use crate::ids::{DeviceId, Generation, VaultId};
use crate::roots::Vsk;
use crate::secret::{EscrowKey, TableKey};

const LABEL: &[u8] = b"eve-vault drill v1";
/// So long an answer is waited for before the same session is asked again: it may have lost the question.
const ASKED_AGAIN_S: u64 = 3600;
/// One that is due and was not made within a tenth of the schedule's time, and this, is overdue.
const LATE_S: u64 = 24 * 3600;
/// Of an answer that only says so.
const NOT_SHOWN: &str = "the node says that it opened the bundle, and not what it would know then";
/// Longest words on a failure, in bytes.
pub const MAX_FAILED: usize = 512;

/// By which an answer is known to be on this question. Random, for one drill.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct DrillNonce(pub [u8; 32]);

/// What only who has the bundle's bytes, in this drill, can say. It does not show that they opened: that is the node's word, which it signs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Proof(pub [u8; 32]);

impl Proof {
    /// SHA-256 over label, nonce, session, generation and the bundle's bytes: all of fixed length but the last.
    #[must_use]
    pub fn of(nonce: DrillNonce, session: &[u8; 32], generation: Generation, bundle: &[u8]) -> Self {
        let all = [LABEL, &nonce.0, session, &generation.0.to_be_bytes(), bundle].concat();
        let mut proof = [0; 32];
        proof.copy_from_slice(digest(&SHA256, &all).as_ref());
        Self(proof)
    }
}

/// A node's answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DrillAnswer {
    /// To which question.
    pub nonce: DrillNonce,
    /// On which bundle.
    pub bundle: BundleId,
    /// It opens; or why it does not, for people.
    pub outcome: Result<Proof, String>,
}

/// A question that was sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asked {
    /// When, in seconds since 1970 by the controller's clock.
    pub at: u64,
    /// Which session.
    pub session: [u8; 32],
    /// By this.
    pub nonce: DrillNonce,
    /// On which bundle.
    pub bundle: BundleId,
    /// What the answer has to say.
    pub proof: Proof,
}

/// A drill that was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Drilled {
    /// When the answer came.
    pub at: u64,
    /// On which bundle.
    pub bundle: BundleId,
    /// Why it failed; nothing: it passed.
    pub failed: Option<String>,
    /// How many failed in a row, with this one.
    #[serde(default)]
    pub failures: u32,
    /// A bundle was sent since.
    #[serde(default)]
    pub replaced: bool,
}

/// What a controller remembers of one device's drills. All times in seconds since 1970, by its clock.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Drills {
    /// From when on the first one is waited for.
    #[serde(default)]
    pub since: Option<u64>,
    /// When an operator last asked for one.
    #[serde(default)]
    pub ordered: Option<u64>,
    /// The question that is out.
    #[serde(default)]
    pub asked: Option<Asked>,
    /// The last that was made.
    #[serde(default)]
    pub last: Option<Drilled>,
}

/// The newest bundle, and when it came.
#[derive(Debug, Clone, Copy)]
pub struct Held {
    /// Which.
    pub bundle: BundleId,
    /// When, as all times here.
    pub at: u64,
}

impl Drills {
    /// From when on a drill of this bundle is to be made; none: not by itself. `every_s` 0: by order alone.
    ///
    /// The first of a device has its place in the time between two, by the device's identity: so a fleet is spread, and stays it.
    #[must_use]
    pub fn due(&self, device: DeviceId, held: Held, every_s: u64) -> Option<u64> {
        let (last, ordered) = (self.last.as_ref(), self.is_ordered());
        let by_itself = match last {
            // What was sent in its place shows at once whether it opens; and less and less often, while it never does.
            Some(Drilled { failed: Some(_), at, failures, .. }) => (!self.is_failing(held.bundle))
                .then(|| at.saturating_add(ASKED_AGAIN_S * u64::from(failures.saturating_sub(1).min(24)))),
            _ if every_s == 0 => None,
            Some(last) => Some(last.at.saturating_add(every_s)),
            None => Some(self.since.unwrap_or(held.at).saturating_add(share(device, every_s))),
        };
        ordered.into_iter().chain(by_itself).min()
    }

    /// From when on this session is to be asked: when one is due, but not again while the question is out.
    #[must_use]
    pub fn to_ask(&self, device: DeviceId, held: Held, every_s: u64, session: &[u8; 32]) -> Option<u64> {
        let due = self.due(device, held, every_s)?;
        let is_out = |asked: &&Asked| asked.session == *session && asked.bundle == held.bundle;
        match self.asked.as_ref().filter(is_out) {
            Some(asked) => Some(due.max(asked.at.saturating_add(ASKED_AGAIN_S))),
            None => Some(due),
        }
    }

    /// Whether the bundle is one that failed, and none was sent since: what is held is not worth its name.
    #[must_use]
    pub fn is_failing(&self, bundle: BundleId) -> bool {
        self.last
            .as_ref()
            .is_some_and(|last| last.failed.is_some() && !last.replaced && last.bundle == bundle)
    }

    /// Whether the last one failed, on whichever bundle: that another was sent since does not show that it opens.
    #[must_use]
    pub fn has_failed(&self) -> bool {
        self.last.as_ref().is_some_and(|last| last.failed.is_some())
    }

    /// An operator asks for one.
    pub fn order(&mut self, now: u64) {
        self.ordered = Some(now);
        // Whatever is out is from before.
        self.asked = None;
    }

    /// Since when one is asked for, that is not made yet.
    #[must_use]
    pub fn is_ordered(&self) -> Option<u64> {
        self.ordered
    }

    /// A bundle was sent. Whether that changes anything here.
    pub fn sent(&mut self, now: u64) -> bool {
        let failed = self.last.as_mut().filter(|last| last.failed.is_some() && !last.replaced);
        let news = self.since.is_none() || failed.is_some();
        self.since.get_or_insert(now);
        failed.into_iter().for_each(|last| last.replaced = true);
        news
    }

    /// One failed, and with it what was ordered is done.
    pub fn fail(&mut self, bundle: BundleId, why: String, now: u64) {
        let before = self.last.as_ref().filter(|last| last.failed.is_some()).map_or(0, |last| last.failures);
        let failures = before.saturating_add(1);
        (self.asked, self.ordered) = (None, None);
        self.last = Some(Drilled { at: now, bundle, failed: Some(why), failures, replaced: false });
    }

    /// Since when one is overdue, where the node was ever asked: one of before there were drills makes none.
    #[must_use]
    pub fn overdue(&self, device: DeviceId, held: Held, every_s: u64, now: u64) -> Option<u64> {
        let able = self.asked.is_some() || self.last.is_some();
        let due = self.due(device, held, every_s).filter(|_| able)?;
        (due.saturating_add(every_s / 10).saturating_add(LATE_S) < now).then_some(due)
    }

    /// Takes an answer. Whether it says something new: one to no question that is out says nothing.
    pub fn hear(&mut self, answer: &DrillAnswer, now: u64) -> bool {
        let is_on = |asked: &mut Asked| (asked.nonce, asked.bundle) == (answer.nonce, answer.bundle);
        let Some(asked) = self.asked.take_if(is_on) else { return false };
        self.ordered = None;
        match &answer.outcome {
            Ok(proof) if verify_slices_are_equal(&proof.0, &asked.proof.0).is_ok() => {
                let (bundle, failures) = (asked.bundle, 0);
                self.last = Some(Drilled { at: now, bundle, failed: None, failures, replaced: false });
            }
            Ok(_) => self.fail(asked.bundle, NOT_SHOWN.to_owned(), now),
            Err(why) => self.fail(asked.bundle, why.clone(), now),
        }
        true
    }
}

/// A device's place, of so many seconds.
fn share(device: DeviceId, every_s: u64) -> u64 {
    let mut first = [0; 8];
    first.copy_from_slice(&digest(&SHA256, device.0.as_bytes()).as_ref()[..8]);
    u64::from_be_bytes(first) % every_s.max(1)
}

/// What a node holds its bundle against.
#[derive(Clone, Copy)]
pub struct Own<'a> {
    /// Of the TPM's roots in force.
    pub generation: Generation,
    /// W of that.
    pub escrow: &'a EscrowKey,
    /// The key of its table.
    pub table: &'a TableKey,
    /// P, where it is at hand.
    pub pcrs: Option<&'a Vsk>,
    /// The vaults that have a share.
    pub vaults: &'a [VaultId],
}

/// Why a bundle would not help.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// W does not open it.
    #[error(transparent)]
    Root(#[from] NotOurs),
    /// It is not P.
    #[error("the root in the bundle is another one than this node's TPM has")]
    OtherRoot,
    /// The table.
    #[error(transparent)]
    Table(#[from] OtherTable),
    /// The table knows less than that of the disk.
    #[error("the share table in the bundle has no share of vault {0}")]
    NoShare(VaultId),
    /// Files that nothing can be opened by.
    #[error("the key files of vault {0} in the bundle can't be read, or are of another vault")]
    KeyFiles(VaultId),
    /// No key has told which are damaged.
    #[error(
        "the key files of vault {0} on the node's disk are others than those in the bundle, and no key has opened either since the boot"
    )]
    Untold(VaultId),
}

/// How key files of a bundle look on the node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fit {
    /// They read, belong together, and are those that opened the vault in this life, or that lie on the disk.
    Good,
    /// They are not.
    Bad,
    /// Others lie on the disk, and no key has told which open.
    Untold,
}

impl Bundle {
    /// Opens all that is in it with what the node has, compares, and drops it. `fit` looks at key files.
    ///
    /// # Errors
    /// [`Unfit`]: the first thing that would be missing when it is needed.
    pub fn drill(&self, own: Own<'_>, fit: impl Fn(VaultId, &VaultFiles) -> Fit) -> Result<(), Unfit> {
        let root = self.open_pcrs(own.escrow)?.map(|root| root.vsk());
        match (&root, own.pcrs) {
            (Some(root), Some(pcrs)) if !root.is(pcrs) => return Err(Unfit::OtherRoot),
            (None, Some(_)) => return Err(Unfit::OtherRoot),
            _ => {}
        }
        let table = self.table_for(own.generation, own.table)?;
        let there: Vec<_> = table.vaults().collect();
        if let Some(id) = own.vaults.iter().find(|id| !there.contains(id)) {
            return Err(Unfit::NoShare(*id));
        }
        self.vaults().iter().try_for_each(|(id, files)| match fit(*id, files) {
            Fit::Good => Ok(()),
            Fit::Bad => Err(Unfit::KeyFiles(*id)),
            Fit::Untold => Err(Unfit::Untold(*id)),
        })
    }
}

#[cfg(test)]
mod tests;
