//! The manager's work for tests in which nothing comes between two steps, on the thread that asks for it: a life can be stopped at each.

use std::time::Instant;

use vault::ids::{Name, VaultId};
use vault::plan::StepKind;
use vault::report::VaultReport;

use super::node::Nv;
use crate::agents::vaultmgr::generation::desk::Desk;
use crate::agents::vaultmgr::generation::errands::{Brought, Errand};
use crate::agents::vaultmgr::hands::crypt::Crypt;
use crate::agents::vaultmgr::hands::tree::Work;
use crate::agents::vaultmgr::manager::Manager;
use crate::agents::vaultmgr::paths::Paths;
use crate::agents::vaultmgr::vault::jobs::{Job, Taken, Workers};
use crate::agents::vaultmgr::vault::seeking::{Search, Sought};
use crate::bus::messages::{Hope, OrderError};

/// Errands and long work are done by whoever asks for them.
pub(super) struct AtOnce;

/// The same, of errands.
pub(super) struct HereAtOnce(pub(super) Paths, pub(super) Nv);

impl Desk for HereAtOnce {
    fn is_out(&self) -> bool {
        false
    }
    fn send(&mut self, errand: Errand) -> Option<Brought> {
        Some(errand.run(&self.0, &mut self.1))
    }
    fn back(&mut self) -> Option<Brought> {
        None
    }
}

impl Workers for AtOnce {
    fn take(&self, _: StepKind, job: Job) -> Taken {
        Taken::Over(job.run(&Work::default()))
    }
    fn seek(&self, search: Search) -> Sought {
        Sought::Over(search.run())
    }
}

impl<C: Crypt> Manager<C> {
    pub(crate) fn settle(&mut self, id: VaultId) {
        self.settle_pausing(id, |_| ());
    }

    pub(crate) fn settle_all(&mut self) {
        self.settle_all_pausing(|_, _| ());
    }

    pub(crate) fn look_for_others(&mut self) {
        self.look_for_others_pausing(|_| ());
    }

    /// As the agent does when it was woken.
    pub(crate) fn tick(&mut self, now: Instant) {
        self.welcome_pausing(|_, _| ());
        self.tick_pausing(now, |_, _| ());
    }

    pub(crate) fn tend_leases(&mut self) -> bool {
        self.tend_leases_pausing(|_, _| ())
    }

    pub(crate) fn order_unlock(&mut self, id: VaultId) -> Result<VaultReport, OrderError> {
        self.unlock_pausing(id, &mut |_| ())
    }

    /// Nobody waits to be told who holds files of it.
    pub(crate) fn order_lock(&mut self, id: VaultId) -> Result<VaultReport, OrderError> {
        self.lock_given(id, vault::ordered::GIVEN_UP)
    }

    pub(crate) fn order_recreate(
        &mut self,
        id: VaultId,
        name: &Name,
        hope: Hope,
    ) -> Result<VaultReport, OrderError> {
        self.recreate_pausing((id, name), hope, &mut |_| ())
    }
}
