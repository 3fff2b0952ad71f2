//! What the record in the Config Vault says, and the checkpoint beside it: judged when it opens, and written when a section is accepted.

use super::words::{Doubt, Saying};
use super::{About, Belief, Effect, Kept, Memory, RecordFound, Roots, Said, Signed, SignedAnswer};
use crate::ids::SectionDigest;
use crate::wanted::{Authority, Listing, Record, RecordSeen};

impl Belief {
    /// A checkpoint lies in the Config Vault, and so counts only while that is open, and beside the record in it. It never
    /// replaces a live section, nor an older one a newer; under another incarnation than was accepted last nothing tells which
    /// is the older.
    pub(super) fn checkpoint(&mut self, answer: SignedAnswer) -> Vec<Effect> {
        let Said::Section(section, digest) = answer.said else { return Vec::new() };
        let ours = self.device_key.is_none_or(|key| key == section.device_key);
        if !ours || self.is_of_another_root(answer.root) {
            return vec![Effect::Log(Saying::KeptOfAnother)];
        }
        self.find_head(&answer.signed, digest);
        let listing = Listing::of(&section, Authority::Checkpoint);
        if !self.takes_checkpoint(&listing) {
            return vec![Effect::Log(Saying::KeptNothingNew)];
        }
        self.desired.listing = Some(listing);
        vec![Effect::StartAfresh]
    }

    /// A record of before there was a chain: its head is the section that it was made of.
    fn find_head(&mut self, signed: &Signed, digest: SectionDigest) {
        if let Memory::Read(kept) = &mut self.memory
            && kept.signed == *signed
        {
            kept.chain.head.get_or_insert(digest);
        }
    }

    fn takes_checkpoint(&self, given: &Listing) -> bool {
        let Some(kept) = self.memory.kept().filter(|_| self.is_readable()) else { return false };
        let in_force = self.desired.listing.as_ref();
        let accepted = &kept.record.accepted;
        let newest = in_force.map_or(accepted.version, |current| current.version);
        in_force.is_none_or(|current| current.authority == Authority::Checkpoint)
            && accepted.device == given.device
            && [newest, accepted.version]
                .iter()
                .all(|by| by.incarnation == given.version.incarnation && by.version <= given.version.version)
    }

    /// What waits for it is told why.
    pub(super) fn record_not_given(&mut self) -> Vec<Effect> {
        self.not_given = true;
        let waits = self.memory == Memory::Unread && self.early.is_some();
        waits.then_some(Effect::Tell(About::Configuration, Saying::NotGiven)).into_iter().collect()
    }

    pub(super) fn record_opened(&mut self, opened: RecordFound) -> Vec<Effect> {
        self.not_given = false;
        let damaged = opened == RecordFound::Damaged;
        let mut effects: Vec<_> = (!damaged).then_some(Effect::Settle(About::Record)).into_iter().collect();
        let pinned = if let Roots::Open(Some(pin)) = self.roots { Some(pin) } else { self.accepted_root };
        let anothers = |kept: &Kept| pinned.is_some_and(|pin| pin != kept.root);
        match opened {
            // Root accepted another controller while the record could not be read.
            RecordFound::Read(kept) if anothers(&kept) => {
                self.forget();
                effects.push(Effect::DropRecord);
            }
            RecordFound::Read(kept) => self.remember_all(kept),
            RecordFound::Nothing => self.forget(),
            RecordFound::Damaged => {
                self.forget();
                effects.push(Effect::Tell(About::Record, Saying::Damaged));
            }
        }
        // What zedagent kept may be older than the record; what was accepted in this life may be newer, and not yet in it.
        let recorded = self.memory.kept().map(|kept| kept.record.accepted.version);
        let newer = |of: &Listing| {
            recorded
                .is_some_and(|by| by.incarnation == of.version.incarnation && by.version < of.version.version)
        };
        self.desired.listing.take_if(|listing| listing.authority == Authority::Checkpoint && !newer(listing));
        effects.extend(self.judge_again());
        effects.extend(self.resume());
        effects.extend(self.save());
        effects.extend(self.keep_ordered());
        effects
    }

    /// What was in force while the record was not known is held against it.
    fn judge_again(&mut self) -> Vec<Effect> {
        if self.is_early() {
            return Vec::new();
        }
        let Some(answer) = self.early.take() else { return Vec::new() };
        (self.unsaved, self.desired.listing) = (None, None);
        self.live_answer(*answer)
    }

    pub(super) fn remember(&mut self, kept: Box<Kept>) {
        self.desired.record = RecordSeen::Read(kept.record.clone());
        self.memory = Memory::Read(kept);
    }

    /// There is no record. What this life accepted is not forgotten with the old one.
    fn forget(&mut self) {
        if let Memory::Read(kept) = std::mem::replace(&mut self.memory, Memory::Nothing) {
            self.unsaved.get_or_insert(kept);
        }
        self.desired.record = RecordSeen::Nothing;
    }

    pub(super) fn no_config_vault(&mut self) -> Vec<Effect> {
        self.desired.record = RecordSeen::Unreadable;
        self.not_given = false;
        if self.memory != Memory::Unread {
            return Vec::new();
        }
        self.memory = Memory::Nothing;
        self.judge_again()
    }

    /// What was accepted last, verified anew, until a live section comes.
    fn resume(&self) -> Option<Effect> {
        let kept = self.memory.kept()?;
        let wanted = self.desired.listing.is_none() || kept.chain.head.is_none();
        wanted.then(|| Effect::Verify(kept.signed.clone()))
    }

    /// Writes the accepted section into the record, if that can be read. One that the record speaks against is given up; one that
    /// could not be written is tried again.
    pub(super) fn save(&mut self) -> Vec<Effect> {
        let Some(unsaved) = self.unsaved.clone().filter(|_| self.is_readable()) else { return Vec::new() };
        let Some(listing) = self.live().cloned() else { return Vec::new() };
        match self.stands(&unsaved, &listing) {
            Ok(kept) => vec![Effect::Save(Box::new(kept))],
            Err(why) => self.give_up(why),
        }
    }

    /// The record with the section in it, unless the record speaks against it.
    fn stands(&self, unsaved: &Kept, listing: &Listing) -> Result<Kept, Saying> {
        let before = self.memory.kept();
        if before.is_some_and(|kept| kept.root != unsaved.root) {
            return Err(Doubt::OtherRoot.into());
        }
        let accepted = self.in_order(listing)?;
        let record = Record::after(before.map(|kept| &kept.record), accepted, listing);
        let record = record.beside(&self.desired.former);
        Ok(Kept { record, ..unsaved.clone() })
    }

    pub(super) fn saved(&mut self, kept: Box<Kept>) -> Vec<Effect> {
        self.unsaved.take_if(|unsaved| unsaved.chain.head == kept.chain.head);
        self.remember(kept);
        vec![Effect::Settle(About::Record)]
    }

    /// The record speaks against the section in force, which came before it could be read: what was accepted before that one
    /// is in force again.
    fn give_up(&mut self, why: Saying) -> Vec<Effect> {
        let mut effects = self.withhold(why);
        (self.unsaved, self.unheard) = (None, true);
        self.desired.listing = None;
        effects.extend(self.resume());
        effects
    }
}
