//! Leases as vaultmgr keeps them: `vault::lease` counts, here are the clock, the nonces, and the file by which an end of vaultmgr neither ends a
//! lease nor lengthens one. That lies where a boot leaves nothing, and names its boot for where that is not so. A lease that is not in it is none.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use disk::Disk;
use vault::condition::Key;
use vault::ids::VaultId;
use vault::lease::{Lease, LeaseNonce, Leases, SinceBoot};
use vault::section::Section;

use super::locks::boot;
use crate::agents::vaultmgr::generation::roots::Tpmmgr;
use crate::agents::vaultmgr::generation::shares::{self, SharesError};
use crate::agents::vaultmgr::hands::crypt::Crypt;
use crate::agents::vaultmgr::hands::durable;
use crate::agents::vaultmgr::manager::Manager;
use crate::agents::vaultmgr::vault::slot::VaultMemory;

/// Longest such file, bytes: a line for each of as many vaults as there may be.
const MAX: usize = 128 << 10;

/// Reads those of this boot. What is not understood gives no lease.
fn read(path: &Path) -> BTreeMap<VaultId, SinceBoot> {
    let Ok(Some(bytes)) = durable::read(path, MAX) else { return BTreeMap::new() };
    let text = String::from_utf8_lossy(&bytes);
    let mut lines = text.lines();
    if boot().ok().as_deref() != lines.next() {
        return BTreeMap::new();
    }
    let lease = |line: &str| {
        let (id, until) = line.split_once(' ')?;
        Some((id.parse().ok()?, SinceBoot(Duration::from_millis(until.parse().ok()?))))
    };
    lines.filter_map(lease).collect()
}

fn write(disk: &Disk, path: &Path, until: &BTreeMap<VaultId, SinceBoot>) -> io::Result<()> {
    let line = |(id, until): (&VaultId, &SinceBoot)| format!("{id} {}", until.0.as_millis());
    let lines = std::iter::once(boot()?).chain(until.iter().map(line));
    let text: String = lines.map(|line| line + "\n").collect();
    Ok(disk.write_for_this_boot(path, text.as_bytes(), 0o600)?)
}

impl<C: Crypt, T: Tpmmgr> Manager<C, T> {
    /// Takes up what was given in an earlier life of this boot.
    ///
    /// # Errors
    /// No randomness.
    pub(crate) fn take_up_leases(&mut self) -> Result<(), SharesError> {
        self.leases = Leases::resumed(read(&self.paths.leases()));
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
        let until = self.leases.until();
        if *until == before {
            return;
        }
        if let Err(error) = write(self.paths.disk(), &self.paths.leases(), until) {
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
        let (now, shortest) = (self.crypt.since_boot(), self.shortest_lease()?);
        let ends = self.leases.until().values().copied().filter(|until| *until > now);
        let next = ends.chain([self.leases.asks_at(shortest)]).min()?;
        Some(Instant::now() + next.0.saturating_sub(now.0))
    }

    /// Locks what no lease keeps open, and asks anew at half of the shortest lease. Says whether it asked.
    pub(crate) fn tend_leases(&mut self) -> bool {
        let now = self.crypt.since_boot();
        let over: Vec<VaultId> =
            self.leases.until().iter().filter(|(_, until)| **until <= now).map(|(id, _)| *id).collect();
        for id in over {
            // Its key goes from here too: only the controller opens it again.
            let had_key = self.ring.forget(id);
            let open = |slot: &VaultMemory<_>| slot.sight.seen.key == Key::Present;
            if had_key || self.slots.get(&id).is_some_and(open) {
                self.settle(id);
            }
        }
        let due = self.shortest_lease().is_some_and(|shortest| self.leases.asks_at(shortest) <= now);
        due && self.ask_for_leases().is_ok()
    }
}
