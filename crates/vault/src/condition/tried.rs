//! Keys tried on the copies of a vault's key files: which of them opened which copy, and what was damaged.

use vault::condition::{MetaPlace, OpenedBy, Seen};
use vault::custody::Wrapping;

use crate::agents::vaultmgr::hands::crypt::CryptError;

const PLACES: [MetaPlace; 2] = [MetaPlace::First, MetaPlace::Second];

/// What came of the keys so far.
pub(super) struct Tried<P> {
    /// Whether each copy looks whole: no other is tried.
    whole: [bool; 2],
    opened: [Option<Wrapping>; 2],
    /// A key opened its protector, and the rest is damaged.
    damaged: [bool; 2],
    pub(super) protector: Option<P>,
    /// What was wrong with the last that did not open for another cause than its key.
    pub(super) error: Option<CryptError>,
    /// All such causes were damage: none that passes.
    pub(super) only_damage: bool,
}

impl<P> Tried<P> {
    pub(super) fn of(seen: &Seen) -> Self {
        let whole = [seen.first, seen.second].map(|copy| copy.hint().is_some());
        let (opened, damaged) = ([None; 2], [false; 2]);
        Self { whole, opened, damaged, protector: None, error: None, only_damage: true }
    }

    /// Tries one key on each copy that none has opened yet.
    pub(super) fn with(
        &mut self,
        wrapping: Wrapping,
        mut unwrap: impl FnMut(MetaPlace) -> Result<Option<P>, CryptError>,
    ) {
        for (at, place) in PLACES.into_iter().enumerate() {
            if !self.whole[at] || self.opened[at].is_some() {
                continue;
            }
            match unwrap(place) {
                Ok(None) => {}
                Ok(Some(protector)) => {
                    self.opened[at] = Some(wrapping);
                    self.protector.get_or_insert(protector);
                }
                Err(error) => {
                    self.damaged[at] |= error.is_damage;
                    self.only_damage &= error.is_damage;
                    self.error = Some(error);
                }
            }
        }
    }

    pub(super) fn held(&self) -> OpenedBy {
        OpenedBy { first: self.opened[0], second: self.opened[1] }
    }

    /// Whether the right key is proved to be at hand, and no copy is left that it opens.
    pub(super) fn leads_to_damage(&self) -> bool {
        self.protector.is_none() && self.whole.contains(&true) && self.damaged == self.whole
    }
}
