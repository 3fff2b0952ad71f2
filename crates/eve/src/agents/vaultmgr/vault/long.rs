//! The long steps of a plan: begun here, with all that needs the kernel's keys, done by a job, and taken note of when it is over.

use std::path::Path;
use std::time::Instant;

use vault::condition::Key;
use vault::ids::VaultId;
use vault::plan::{Act, Step, StepKind, Wait};
use vault::report::VaultReport;
use vault::section::Encryption;
use vault::space::{Project, StorageLimit};

use crate::agents::vaultmgr::chain;
use crate::agents::vaultmgr::hands::crypt::{Crypt, CryptError, Found, KeyId};
use crate::agents::vaultmgr::hands::mounts;
use crate::agents::vaultmgr::hands::movein::{self, Places};
use crate::agents::vaultmgr::hands::tree::{self, Work};
use crate::agents::vaultmgr::manager::Manager;
use crate::agents::vaultmgr::vault::execute::{Ran, StepError, io, of_disk};
use crate::agents::vaultmgr::vault::jobs::{Job, Over, Stopped};
use crate::agents::vaultmgr::vault::slot::Count;

/// Whether a step is still to be done once the job in its way is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    Clear,
    /// What is there is to be looked at first.
    Overtaken,
}

impl<C: Crypt> Manager<C> {
    fn places(&self, id: VaultId) -> Places {
        let (place, staging) = (self.paths.vault(id), self.paths.staging(id));
        let (going, arriving, stamps) =
            (self.paths.going(id), self.paths.arriving(id), self.paths.stamps(id));
        Places { disk: self.paths.disk().clone(), place, staging, going, arriving, stamps }
    }

    /// The empty vault beside the plain files.
    pub(crate) fn begin_move(
        &mut self,
        id: VaultId,
        act: Act,
        encryption: Encryption,
    ) -> Result<Ran, StepError> {
        let (places, key) = (self.places(id), self.key_of(id)?);
        for path in [&places.place, &places.staging] {
            mounts::none_at(path).map_err(io("moving plain files in"))?;
        }
        if tree::stands(&places.staging) {
            return Err(StepError::SeenOtherwise);
        }
        let made = places.disk.make_folder(&places.staging, 0o700);
        made.map_err(of_disk("making the staging directory"))?;
        // Counted from the first file on, where that can be.
        let _ = self.crypt.enlist(id, &places.staging);
        let encrypted = self.crypt.set_policy(&places.staging, key, encryption);
        let encrypted = encrypted.and_then(|()| self.proved(&places.staging, key));
        encrypted.inspect_err(|_| drop(tree::remove(&places.staging, &Work::default())))?;
        self.begin(id, act, Job::MoveIn(places))
    }

    /// In force as soon as the directory is in its project, whatever users hold of what is in it: that is counted next.
    pub(crate) fn bound(&mut self, id: VaultId, limit: Option<StorageLimit>) -> Result<(), StepError> {
        let (path, seen) = (self.paths.vault(id), self.known(id).seen);
        self.crypt.enlist(id, &path)?;
        self.crypt.limit(&path, limit)?;
        let slot = self.slots.entry(id).or_default();
        match (seen.is_vault(), seen.space.project) {
            (false, _) => slot.counted(Vec::new(), Instant::now()),
            (true, Project::Own) => {}
            (true, _) => slot.count = Count::Due,
        }
        Ok(())
    }

    /// All that is in the vault, files from before it had a project too, and what its owners took out of it since.
    pub(crate) fn begin_counting(&mut self, id: VaultId, act: Act) -> Result<Ran, StepError> {
        let path = self.paths.vault(id);
        let project = self.crypt.enlist(id, &path)?;
        self.begin(id, act, Job::Enlist { path, project, join: self.crypt.join() })
    }

    /// Nothing goes into a vault on the word that it is one.
    fn proved(&self, path: &Path, key: KeyId) -> Result<(), CryptError> {
        match self.crypt.find(path)? {
            Found::Policy { key: is, .. } if is == key => Ok(()),
            _ => {
                Err(CryptError::new("the kernel did not encrypt the directory that plain files are to go to"))
            }
        }
    }

    /// The owner of what stands in the vault's place has it back: taken for an exchange that was cut, he needs it meanwhile.
    fn given_back(&self, id: VaultId) -> Result<Places, StepError> {
        let places = self.places(id);
        mounts::none_at(&places.staging).map_err(io("removing what was moved in"))?;
        if let Err(error) = movein::give_back(&places) {
            tracing::warn!(vault = %id, error = %chain(&error), "plain files that were not moved in");
        }
        Ok(places)
    }

    /// However much it is. Nothing goes that could be an original.
    pub(crate) fn begin_dropping(&mut self, id: VaultId, act: Act) -> Result<Ran, StepError> {
        let places = self.given_back(id)?;
        match self.crypt.find(&places.staging)? {
            Found::Policy { key, .. } if self.key_of(id)? != key => Err(StepError::SeenOtherwise),
            Found::Nothing | Found::Policy { .. } | Found::Plain { empty: true } => {
                self.begin(id, act, Job::Delete(vec![places.staging]))
            }
            Found::Plain { empty: false } | Found::Stranger | Found::Covered => Err(StepError::SeenOtherwise),
        }
    }

    /// Without its key the vault can't be read, and what was written to an original since counts as not in it.
    pub(crate) fn begin_settling(&mut self, id: VaultId, act: Act, open: bool) -> Result<Ran, StepError> {
        let places = self.given_back(id)?;
        if open && self.crypt.key(self.key_of(id)?)? != Key::Present {
            return Err(StepError::KeyGone);
        }
        self.begin(id, act, Job::Settle { places, open })
    }

    pub(crate) fn begin_deletion(&mut self, id: VaultId, act: Act) -> Result<Ran, StepError> {
        let Places { place, staging, going, arriving, stamps, .. } = self.places(id);
        // What stands where only a default vault's copies do was put there by somebody.
        let own = if id.is_default() { vec![staging, going, arriving, stamps] } else { Vec::new() };
        let trees = [vec![place], own].concat();
        for path in &trees {
            mounts::none_at(path).map_err(io("deleting the directory"))?;
        }
        if id.is_default() {
            self.stages_no_other(id)?;
        }
        self.begin(id, act, Job::Delete(trees))
    }

    /// Somebody may have moved another vault's directory there since the plan looked.
    fn stages_no_other(&self, id: VaultId) -> Result<(), StepError> {
        let own = self.key_of(id).ok();
        match self.crypt.find(&self.paths.staging(id))? {
            Found::Nothing | Found::Plain { empty: true } => Ok(()),
            Found::Policy { key, .. } if own == Some(key) => Ok(()),
            Found::Policy { .. } | Found::Plain { empty: false } | Found::Stranger | Found::Covered => {
                Err(StepError::SeenOtherwise)
            }
        }
    }

    fn begin(&mut self, id: VaultId, act: Act, job: Job) -> Result<Ran, StepError> {
        self.no_other_job(id)?;
        match self.jobs.start(id, act, job) {
            Some(over) => self.conclude(over).map(|()| Ran::Done),
            None => {
                self.slots.entry(id).or_default().job = Some(act.step.kind());
                Ok(Ran::UnderWay)
            }
        }
    }

    /// One at a time: what hangs in the kernel may go on in the same files.
    fn no_other_job(&mut self, id: VaultId) -> Result<(), StepError> {
        match self.jobs.stop(id) {
            Stopped::None => {}
            Stopped::Over(over) => drop(self.conclude(over)),
            Stopped::Asked(left) => return Err(left.into()),
        }
        Ok(())
    }

    fn conclude(&mut self, over: Over) -> Result<(), StepError> {
        let slot = self.slots.entry(over.id).or_default();
        slot.job_is_over();
        if over.act.step.kind() == StepKind::DropStaged {
            slot.left = match &over.outcome {
                Ok(elsewhere) => elsewhere.clone(),
                Err(error) => vec![format!("plain text left: {}", crate::agents::vaultmgr::chain(error))],
            };
        }
        let words = over.outcome?;
        if over.act.step == Step::Count {
            slot.counted(words, Instant::now());
        }
        Ok(())
    }

    /// What is over is taken note of, of all vaults before an order may come between; and each goes on from there.
    pub(crate) fn reap(&mut self, mut pause: impl FnMut(&mut Self)) {
        let over = self.jobs.over();
        let over: Vec<VaultId> = over.into_iter().map(|over| self.ended(over)).collect();
        for id in over {
            self.settle_pausing(id, &mut pause);
            self.leave_order(id);
            pause(self);
        }
    }

    fn ended(&mut self, over: Over) -> VaultId {
        self.news += 1;
        let (id, act, stopped) = (over.id, over.act, over.stopped);
        match self.conclude(over) {
            Err(_) if stopped => {}
            Ok(()) => self.slots.entry(id).or_default().done(act.op),
            Err(error) => self.fail(id, &act, crate::agents::vaultmgr::chain(&error)),
        }
        let slot = self.slots.entry(id).or_default();
        if stopped {
            // What it was in the way of is tried at once, also where it came to its end as it was asked to.
            slot.afresh();
        }
        slot.unseen = true;
        id
    }

    /// Before a step that a job of the same vault would be in the way of: it ends at its next piece, and is resumed later. One that came to its end meanwhile
    /// made what the step was planned by past: a copy that was to be dropped is the vault by now.
    ///
    /// # Errors
    /// It is not over yet, and its end is waited for. A lock goes on all the same: a job has no key, and what it holds open the kernel tells.
    pub(crate) fn make_way(&mut self, id: VaultId, step: Step) -> Result<Way, StepError> {
        let disturbs = matches!(
            step.kind(),
            StepKind::Lock
                | StepKind::ForgetMetadata
                | StepKind::MakeDir
                | StepKind::SetPolicy
                | StepKind::MoveIn
                | StepKind::DropCopy
                | StepKind::DropStaged
                | StepKind::DeleteDir
        );
        if !disturbs {
            return Ok(Way::Clear);
        }
        match self.jobs.stop(id) {
            Stopped::None => {}
            Stopped::Over(over) if over.outcome.is_ok() && step.kind() != StepKind::Lock => {
                self.ended(over);
                return Ok(Way::Overtaken);
            }
            // That it was stopped is no failure.
            Stopped::Over(over) => drop(self.conclude(over)),
            Stopped::Asked(left) if step.kind() == StepKind::Lock => {
                tracing::info!(vault = %id, %left, "locked beside its long work");
            }
            Stopped::Asked(left) => return Err(left.into()),
        }
        Ok(Way::Clear)
    }

    /// How far a job is stands where the plan says that its step is under way.
    pub(crate) fn with_progress(&self, mut report: VaultReport) -> VaultReport {
        if let Some((act, progress)) = self.jobs.progress(report.id) {
            let kind = act.step.kind();
            let waits = Wait::UnderWay(kind).to_string();
            report.detail.retain(|line| *line != waits);
            report.detail.insert(0, format!("{kind}: {progress}"));
            // It is being tried again: how it failed before is not how it is.
            report.last.take_if(|last| last.operation == act.op.to_string() && last.error.is_some());
        }
        report
    }
}
