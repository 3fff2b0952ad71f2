//! What must hold after each part of each step, by the world's own memory.

use vault::belief::Said;

use super::*;

impl World {
    pub(super) fn opens_somehow(&self, meta: &Meta) -> bool {
        let share = meta.wrapping.seal().map(|seal| self.disk.shares.of(seal).map(|share| share.id));
        meta.whole && !meta.lame && share.is_none_or(|id| id.is_some() && id == meta.share)
    }

    /// Its directory at its place, and a copy that opens by a key that the controller has, its share not told as lost: whatever is
    /// ordered, such a vault is not made anew.
    pub(super) fn is_whole(&self) -> bool {
        let MetaPlace::Vault { content, .. } = self.disk.place else { return false };
        let lost = self.disk.shares.all().iter().flatten().any(|share| share.mark == Mark::Lost);
        let kept = |meta: &Meta| {
            let known = meta.key.is_none_or(|key| self.database.knows(key));
            known && meta.content == content && self.opens_somehow(meta)
        };
        !self.table_lost && !lost && self.disk.copies.iter().flatten().any(kept)
    }

    /// Without a share the live section alone tells whether the vault was made, and it says no.
    pub(super) fn counts_as_not_made(&self) -> bool {
        let says_no =
            self.in_force().and_then(|live| live.vaults.get(&self.id)).is_some_and(|want| !want.created);
        says_no && self.disk.shares.all().iter().flatten().next().is_none()
    }

    /// TH-6: told as erased, none of its shares opens, in a copy of the disk of any time.
    pub(super) fn dead_if_told(&self, notes: &[Note]) {
        let alive = (0..=self.fresh).any(|share| self.disk.roots.open(share));
        assert!(!notes.contains(&Note::Erased) || !alive, "told as erased: {:?}", self.disk);
        let quiet = !self.has_tpm || self.disk.dropped || !notes.contains(&Note::Erasing);
        let unknown = self.silent || self.table_lost || self.disk.roots.others.is_some();
        assert!(quiet || unknown, "told as not dead, and it is");
    }

    fn opens(&self, content: u32) -> bool {
        let opens = |meta: &Meta| meta.content == content && self.opens_somehow(meta);
        self.disk.copies.iter().flatten().any(opens)
    }

    pub(super) fn may_destroy(&self) -> bool {
        match self.order() {
            Order::Nothing => false,
            Order::Recreate => !self.is_whole(),
            Order::Delete => true,
        }
    }

    pub(super) fn check(&mut self) {
        self.nothing_destroyed();
        self.recovery_as_asked();
        self.openable_as_allowed();
    }

    /// Seen-by-users 0b.1: no vault is taken to a lower epoch, but under an incarnation that an operator began.
    pub(super) fn wraps(&mut self, wrapping: Wrapping, anew: bool) {
        let Some(epoch) = wrapping.epoch() else { return };
        let under = self.memory.belief.accepted().map(|at| at.incarnation);
        let before = self.wrapped.filter(|(of, _)| !anew && *of == under).map(|(_, epoch)| epoch);
        assert!(before.is_none_or(|before| epoch >= before), "from {before:?} to {epoch:?}");
        if self.is_on_record() {
            self.wrapped = Some((under, epoch));
        }
    }

    /// The keys at hand came with the section that the node's disk remembers: what it can't remember, or does not follow, an older
    /// copy of the database may undo later.
    fn is_on_record(&self) -> bool {
        let kept = self.disk.record.as_ref().map(|kept| &kept.signed);
        let of = |answer: &&SignedAnswer| matches!(&answer.said, Said::Section(section, _) if Some(section) == self.memory.taken.as_ref());
        self.answers.iter().filter(of).any(|answer| Some(&answer.signed) == kept)
    }

    /// Invariants 4 and 6: what held data is gone only by order.
    pub(super) fn nothing_destroyed(&mut self) {
        let holds = |place: &&MetaPlace| **place == MetaPlace::Plain || place.holds_ours();
        let Disk { place, staged, away, .. } = &self.disk;
        let there = [place, staged, away].iter().any(holds);
        assert!(
            there || !self.had_data || self.order() != Order::Nothing,
            "data is gone without an order: {:?}",
            self.disk
        );
        self.had_data = there;
    }

    /// Invariant 5: some copy opens its data, wherever that was moved to, and each copy is wrapped as an accepted section or the
    /// default asks: under a share of that seal, and of that custody.
    pub(super) fn openable_as_allowed(&self) {
        for place in [self.disk.place, self.disk.away] {
            if let MetaPlace::Vault { content, .. } = place
                && place.holds_ours()
            {
                let open = self.opens(content) || self.recovers(content) || self.doomed || self.unopenable;
                assert!(open, "nothing opens the vault: {:?}", self.disk);
            }
        }
        for meta in self.disk.copies.iter().flatten() {
            assert!(
                self.allowed.contains(&meta.wrapping),
                "{:?} was never asked for: {:?}",
                meta,
                self.allowed
            );
        }
    }
}
