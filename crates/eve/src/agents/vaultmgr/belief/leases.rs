//! Leases as vaultmgr keeps them: `vault::lease` counts, here are the clock, the nonces, and the file by which an end of vaultmgr neither ends a
//! lease nor lengthens one. That lies where a boot leaves nothing, and names its boot for where that is not so. A lease that is not in it is none;
//! and where it is gone, or another boot's, nobody knows which there are until a list is in force: since when is kept there too.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use disk::Disk;
use vault::condition::Key;
use vault::ids::VaultId;
use vault::lease::{Lease, LeaseNonce, Leases, SinceBoot};
use vault::section::Section;

use super::locks::boot;
use crate::agents::vaultmgr::generation::shares::{self, SharesError};
use crate::agents::vaultmgr::hands::crypt::Crypt;
use crate::agents::vaultmgr::hands::durable;
use crate::agents::vaultmgr::manager::Manager;
use crate::agents::vaultmgr::vault::slot::VaultMemory;

/// Longest such file, bytes: a line for each of as many vaults as there may be.
const MAX: usize = 128 << 10;

/// What the line is led by that says since when nobody knows which leases there are.
const UNKNOWN: &str = "unknown";

/// Reads those of this boot. What is not understood gives no lease, and is not known since now.
fn read(path: &Path, now: SinceBoot) -> Leases {
    let Ok(Some(bytes)) = durable::read(path, MAX) else { return Leases::default().unknown_since(now) };
    let text = String::from_utf8_lossy(&bytes);
    let mut lines = text.lines();
    if boot().ok().as_deref() != lines.next() {
        return Leases::default().unknown_since(now);
    }
    let (mut until, mut unknown) = (BTreeMap::new(), None);
    for line in lines {
        match parsed(line) {
            Some((Some(id), end)) => drop(until.insert(id, end)),
            Some((None, since)) => unknown = Some(since),
            None => unknown = unknown.or(Some(now)),
        }
    }
    let leases = Leases::resumed(until);
    unknown.map_or(leases.clone(), |since| leases.unknown_since(since))
}

/// A vault with the end of its lease; without a vault: since when leases are not known.
fn parsed(line: &str) -> Option<(Option<VaultId>, SinceBoot)> {
    let (of, at) = line.split_once(' ')?;
    let id = if of == UNKNOWN { None } else { Some(of.parse().ok()?) };
    Some((id, SinceBoot(Duration::from_millis(at.parse().ok()?))))
}

fn write(disk: &Disk, path: &Path, leases: &Leases) -> io::Result<()> {
    let line = |of: &str, at: &SinceBoot| format!("{of} {}", at.0.as_millis());
    let ends = leases.until().iter().map(|(id, until)| line(&id.to_string(), until));
    let unknown = leases.is_unknown_since().map(|since| line(UNKNOWN, &since));
    let text: String = std::iter::once(boot()?).chain(unknown).chain(ends).map(|line| line + "\n").collect();
    Ok(disk.write_for_this_boot(path, text.as_bytes(), 0o600)?)
}

impl<C: Crypt> Manager<C> {
    /// Takes up what was given in an earlier life of this boot.
    ///
    /// # Errors
    /// No randomness.
    pub(crate) fn take_up_leases(&mut self) -> Result<(), SharesError> {
        self.leases = read(&self.paths.leases(), self.crypt.since_boot());
        self.ask_for_leases()
    }

    /// What leases are to be renewed by.
    pub(crate) fn lease_nonce(&self) -> Option<LeaseNonce> {
        self.leases.nonce()
    }

    fn ask_for_leases(&mut self) -> Result<(), SharesError> {
        let mut nonce = LeaseNonce([0; 16]);
        shares::random(&mut nonce.0)?;
        self.leases.ask(nonce, self.crypt.since_boot());
        Ok(())
    }

    /// A section of this session is in force. What can't be kept over an end of vaultmgr holds until there is one; and what is kept there is
    /// no longer lease than that.
    pub(super) fn hear_leases(&mut self, section: &Section) {
        let before = self.leases.until().clone();
        self.leases.hear(section, self.crypt.since_boot());
        if *self.leases.until() != before {
            self.keep_leases();
        }
    }

    /// A list in force, a kept one too, says which vaults are leased.
    pub(super) fn learn_leases(&mut self) {
        if self.belief.desired().listing.is_some() && self.leases.learn() {
            self.keep_leases();
        }
    }

    /// Since when they are not known outlives an end of vaultmgr where a vault may be locked by it. A boot at which a list is found writes nothing.
    fn keep_unknown(&self) {
        let open = |(id, slot): (&VaultId, &VaultMemory<_>)| {
            !id.is_default() && slot.sight().seen.key == Key::Present
        };
        let since = self.leases.is_unknown_since();
        let due = since.is_some() && self.slots.iter().any(open);
        if due && read(&self.paths.leases(), SinceBoot::default()).is_unknown_since() != since {
            self.keep_leases();
        }
    }

    fn keep_leases(&self) {
        if let Err(error) = write(self.paths.disk(), &self.paths.leases(), &self.leases) {
            tracing::warn!(%error, "keeping leases over an end of vaultmgr");
            let _ = self.paths.disk().unlink(&self.paths.leases());
        }
    }

    /// The shortest lease that a policy in force speaks of.
    fn shortest_lease(&self) -> Option<Lease> {
        let listing = self.belief.desired().listing.as_ref()?;
        listing
            .vaults
            .iter()
            .filter(|(id, _)| !id.is_default())
            .filter_map(|(_, want)| want.policy.lease)
            .min()
    }

    /// When a lease ends, or is to be asked for. CLOCK_MONOTONIC stands still in a suspend: after one the regular look comes first.
    pub(crate) fn leases_again(&self) -> Option<Instant> {
        let now = self.crypt.since_boot();
        let ends = self.leases.until().values().copied().chain(self.leases.unknown_until());
        let asks = self.shortest_lease().map(|shortest| self.leases.asks_at(shortest));
        let next = ends.filter(|until| *until > now).chain(asks).min()?;
        Some(Instant::now() + next.0.saturating_sub(now.0))
    }

    /// Locks what no lease keeps open, with a pause after each step, and asks anew at half of the shortest lease. Says whether it asked.
    pub(crate) fn tend_leases_pausing(&mut self, mut pause: impl FnMut(&mut Self, Option<VaultId>)) -> bool {
        self.keep_unknown();
        let now = self.crypt.since_boot();
        let over: Vec<VaultId> =
            self.leases.until().iter().filter(|(_, until)| **until <= now).map(|(id, _)| *id).collect();
        // Of a vault that is leased its key goes from here too: only the controller opens it again.
        let had_key: Vec<VaultId> = over.iter().copied().filter(|id| self.ring.forget(*id)).collect();
        let unknown = self.leases.unknown_until().is_some_and(|until| until <= now);
        let ended = |id: &VaultId| unknown && !id.is_default() || over.contains(id);
        let open = |slot: &VaultMemory<_>| slot.sight().seen.key == Key::Present;
        let open = self.slots.iter().filter(|(id, slot)| ended(id) && open(slot)).map(|(id, _)| *id);
        let due: BTreeSet<VaultId> = open.chain(had_key).collect();
        let due: Vec<VaultId> = due.into_iter().collect();
        self.shut(&due);
        due.into_iter().for_each(|id| self.settle_pausing(id, |manager| pause(manager, None)));
        let due = self.shortest_lease().is_some_and(|shortest| self.leases.asks_at(shortest) <= now);
        due && self.ask_for_leases().is_ok()
    }
}
