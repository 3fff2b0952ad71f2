//! Which keys are at hand for a vault, and what they could open. No key is here, only which there are.

use super::Hint;
use crate::custody::{EpochMark, Wrapping};
use crate::ids::Epoch;
use crate::lease::SinceBoot;
use crate::section::{BySeal, Seal};

/// One of the vault's TPM shares, as far as it can be used now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ShareKey {
    /// No entry, or one whose share was lost.
    #[default]
    Nothing,
    /// It opens.
    Open,
    /// The root it is sealed under can't be read now.
    Closed,
    /// The root is there and the share does not open under it.
    Damaged,
}

/// The protector's own key is in memory, and this is what opened each copy. Nothing: that copy did not open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OpenedBy {
    /// Of the first copy.
    pub first: Option<Wrapping>,
    /// Of the second.
    pub second: Option<Wrapping>,
}

impl OpenedBy {
    /// What of it still holds. A copy opened by a controller's key of a number is known to open by that key alone: another key may
    /// have come under the same number, from another copy of the controller's database. `same` tells, for an epoch, whether the key at
    /// hand is the one that opened; nothing when none is at hand.
    #[must_use]
    pub fn proved(self, same: impl Fn(Epoch) -> Option<bool>) -> Self {
        let holds = |by: &Wrapping| by.epoch().and_then(&same) != Some(false);
        Self { first: self.first.filter(holds), second: self.second.filter(holds) }
    }
}

/// Which keys are at hand for one vault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Keys {
    /// The TPM's shares.
    pub shares: BySeal<ShareKey>,
    /// The controller's current key, released to this session.
    pub current: Option<Epoch>,
    /// The one published before it.
    pub last: Option<Epoch>,
    /// What tells these two from others of their numbers.
    pub marks: [Option<EpochMark>; 2],
    /// The protector's own key.
    pub held: Option<OpenedBy>,
    /// Until when its lease lasts; none: it has none of this boot.
    pub leased_until: Option<SinceBoot>,
    /// Until when it may be open while no list is in force, where nobody knows whether it has a lease; nothing: that is known.
    pub unknown_until: Option<SinceBoot>,
    /// Every key at hand was tried on the metadata as it is now, and none opens it.
    pub none_fits: bool,
    /// And of each copy that is there a key opened the protector, and what it leads to is damaged: that the key is the right one is proved.
    pub leads_to_damage: bool,
    /// Root gave its recovery key in this life, and by that the content key is at hand that the vault's place is encrypted with.
    pub recovered: bool,
}

impl Keys {
    /// Whether the content key is at hand, by our own protector or by the recovery one.
    #[must_use]
    pub fn opens(&self) -> bool {
        self.held.is_some() || self.recovered
    }

    /// Whether it is at hand by the recovery protector alone.
    #[must_use]
    pub fn by_recovery_alone(&self) -> bool {
        self.held.is_none() && self.recovered
    }

    fn epochs(&self) -> impl Iterator<Item = (Epoch, Option<EpochMark>)> {
        let [current, last] = self.marks;
        let both = [self.current.map(|epoch| (epoch, current)), self.last.map(|epoch| (epoch, last))];
        both.into_iter().flatten()
    }

    /// Whether the controller's key is at hand that a name hints at.
    #[must_use]
    pub fn has_key(&self, hint: Hint) -> bool {
        self.epochs().any(|(epoch, mark)| hint.may_mean(epoch, mark))
    }

    /// Whether a name tells by its mark that the key under which the copy was written is at hand. Another one of its number has another mark.
    #[must_use]
    pub fn is_of_one_at_hand(&self, hint: Hint) -> bool {
        self.epochs().any(|(epoch, mark)| mark.is_some_and(|mark| hint == Hint::Key(epoch, mark)))
    }

    /// Whether a key of the number that a name hints at is at hand, and it is another one: of another controller, or of another copy of its
    /// database.
    #[must_use]
    pub fn has_another(&self, hint: Hint) -> bool {
        let number = self.epochs().any(|(epoch, _)| hint.epoch() == Some(epoch));
        number && !self.has_key(hint)
    }

    /// Whether a name hints at what `wrapping` is with the keys at hand.
    #[must_use]
    pub fn is_named(&self, hint: Hint, wrapping: Wrapping) -> bool {
        match wrapping.epoch() {
            None => hint == Hint::NoEpoch,
            Some(of) => self.epochs().any(|(epoch, mark)| epoch == of && hint.may_mean(epoch, mark)),
        }
    }

    /// Whether all shares of `wrapping` are at hand.
    #[must_use]
    pub fn reach(&self, wrapping: Wrapping) -> bool {
        let share = wrapping.seal().is_none_or(|seal| self.shares.of(seal) == ShareKey::Open);
        let epoch = wrapping.epoch().is_none_or(|epoch| [self.current, self.last].contains(&Some(epoch)));
        share && epoch
    }

    /// What to try on a wrapped protector, in order: the current epoch before the last one (VC-6).
    #[must_use]
    pub fn candidates(&self) -> Vec<Wrapping> {
        let epochs = [self.current, self.last.filter(|last| Some(*last) != self.current)];
        let both = |epoch| Seal::ALL.map(|seal| Wrapping::Both(seal, epoch));
        let of_epoch = |epoch| both(epoch).into_iter().chain([Wrapping::Controller(epoch)]);
        let with_epochs = epochs.into_iter().flatten().flat_map(of_epoch);
        let all = with_epochs.chain(Seal::ALL.map(Wrapping::Tpm));
        all.filter(|wrapping| self.reach(*wrapping)).collect()
    }

    /// Whether [`Self::candidates`] has any.
    #[must_use]
    pub fn any(&self) -> bool {
        self.has_share(ShareKey::Open) || self.current.is_some() || self.last.is_some()
    }

    /// Whether one of the shares is like this.
    #[must_use]
    pub fn has_share(&self, like: ShareKey) -> bool {
        self.shares.all().contains(&like)
    }
}
