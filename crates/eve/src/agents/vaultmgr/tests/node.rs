//! A node of the tests: a disk, NV as values, and vaultmgr, which can be restarted and rebooted.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use vault::ids::{Generation, VaultId};
use vault::report::{State, VaultReport};
use vault::roots::{PcrsRoot, TpmRoot};
use vault::secret::RootSecret;
use vault::wanted::Authority;

use super::controller::{self, Controller, KEY, Line};
use super::disk::{Disk, write};
use super::faulty::{self, Calls};
use crate::agents::vaultmgr::agent;
use crate::agents::vaultmgr::belief::intake::TpmHeard;
use crate::agents::vaultmgr::generation::roots::{SlotContent, Slots, Tpmmgr, TpmmgrError};
use crate::agents::vaultmgr::hands::kernel::Kernel;
use crate::agents::vaultmgr::manager::{Manager, Owner};
use crate::agents::vaultmgr::paths::Paths;
use disk::faulty::{Faults, Faulty};

/// NV of a software TPM, as values; shared by all lives of vaultmgr on it.
#[derive(Clone, Default)]
pub(super) struct Nv(pub(super) Rc<RefCell<NvState>>, pub(super) Faults);

#[derive(Default)]
pub(super) struct NvState {
    pub(super) slots: Vec<NvSlots>,
    pub(super) pcrs_moved: bool,
    /// Something extends a PCR just as roots are defined.
    pub(super) moves_when_defined: bool,
    /// PCRs are extended all the time while P is read.
    pub(super) unsteady: bool,
    pub(super) fail: bool,
    /// It has room for one root more, and not for two.
    pub(super) full: bool,
    /// Nothing is undefined.
    pub(super) keeps: bool,
    /// How often roots were read.
    pub(super) reads: usize,
}

#[derive(Clone)]
pub(super) struct NvSlots {
    pub(super) generation: Generation,
    pub(super) tpm: [u8; 32],
    /// Not there when the definition was cut short.
    pub(super) pcrs: Option<[u8; 32]>,
}

impl Tpmmgr for Nv {
    fn read_roots(&mut self) -> Result<Vec<Slots>, TpmmgrError> {
        let mut nv = self.0.borrow_mut();
        nv.reads += 1;
        if nv.fail {
            return Err(TpmmgrError("no answer".to_owned()));
        }
        let root = |bytes: &[u8; 32]| SlotContent::Root(RootSecret::copied_from(bytes));
        let slots = |slots: &NvSlots| Slots {
            generation: slots.generation,
            tpm: root(&slots.tpm),
            pcrs: match &slots.pcrs {
                Some(_) if nv.pcrs_moved => SlotContent::PcrsMoved(vec![4, 9]),
                Some(_) if nv.unsteady => SlotContent::Unsteady,
                Some(bytes) => root(bytes),
                None => SlotContent::Absent,
            },
        };
        Ok(nv.slots.iter().map(slots).collect())
    }
    /// There are two places: for odd generations and for even ones. Each root is a durable step.
    fn define_roots(
        &mut self,
        generation: Generation,
        tpm: &TpmRoot,
        pcrs: &PcrsRoot,
    ) -> Result<(), TpmmgrError> {
        let taken = |slots: &NvSlots| slots.generation.0 % 2 == generation.0 % 2;
        if self.0.borrow().slots.iter().any(taken) {
            return Err(TpmmgrError("the slot is taken".to_owned()));
        }
        let half = NvSlots { generation, tpm: *tpm.0.expose_root_secret(), pcrs: None };
        self.1.step(|| self.0.borrow_mut().slots.push(half));
        if self.0.borrow().full {
            return Err(TpmmgrError("NV is full".to_owned()));
        }
        self.1.step(|| {
            let slots = &mut self.0.borrow_mut().slots;
            slots.iter_mut().rev().take(1).for_each(|last| last.pcrs = Some(*pcrs.0.expose_root_secret()));
        });
        let mut nv = self.0.borrow_mut();
        nv.pcrs_moved |= std::mem::take(&mut nv.moves_when_defined);
        Ok(())
    }
    fn undefine_roots(&mut self, generation: Generation) -> Result<(), TpmmgrError> {
        if self.0.borrow().keeps {
            return Err(TpmmgrError("no answer".to_owned()));
        }
        self.1.step(|| self.0.borrow_mut().slots.retain(|slots| slots.generation != generation));
        Ok(())
    }
}

pub(super) struct Node {
    pub(super) disk: Disk,
    pub(super) nv: Nv,
    pub(super) paths: Paths,
    pub(super) manager: Option<Manager<faulty::Faulty<Kernel>, Nv>>,
    pub(super) has_tpm: bool,
    /// What goes wrong with its disk, and with the TPM that it was made with.
    pub(super) faults: Faults,
    /// What goes wrong with its kernel.
    pub(super) calls: Calls,
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
        std::fs::create_dir_all(disk.root().join("run/eve")).expect("makes");
        let faults = Faults::default();
        let paths = Paths::on(disk::Disk::through(Faulty::linux(&faults)), &disk.root());
        let nv = Nv(Rc::default(), faults.clone());
        Self { disk, nv, paths, manager: None, has_tpm, faults, calls: Calls::default() }
    }

    /// A fresh node, started.
    pub(super) fn new(has_tpm: bool) -> Self {
        let mut node = Self::fresh(has_tpm);
        node.start();
        node
    }

    pub(super) fn start(&mut self) {
        let owner = Owner { uid: 12345, gid: 12345 };
        self.nv.1 = self.faults.clone();
        let kernel = agent::open(&self.paths).expect("opens the filesystem");
        let kernel = faulty::Faulty::new(kernel, &self.calls);
        let manager = Manager::start(self.paths.clone(), kernel, self.nv.clone(), owner).expect("starts");
        self.manager = Some(manager);
        self.manager().take_up_locks().expect("are read");
        self.manager().take_up_leases().expect("randomness");
        self.hear_tpm();
    }

    pub(super) fn manager(&mut self) -> &mut Manager<faulty::Faulty<Kernel>, Nv> {
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

    /// The power goes: what was not synced is lost, and the kernel's keys. Started again by [`Self::start`].
    pub(super) fn power_cut(&mut self) {
        self.manager = None;
        self.forget_run();
        self.disk.power_cut();
    }

    /// tpmmgr says what it has; what failed is tried anew.
    pub(super) fn hear_tpm(&mut self) {
        let ready = TpmHeard::Ready { key: KEY, measured: true };
        let heard = if self.has_tpm { ready } else { TpmHeard::Absent { key: KEY } };
        self.manager().hear_tpm(heard);
        self.manager().settle_all();
    }

    /// What lies in `run` goes with each boot.
    fn forget_run(&self) {
        let _ = std::fs::remove_file(self.paths.locks());
        let _ = std::fs::remove_file(self.paths.leases());
    }

    pub(super) fn stop(&mut self) {
        self.manager = None;
        self.forget_run();
        self.disk.unmount();
    }

    /// A live section of these vaults comes, made for what the node tells that it accepted.
    pub(super) fn hear(&mut self, controller: &mut Controller, lines: &[Line]) {
        self.tell_head(controller);
        let session = self.manager().session_key();
        let envelope = controller.section(session, lines);
        self.hear_bytes(Authority::Live, &envelope);
    }

    /// The same is heard again until the first vault is so: a process that another test starts just now may hold its files for a moment.
    pub(super) fn hear_until(&mut self, controller: &mut Controller, lines: &[Line], state: State) {
        let ended = (0..100).any(|_| {
            self.hear(controller, lines);
            self.state(lines[0].id) == state || {
                std::thread::sleep(Duration::from_millis(20));
                false
            }
        });
        assert!(ended, "{:?}", self.status(lines[0].id));
    }

    /// The controller learns which section was accepted last, as by a poll.
    pub(super) fn tell_head(&mut self, controller: &mut Controller) {
        controller.follows = self.manager().head().map(|head| head.digest).or(controller.follows);
    }

    pub(super) fn hear_bytes(&mut self, authority: Authority, envelope: &[u8]) {
        self.manager().hear_config(authority, envelope, &controller::certs());
        self.manager().settle_all();
    }

    /// What is said of the node as a whole.
    pub(super) fn says(&mut self, words: &str) -> bool {
        self.manager().notes().iter().any(|note| note.contains(words))
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
