//! A software TPM per test, opened the way tpmmgr opens it.
#![allow(dead_code, reason = "each test file uses a part")]

use std::path::PathBuf;

use tempfile::TempDir;
use testkit::swtpm::{BootState, SHA256, Swtpm};
use tpm::{EkName, Identity, PcrPolicy, PcrSelection, Root, Tcti, Tpm};

/// A TPM and its folder, both gone after the test.
pub(crate) struct Bench {
    pub(crate) swtpm: Swtpm,
    pub(crate) dir: TempDir,
}

/// A new TPM, PCRs all zero.
pub(crate) fn bench() -> Bench {
    with_banks(SHA256)
}

/// A new TPM with these banks of PCRs, all zero.
pub(crate) fn with_banks(banks: &str) -> Bench {
    let dir = tempfile::tempdir().unwrap();
    let swtpm = Swtpm::with_banks(&dir.path().join("tpm"), "node-1", banks).unwrap();
    Bench { swtpm, dir }
}

/// A new TPM booted into the state "good".
pub(crate) fn booted() -> Bench {
    let bench = bench();
    bench.swtpm.extend_boot_state(&good()).unwrap();
    bench
}

pub(crate) fn good() -> BootState {
    BootState::named("good")
}

/// Another TPM, of the same manufacturer.
pub(crate) fn other(bench: &Bench) -> Swtpm {
    Swtpm::new(&bench.dir.path().join("other"), "node-2").unwrap()
}

impl Bench {
    pub(crate) fn tcti(&self) -> Tcti {
        self.swtpm.tcti().parse().unwrap()
    }

    pub(crate) fn open(&self) -> Tpm {
        Tpm::open(&self.tcti()).unwrap()
    }

    /// Opened, provisioned, its EK pinned.
    pub(crate) fn ready(&self) -> (Tpm, Identity) {
        ready(&self.tcti())
    }

    /// Opened under an EK pinned in an earlier life.
    pub(crate) fn pinned(&self, ek: &EkName) -> Tpm {
        let mut tpm = self.open();
        tpm.pin_ek(ek).unwrap();
        tpm
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Its path as text, for a tool.
    pub(crate) fn file(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().into()
    }

    pub(crate) fn reboot(&mut self, state: &BootState) {
        self.swtpm.reset_clean().unwrap();
        self.swtpm.extend_boot_state(state).unwrap();
    }
}

pub(crate) fn ready(tcti: &Tcti) -> (Tpm, Identity) {
    let mut tpm = Tpm::open(tcti).unwrap();
    let identity = tpm.provision().unwrap();
    tpm.pin_ek(&identity.ek.name).unwrap();
    (tpm, identity)
}

pub(crate) fn root(fill: u8) -> Root {
    let bytes: [u8; 32] = std::array::from_fn(|i| fill.wrapping_add(i as u8 * 7));
    Root::init(|place| {
        *place = bytes;
        Ok::<_, ()>(())
    })
    .unwrap()
}

/// The policy that the present PCR state alone satisfies.
pub(crate) fn present(tpm: &mut Tpm) -> PcrPolicy {
    PcrPolicy::of_states(&[tpm.read_pcrs(PcrSelection::EVE).unwrap()]).unwrap()
}
