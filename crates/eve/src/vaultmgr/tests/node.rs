//! A node of the tests: a disk, NV as values, and vaultmgr, which can be restarted and rebooted.

use std::cell::RefCell;
use std::rc::Rc;

use vault::ids::{Generation, VaultId};
use vault::plan::Authority;
use vault::report::{State, VaultReport};
use vault::roots::{PcrsRoot, TpmRoot};
use vault::secret::RootSecret;

use super::controller::{self, Controller, DEVICE, Line};
use super::disk::{Disk, write};
use crate::vaultmgr::intake::TpmHeard;
use crate::vaultmgr::kernel::Kernel;
use crate::vaultmgr::manager::{Manager, Owner};
use crate::vaultmgr::paths::Paths;
use crate::vaultmgr::prepare;
use crate::vaultmgr::roots::{Slot, Slots, Tpmmgr, TpmmgrError};

/// NV of a software TPM, as values; shared by all lives of vaultmgr on it.
#[derive(Clone, Default)]
pub(super) struct Nv(pub(super) Rc<RefCell<NvState>>);

#[derive(Default)]
pub(super) struct NvState {
    pub(super) slots: Vec<(Generation, [u8; 32], [u8; 32])>,
    pub(super) pcrs_moved: bool,
    pub(super) fail: bool,
}

impl Tpmmgr for Nv {
    fn read_roots(&mut self) -> Result<Vec<Slots>, TpmmgrError> {
        let nv = self.0.borrow();
        if nv.fail {
            return Err(TpmmgrError("no answer".to_owned()));
        }
        let root = |bytes: &[u8; 32]| Slot::Root(RootSecret::copied_from(bytes));
        let slots = |(generation, tpm, pcrs): &(Generation, [u8; 32], [u8; 32])| Slots {
            generation: *generation,
            tpm: root(tpm),
            pcrs: if nv.pcrs_moved { Slot::PcrsMoved } else { root(pcrs) },
        };
        Ok(nv.slots.iter().map(slots).collect())
    }
    fn define_roots(
        &mut self,
        generation: Generation,
        tpm: &TpmRoot,
        pcrs: &PcrsRoot,
    ) -> Result<(), TpmmgrError> {
        let bytes = (*tpm.0.expose_root_secret(), *pcrs.0.expose_root_secret());
        self.0.borrow_mut().slots.push((generation, bytes.0, bytes.1));
        Ok(())
    }
    fn undefine_roots(&mut self, generation: Generation) -> Result<(), TpmmgrError> {
        self.0.borrow_mut().slots.retain(|(of, ..)| *of != generation);
        Ok(())
    }
}

pub(super) struct Node {
    pub(super) disk: Disk,
    pub(super) nv: Nv,
    pub(super) paths: Paths,
    pub(super) manager: Option<Manager<Kernel, Nv>>,
    pub(super) has_tpm: bool,
}

impl Node {
    /// A fresh node, before its first start.
    pub(super) fn fresh(has_tpm: bool) -> Self {
        let disk = Disk::new();
        std::fs::write(
            disk.root().join("config/root-certificate.pem"),
            controller::golden("root-ca.cert.pem"),
        )
        .expect("the root certificate");
        let paths = Paths::new(&disk.root());
        Self { disk, nv: Nv::default(), paths, manager: None, has_tpm }
    }

    /// A fresh node, started.
    pub(super) fn new(has_tpm: bool) -> Self {
        let mut node = Self::fresh(has_tpm);
        node.start();
        node
    }

    pub(super) fn start(&mut self) {
        let owner = Owner { uid: 12345, gid: 12345 };
        prepare::own_folders(&self.paths).expect("our folders");
        let kernel = Kernel::open(&self.paths).expect("opens the filesystem");
        let mut manager = Manager::start(&self.disk.root(), kernel, self.nv.clone(), owner).expect("starts");
        manager.hear_device(DEVICE);
        manager.hear_tpm(if self.has_tpm { TpmHeard::Ready { measured: true } } else { TpmHeard::Absent });
        manager.settle_all();
        self.manager = Some(manager);
    }

    pub(super) fn manager(&mut self) -> &mut Manager<Kernel, Nv> {
        self.manager.as_mut().expect("started")
    }

    /// Restarts vaultmgr; the kernel's keys stay.
    pub(super) fn restart(&mut self) {
        self.manager = None;
        self.start();
    }

    /// Reboots: the kernel's keys are gone.
    pub(super) fn reboot(&mut self) {
        self.stop();
        self.disk.mount();
        self.start();
    }

    pub(super) fn stop(&mut self) {
        self.manager = None;
        self.disk.unmount();
    }

    /// A live section of these vaults comes.
    pub(super) fn hear(&mut self, controller: &mut Controller, lines: &[Line]) {
        let session = self.manager().session_key();
        let envelope = controller.section(session, lines);
        self.hear_bytes(Authority::Live, &envelope);
    }

    pub(super) fn hear_bytes(&mut self, authority: Authority, envelope: &[u8]) {
        self.manager().hear_config(authority, envelope, &controller::certs());
        self.manager().settle_all();
    }

    pub(super) fn status(&mut self, id: VaultId) -> VaultReport {
        self.manager().report(id)
    }

    pub(super) fn state(&mut self, id: VaultId) -> State {
        self.status(id).state
    }

    pub(super) fn put(&self, id: VaultId, name: &str, text: &str) {
        write(&self.paths.vault(id).join(name), text);
    }

    pub(super) fn get(&self, id: VaultId, name: &str) -> Option<String> {
        std::fs::read_to_string(self.paths.vault(id).join(name)).ok()
    }
}
