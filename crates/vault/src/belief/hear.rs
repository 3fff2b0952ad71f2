//! One thing heard, and what follows from it.

use super::words::{Doubt, Saying};
use super::{
    About, Belief, Beside, Effect, Heard, Kept, LockOrders, Memory, Roots, Said, Signed, SignedAnswer,
};
use crate::ids::{CONFIG_VAULT, SectionDigest};
use crate::section::{Entry, Section};
use crate::shares::RootPin;
use crate::wanted::{Accepted, Authority, Chain, Listing, NotTaken, Record, RecordSeen};

/// A section that was judged, and what comes with it: also what stands beside it, for whoever judges it again.
struct Given {
    section: Box<Section>,
    digest: SectionDigest,
    root: RootPin,
    beside: Beside,
    signed: Signed,
}

impl Given {
    fn into_answer(self) -> SignedAnswer {
        let said = Said::Section(self.section, self.digest);
        SignedAnswer { root: self.root, said, beside: self.beside, signed: self.signed }
    }
}

impl Belief {
    /// Takes in one thing. What it returns is to be done in this order, but what is written may be done after all else of it; what fails changes
    /// nothing here, and is heard of again.
    pub fn hear(&mut self, heard: Heard) -> Vec<Effect> {
        match heard {
            Heard::Tpm(roots, key) => self.tpm(roots, key),
            Heard::Answer(Authority::Live, answer) => self.live_answer(*answer),
            Heard::Answer(_, answer) => self.checkpoint(*answer),
            Heard::RecordOpened(opened) => self.record_opened(opened),
            Heard::RecordOpen => {
                self.save().into_iter().chain(self.keep_ordered()).chain(self.unpinned()).collect()
            }
            Heard::RecordClosed => {
                (self.desired.record, self.not_given) = (RecordSeen::Unreadable, false);
                Vec::new()
            }
            Heard::RecordNotGiven => self.record_not_given(),
            Heard::NoConfigVault => self.no_config_vault(),
            Heard::Saved(kept) => self.saved(kept),
            Heard::Former(names) => {
                self.desired.former = names;
                Vec::new()
            }
            Heard::RootAccepted(pin) => self.root_accepted(pin),
        }
    }

    fn tpm(&mut self, roots: Roots, key: Option<crate::ids::DeviceKey>) -> Vec<Effect> {
        self.roots = roots;
        self.device_key = key.or(self.device_key);
        if self.is_early() {
            return Vec::new();
        }
        let mut effects: Vec<_> = self.unpinned().into_iter().collect();
        if let Some(answer) = self.early.take_if(|_| roots != Roots::Lost) {
            effects = vec![Effect::Settle(About::Configuration)];
            effects.extend(self.live_answer(*answer));
        }
        effects.extend(self.early_orders());
        effects
    }

    /// The root that is believed and stands in no open table yet: it is asked for again until it does, for the table may not have been free when
    /// the section came, or its disk full.
    fn unpinned(&self) -> Option<Effect> {
        let believed = self.unsaved.as_deref().or(self.memory.kept())?.root;
        matches!(self.roots, Roots::Open(None)).then_some(Effect::Pin(believed))
    }

    /// Before the device key is known, and the root that was pinned beside the shares, nothing tells for whom a section is,
    /// and from whom.
    pub(super) fn is_early(&self) -> bool {
        self.device_key.is_none() || self.roots == Roots::Unread
    }

    pub(super) fn live_answer(&mut self, answer: SignedAnswer) -> Vec<Effect> {
        if !matches!(answer.said, Said::Unchanged) && !self.is_early() && self.is_of_another_root(answer.root)
        {
            (self.unheard, self.anothers) = (true, Some(Box::new(answer)));
            return self.withhold(Doubt::OtherRoot.into());
        }
        if !matches!(answer.said, Said::Unchanged) {
            self.unheard = false;
        }
        let (root, Beside { orders, lacks }) = (answer.root, answer.beside.clone());
        let mut effects = self.said(answer, lacks);
        effects.extend(orders.into_iter().flat_map(|orders| self.ordered(root, orders)));
        effects
    }

    fn said(&mut self, answer: SignedAnswer, lacks: Option<String>) -> Vec<Effect> {
        match answer.said {
            Said::Unchanged => Vec::new(),
            Said::NoSection => self.without_section(lacks),
            Said::Withheld(why) => self.withhold(Saying::NotUnderstood(why)),
            Said::Section(..) if self.is_early() => {
                self.early = Some(Box::new(answer));
                vec![Effect::Tell(About::Configuration, Saying::Early)]
            }
            Said::Section(..) => self.live_section(answer),
        }
    }

    pub(super) fn is_of_another_root(&self, root: RootPin) -> bool {
        self.pin().is_some_and(|pin| pin != root)
    }

    fn live_section(&mut self, answer: SignedAnswer) -> Vec<Effect> {
        let SignedAnswer { root, said: Said::Section(section, digest), beside, signed } = answer else {
            return Vec::new();
        };
        let given = Given { section, digest, root, beside, signed };
        self.unheard = true;
        match self.doubt(&given.section) {
            // What zedagent still has of the life before this one: the next poll brings ours.
            Some(doubt @ Doubt::OtherSession) => vec![Effect::Log(doubt.into())],
            Some(doubt) => self.withhold_for(doubt, given),
            None if self.memory == Memory::Unread => self.take_unread(given),
            None => self.take(given),
        }
    }

    /// A table that was lost may come back while this session lasts: what it said whom to believe is heard again then.
    fn withhold_for(&mut self, doubt: Doubt, given: Given) -> Vec<Effect> {
        let effects = self.withhold(doubt.into());
        self.early = (doubt == Doubt::TableLost).then(|| Box::new(given.into_answer()));
        effects
    }

    fn doubt(&self, section: &Section) -> Option<Doubt> {
        if self.roots == Roots::Lost {
            return Some(Doubt::TableLost);
        }
        if self.device_key != Some(section.device_key) {
            return Some(Doubt::OtherDevice(section.device));
        }
        (section.session != self.session).then_some(Doubt::OtherSession)
    }

    /// A section for this node and this session: it is in force if it is in order, live if it is the next one of this node's history.
    fn take(&mut self, given: Given) -> Vec<Effect> {
        let listing = Listing::of(&given.section, Authority::Live);
        let accepted = match self.in_order(&listing) {
            Ok(accepted) => accepted,
            Err(error @ NotTaken::OtherDevice { .. }) => return self.taken_for_another(error, &given),
            Err(error) => return vec![refused(error)],
        };
        let anew = self.is_anew(&accepted);
        let next = |chain: &Chain| chain.continues(given.section.follows) || chain.head == Some(given.digest);
        if !anew && !self.chain().is_none_or(next) {
            return self.take_unproved(&given.section, Saying::NotNext);
        }
        let chain = Chain::after(self.chain(), anew, given.digest, &listing);
        self.desired.listing = Some(listing.above(&chain));
        (self.desired.lacks, self.unheard, self.anothers) = (None, false, None);
        if self.is_after_orders(accepted.version, anew) {
            self.lift();
        }
        let record = Record { accepted, listed: [].into(), removed: [].into(), former: [].into() };
        self.unsaved = Some(Box::new(Kept {
            record,
            chain,
            root: given.root,
            signed: given.signed,
            ordered: self.desired.ordered.clone(),
            ordered_at: self.own_ordered_at(),
        }));
        let mut effects = vec![Effect::Settle(About::Configuration), Effect::TakeKeys(given.section)];
        effects.extend(self.unpinned());
        effects.extend(self.save());
        effects.push(Effect::StartAfresh);
        effects
    }

    /// Its controller knows it as another device than before: of that one's list nothing is made, opened or deleted. What it wants locked is
    /// locked, as by an order.
    fn taken_for_another(&mut self, why: NotTaken, given: &Given) -> Vec<Effect> {
        let mut effects = self.withhold(why.into());
        let orders = LockOrders::of(&given.section);
        if !orders.vaults.is_empty() {
            effects.extend(self.ordered(given.root, orders));
        }
        effects
    }

    /// Only the record tells whom the node belongs to, and which section follows the last one. It lies in the Config Vault, and that may
    /// open by the keys of this very section: so it opens and locks, and is judged to the end once the record was read.
    fn take_unread(&mut self, given: Given) -> Vec<Effect> {
        let listing = Listing::of(&given.section, Authority::Checkpoint);
        let before = self.unread.iter().filter(|before| before.device == listing.device);
        match Accepted::after(before, &listing) {
            Ok(accepted) => self.unread = Some(accepted),
            Err(error) => return vec![refused(error)],
        }
        self.free_the_record(&given.section);
        let why = if self.not_given { Saying::NotGiven } else { Saying::Unread };
        let effects = self.take_unproved(&given.section, why);
        // It is kept.
        self.unheard = false;
        self.early = Some(Box::new(given.into_answer()));
        effects
    }

    /// An order on the vault that the record lies in would hold for ever where only the record lifts orders: it is over by a section that
    /// follows it and wants that vault open. What else was ordered, the record decides.
    fn free_the_record(&mut self, section: &Section) {
        let config = section.vaults.iter().find(|entry| entry.id == CONFIG_VAULT);
        if self.is_after_orders(section.version, false) && config.is_none_or(Entry::is_wanted_open) {
            self.desired.ordered.remove(&CONFIG_VAULT);
        }
    }

    /// Not known to be the next one of this node's history: it opens and locks, and goes no further.
    fn take_unproved(&mut self, section: &Section, why: Saying) -> Vec<Effect> {
        let listing = Some(Listing::unjudged(section));
        // It comes again with every poll, as long as it is not the next one: pauses after what failed go on.
        let afresh = (self.desired.listing != listing).then_some(Effect::StartAfresh);
        self.desired.listing = listing;
        self.desired.lacks = None;
        let tell = Effect::Tell(About::Configuration, why);
        [tell, Effect::TakeKeys(Box::new(section.clone()))].into_iter().chain(afresh).collect()
    }

    /// The chain as far as this life knows it.
    fn chain(&self) -> Option<&Chain> {
        self.unsaved.as_deref().or(self.memory.kept()).map(|kept| &kept.chain)
    }

    /// Whether a section begins an incarnation that nothing accepted before was of.
    fn is_anew(&self, accepted: &Accepted) -> bool {
        let before = self.unsaved.as_deref().or(self.memory.kept());
        before.is_some_and(|kept| kept.record.accepted.version.incarnation != accepted.version.incarnation)
    }

    /// What is accepted once this section is: held against the record, as it was last read, and against what this life accepted.
    pub(super) fn in_order(&self, listing: &Listing) -> Result<Accepted, NotTaken> {
        let before = self.memory.kept().into_iter().chain(self.unsaved.as_deref());
        Accepted::after(before.map(|kept| &kept.record.accepted), listing)
    }

    /// So it begins whenever the node starts: it is worth a warning only where this session had a section.
    fn without_section(&mut self, lacks: Option<String>) -> Vec<Effect> {
        let had = self.live().is_some() || self.early.is_some();
        let why = lacks.clone().map_or(Saying::NoSection, Saying::NoPolicyMet);
        let mut effects = self.withhold(why);
        self.desired.lacks = lacks;
        if !had && self.desired.lacks.is_none() {
            effects[0] = Effect::Log(Saying::NotYet);
        }
        effects
    }

    /// Nothing is created, changed or deleted, and no key of the controller's stays at hand. What was locked stays locked.
    pub(super) fn withhold(&mut self, why: Saying) -> Vec<Effect> {
        self.desired.listing = self.desired.listing.take().map(Listing::kept);
        self.early = None;
        self.desired.lacks = None;
        vec![Effect::Tell(About::Configuration, why), Effect::DropKeys]
    }

    /// Everything that another controller said is over: the next section is a first contact, and vaults that it does not list
    /// are locked and kept. A record that was not read yet may be another controller's.
    fn root_accepted(&mut self, pin: RootPin) -> Vec<Effect> {
        let unpinned = self.pin().is_none() && self.memory != Memory::Unread;
        let accepted = self.memory == Memory::Nothing && self.accepted_root == Some(pin);
        if accepted {
            // The other's record may not have been put aside, for want of room perhaps.
            return self.is_readable().then_some(Effect::DropRecord).into_iter().collect();
        }
        if unpinned || self.pin() == Some(pin) {
            return Vec::new();
        }
        self.accepted_root = Some(pin);
        // It may have spoken already, and says nothing twice.
        let its_own = |answer: Option<Box<SignedAnswer>>| answer.filter(|answer| answer.root == pin);
        let early = its_own(self.early.take());
        let refused = its_own(self.anothers.take());
        let mut effects = self.withhold(Saying::Accepting);
        (self.memory, self.unsaved, self.desired.listing) = (Memory::Nothing, None, None);
        self.lift();
        effects.extend(matches!(self.roots, Roots::Open(_)).then_some(Effect::Pin(pin)));
        if self.is_readable() {
            self.desired.record = RecordSeen::Nothing;
            effects.push(Effect::DropRecord);
        }
        self.unheard = true;
        effects.extend(early.into_iter().flat_map(|answer| self.live_answer(*answer)));
        if self.live().is_none() {
            // Judged when the other's record is put aside, and the roots are heard of with this one's pin.
            self.early = self.early.take().or(refused);
        }
        effects
    }
}

fn refused(why: NotTaken) -> Effect {
    Effect::Tell(About::Configuration, Saying::Refused(why))
}
