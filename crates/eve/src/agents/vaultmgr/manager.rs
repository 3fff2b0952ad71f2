//! vaultmgr's one thread of decisions: what came from outside is taken in, then each vault is planned, stepped and observed until
//! it rests. Decides nothing itself: `vault::plan` does. Generic over the kernel and tpmmgr, so tests run it without either.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use vault::belief::{Belief, Heard};
use vault::condition::{Hint, Key, KeyClaim, Keys, Node, Past, Seen, State};
use vault::defaults;
use vault::escrow::hope::Hopeless;
use vault::ids::{CONFIG_VAULT, VaultId};
use vault::lease::Leases;
use vault::plan::{Act, AtHand, Hold, Known, Next, Op, RecordDoor, Step, StepKind, one};
use vault::wanted::Wish;
use wire::release::SessionSecret;

use crate::agents::vaultmgr::belief::config::GoodCerts;
use crate::agents::vaultmgr::belief::ring::Ring;
use crate::agents::vaultmgr::chain;
use crate::agents::vaultmgr::escrow;
use crate::agents::vaultmgr::generation::desk::Desk;
use crate::agents::vaultmgr::generation::roots::RootKeys;
use crate::agents::vaultmgr::generation::shares::{self, ShareStore, SharesError};
use crate::agents::vaultmgr::hands::crypt::Crypt;
use crate::agents::vaultmgr::hands::durable;
use crate::agents::vaultmgr::hands::prepare;
use crate::agents::vaultmgr::node::Pause;
use crate::agents::vaultmgr::notes::Notes;
use crate::agents::vaultmgr::paths::Paths;
use crate::agents::vaultmgr::vault::execute::{Ran, StepError};
use crate::agents::vaultmgr::vault::in_step::IN_STEP;
use crate::agents::vaultmgr::vault::jobs::{JobLeft, Jobs};
use crate::agents::vaultmgr::vault::long::Way;
use crate::agents::vaultmgr::vault::naming::Naming;
use crate::agents::vaultmgr::vault::slot::VaultMemory;

/// More steps than any vault needs from any state: beyond it something outside undoes what is done, and the step counts as failed.
const MAX_STEPS: usize = 64;
const UNDONE: &str = "it is done and undone again: see what else writes to .fscrypt, or to the vault's directory, on the persist filesystem";

/// Who owns the folder that zedagent keeps its checkpoint in.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Owner {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
}

/// All that vaultmgr knows.
pub(crate) struct Manager<C: Crypt> {
    pub(super) paths: Paths,
    pub(super) crypt: C,
    /// Where the TPM is asked.
    pub(super) desk: Box<dyn Desk>,
    pub(super) zedagent: Owner,
    pub(super) session: SessionSecret,
    pub(super) root_pem: Vec<u8>,
    /// Those of the controller's that hang on a root certificate, the last that did.
    pub(super) certs: GoodCerts,
    /// The last live answer was not signed by whoever hangs on that root: it is to be said again.
    pub(super) unverified: bool,
    pub(super) shares: Option<ShareStore>,
    /// The keys of a share table that can't be read, while none is at hand.
    pub(super) unread: Option<Box<RootKeys>>,
    pub(super) tpm_absent: bool,
    pub(super) measured: bool,
    /// What this node holds for true of its controller.
    pub(super) belief: Belief,
    /// What is known of this node's escrow.
    pub(super) escrow: escrow::EscrowMemory,
    /// Whether the Config Vault was open when it was looked at last, and the record was read then.
    record_open: bool,
    /// A step of the node's own failed; it is tried again after a pause, or when something outside changes.
    pub(super) node_setback: Option<Pause>,
    /// Why it failed.
    pub(super) node_error: Option<SharesError>,
    /// Why shares that were dropped are not dead yet, by the last plan for the node.
    pub(super) hold: Option<Hold>,
    pub(super) ring: Ring,
    pub(super) leases: Leases,
    pub(super) slots: BTreeMap<VaultId, VaultMemory<C::Protector>>,
    /// Which of them name which key.
    pub(super) naming: Naming,
    /// The last of those that rest that was looked at in turn.
    pub(super) looked_at: Option<VaultId>,
    pub(super) notes: Notes,
    /// What the escrow does not bring back.
    pub(super) hopeless: Hopeless,
    pub(crate) jobs: Jobs,
    /// A lock waits, while several are made in step.
    pub(super) hurried: bool,
    /// How often something was learned that more than one vault may depend on.
    pub(super) learned: u64,
    /// How often something was done or heard by which more may be new than what a look finds of one vault.
    pub(super) news: u64,
    /// Vaults that were found otherwise than they were, since a look told of those last.
    pub(super) found_otherwise: BTreeSet<VaultId>,
}

impl<C: Crypt> Manager<C> {
    /// Starts a life: a session, and all vaults that are on the disk.
    ///
    /// # Errors
    /// No randomness.
    pub(crate) fn start(
        paths: Paths,
        crypt: C,
        (desk, jobs): (Box<dyn Desk>, Jobs),
        zedagent: Owner,
    ) -> Result<Self, SharesError> {
        let session = SessionSecret::init(shares::random)?;
        Ok(Self {
            crypt,
            desk,
            zedagent,
            belief: Belief::new(session.session_key()),
            escrow: escrow::EscrowMemory::default(),
            session,
            root_pem: root_certificate(&paths),
            certs: GoodCerts::default(),
            unverified: false,
            paths,
            shares: None,
            unread: None,
            tpm_absent: false,
            measured: false,
            record_open: false,
            node_setback: None,
            node_error: None,
            hold: None,
            ring: Ring::default(),
            leases: Leases::default(),
            slots: BTreeMap::new(),
            naming: Naming::default(),
            looked_at: None,
            notes: Notes::default(),
            hopeless: Hopeless::default(),
            jobs,
            hurried: false,
            learned: 0,
            news: 0,
            found_otherwise: BTreeSet::new(),
        })
    }

    /// Whom to believe may be written anew while the node runs. What was pinned at first contact stays.
    pub(crate) fn read_root_certificate(&mut self) {
        self.root_pem = root_certificate(&self.paths);
    }

    /// What is to be said of a disk that can't be written.
    pub(crate) fn read_only(&self) -> Option<&'static str> {
        prepare::is_read_only(&self.paths).then_some(crate::agents::vaultmgr::READ_ONLY)
    }

    /// The node's facts, as plans of its vaults see them: with a look at the path of its disk.
    pub(super) fn node_to_plan(&self) -> Node {
        Node { disk_went: self.crypt.is_away(), ..self.node() }
    }

    /// The node's facts, without that look.
    pub(crate) fn node(&self) -> Node {
        let node = shares::node(self.shares.as_ref(), self.tpm_absent, self.measured, self.is_set_back());
        let anew = self.begins_pcrs_anew(&node);
        let past = Past { next: self.upcoming(node.past.next), anew, ..node.past };
        Node { past, escrow: self.escrowed(), since_boot: self.crypt.since_boot(), ..node }
    }

    /// Takes every vault as far as it goes, with a pause after each step, and after each vault, in which orders may be carried out. What is to be
    /// locked is locked first; then comes the Config Vault: the record in it decides about the rest.
    pub(crate) fn settle_all_pausing(&mut self, pause: impl FnMut(&mut Self, Option<VaultId>)) {
        let all = self.everything();
        self.settle_each_pausing(&all, pause);
    }

    /// The same of these, in this order.
    pub(super) fn settle_each_pausing(
        &mut self,
        each: &[VaultId],
        pause: impl FnMut(&mut Self, Option<VaultId>),
    ) {
        self.shut(each);
        self.take_each_pausing(each, pause);
    }

    /// The same, where none of them is to be locked.
    pub(super) fn take_each_pausing(
        &mut self,
        each: &[VaultId],
        mut pause: impl FnMut(&mut Self, Option<VaultId>),
    ) {
        self.settle_node(|manager| pause(manager, None));
        for group in each.chunks(IN_STEP) {
            self.make_in_step(group, |manager| pause(manager, None));
            for id in group {
                self.settle_pausing(*id, |manager| pause(manager, None));
                pause(self, Some(*id));
            }
        }
        // By now it is known what was dropped.
        self.settle_node(|manager| pause(manager, None));
    }

    /// Another number than before: what is told of any vault may be another than it was.
    pub(crate) fn news(&self) -> u64 {
        self.news
    }

    /// When something that failed is to be tried again.
    pub(crate) fn again(&self) -> Option<Instant> {
        self.slots
            .values()
            .filter_map(VaultMemory::again)
            .chain(self.jobs.again())
            .chain(self.node_again())
            .chain(self.leases_again())
            .min()
    }

    /// Takes the vaults whose pause is over, or whose long work is, as far as they go; and then all, where a section that waited for the record
    /// counts now: it speaks of all.
    pub(crate) fn tick_pausing(&mut self, now: Instant, mut pause: impl FnMut(&mut Self, Option<VaultId>)) {
        self.take_up_holders(now);
        self.reap(|manager| pause(manager, None));
        let due: Vec<VaultId> =
            self.slots.iter_mut().filter_map(|(id, slot)| slot.due(now).then_some(*id)).collect();
        let waited = self.belief.waits_for_record();
        for id in due {
            self.settle_pausing(id, |manager| pause(manager, None));
        }
        self.node_due(now);
        self.settle_node(|manager| pause(manager, None));
        if waited && !self.belief.waits_for_record() {
            self.settle_all_pausing(pause);
        }
    }

    /// Every vault that is listed, remembered, on the disk or a default one, in the order to take them.
    pub(super) fn everything(&self) -> Vec<VaultId> {
        // What is mounted over the disk is asked for nothing: it may never answer.
        let here = if self.crypt.is_away() { Vec::new() } else { prepare::on_disk(&self.paths, &self.crypt) };
        let shares = self.shares.iter().flat_map(ShareStore::vaults);
        let listed = self.belief.desired().vaults();
        defaults::first(listed.chain(self.slots.keys().copied()).chain(here).chain(shares))
    }

    /// Plans, steps and observes one vault until it rests, with a pause after each step: an order to lock another vault waits for no more than one.
    pub(super) fn settle_pausing(&mut self, id: VaultId, mut pause: impl FnMut(&mut Self)) {
        self.look(id);
        let (mut steps, mut closely) = (0, false);
        loop {
            match self.ask(id).1 {
                // What it lacked somebody may have put back since it was looked at closely.
                Next::Do(act) if act.op == Op::Recreate && !std::mem::replace(&mut closely, true) => {
                    self.look_closely(id);
                }
                Next::Do(act) if steps < MAX_STEPS => {
                    steps += 1;
                    self.act(id, act);
                    pause(self);
                }
                Next::Do(act) => {
                    steps = 0;
                    self.fail(id, &act, UNDONE.to_owned());
                }
                // What the section wants of the Config Vault is done once the record has told that it may.
                resting if self.rest(id, &resting) => steps = 0,
                _ => return,
            }
        }
    }

    pub(super) fn fail(&mut self, id: VaultId, act: &Act, words: String) {
        self.news += 1;
        tracing::warn!(vault = %id, op = %act.op, step = %act.step.kind(), error = %words, "step failed");
        self.slots.entry(id).or_default().failed(act, words, Instant::now());
    }

    /// What is known of one vault now.
    pub(super) fn known(&self, id: VaultId) -> Known {
        let (current, last) = self.ring.epochs(id);
        let shares = self.shares.as_ref().map(|shares| shares.keys(id)).unwrap_or_default();
        let seen = self.shares.as_ref().map(|shares| shares.seen(id)).unwrap_or_default();
        let leased_until = self.leases.until().get(&id).copied();
        let unknown_until = self.leases.unknown_until();
        let mark = |epoch| self.ring.mark(id, epoch);
        let marks = [current, last].map(|epoch| epoch.and_then(mark));
        let keys = Keys { shares, current, last, marks, leased_until, unknown_until, ..Keys::default() };
        let mut known = match self.slots.get(&id) {
            Some(slot) => slot.known(keys, seen, mark),
            None => VaultMemory::<C::Protector>::default().known(keys, seen, mark),
        };
        if known.seen.key != Key::Absent && self.is_anothers_key(id) {
            known.seen.key = Key::Absent;
        }
        if self.shares.as_ref().is_some_and(ShareStore::stands_in) {
            // What would be written into the table waits, and holds up nothing else.
            [StepKind::MakeShare, StepKind::MarkMade, StepKind::DropShare]
                .into_iter()
                .for_each(|kind| known.setbacks.insert(kind));
        }
        known.seen.dropped = self.dropped(id);
        known.hoped = self.is_hoped(id, &known);
        known
    }

    /// A key counts for one vault alone: key files that name it may have been copied, and their names changed.
    fn is_anothers_key(&self, id: VaultId) -> bool {
        let mut others = self.sharing_key(id).peekable();
        others.peek().is_some() && self.claim(id).yields(others.map(|other| self.claim(other)))
    }

    fn claim(&self, id: VaultId) -> KeyClaim {
        let shares = self.shares.as_ref().map(|shares| shares.seen(id)).unwrap_or_default();
        let slot = self.slots.get(&id);
        let seen = slot.map(|slot| slot.sight().seen).unwrap_or_default();
        let listed = self.belief.desired().vaults().any(|listed| listed == id);
        KeyClaim::of(&Seen { shares, ..seen }, slot.is_some_and(|slot| slot.held.is_some()), listed)
    }

    /// Other vaults whose key files or directory name the same key.
    pub(super) fn sharing_key(&self, id: VaultId) -> impl Iterator<Item = VaultId> + '_ {
        let key = self.slots.get(&id).and_then(VaultMemory::key);
        key.into_iter().flat_map(|key| self.naming.of(key)).filter(move |other| *other != id)
    }

    /// The plan for one vault.
    pub(super) fn ask(&self, id: VaultId) -> (Wish, Next) {
        one(self.belief.desired(), id, &self.known(id), &self.node_to_plan())
    }

    /// A vault came to rest: what is open keeps its protector's key at hand, what is not forgets it. Returns whether the record was
    /// read by that, or is known never to have been: then more may be wanted of the vault.
    fn rest(&mut self, id: VaultId, next: &Next) -> bool {
        let slot = self.slots.entry(id).or_default();
        if slot.unseen {
            return false;
        }
        slot.at_rest(next);
        if slot.held.is_some() && slot.sight().seen.has_metadata() {
            self.hopeless.is_back(id);
        }
        let state = slot.sight().seen.state();
        let at_hand = AtHand::of(state);
        if !at_hand.keys {
            (slot.held, slot.recovered) = (None, None);
        }
        if !at_hand.holders {
            slot.facts.clear();
            slot.held_by_none();
        }
        let before = (self.record_open, self.belief.waits_for_record());
        if id == CONFIG_VAULT {
            self.config_vault(state, next);
        }
        (before.1 && !self.belief.waits_for_record()) || (!before.0 && self.record_open)
    }

    /// The record can be read while the Config Vault is open, and not otherwise. One that was not is tried again.
    fn config_vault(&mut self, state: State, next: &Next) {
        let door = RecordDoor::of(state, next, self.record_open, !self.waits_for_roots());
        self.record_open = door.is_open();
        match door {
            RecordDoor::Open => self.hear(Heard::RecordOpen),
            RecordDoor::Opened => self.record_open = self.open_record(),
            RecordDoor::NoVault => self.hear(Heard::NoConfigVault),
            RecordDoor::Closed => self.hear(Heard::RecordClosed),
        }
    }

    /// Executes one step and observes what it changed.
    pub(super) fn act(&mut self, id: VaultId, act: Act) {
        tracing::debug!(vault = %id, op = %act.op, step = %act.step.kind(), "step");
        self.news += 1;
        let ran = self.make_way(id, act.step).and_then(|way| match way {
            Way::Clear => self.execute(id, act),
            Way::Overtaken => Ok(Ran::UnderWay),
        });
        match ran {
            Ok(Ran::UnderWay) => {}
            // Unwrapping changes nothing outside: it is no operation that a user knows.
            Ok(Ran::Done) if act.step == Step::Unwrap => {}
            Ok(Ran::Done) => self.slots.entry(id).or_default().done(act.op),
            Err(StepError::Left(JobLeft::Ends { until, .. })) => {
                self.slots.entry(id).or_default().waits_for_job(act.step.kind(), until);
            }
            Err(error @ (StepError::Busy { .. } | StepError::Held)) => {
                self.slots.entry(id).or_default().is_busy(&act, chain(&error), Instant::now());
            }
            Err(error) => self.fail(id, &act, chain(&error)),
        }
        let known = !self.known(id).seen.hints().any(|hint| hint == Hint::Unknown);
        let light = matches!(act.step, Step::AddKey | Step::Lock) || act.step == Step::Unwrap && known;
        if light {
            self.look(id)
        } else {
            self.look_again(id)
        }
        if act.step == Step::Lock {
            // What is told of others that name the same key is told from a fresh look.
            let others: Vec<VaultId> = self.sharing_key(id).collect();
            others.into_iter().for_each(|other| self.look(other));
        }
    }
}

/// Longest root certificate that is read, in bytes.
const MAX_ROOT: usize = 64 << 10;

fn root_certificate(paths: &Paths) -> Vec<u8> {
    durable::read(&paths.root_certificate(), MAX_ROOT).ok().flatten().unwrap_or_default()
}
