//! The controller's database and what it does with it: glue, over the shipped `life`, `draft` (with `decide` and `challenge`) and `ledger`. What the real one keeps
//! in rows is kept in a value here, which can be copied and put back.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use attest::SessionKey;
use vault::belief::{Beside, Said, SignedAnswer};
use vault::decide::TpmPin;
use vault::draft::DraftDigest;
use vault::ids::{Incarnation, SectionDigest, SectionVersion};
use vault::ledger::{Again, Asker, Ledger, Mark, Number, Older, Poll, Word as Numbered};
use vault::life::{
    Applied, AskedRemoval, AskedVault, Contact, Deleted, Deletion, GraceEnd, Life, Listed, Phase, Rotated,
    Rotation, Writer, applied,
};
use vault::policy::{Attest, Check, Door, Removal, VaultPolicy};
use vault::section::{Custody, Encryption, NodePolicy, Seal};
use vault::wanted::Head;

use crate::guards::Guard;
use crate::state::USER;
use crate::world::controller::DEVICE;
use crate::world::evidence::Appraised;
use crate::world::seams::Word;

mod answers;

const NOW: u64 = 1_800_000_000;
const GRACE_S: u64 = 60;
const TPM: TpmPin = TpmPin::Present;

/// A database.
#[derive(Debug, Clone)]
pub(crate) struct Controller {
    incarnation: u8,
    past: Vec<Incarnation>,
    version: u64,
    digest: Option<DraftDigest>,
    ledger: Ledger,
    /// What it has no room for, and knows all the same.
    sent_before: Vec<SectionDigest>,
    /// It no longer knows all that it sent: for the check alone.
    pub(crate) forgot: bool,
    pub(crate) older: Option<Mark>,
    again: Again,
    /// What was numbered though it said nothing new, since this life of the controller began.
    numbered: Vec<Numbered>,
    /// A request that was no repetition showed that the node is ahead: counted for the check alone.
    pub(crate) shown: bool,
    /// Nothing: it was removed, and forgotten.
    pub(crate) life: Option<Life>,
    pub(crate) keys: BTreeMap<u64, u32>,
    pub(crate) policy: VaultPolicy,
    pub(crate) lost: bool,
    evidence: Option<(SessionKey, bool)>,
    /// How often an operator changed whether the vault is wanted: counted for the check alone.
    pub(crate) words: u8,
    without: Option<Guard>,
}

/// An answer, and by what a node tells that it has it.
#[derive(Debug, Clone)]
pub(crate) struct Reply {
    pub(crate) answer: SignedAnswer,
    pub(crate) hash: u64,
    pub(crate) words: u8,
}

impl Controller {
    pub(crate) fn new(custody: Custody, seal: Seal) -> Self {
        let name: vault::ids::Name = "berlin".parse().expect("a name");
        let node = NodePolicy {
            encryption: Encryption::Aes256Xts,
            custody,
            seal,
            lease: None,
            recovery: vault::recovery::Recipients::NONE,
            storage_limit: None,
        };
        let attest = Attest { every: Duration::from_secs(600), require: BTreeSet::from([Check::Pcrs]) };
        let on_removal = Removal::DeleteAfter(Duration::from_secs(GRACE_S));
        let policy = VaultPolicy { name, node, attest, on_removal, operation: Door::Unlock };
        let Ok(Applied::Created(listed)) = apply(&policy, None) else { panic!("a new vault is created") };
        Self {
            incarnation: 1,
            past: Vec::new(),
            version: 0,
            digest: None,
            ledger: Ledger::default(),
            sent_before: Vec::new(),
            forgot: false,
            older: None,
            again: Again::default(),
            numbered: Vec::new(),
            shown: false,
            life: Some(Life::Listed(listed)),
            keys: BTreeMap::from([(1, 1)]),
            policy,
            lost: false,
            evidence: None,
            words: 0,
            without: None,
        }
    }

    pub(crate) fn without(self, without: Option<Guard>) -> Self {
        Self { without, ..self }
    }

    pub(crate) fn listed(&self) -> Option<&Listed> {
        match &self.life {
            Some(Life::Listed(listed)) => Some(listed),
            Some(Life::Gone(_)) | None => None,
        }
    }

    fn place(&self) -> SectionVersion {
        SectionVersion { incarnation: Incarnation([self.incarnation; 16]), version: self.version }
    }

    /// A new key, unless its node could miss it. Says whether there is one.
    pub(crate) fn rotate(&mut self, force: bool, key: u32) -> bool {
        let Some(listed) = self.listed().cloned() else { return false };
        let how = Rotation { force, expect_epoch: None, older: self.older.map(Mark::older) };
        let Ok(Rotated::Now { vault, .. }) = listed.rotate(self.policy.node.custody.needs_controller(), how)
        else {
            return false;
        };
        self.keys.insert(vault.epochs.current().0, key);
        self.life = Some(Life::Listed(vault));
        true
    }

    pub(crate) fn delete(&mut self) -> bool {
        let Some(listed) = self.listed().cloned() else { return false };
        let older = self.older.is_some();
        let removal = Removal::DeleteAfter(Duration::from_secs(GRACE_S));
        let asked = AskedRemoval { policy: removal, said: None, confirmed: false };
        let how = Deletion { now: NOW, asked, next_version: self.version + 1, older };
        let Ok(Deleted::Grace { vault, .. } | Deleted::Held { vault, .. }) = listed.delete(USER, how) else {
            return false;
        };
        (self.life, self.words) = (Some(Life::Listed(vault)), self.words + 1);
        true
    }

    /// It is to be kept without an end, whatever its policy says. Says whether there is one.
    pub(crate) fn retain(&mut self) -> bool {
        let Some(listed) = self.listed().cloned() else { return false };
        let next_version = self.version + 1;
        let asked = AskedRemoval { policy: Removal::Retain, said: None, confirmed: false };
        let how = Deletion { now: NOW, asked, next_version, older: self.older.is_some() };
        let Ok(Deleted::Retained { vault }) = listed.delete(USER, how) else { return false };
        (self.life, self.words) = (Some(Life::Listed(vault)), self.words + 1);
        true
    }

    /// The operator wants it again. Says whether it was being removed.
    pub(crate) fn undo(&mut self) -> bool {
        let Ok(Applied::Changed(listed)) = apply(&self.policy, self.listed().cloned()) else { return false };
        (self.life, self.words) = (Some(Life::Listed(listed)), self.words + 1);
        true
    }

    /// Time passes: a grace is over, but in a database that is known to be an older one.
    pub(crate) fn end_grace(&mut self) -> bool {
        let Some(listed) = self.listed() else { return false };
        let mut listed = listed.clone();
        if self.without == Some(Guard::Retained) && listed.phase == Phase::Retained {
            listed.phase = Phase::Grace { until: NOW };
        }
        let (now, next_version, older) = (NOW + GRACE_S, self.version + 1, self.older.is_some());
        let end = GraceEnd { now, next_version, older };
        let Ok(gone) = listed.end_grace(end) else { return false };
        (self.life, self.digest) = (Some(Life::Gone(gone)), None);
        self.keys.clear();
        true
    }

    /// `evc begin-anew`.
    pub(crate) fn begin_anew(&mut self, fresh: u8) {
        self.past.push(Incarnation([self.incarnation; 16]));
        if let Some(Older::LaterLife(told)) = self.older.map(Mark::older) {
            self.past.push(told);
        }
        (self.incarnation, self.version, self.digest) = (fresh, 0, None);
        (self.ledger, self.older, self.shown) = (Ledger::default(), None, false);
        self.sent_before.clear();
        self.life = self.life.take().map(Life::begun_anew);
    }

    /// A report, and a request for configuration. `first`: it is no repetition of an earlier one.
    pub(crate) fn hear(
        &mut self,
        word: &Word,
        has: Option<u64>,
        first: bool,
        by: (&Appraised, Option<Guard>),
    ) -> Option<Reply> {
        if first {
            // A nonce is good once, and a report is numbered: what is sent again shows nothing.
            self.evidence = Some((word.session, word.measured));
            self.fold(word, by.1);
        }
        let asker = Asker { session: word.session, stands: self.evidence.map(|(session, _)| session) };
        let after = match self.told(word) {
            Err(_) if by.1 == Some(Guard::Ledger) => Ok(self.ledger.clone()),
            told => told,
        };
        match after {
            Err(older) => {
                self.shown |= first;
                self.older = Some(Mark::shown(self.older, older, asker, &self.ledger));
                self.reply(word.session, None, (Said::NoSection, Beside::default()), has)
            }
            Ok(after) => {
                let over = |mark: &Mark| match by.1 {
                    Some(Guard::Marked) => true,
                    Some(Guard::MarkEnds) => false,
                    _ => mark.is_over(asker, &after),
                };
                self.older = self.older.filter(|mark| !over(mark));
                self.answer((word, after), has, by)
            }
        }
    }

    /// The ledger after it, or what it shows of this database.
    fn told(&self, word: &Word) -> Result<Ledger, Older> {
        let sent_before = word.head.is_some_and(|head| self.sent_before.contains(&head.digest));
        let poll = Poll {
            device: DEVICE,
            tpm: TPM,
            session: word.session,
            head: word.head,
            ordered: word.ordered,
            sent_before: sent_before && self.without != Some(Guard::SentBefore),
            mark: self.older,
            put_back: false,
        };
        self.ledger.after(self.place(), &self.past, &poll)
    }

    /// Whether what a node has is none that this database sent.
    pub(crate) fn is_behind(&self, head: Head) -> bool {
        self.ledger.clone().hear(self.place(), &self.past, (head.version, head.digest)).is_err()
    }

    /// All that was sent before what its node has is so long ago that the ledger has no room for it.
    pub(crate) fn moves_out(&mut self, head: Option<Head>) {
        let known = |head: Head| self.ledger.sent.iter().position(|sent| sent.digest == head.digest);
        if let Some(at) = head.and_then(known) {
            self.sent_before.extend(self.ledger.sent.drain(..at).map(|sent| sent.digest));
        }
    }

    /// So long that it is forgotten.
    pub(crate) fn forgets(&mut self, head: Option<Head>) {
        self.moves_out(head);
        self.sent_before.clear();
        self.forgot = true;
    }

    /// What is in its memory alone.
    pub(crate) fn restarts(&mut self) {
        (self.again, self.numbered) = (Again::default(), Vec::new());
    }

    /// Attack F2: what a device truly has is pushed out of no memory by words of before, so each of them is numbered once.
    fn number(&mut self, content: DraftDigest, guard: Option<Guard>) {
        let known = if guard == Some(Guard::Again) { Again::default() } else { self.again.clone() };
        let last = self.ledger.said_last((self.version, self.digest));
        let word = match known.number(content, last, (self.ledger.head, self.version)) {
            Number::Same(..) => return,
            Number::Next(word) => Some(word),
            Number::New => None,
        };
        (self.version, self.digest) = (self.ledger.next_number(self.version), Some(content));
        let Some(word) = word else { return self.restarts() };
        assert!(!self.numbered.contains(&word), "a word of before is numbered twice");
        self.numbered.push(word);
        self.again.keep(word, self.version);
    }

    fn fold(&mut self, word: &Word, guard: Option<Guard>) {
        self.life = match self.life.take() {
            Some(Life::Listed(listed)) => Some(Life::Listed(match &word.report {
                Some(report) => listed.hear(report, vault::life::ListOf::Ours),
                None => listed,
            })),
            Some(Life::Gone(gone)) => {
                let said = Contact {
                    accepted: word.accepted,
                    state: word.report.as_ref().map(|report| report.state),
                };
                let forgets =
                    gone.forget(self.place().incarnation, said).is_ok() || guard == Some(Guard::Remembered);
                (!forgets).then_some(Life::Gone(gone))
            }
            None => None,
        };
    }
}

fn apply(policy: &VaultPolicy, there: Option<Listed>) -> Result<Applied, vault::life::NotApplied> {
    let encryption = policy.node.encryption;
    let present = there.as_ref().map(|_| encryption);
    applied(USER, there, AskedVault { by: Writer::Document, policy: &policy.name, encryption, present }, 0)
}
