//! The lease of a vault: how long it may stay open without a word of the controller's that was made for this very question.
//!
//! A node asks with a nonce. A section that names it was made after the question; so the lease counts from the question, and whoever holds an
//! answer back gains nothing. A nonce renews once: a recorded section renews nothing. Time is that of CLOCK_BOOTTIME, which counts a suspend and
//! which nobody can set; the caller reads it. What is here is forgotten by no end of vaultmgr (it is kept for the boot) and by every boot.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::ids::VaultId;
use crate::section::{Entry, Release, Section};

/// How long a lease lasts, in whole seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Lease(u32);

impl Lease {
    /// Bounds: shorter, a single lost answer locks the vault; longer, it is none.
    pub const BOUNDS: (Duration, Duration) = (Duration::from_secs(10), Duration::from_secs(90 * 86_400));

    /// Of so many seconds, within [`Self::BOUNDS`].
    #[must_use]
    pub const fn of_seconds(seconds: u32) -> Option<Self> {
        let (least, most) = Self::BOUNDS;
        let within = least.as_secs() <= seconds as u64 && seconds as u64 <= most.as_secs();
        if within { Some(Self(seconds)) } else { None }
    }

    /// Its seconds.
    #[must_use]
    pub fn seconds(self) -> u32 {
        self.0
    }

    /// The same as a duration.
    #[must_use]
    pub fn duration(self) -> Duration {
        Duration::from_secs(self.0.into())
    }
}

/// A moment of this boot: CLOCK_BOOTTIME.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SinceBoot(pub Duration);

impl SinceBoot {
    fn after(self, span: Duration) -> Self {
        Self(self.0.saturating_add(span))
    }
}

/// What a node asks for a renewal with: random, and good for one.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct LeaseNonce(pub [u8; 16]);

impl fmt::Debug for LeaseNonce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LeaseNonce")
    }
}

/// Whether a section gives this vault a lease, if it names the nonce: it is to be open, and nothing of it is withheld.
#[must_use]
pub fn is_leased(entry: &Entry) -> bool {
    let withheld = matches!(entry.release, Release::Withheld { .. });
    entry.policy.lease.is_some() && entry.is_wanted_open() && !withheld
}

/// A question, and when it was first asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Question {
    nonce: LeaseNonce,
    at: SinceBoot,
    answered: bool,
    /// It was answered, and a section since gives a vault a lease that the answer did not: a longer one, or its first.
    behind: bool,
}

/// The leases of a node, in one life of vaultmgr.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Leases {
    question: Option<Question>,
    until: BTreeMap<VaultId, SinceBoot>,
    /// Vaults that the section heard last, in this life, lists without a lease: nothing bounds how long those are open.
    free: BTreeSet<VaultId>,
    /// Since then nobody knows what was given in this boot: what says it is gone, and no list was in force after that.
    unknown_since: Option<SinceBoot>,
}

impl Leases {
    /// How long a vault may stay open of which nobody knows whether it has a lease. Long enough for many questions to the controller, and short beside
    /// what leases are given for.
    pub const UNKNOWN: Duration = Duration::from_secs(15 * 60);

    /// Takes up what an earlier life of this boot was given.
    #[must_use]
    pub fn resumed(until: BTreeMap<VaultId, SinceBoot>) -> Self {
        Self { until, ..Self::default() }
    }

    /// What an earlier life was given is not known, or not all of it, since then.
    #[must_use]
    pub fn unknown_since(self, since: SinceBoot) -> Self {
        Self { unknown_since: Some(since), ..self }
    }

    /// Since when that is so; nothing: all is known.
    #[must_use]
    pub fn is_unknown_since(&self) -> Option<SinceBoot> {
        self.unknown_since
    }

    /// Until when a vault without a known lease may be open while no list is in force; nothing: for ever, for it has none.
    #[must_use]
    pub fn unknown_until(&self) -> Option<SinceBoot> {
        self.unknown_since.map(|since| since.after(Self::UNKNOWN))
    }

    /// A list is in force, a kept one perhaps: it says which vaults are leased. Says whether that was not known before.
    pub fn learn(&mut self) -> bool {
        self.unknown_since.take().is_some()
    }

    /// Until when each leased vault may be open.
    #[must_use]
    pub fn until(&self) -> &BTreeMap<VaultId, SinceBoot> {
        &self.until
    }

    /// What to ask with; none before [`Self::ask`].
    #[must_use]
    pub fn nonce(&self) -> Option<LeaseNonce> {
        self.question.map(|question| question.nonce)
    }

    /// Asks anew.
    pub fn ask(&mut self, nonce: LeaseNonce, at: SinceBoot) {
        self.question = Some(Question { nonce, at, answered: false, behind: false });
    }

    /// When to ask anew, where leases last `shortest`: at half of it, so that an answer may be lost, or late; at once where a vault would
    /// wait until then for a lease that it may have.
    #[must_use]
    pub fn asks_at(&self, shortest: Lease) -> SinceBoot {
        let last = self.question.filter(|asked| !asked.behind);
        last.map_or_else(SinceBoot::default, |asked| asked.at.after(shortest.duration() / 2))
    }

    /// A section of this session that is in force. One that names the question of now renews, counted from when it was asked. A vault
    /// that had no lease by the section before gets its first one from now: without this section it would stay open for longer.
    pub fn hear(&mut self, section: &Section, now: SinceBoot) {
        let asked = self.question.filter(|asked| !asked.answered && section.lease == Some(asked.nonce));
        for entry in &section.vaults {
            let Some(lease) = entry.policy.lease.filter(|_| !entry.id.is_default()) else { continue };
            let from = asked.map(|asked| asked.at).max(self.free.contains(&entry.id).then_some(now));
            let given = from.filter(|_| is_leased(entry)).map(|from| from.after(lease.duration()));
            let held = self.until.get(&entry.id).copied();
            // A lease that was made shorter holds at once.
            let until = given.max(held).map(|until| until.min(now.after(lease.duration())));
            self.until.extend(until.map(|until| (entry.id, until)));
        }
        self.question.iter_mut().filter(|_| asked.is_some()).for_each(|question| question.answered = true);
        let behind =
            self.question.is_some_and(|question| question.answered && self.lacks(section, question.at));
        self.question.iter_mut().for_each(|question| question.behind = behind);
        let leased = |entry: &&Entry| entry.policy.lease.is_some();
        let (leased, free): (Vec<_>, Vec<_>) = section.vaults.iter().partition(leased);
        self.free = free.iter().map(|entry| entry.id).collect();
        self.until.retain(|id, _| leased.iter().any(|entry| entry.id == *id));
    }

    /// Whether a vault has less than an answer to a question of then would give it.
    fn lacks(&self, section: &Section, asked: SinceBoot) -> bool {
        let would = |entry: &Entry| {
            let lease = entry.policy.lease.filter(|_| !entry.id.is_default() && is_leased(entry));
            lease.map(|lease| asked.after(lease.duration()))
        };
        section.vaults.iter().any(|entry| would(entry) > self.until.get(&entry.id).copied())
    }
}

#[cfg(test)]
mod tests;
