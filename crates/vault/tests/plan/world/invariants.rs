//! What must hold after each part of each step, by the world's own memory.

use super::*;

impl World {
    pub(super) fn opens_somehow(&self, meta: &Meta) -> bool {
        meta.whole
            && (!meta.wrapping.custody().needs_tpm() || meta.share == self.disk.share.map(|share| share.id))
    }

    pub(super) fn check(&mut self) {
        self.nothing_destroyed();
        self.openable_as_allowed();
    }

    /// Invariants 4 and 6: what held data is gone only by order.
    pub(super) fn nothing_destroyed(&mut self) {
        let holds = |place: &Place| matches!(place, Place::Plain | Place::Vault { data: true, .. });
        let there = holds(&self.disk.place) || holds(&self.disk.staged);
        assert!(
            there || !self.had_data || self.may_destroy,
            "data is gone without an order: {:?}",
            self.disk
        );
        self.had_data = there;
    }

    /// Invariant 5: some copy opens its data, and each copy is wrapped as an accepted section or the default asks.
    pub(super) fn openable_as_allowed(&self) {
        if let Place::Vault { content, data: true } = self.disk.place {
            let opens = |meta: &Meta| meta.content == content && self.opens_somehow(meta);
            let open = self.disk.copies.iter().flatten().any(opens);
            assert!(open || self.doomed, "nothing opens the vault: {:?}", self.disk);
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
