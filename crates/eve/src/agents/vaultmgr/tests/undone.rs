//! A kernel whose repairs do not last: something else writes where we do.

use std::cell::Cell;
use std::path::Path;
use std::rc::Rc;

use fscrypt::ProtectorKey;
use vault::condition::{Hint, Key, Recovery, RecoveryHint};
use vault::escrow::VaultFiles;
use vault::ids::VaultId;
use vault::recovery::Recipients;
use vault::report::State;
use vault::secret::{RecoveryKey, WrappingSecret};
use vault::section::{Custody, Encryption};
use vault::space::Space;

use super::controller::{BERLIN, Controller, Line, certs};
use super::node::Node;
use super::pauseless::{AtOnce, HereAtOnce};
use crate::agents::vaultmgr::belief::intake::TpmHeard;
use crate::agents::vaultmgr::generation::desk::Desk;
use crate::agents::vaultmgr::hands::crypt::{CopyRead, Crypt, CryptError, Found, KeyId, MetaPlace};
use crate::agents::vaultmgr::hands::kernel::Kernel;
use crate::agents::vaultmgr::manager::{Manager, Owner};
use crate::agents::vaultmgr::vault::jobs::Jobs;

/// The real one, but that the user's vault's first copy is damaged whatever is done.
struct Undone {
    kernel: Kernel,
    repairs: Rc<Cell<usize>>,
}

impl Crypt for Undone {
    type Protector = ProtectorKey;

    fn read(&self, vault: VaultId, place: MetaPlace) -> Result<CopyRead, CryptError> {
        match (vault, place) {
            (BERLIN, MetaPlace::First) => Ok(CopyRead::Damaged),
            _ => self.kernel.read(vault, place),
        }
    }
    fn repair(&mut self, vault: VaultId, from: MetaPlace) -> Result<(), CryptError> {
        self.repairs.set(self.repairs.get() + 1);
        self.kernel.repair(vault, from)
    }
    fn bring_back(&mut self, vault: VaultId, files: &VaultFiles) -> Result<(), CryptError> {
        self.kernel.bring_back(vault, files)
    }
    fn put_back(
        &mut self,
        vault: VaultId,
        files: &VaultFiles,
        secret: &WrappingSecret,
    ) -> Result<bool, CryptError> {
        self.kernel.put_back(vault, files, secret)
    }

    fn lags(&self, vault: VaultId) -> bool {
        self.kernel.lags(vault)
    }
    fn is_away(&self) -> bool {
        false
    }
    fn stirred(&mut self) -> bool {
        self.kernel.stirred()
    }
    fn vaults(&self) -> Result<Vec<VaultId>, CryptError> {
        self.kernel.vaults()
    }
    fn create(
        &mut self,
        vault: VaultId,
        encryption: Encryption,
        name: Hint,
        secret: &WrappingSecret,
    ) -> Result<ProtectorKey, CryptError> {
        self.kernel.create(vault, encryption, name, secret)
    }
    fn unwrap(
        &mut self,
        vault: VaultId,
        place: MetaPlace,
        secret: &WrappingSecret,
    ) -> Result<Option<ProtectorKey>, CryptError> {
        self.kernel.unwrap(vault, place, secret)
    }
    fn rewrap(
        &mut self,
        vault: VaultId,
        protector: &ProtectorKey,
        name: Hint,
        secret: &WrappingSecret,
    ) -> Result<(), CryptError> {
        self.kernel.rewrap(vault, protector, name, secret)
    }
    fn recovery(&self, vault: VaultId, named: bool) -> Recovery {
        self.kernel.recovery(vault, named)
    }
    fn make_recovery(
        &mut self,
        vault: VaultId,
        by: &ProtectorKey,
        recipients: &Recipients,
        hint: RecoveryHint,
    ) -> Result<(), CryptError> {
        self.kernel.make_recovery(vault, by, recipients, hint)
    }
    fn drop_recovery(&mut self, vault: VaultId) -> Result<(), CryptError> {
        self.kernel.drop_recovery(vault)
    }
    fn recover(
        &mut self,
        vault: VaultId,
        key: &RecoveryKey,
    ) -> Result<Option<(ProtectorKey, KeyId)>, CryptError> {
        self.kernel.recover(vault, key)
    }
    fn new_protector(
        &mut self,
        vault: VaultId,
        by: &ProtectorKey,
        name: Hint,
        secret: &WrappingSecret,
    ) -> Result<ProtectorKey, CryptError> {
        self.kernel.new_protector(vault, by, name, secret)
    }
    fn forget(&mut self, vault: VaultId) -> Result<(), CryptError> {
        self.kernel.forget(vault)
    }
    fn find(&self, path: &Path) -> Result<Found, CryptError> {
        self.kernel.find(path)
    }
    fn find_with_space(&self, path: &Path) -> Result<(Found, Space), CryptError> {
        self.kernel.find_with_space(path)
    }
    fn key(&self, key: KeyId) -> Result<Key, CryptError> {
        self.kernel.key(key)
    }
    fn add_key(&self, vault: VaultId, protector: &ProtectorKey) -> Result<(), CryptError> {
        self.kernel.add_key(vault, protector)
    }
    fn remove_key(&self, key: KeyId) -> Result<Key, CryptError> {
        self.kernel.remove_key(key)
    }
    fn set_policy(&self, path: &Path, key: KeyId, encryption: Encryption) -> Result<(), CryptError> {
        self.kernel.set_policy(path, key, encryption)
    }
}

/// A step that is undone each time counts as failed: the vault opens without it, the status says so, and it is not repeated at
/// once.
#[test]
fn a_step_that_is_undone_each_time_is_told_and_stops_nothing() {
    let (mut node, mut controller) = (Node::new(true), Controller::new());
    node.hear(&mut controller, &[Line::of(Custody::Tpm)]);
    node.put(BERLIN, "file", "kept");
    node.stop();
    node.disk.mount();
    let repairs = Rc::new(Cell::new(0));
    let kernel = Undone { kernel: Kernel::open(&node.paths).expect("opens"), repairs: Rc::clone(&repairs) };
    let owner = Owner { uid: 12345, gid: 12345 };
    let hands = || -> (Box<dyn Desk>, Jobs) {
        (Box::new(HereAtOnce(node.paths.clone(), node.nv.clone())), Jobs::of(Box::new(AtOnce)))
    };
    let mut manager = Manager::start(node.paths.clone(), kernel, hands(), owner).expect("starts");
    manager.hear_tpm(TpmHeard::Ready { key: controller.key, measured: true }, |_, _| ());
    manager.settle_all();
    let section = controller.section(manager.session_key(), &[Line::of(Custody::Tpm)]);
    manager.hear_config(vault::wanted::Authority::Live, &section, &certs());
    manager.settle(BERLIN);
    let status = manager.report(BERLIN);
    assert_eq!(
        (status.state, node.get(BERLIN, "file").as_deref()),
        (State::Unlocked, Some("kept")),
        "{status:?}"
    );
    assert!(status.detail.iter().any(|line| line.contains("repairing a copy")), "{status:?}");
    let error = status.last.and_then(|last| last.error).expect("an error");
    assert!(error.contains("done and undone"), "{error}");
    let done = repairs.get();
    manager.settle(BERLIN);
    assert_eq!(repairs.get(), done, "it waits before the next try");
}
