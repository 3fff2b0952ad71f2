//! The lease: the world remembers for itself when the controller last released the vault, and holds that against what is open.

use super::*;
use vault::lease::Lease;
use vault::section::{Entry, Release};

const SECONDS: u32 = 100;
pub(super) const LEASE: Lease = match Lease::of_seconds(SECONDS) {
    Some(lease) => lease,
    None => panic!("within bounds"),
};

/// What no part of a node is shown.
#[derive(Clone, Debug, Default)]
pub(super) struct Truth {
    /// When the controller last wanted it open, in this boot: with a lease, or without one.
    released: Option<SinceBoot>,
    /// Which answer was the first of this life.
    pub(super) life_from: usize,
    /// An answer of an earlier life was played again in this one, which only a world whose lives share a session takes.
    pub(super) blurred: bool,
}

impl World {
    pub(super) fn ask_for_lease(&mut self) {
        self.fresh += 1;
        let mut nonce = [0; 16];
        nonce[..4].copy_from_slice(&self.fresh.to_be_bytes());
        self.memory.leases.ask(LeaseNonce(nonce), self.now);
    }

    /// The controller answers, now: with this in the list, or without it.
    pub(super) fn released(&mut self, wish: Section, entry: Option<&Entry>) {
        let operation = entry.map_or(wish.operation, |entry| entry.operation);
        let open = operation != Operation::Lock && wish.standing == Presence::Active;
        let withheld = entry.is_some_and(|entry| matches!(entry.release, Release::Withheld { .. }));
        if open && !(withheld && wish.leased) {
            self.truth.released = Some(self.now);
        }
    }

    /// A boot leaves nothing of what was given before it.
    pub(super) fn end_leases(&mut self) {
        self.kept_leases.clear();
        self.truth.released = None;
    }

    /// A life of vaultmgr begins.
    pub(super) fn begin_leases(&mut self) {
        (self.truth.life_from, self.truth.blurred) = (self.answers.len(), false);
        self.memory.leases = Leases::resumed(self.kept_leases.clone());
        self.ask_for_lease();
    }

    /// A leased vault is open only within its lease of an answer that the controller gave in this boot, or by its recovery key.
    pub(super) fn open_as_leased(&self, wish: &Wish) {
        let Wish::Keep(want) = wish else { return };
        let recovered = self.is_recovered();
        if want.policy.lease.is_none() || self.id.is_default() || self.truth.blurred || recovered {
            return;
        }
        let within = |at: SinceBoot| self.now.0 < at.0 + LEASE.duration();
        assert!(
            self.truth.released.is_some_and(within),
            "open at {:?}, released at {:?}",
            self.now,
            self.truth.released
        );
    }
}
