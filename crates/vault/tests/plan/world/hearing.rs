//! What the node hears, and what it does about it: the shipped belief decides, here it is only carried out.

use super::controller::DEVICE;
use super::*;
use vault::belief::{Effect, Heard, RecordFound, Roots, Said, Signed};
use vault::section::{Release, SealedKey, Section as Given};
use vault::wanted::Listing;

impl World {
    /// The controller is asked, and answers as its database and ledger say.
    pub(super) fn live(&mut self, wish: Section) {
        self.fresh += 1;
        if wish.restored {
            self.incarnations += 1;
            self.database.begin_incarnation(self.incarnations);
        }
        if wish.rotate {
            self.database.rotate(self.fresh);
        }
        if wish.replayed && self.answers.len() > 1 {
            let nth = self.answers.len() - 2;
            self.truth.blurred |= nth < self.truth.life_from;
            let again = self.answers[nth].clone();
            return self.hear_live(again);
        }
        if !self.database.hears(self.memory.belief.head()) && !wish.careless {
            return self.withhold(Beside::default());
        }
        let digest = SectionDigest([self.answers.len() as u8; 32]);
        let heard = (self.reported, self.taken());
        let section = self.database.section(self.id, wish, heard, (digest, self.memory.leases.nonce()));
        self.released(wish, section.vaults.first());
        let answer = self.answer(Said::Section(Box::new(section), digest));
        self.answers.push(answer.clone());
        self.hear_live(answer);
    }

    /// Under which of its own epochs the controller heard that the vault is.
    fn taken(&self) -> Option<Epoch> {
        let own = Some(self.database.incarnation());
        self.wrapped.filter(|(of, _)| *of == own).map(|(_, epoch)| epoch)
    }

    fn answer(&self, said: Said) -> SignedAnswer {
        let envelope = self.answers.len().to_be_bytes().to_vec();
        SignedAnswer {
            root: ROOT,
            said,
            beside: Beside::default(),
            signed: Signed { envelope, certs: vec![] },
        }
    }

    pub(super) fn hear_live(&mut self, answer: SignedAnswer) {
        self.hear(Heard::Answer(Authority::Live, Box::new(answer)));
    }

    /// What the section in force orders, by its own words and by the world's memory of what was listed.
    pub(super) fn order(&self) -> Order {
        // Two copies of the database give different sections under one number: it is the one whose keys were taken.
        let live = self
            .memory
            .taken
            .as_ref()
            .filter(|taken| self.in_force().is_some_and(|live| live.version == taken.version));
        match live {
            Some(section) if section.vaults.iter().any(|entry| entry.recreate) => Order::Recreate,
            Some(section)
                if section.removed.contains(&self.id)
                    && self.ever_listed.contains(&section.version.incarnation) =>
            {
                Order::Delete
            }
            _ if self.ordered_here => Order::Recreate,
            _ => Order::Nothing,
        }
    }

    /// The section is withheld, and beside the challenge stands an order to lock the vault.
    pub(super) fn order_locked(&mut self) {
        let orders = Some(self.database.order(self.id));
        self.withhold(Beside { orders, lacks: Some("PCRs".to_owned()) });
    }

    pub(super) fn withhold(&mut self, beside: Beside) {
        let answer = SignedAnswer { beside, ..self.answer(Said::NoSection) };
        self.hear(Heard::Answer(Authority::Live, Box::new(answer)));
    }

    pub(super) fn in_force(&self) -> Option<&Listing> {
        let listing = self.memory.belief.desired().listing.as_ref();
        listing.filter(|listing| listing.authority == Authority::Live)
    }

    pub(super) fn hear_tpm(&mut self) {
        let roots = match self.has_tpm {
            false => Roots::NoTpm,
            true if self.silent => Roots::Unread,
            true if self.table_lost => Roots::Lost,
            true => Roots::Open(self.disk.pin),
        };
        self.hear(Heard::Tpm(roots, Some(KEY)));
    }

    pub(super) fn open_record(&mut self) {
        let opened = match self.disk.record.clone() {
            _ if !self.record_readable => return,
            Some(kept) => RecordFound::Read(Box::new(kept)),
            None => RecordFound::Nothing,
        };
        self.hear(Heard::RecordOpened(opened));
    }

    pub(super) fn close_record(&mut self) {
        self.record_readable = false;
        self.hear(Heard::RecordClosed);
    }

    pub(super) fn hear(&mut self, heard: Heard) {
        for effect in self.memory.belief.hear(heard) {
            self.carry_out(effect);
        }
        self.widen();
    }

    /// What the section in force asks for, or the default policy, may be what copies are wrapped under from now on.
    fn widen(&mut self) {
        let listing = self.memory.belief.desired().listing.as_ref();
        let listed = listing.and_then(|listing| listing.vaults.get(&self.id)).map(|want| want.policy.clone());
        self.recipients.extend(listed.as_ref().and_then(|policy| policy.recovery.digest()));
        let policy = listed.or_else(|| self.id.is_default().then(|| default_policy(&self.node())));
        let current = self.memory.keys.map(|ring| ring.current.0);
        let wrapping = policy.and_then(|policy| Wrapping::of(&policy, current));
        self.allowed.extend(wrapping.filter(|wrapping| !self.allowed.contains(wrapping)));
    }

    fn carry_out(&mut self, effect: Effect) {
        match effect {
            Effect::Save(kept) => self.save(kept),
            Effect::DropRecord => self.disk.record = None,
            Effect::Pin(pin) => {
                self.disk.pin = Some(pin);
                self.hear_tpm();
            }
            Effect::TakeKeys(section) => {
                self.take_keys(&section);
                self.memory.leases.hear(&section, self.now);
                self.kept_leases = self.memory.leases.until().clone();
                self.memory.taken = Some(section);
            }
            Effect::DropKeys => self.memory.keys = None,
            Effect::Verify(signed) => {
                let kept = self.answers.iter().find(|answer| answer.signed == signed).expect("one of these");
                self.hear(Heard::Answer(Authority::Checkpoint, Box::new(kept.clone())));
            }
            Effect::StartAfresh => {
                self.memory.setbacks = Setbacks::default();
                self.memory.none_fits &= self.memory.held.is_some();
            }
            Effect::Tell(..) | Effect::Settle(_) | Effect::Log(_) => {}
        }
    }

    /// A record is written whole, or stays as it was.
    pub(super) fn save(&mut self, kept: Box<Kept>) {
        if self.full {
            return;
        }
        let accepted = &kept.record.accepted;
        assert_eq!(accepted.device, DEVICE);
        let newest = self.recorded.entry(accepted.version.incarnation).or_default();
        assert!(accepted.version.version >= *newest, "an older section was accepted");
        *newest = accepted.version.version;
        if kept.record.listed.contains_key(&self.id) {
            self.ever_listed.insert(accepted.version.incarnation);
        }
        self.disk.record = Some((*kept).clone());
        self.hear(Heard::Saved(kept));
    }

    fn take_keys(&mut self, section: &Given) {
        let entry = section.vaults.iter().find(|entry| entry.id == self.id);
        let of = |key: &SealedKey| {
            (key.epoch, u32::from_be_bytes(key.enc.as_slice().try_into().expect("four bytes")))
        };
        self.memory.keys = entry.and_then(|entry| match &entry.release {
            Release::Keys { current, last } => Some(Ring { current: of(current), last: of(last) }),
            Release::NotNeeded | Release::Withheld { .. } => None,
        });
    }
}
