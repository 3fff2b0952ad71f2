//! A node of the tests: a disk, NV as values, and vaultmgr, which can be restarted and rebooted.

use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::{self, ThreadId};

use attest::SessionKey;
use testkit::wait;
use vault::ids::{Generation, VaultId};
use vault::report::{State, VaultReport};
use vault::roots::{PcrsRoot, TpmRoot};
use vault::secret::RootSecret;
use vault::wanted::Authority;

use super::controller::{self, Controller, KEY, Line};
use super::disk::{Disk, write};
use super::faulty::{self, Calls};
use super::faulty_nv::{Commands, refused};
use super::jobs::HeldUp;
use super::pauseless::{AtOnce, HereAtOnce};
use crate::agents::vaultmgr::agent;
use crate::agents::vaultmgr::belief::intake::TpmHeard;
use crate::agents::vaultmgr::generation::desk::{Desk, ErrandThread};
use crate::agents::vaultmgr::generation::roots::{SlotContent, Slots, Tpmmgr, TpmmgrError};
use crate::agents::vaultmgr::hands::kernel::Kernel;
use crate::agents::vaultmgr::manager::{Manager, Owner};
use crate::agents::vaultmgr::paths::Paths;
use crate::agents::vaultmgr::vault::jobs::Jobs;
use crate::bus::messages::{TpmFault, TpmRefusal, TpmRoom};
use disk::faulty::{Faults, Faulty};

/// NV of a software TPM, as values; shared by all lives of vaultmgr on it.
#[derive(Clone, Default)]
pub(super) struct Nv(pub(super) Shared<NvState>, pub(super) Faults, pub(super) Gate, pub(super) Commands);

/// A value that two threads have, borrowed as a cell is.
#[derive(Default)]
pub(super) struct Shared<V>(Arc<Mutex<V>>);

impl<V> Clone for Shared<V> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<V> Shared<V> {
    pub(super) fn borrow(&self) -> MutexGuard<'_, V> {
        self.0.lock().expect("whole")
    }

    pub(super) fn borrow_mut(&self) -> MutexGuard<'_, V> {
        self.borrow()
    }
}

/// Where the calls of a TPM that does not answer are held up.
#[derive(Clone, Default)]
pub(super) struct Gate(Arc<(Mutex<Held>, Condvar)>);

#[derive(Default)]
struct Held {
    /// How many calls more are let through; nothing while it is open. Whoever shut it waits for no call.
    shut: Option<(usize, ThreadId)>,
    call: Option<&'static str>,
}

impl Gate {
    /// From now on so many calls are let through, and no more.
    pub(super) fn shut(&self, after: usize) {
        self.0.0.lock().expect("whole").shut = Some((after, thread::current().id()));
    }

    pub(super) fn open(&self) {
        self.0.0.lock().expect("whole").shut = None;
        self.0.1.notify_all();
    }

    /// The call that is held up, once one is.
    pub(super) fn held(&self) -> &'static str {
        let state = self.0.0.lock().expect("whole");
        let none = |state: &mut Held| state.call.is_none();
        let (state, _) = self.0.1.wait_timeout_while(state, wait::PATIENCE, none).expect("whole");
        state.call.expect("it was waited for")
    }

    pub(super) fn is_holding(&self) -> bool {
        self.0.0.lock().expect("whole").call.is_some()
    }

    fn pass(&self, call: &'static str) {
        let mut state = self.0.0.lock().expect("whole");
        match &mut state.shut {
            None => return,
            Some((0, by)) => {
                assert!(*by != thread::current().id(), "the thread that decides waits for {call}")
            }
            Some((more, _)) => {
                *more -= 1;
                return;
            }
        }
        state.call = Some(call);
        self.0.1.notify_all();
        let mut state = self.0.1.wait_while(state, |state| state.shut.is_some()).expect("whole");
        state.call = None;
    }
}

#[derive(Default)]
pub(super) struct NvState {
    pub(super) slots: Vec<NvSlots>,
    pub(super) pcrs_moved: bool,
    /// Something extends a PCR just as roots are defined.
    pub(super) moves_when_defined: bool,
    /// PCRs are others than evidence of this session showed.
    pub(super) extended_since_evidence: bool,
    /// PCRs are extended all the time while P is read.
    pub(super) unsteady: bool,
    pub(super) fail: bool,
    /// It has room for one root more, and not for two, and says so.
    pub(super) full: bool,
    /// The same, and something takes that room after it was asked.
    pub(super) fills: bool,
    /// Nothing is undefined.
    pub(super) keeps: bool,
    /// How often roots were to be defined.
    pub(super) defined: usize,
    /// How often roots were read.
    pub(super) reads: usize,
}

#[derive(Clone)]
pub(super) struct NvSlots {
    pub(super) generation: Generation,
    pub(super) tpm: [u8; 32],
    /// Not there when the definition was cut short.
    pub(super) pcrs: Option<[u8; 32]>,
    /// Undefined, and the other one is not yet.
    pub(super) tpm_gone: bool,
    /// P is bound to the boot that [`NvState::pcrs_moved`] is of.
    pub(super) bound_to_moved: bool,
}

impl Nv {
    fn shown(&self, as_shown: Option<SessionKey>) -> Result<(), TpmmgrError> {
        let extended = as_shown.is_some() && self.0.borrow().extended_since_evidence;
        if extended { Err(TpmmgrError::Refused(TpmRefusal::NotShown)) } else { Ok(()) }
    }
}

impl Tpmmgr for Nv {
    fn read_roots(&mut self) -> Result<Vec<Slots>, TpmmgrError> {
        self.2.pass("read");
        self.3.command("read", || ())?;
        let mut nv = self.0.borrow_mut();
        nv.reads += 1;
        if nv.fail {
            return Err(refused(TpmFault::Silent, "no answer"));
        }
        let root = |bytes: &[u8; 32]| SlotContent::Root(RootSecret::copied_from(bytes));
        let slots = |slots: &NvSlots| Slots {
            generation: slots.generation,
            tpm: if slots.tpm_gone { SlotContent::Absent } else { root(&slots.tpm) },
            pcrs: match &slots.pcrs {
                Some(_) if nv.pcrs_moved != slots.bound_to_moved => SlotContent::PcrsMoved(vec![4, 9]),
                Some(_) if nv.unsteady => SlotContent::Unsteady,
                Some(bytes) => root(bytes),
                None => SlotContent::Absent,
            },
        };
        Ok(nv.slots.iter().map(slots).collect())
    }
    fn room(&mut self, as_shown: Option<SessionKey>) -> Result<TpmRoom, TpmmgrError> {
        self.2.pass("room");
        self.shown(as_shown)?;
        let full = TpmRoom::Full { fit: 4, wanted: 6 };
        match self.3.command("room", || ()) {
            Err(TpmmgrError::Refused(TpmRefusal::Failed { fault: TpmFault::NvFull, .. })) => Ok(full),
            Err(error) => Err(error),
            Ok(()) => Ok(if self.0.borrow().full { full } else { TpmRoom::Enough }),
        }
    }
    /// There are two places: for odd generations and for even ones. Each root is a durable step.
    fn define_roots(
        &mut self,
        generation: Generation,
        tpm: &TpmRoot,
        pcrs: &PcrsRoot,
        as_shown: Option<SessionKey>,
    ) -> Result<(), TpmmgrError> {
        self.2.pass("define");
        self.0.borrow_mut().defined += 1;
        self.shown(as_shown)?;
        let taken = |slots: &NvSlots| slots.generation.0 % 2 == generation.0 % 2;
        if self.0.borrow().slots.iter().any(taken) {
            return Err(refused(TpmFault::Occupied, "the slot is taken"));
        }
        let (tpm, tpm_gone) = (*tpm.0.expose_root_secret(), false);
        let bound_to_moved = self.0.borrow().pcrs_moved;
        let half = NvSlots { generation, tpm, pcrs: None, tpm_gone, bound_to_moved };
        self.3.command("define T", || self.1.step(|| self.0.borrow_mut().slots.push(half)))?;
        if self.0.borrow().fills {
            return Err(refused(TpmFault::NvFull, "NV is full"));
        }
        let whole = || {
            let slots = &mut self.0.borrow_mut().slots;
            slots.iter_mut().rev().take(1).for_each(|last| last.pcrs = Some(*pcrs.0.expose_root_secret()));
        };
        self.3.command("define P", || self.1.step(whole))?;
        let mut nv = self.0.borrow_mut();
        nv.pcrs_moved |= std::mem::take(&mut nv.moves_when_defined);
        Ok(())
    }
    /// T first, as tpmmgr does.
    fn undefine_roots(&mut self, generation: Generation) -> Result<(), TpmmgrError> {
        self.2.pass("undefine");
        if self.0.borrow().keeps {
            return Err(refused(TpmFault::Silent, "no answer"));
        }
        let half = || {
            let mut nv = self.0.borrow_mut();
            nv.slots
                .iter_mut()
                .filter(|slots| slots.generation == generation)
                .for_each(|slots| slots.tpm_gone = true);
        };
        self.3.command("undefine T", || self.1.step(half))?;
        let gone = || self.0.borrow_mut().slots.retain(|slots| slots.generation != generation);
        self.3.command("undefine P", || self.1.step(gone))
    }
}

pub(super) struct Node {
    pub(super) disk: Disk,
    pub(super) nv: Nv,
    pub(super) paths: Paths,
    pub(super) manager: Option<Manager<faulty::Faulty<Kernel>>>,
    pub(super) has_tpm: bool,
    /// Errands to the TPM are left to a thread.
    pub(super) apart: bool,
    /// What goes wrong with its disk, and with the TPM that it was made with.
    pub(super) faults: Faults,
    /// What goes wrong with its kernel.
    pub(super) calls: Calls,
    /// Which long work of it is held up.
    pub(super) work: HeldUp,
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
        let nv = Nv(Shared::default(), faults.clone(), Gate::default(), Commands::default());
        Self {
            disk,
            nv,
            paths,
            manager: None,
            has_tpm,
            apart: false,
            faults,
            calls: Calls::default(),
            work: HeldUp::default(),
        }
    }

    /// A fresh node, started.
    pub(super) fn new(has_tpm: bool) -> Self {
        let mut node = Self::fresh(has_tpm);
        node.start();
        node
    }

    pub(super) fn start(&mut self) {
        self.nv.1 = self.faults.clone();
        // The supervisor starts it anew.
        let begun = self.begin().or_else(|_| self.begin());
        self.manager = Some(begun.expect("starts"));
        self.manager().take_up_locks().expect("are read");
        self.manager().take_up_leases().expect("randomness");
        self.hear_tpm();
    }

    fn begin(&self) -> anyhow::Result<Manager<faulty::Faulty<Kernel>>> {
        let owner = Owner { uid: 12345, gid: 12345 };
        let kernel = agent::open(&self.paths)?;
        let kernel = faulty::Faulty::new(kernel, &self.calls);
        let hands = (self.desk(), Jobs::of(Box::new(AtOnce)));
        Ok(Manager::start(self.paths.clone(), kernel, hands, owner)?)
    }

    fn desk(&self) -> Box<dyn Desk> {
        let (paths, nv) = (self.paths.clone(), self.nv.clone());
        if self.apart {
            Box::new(ErrandThread::start(paths, nv, || ()).expect("a thread"))
        } else {
            Box::new(HereAtOnce(paths, nv))
        }
    }

    pub(super) fn manager(&mut self) -> &mut Manager<faulty::Faulty<Kernel>> {
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
        self.manager().hear_tpm(heard, |_, _| ());
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
        let heard = || {
            self.hear(controller, lines);
            self.status(lines[0].id)
        };
        wait::until_is("the first vault to be so", heard, |is| is.state == state).expect("it comes about");
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
