//! What it answers: drafted, numbered and chained by the shipped functions.

use std::collections::BTreeSet;

use attest::SessionKey;
use vault::belief::{Beside, LockOrders, Said, Signed, SignedAnswer};
use vault::decide::{Asking, Bar, BundleNeeded, ChallengeWay, Ruling, Standing, StandingAt, Subject};
use vault::draft::{Asked, Draft, DraftDigest, Facts, HeldAgainst, Line, Saying, ToList, Told};
use vault::ids::SectionDigest;
use vault::ledger::Ledger;
use vault::life::{Life, Listed, Phase};
use vault::policy::Door;
use vault::rotation::Epochs;
use vault::section::{Entry, Release, SealedKey, Section};

use super::{Controller, NOW, Reply, TPM};
use crate::guards::Guard;
use crate::state::{USER, digest_of};
use crate::world::controller::DEVICE;
use crate::world::evidence::Appraised;
use crate::world::seams::Word;
use crate::world::{KEY, ROOT};

impl Controller {
    pub(super) fn answer(
        &mut self,
        (word, after): (&Word, Ledger),
        has: Option<u64>,
        (appraised, guard): (&Appraised, Option<Guard>),
    ) -> Option<Reply> {
        let draft = self.draft(word, appraised, guard);
        let before = std::mem::replace(&mut self.ledger, after);
        let known = if guard == Some(Guard::Astray) { Ledger::default() } else { self.ledger.clone() };
        let more = draft.says_more(known.said_last((self.version, self.digest)), &known);
        let lacks = draft.lacks.filter(|_| draft.challenge == ChallengeWay::InPlace);
        let lacks = lacks.map(|check| format!("{check:?}"));
        let poll = HeldAgainst {
            is_new: more.is_some(),
            has_it: has == Some(self.hash(word.session, draft.digest, lacks.as_deref())),
            accepts: self.ledger != before,
            ..HeldAgainst::default()
        };
        match Saying::of(draft.challenge, poll) {
            Saying::Nothing | Saying::Accepted | Saying::Beside => return None,
            // Nothing of it is kept.
            Saying::InPlace => self.ledger = before,
            Saying::Written => more.into_iter().for_each(|content| self.number(content, guard)),
        }
        if draft.challenge == ChallengeWay::InPlace {
            let orders = !draft.orders.is_empty() && guard != Some(Guard::Orders);
            let orders = orders.then(|| self.orders(word.session, &draft));
            return self.reply(word.session, draft.digest, (Said::NoSection, Beside { orders, lacks }), has);
        }
        self.section_to(word.session, draft, has, guard)
    }

    fn section_to(
        &mut self,
        session: SessionKey,
        draft: Draft,
        has: Option<u64>,
        guard: Option<Guard>,
    ) -> Option<Reply> {
        let said = draft.digest;
        let section = self.section(session, draft, guard);
        self.lets_out_what_it_may(&section);
        if has == Some(self.hash(session, said, None)) {
            return None;
        }
        let digest = section_digest(&section);
        self.ledger.send(digest);
        self.reply(session, said, (Said::Section(Box::new(section), digest), Beside::default()), has)
    }

    /// What is decided of the vault, by the shipped functions: a guard that is taken away twists what they are told.
    fn draft(&self, word: &Word, appraised: &Appraised, guard: Option<Guard>) -> Draft {
        let shown = self.evidence.filter(|_| guard != Some(Guard::Appraisal)).unwrap_or((word.session, true));
        let standing = Standing::Quoted(appraised.get(shown.0, shown.1));
        let barred = (self.lost && guard != Some(Guard::Lost)).then_some(Bar::Lost);
        let over = |listed: &&Listed| guard != Some(Guard::Grace) || listed.phase == Phase::Wanted;
        let facts = Facts {
            listed: self.listed().filter(over).map(|listed| self.to_list(listed)).into_iter().collect(),
            gone: &self.gone(guard),
            unread: Vec::new(),
            told: Told::default(),
            evidence: StandingAt { standing, at: NOW, renew: false },
            asking: Asking { device: DEVICE, session: word.session, tpm: TPM, barred },
            unopened: &BTreeSet::new(),
        };
        Draft::of(&facts, Asked { lease: None, bundle: BundleNeeded::NEVER }, NOW)
    }

    fn to_list<'a>(&'a self, listed: &Listed) -> ToList<'a> {
        let subject = Subject {
            vault: USER,
            policy: &self.policy,
            epochs: listed.epochs,
            reported: listed.taken,
            standing: listed.phase.presence(),
        };
        ToList { subject, name: &self.policy.name, made: listed.made, recreate: listed.recreate }
    }

    fn section(&self, session: SessionKey, draft: Draft, guard: Option<Guard>) -> Section {
        let sealed = |Line { entry, decision }| match decision.ruling {
            Ruling::Release(granted) => Entry { release: self.release(granted.epochs(), guard), ..entry },
            _ => entry,
        };
        Section {
            lease: draft.lease,
            device: DEVICE,
            device_key: KEY,
            session,
            version: self.place(),
            follows: self.ledger.head,
            vaults: draft.lines.into_iter().map(sealed).collect(),
            removed: draft.removed,
        }
    }

    /// Which key it is stands for the key.
    fn release(&self, epochs: Epochs, guard: Option<Guard>) -> Release {
        let sealed = |epoch: vault::ids::Epoch| SealedKey {
            epoch,
            enc: self.keys.get(&epoch.0).copied().unwrap_or_default().to_be_bytes().to_vec(),
            number: 0,
            ciphertext: vec![],
        };
        let last = if guard == Some(Guard::TwoEpochs) { vault::ids::Epoch::FIRST } else { epochs.last() };
        Release::Keys { current: sealed(epochs.current()), last: sealed(last) }
    }

    fn gone(&self, guard: Option<Guard>) -> Vec<vault::ids::VaultId> {
        let gone = matches!(self.life, Some(Life::Gone(_)));
        let runs = self.listed().is_some_and(|listed| listed.phase != Phase::Wanted);
        (gone || (guard == Some(Guard::Grace) && runs)).then_some(USER).into_iter().collect()
    }

    fn orders(&self, session: SessionKey, draft: &Draft) -> LockOrders {
        LockOrders {
            device: DEVICE,
            device_key: KEY,
            session,
            at: self.place(),
            vaults: draft.orders.iter().copied().collect(),
        }
    }

    /// None: it has that already.
    pub(super) fn reply(
        &self,
        session: SessionKey,
        said: Option<DraftDigest>,
        (what, beside): (Said, Beside),
        has: Option<u64>,
    ) -> Option<Reply> {
        let hash = self.hash(session, said, beside.lacks.as_deref());
        let envelope = digest_of(&(&what, &beside)).to_be_bytes().to_vec();
        let answer =
            SignedAnswer { root: ROOT, said: what, beside, signed: Signed { envelope, certs: vec![] } };
        (has != Some(hash)).then_some(Reply { answer, hash, words: self.words })
    }

    /// What a node tells that it has. It covers the section that was sent last: one of the same words that followed another is none that it has.
    fn hash(&self, session: SessionKey, said: Option<DraftDigest>, lacks: Option<&str>) -> u64 {
        let last = self.ledger.sent.last().map(|sent| sent.digest);
        let last = last.filter(|_| self.without != Some(Guard::LastSent));
        digest_of(&(self.place(), said, session, lacks, last))
    }

    /// KO-1, VC-3, TH-1: held against what the operator said and the session showed, apart from the decision.
    fn lets_out_what_it_may(&self, section: &Section) {
        for entry in &section.vaults {
            let Release::Keys { current, last } = &entry.release else { continue };
            let listed = self.listed().expect("it is listed");
            assert!(!self.lost, "a key goes out to a lost device");
            assert_eq!(self.evidence, Some((section.session, true)), "a key goes out without good evidence");
            assert!(
                listed.phase == Phase::Wanted && self.policy.operation == Door::Unlock,
                "a key that nobody asked for"
            );
            let over = [current, last].into_iter().any(|key| key.epoch.0 + 1 < listed.epochs.current().0);
            assert!(!over, "a key that is over goes out");
        }
    }
}

fn section_digest(section: &Section) -> SectionDigest {
    let mut bytes = [0; 32];
    bytes[..4].copy_from_slice(&(digest_of(section) as u32).to_be_bytes());
    SectionDigest(bytes)
}
