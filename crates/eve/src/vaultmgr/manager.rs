//! vaultmgr's one thread of decisions: what came from outside is taken in, then each vault is planned, stepped and observed until
//! it rests. Decides nothing itself: `vault::plan` does. Generic over the kernel and tpmmgr, so tests run it without either.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Instant;

use attest::SessionKey;
use vault::ids::{CONFIG_VAULT, DeviceKey, IMAGE_VAULT, SectionVersion, VaultId};
use vault::plan::{
    Act, Desired, Keys, Known, Next, Node, RecordSeen, Step, TableSeen, Tpm, View, Wish, next,
};
use vault::report::{State, VaultReport, report};
use vault::section::Seal;
use wire::release::SessionSecret;

use super::crypt::Crypt;
use super::execute::Ran;
use super::intake::Early;
use super::jobs::Jobs;
use super::notes::Notes;
use super::paths::Paths;
use super::record::Stored;
use super::ring::Ring;
use super::roots::Tpmmgr;
use super::shares::{self, Shares, SharesError};
use super::slot::Slot;
use super::{observe, prepare};

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
pub(crate) struct Manager<C: Crypt, T: Tpmmgr> {
    pub(super) paths: Paths,
    pub(super) crypt: C,
    pub(super) tpmmgr: T,
    pub(super) zedagent: Owner,
    pub(super) session: SessionSecret,
    pub(super) root_pem: Vec<u8>,
    /// The name of the key that tpmmgr signs with: what a section must be for.
    pub(super) device_key: Option<DeviceKey>,
    pub(super) shares: Option<Shares>,
    pub(super) tpm_absent: bool,
    pub(super) measured: bool,
    pub(super) desired: Desired,
    pub(super) stored: Option<Stored>,
    /// The signed bytes behind the live section, until they are in the record.
    pub(super) unsaved: Option<Stored>,
    /// The newest live answer, while it is too early to judge it.
    pub(super) early: Option<Early>,
    pub(super) ring: Ring,
    pub(super) slots: BTreeMap<VaultId, Slot<C::Protector>>,
    pub(super) notes: Notes,
    pub(crate) jobs: Jobs,
}

impl<C: Crypt, T: Tpmmgr> Manager<C, T> {
    /// Starts a life: a session, and all vaults that are on the disk.
    ///
    /// # Errors
    /// No randomness.
    pub(crate) fn start(root: &Path, crypt: C, tpmmgr: T, zedagent: Owner) -> Result<Self, SharesError> {
        let paths = Paths::new(root);
        let root_pem = std::fs::read(paths.root_certificate()).unwrap_or_default();
        Ok(Self {
            paths,
            crypt,
            tpmmgr,
            zedagent,
            session: SessionSecret::init(shares::random)?,
            root_pem,
            device_key: None,
            shares: None,
            tpm_absent: false,
            measured: false,
            desired: Desired::default(),
            stored: None,
            unsaved: None,
            early: None,
            ring: Ring::default(),
            slots: BTreeMap::new(),
            notes: Notes::default(),
            jobs: Jobs::default(),
        })
    }

    /// The node's facts, as plans see them.
    pub(crate) fn node(&self) -> Node {
        shares::node(self.shares.as_ref(), self.tpm_absent, self.measured)
    }

    /// Takes every vault as far as it goes. The Config Vault first: the record in it decides about the rest.
    pub(crate) fn settle_all(&mut self) {
        self.settle_all_telling(|_| ());
    }

    /// The same, and tells whenever a default vault came to rest: others wait for these.
    pub(crate) fn settle_all_telling(&mut self, tell: impl Fn(&Self)) {
        for id in self.everything() {
            self.settle(id);
            if id.is_default() {
                tell(self);
            }
        }
    }

    /// When something that failed is to be tried again.
    pub(crate) fn again(&self) -> Option<Instant> {
        self.slots.values().filter_map(Slot::again).chain(self.jobs.again()).min()
    }

    /// Takes the vaults whose pause is over, or whose long work is, as far as they go.
    pub(crate) fn tick(&mut self, now: Instant) {
        self.reap();
        let due: Vec<VaultId> =
            self.slots.iter_mut().filter_map(|(id, slot)| slot.due(now).then_some(*id)).collect();
        due.into_iter().for_each(|id| self.settle(id));
    }

    /// Every vault that is listed, remembered, on the disk or a default one, in the order to take them.
    pub(super) fn everything(&self) -> Vec<VaultId> {
        let here = prepare::on_disk(&self.paths, &self.crypt);
        let shares = self.shares.iter().flat_map(Shares::vaults);
        let all = self.desired.vaults().chain(self.slots.keys().copied()).chain(here).chain(shares);
        let others: BTreeSet<VaultId> = all.filter(|id| !id.is_default()).collect();
        [CONFIG_VAULT, IMAGE_VAULT].into_iter().chain(others).collect()
    }

    /// Plans, steps and observes one vault until it rests.
    pub(crate) fn settle(&mut self, id: VaultId) {
        let (mut seen, mut steps) = (self.look(id), 0);
        while seen {
            match self.ask(id).1 {
                Next::Do(act) if steps < MAX_STEPS => {
                    steps += 1;
                    seen = self.act(id, act);
                }
                Next::Do(act) => {
                    steps = 0;
                    self.fail(id, &act, UNDONE.to_owned());
                }
                resting => return self.rest(id, &resting),
            }
        }
    }

    pub(super) fn fail(&mut self, id: VaultId, act: &Act, words: String) {
        tracing::warn!(vault = %id, op = %act.op, step = %act.step.kind(), error = %words, "step failed");
        self.slots.entry(id).or_default().failed(act, words, Instant::now());
    }

    /// What is known of one vault now.
    pub(super) fn known(&self, id: VaultId) -> Known {
        let (current, last) = self.ring.epochs(id);
        let shares = self.shares.as_ref().map(|shares| shares.keys(id)).unwrap_or_default();
        let seen = self.shares.as_ref().map(|shares| shares.seen(id)).unwrap_or_default();
        let keys = Keys { shares, current, last, held: None, none_fits: false };
        match self.slots.get(&id) {
            Some(slot) => slot.known(keys, seen),
            None => Slot::<C::Protector>::default().known(keys, seen),
        }
    }

    /// The plan for one vault.
    pub(super) fn ask(&self, id: VaultId) -> (Wish, Next) {
        let (node, known) = (self.node(), self.known(id));
        let wish = self.desired.wish(id, &node, known.seen.is_nothing());
        let Known { seen, keys, setbacks } = &known;
        let next = next(&View { id, wish: &wish, seen, keys, node: &node, setbacks: *setbacks });
        (wish, next)
    }

    /// Observes: everything the first time, and after it failed; then what changes from outside. Says whether it could.
    fn look(&mut self, id: VaultId) -> bool {
        let Some(slot) = self.slots.get(&id).filter(|slot| !slot.unseen) else { return self.look_again(id) };
        let sight = observe::glance(&self.crypt, &self.paths, id, &slot.sight);
        self.seen(id, sight)
    }

    /// Observes everything anew, metadata too.
    fn look_again(&mut self, id: VaultId) -> bool {
        let known = self.slots.get(&id).and_then(Slot::key);
        let sight = observe::observe(&self.crypt, &self.paths, id, known);
        self.seen(id, sight)
    }

    fn seen(&mut self, id: VaultId, sight: Result<observe::Sight, super::crypt::CryptError>) -> bool {
        let slot = self.slots.entry(id).or_default();
        slot.unseen = sight.is_err();
        match sight {
            Ok(sight) => slot.sight = sight,
            Err(error) => {
                slot.facts = vec![super::chain(&error)];
                tracing::warn!(vault = %id, error = %super::chain(&error), "can't be observed");
            }
        }
        !slot.unseen
    }

    /// A vault came to rest: what is open keeps its protector's key at hand, what is not forgets it.
    fn rest(&mut self, id: VaultId, next: &Next) {
        let slot = self.slots.entry(id).or_default();
        slot.at_rest(next);
        let state = slot.sight.seen.state();
        if state != State::Unlocked {
            slot.held = None;
        }
        if state != State::LockIncomplete {
            slot.facts.clear();
        }
        if id == CONFIG_VAULT {
            let open = state == State::Unlocked && matches!(next, Next::Settled(_));
            self.config_vault(open);
        }
    }

    /// The record can be read while the Config Vault is open, and not otherwise.
    fn config_vault(&mut self, open: bool) {
        let unreadable = self.desired.record == RecordSeen::Unreadable;
        match (open, unreadable) {
            (true, true) => self.open_record(),
            (true, false) => self.save_record(),
            // What it said is remembered, so that nothing older is taken meanwhile; nothing is deleted by it.
            (false, false) => self.desired.record = RecordSeen::Unreadable,
            _ => {}
        }
    }

    /// Executes one step and observes what it changed. Says whether it could.
    fn act(&mut self, id: VaultId, act: Act) -> bool {
        tracing::debug!(vault = %id, op = %act.op, step = %act.step.kind(), "step");
        self.make_way(id, act.step);
        match self.execute(id, act) {
            Ok(Ran::UnderWay) => {}
            // Unwrapping changes nothing outside: it is no operation that a user knows.
            Ok(Ran::Done) if act.step == Step::Unwrap => {}
            Ok(Ran::Done) => self.slots.entry(id).or_default().done(act.op),
            Err(error) => self.fail(id, &act, super::chain(&error)),
        }
        let light = matches!(act.step, Step::Unwrap | Step::AddKey | Step::Lock);
        if light { self.look(id) } else { self.look_again(id) }
    }

    /// The newest section that was accepted, now or in an earlier life.
    pub(crate) fn accepted(&self) -> Option<SectionVersion> {
        let in_force = self.desired.listing.as_ref().map(|listing| listing.version);
        in_force.or(self.stored.as_ref().map(|stored| stored.record.accepted.version))
    }

    /// What holds for the whole node: why a configuration was refused, why the TPM is waited for.
    pub(crate) fn notes(&self) -> Vec<String> {
        self.notes.lines()
    }

    /// The public half of this life's session.
    pub(crate) fn session_key(&self) -> SessionKey {
        self.session.session_key()
    }

    /// The status of every vault.
    pub(crate) fn reports(&self) -> Vec<VaultReport> {
        self.everything().into_iter().map(|id| self.report(id)).collect()
    }

    /// What each made vault's share is sealed to, the looser while it has two; none where it has no share. While the share table is not read nothing is known.
    pub(crate) fn seals(&self) -> BTreeMap<VaultId, Option<Seal>> {
        let table_read = match self.node().tpm {
            Tpm::Absent => true,
            Tpm::Unknown => false,
            Tpm::Present { table, .. } => table == TableSeen::Open,
        };
        let seal = |id| {
            let seen = self.known(id).seen;
            let made = seen.has_share() || seen.has_metadata();
            (table_read && made).then(|| (id, seen.share()))
        };
        self.everything().into_iter().filter_map(seal).collect()
    }

    /// The status of one vault.
    pub(crate) fn report(&self, id: VaultId) -> VaultReport {
        let (wish, next) = self.ask(id);
        let (node, known) = (self.node(), self.known(id));
        let Known { seen, keys, setbacks } = &known;
        let view = View { id, wish: &wish, seen, keys, node: &node, setbacks: *setbacks };
        let slot = self.slots.get(&id);
        let last = slot.and_then(|slot| slot.last.clone());
        let mut report = report(&view, self.desired.name(id), &next, last);
        match slot {
            Some(Slot { unseen: true, facts, .. }) if !facts.is_empty() => {
                (report.state, report.detail) = (State::Failed, facts.clone());
            }
            slot => report
                .detail
                .extend(slot.iter().flat_map(|slot| slot.facts.iter().chain(&slot.left).cloned())),
        }
        self.with_progress(report)
    }
}
