//! A kernel with faults: an n-th call that fails, lies, or is the first of many that fail, as `disk::faulty` is for a disk. A test
//! loops: the fault at the call 0, 1, 2.. until the work goes through without meeting it, so every call that is ever added is met too.

use std::cell::{Cell, RefCell};
use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use nix::errno::Errno;
use vault::condition::{Hint, Key, Recovery, RecoveryHint};
use vault::escrow::VaultFiles;
use vault::ids::VaultId;
use vault::lease::SinceBoot;
use vault::recovery::Recipients;
use vault::secret::{RecoveryKey, WrappingSecret};
use vault::section::Encryption;
use vault::space::{Space, StorageLimit};

use super::projects::Projects;
use crate::agents::vaultmgr::hands::crypt::{CopyRead, Crypt, CryptError, Found, Join, KeyId, MetaPlace};

/// What happens at the n-th call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// It fails, and nothing is done.
    Fails,
    /// It is done, and says that it failed. Only what changes something is counted.
    DoneAndFails,
    /// It says that it is done, and nothing is. Only what the kernel alone does, and is read back from it, is counted.
    Dropped,
    /// It fails, and so does each later one of its kind. Only what changes something is counted.
    FailsOn,
    /// It fails, and so does every later one.
    Gone,
}

impl Fault {
    pub(super) const ALL: [Self; 5] =
        [Self::Fails, Self::DoneAndFails, Self::Dropped, Self::FailsOn, Self::Gone];

    fn counts(self, kind: Kind) -> bool {
        match self {
            Self::Fails | Self::Gone => true,
            Self::DoneAndFails | Self::FailsOn => kind != Kind::Asks,
            Self::Dropped => kind == Kind::Sets,
        }
    }

    /// It ends with a life of vaultmgr at the earliest.
    pub(super) fn lasts_for_ever(self) -> bool {
        matches!(self, Self::FailsOn | Self::Gone)
    }

    fn lasts(self, name: &str, met: &str) -> bool {
        self == Self::Gone || self == Self::FailsOn && name == met
    }
}

/// What a call does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// It changes nothing.
    Asks,
    /// It writes metadata.
    Writes,
    /// It is one call of the kernel's.
    Sets,
}

/// What is to go wrong, shared by a test and the kernel before which it was put.
#[derive(Clone, Default)]
pub(super) struct Calls(
    Rc<RefCell<Tally>>,
    Rc<Cell<Duration>>,
    Projects,
    Rc<RefCell<Option<PathBuf>>>,
    Rc<RefCell<Vec<MetaPlace>>>,
    Rc<RefCell<Option<BeforeALock>>>,
    Rc<RefCell<Option<Vec<&'static str>>>>,
);

/// What a test looks at each time that a key is about to be taken out of the kernel.
type BeforeALock = Box<dyn Fn()>;

#[derive(Default)]
struct Tally {
    plan: Option<(Fault, usize)>,
    count: usize,
    met: Option<&'static str>,
}

impl Calls {
    /// From now on this goes wrong.
    pub(super) fn fail(&self, fault: Fault, nth: usize) {
        *self.0.borrow_mut() = Tally { plan: Some((fault, nth)), ..Tally::default() };
    }

    /// The quotas of its filesystem.
    pub(super) fn projects(&self) -> &Projects {
        &self.2
    }

    /// From now on this place can't be looked at, as where the disk or somebody's filesystem gives an error.
    pub(super) fn blind(&self, place: &Path) {
        *self.3.borrow_mut() = Some(place.to_owned());
    }

    /// From now on it can.
    pub(super) fn see(&self) {
        *self.3.borrow_mut() = None;
    }

    /// From now on the disk answers with EIO for the folders of key files in these places, and for none in no others.
    pub(super) fn unreadable(&self, places: &[MetaPlace]) {
        *self.4.borrow_mut() = places.to_vec();
    }

    /// From now on this is done before each key is taken out of the kernel.
    pub(super) fn before_a_lock(&self, look: impl Fn() + 'static) {
        *self.5.borrow_mut() = Some(Box::new(look));
    }

    /// So much time passes.
    pub(super) fn pass(&self, span: Duration) {
        self.1.set(self.1.get() + span);
    }

    /// What is asked and done during some work, one after the other.
    pub(super) fn trace(&self, work: impl FnOnce()) -> Vec<&'static str> {
        *self.6.borrow_mut() = Some(Vec::new());
        work();
        self.6.take().unwrap_or_default()
    }

    /// From now on nothing does. Says which call did.
    pub(super) fn heal(&self) -> Option<&'static str> {
        self.0.take().met
    }

    fn meet(&self, name: &'static str, kind: Kind) -> Option<Fault> {
        self.6.borrow_mut().iter_mut().for_each(|trace| trace.push(name));
        let mut state = self.0.borrow_mut();
        let (fault, nth) = state.plan?;
        if let Some(met) = state.met {
            return fault.lasts(name, met).then_some(fault);
        }
        if !fault.counts(kind) {
            return None;
        }
        state.count += 1;
        (state.count > nth).then(|| {
            state.met = Some(name);
            fault
        })
    }
}

/// Before another kernel.
pub(super) struct Faulty<C> {
    pub(super) inner: C,
    calls: Calls,
}

impl<C: Crypt> Faulty<C> {
    pub(super) fn new(inner: C, calls: &Calls) -> Self {
        Self { inner, calls: calls.clone() }
    }

    fn is_seen(&self, path: &Path) -> Told<()> {
        if self.calls.3.borrow().as_deref() == Some(path) {
            let denied = io::Error::from(Errno::EACCES);
            return Err(CryptError::because("looking at a vault's place", denied));
        }
        Ok(())
    }

    fn asks<T>(&self, name: &'static str, ask: impl FnOnce(&C) -> Told<T>) -> Told<T> {
        self.calls.meet(name, Kind::Asks).map_or_else(|| ask(&self.inner), |_| Err(error(name)))
    }

    fn writes<T>(&mut self, name: &'static str, write: impl FnOnce(&mut C) -> Told<T>) -> Told<T> {
        match self.calls.meet(name, Kind::Writes) {
            None => write(&mut self.inner),
            Some(Fault::DoneAndFails) => write(&mut self.inner).and(Err(error(name))),
            Some(_) => Err(error(name)),
        }
    }

    fn sets<T>(&self, name: &'static str, dropped: T, set: impl FnOnce(&C) -> Told<T>) -> Told<T> {
        match self.calls.meet(name, Kind::Sets) {
            None => set(&self.inner),
            Some(Fault::DoneAndFails) => set(&self.inner).and(Err(error(name))),
            Some(Fault::Dropped) => Ok(dropped),
            Some(_) => Err(error(name)),
        }
    }
}

type Told<T> = Result<T, CryptError>;

/// As the kernel's: a disk that does not read, a key that is in use, one that is not there.
fn error(name: &'static str) -> CryptError {
    let errno = [Errno::EIO, Errno::EBUSY, Errno::ENOKEY][name.len() % 3];
    CryptError::because(name, io::Error::from(errno))
}

impl<C: Crypt> Crypt for Faulty<C> {
    type Protector = C::Protector;

    fn vaults(&self) -> Told<Vec<VaultId>> {
        self.asks("vaults", C::vaults)
    }
    fn read(&self, vault: VaultId, place: MetaPlace) -> Told<CopyRead> {
        if self.calls.4.borrow().contains(&place) {
            return Err(CryptError::because("reading metadata", io::Error::from(Errno::EIO)));
        }
        self.asks("read", |inner| inner.read(vault, place))
    }
    fn find(&self, path: &Path) -> Told<Found> {
        self.is_seen(path)?;
        self.asks("find", |inner| inner.find(path))
    }
    fn find_with_space(&self, path: &Path) -> Told<(Found, Space)> {
        self.is_seen(path)?;
        let (found, _) = self.asks("find", |inner| inner.find_with_space(path))?;
        let space = if found.has_space() { self.calls.2.space(path) } else { Space::default() };
        Ok((found, space))
    }
    fn is_named_by_another(&self, vault: VaultId, key: KeyId) -> bool {
        self.inner.is_named_by_another(vault, key)
    }
    fn key(&self, key: KeyId) -> Told<Key> {
        self.asks("key", |inner| inner.key(key))
    }
    fn create(
        &mut self,
        vault: VaultId,
        encryption: Encryption,
        name: Hint,
        secret: &WrappingSecret,
    ) -> Told<C::Protector> {
        self.writes("create", |inner| inner.create(vault, encryption, name, secret))
    }
    fn repair(&mut self, vault: VaultId, from: MetaPlace) -> Told<()> {
        self.writes("repair", |inner| inner.repair(vault, from))
    }
    fn unwrap(
        &mut self,
        vault: VaultId,
        place: MetaPlace,
        secret: &WrappingSecret,
    ) -> Told<Option<C::Protector>> {
        self.writes("unwrap", |inner| inner.unwrap(vault, place, secret))
    }
    fn rewrap(
        &mut self,
        vault: VaultId,
        protector: &C::Protector,
        name: Hint,
        secret: &WrappingSecret,
    ) -> Told<()> {
        self.writes("rewrap", |inner| inner.rewrap(vault, protector, name, secret))
    }
    fn bring_back(&mut self, vault: VaultId, files: &VaultFiles) -> Told<()> {
        self.writes("bring_back", |inner| inner.bring_back(vault, files))
    }
    fn recovery(&self, vault: VaultId, named: bool) -> Recovery {
        self.inner.recovery(vault, named)
    }
    fn make_recovery(
        &mut self,
        vault: VaultId,
        by: &C::Protector,
        recipients: &Recipients,
        hint: RecoveryHint,
    ) -> Told<()> {
        self.writes("make_recovery", |inner| inner.make_recovery(vault, by, recipients, hint))
    }
    fn drop_recovery(&mut self, vault: VaultId) -> Told<()> {
        self.writes("drop_recovery", |inner| inner.drop_recovery(vault))
    }
    fn recover(&mut self, vault: VaultId, key: &RecoveryKey) -> Told<Option<(C::Protector, KeyId)>> {
        self.writes("recover", |inner| inner.recover(vault, key))
    }
    fn new_protector(
        &mut self,
        vault: VaultId,
        by: &C::Protector,
        name: Hint,
        secret: &WrappingSecret,
    ) -> Told<C::Protector> {
        self.writes("new_protector", |inner| inner.new_protector(vault, by, name, secret))
    }
    fn put_back(&mut self, vault: VaultId, files: &VaultFiles, secret: &WrappingSecret) -> Told<bool> {
        self.writes("put_back", |inner| inner.put_back(vault, files, secret))
    }
    fn forget(&mut self, vault: VaultId) -> Told<()> {
        self.writes("forget", |inner| inner.forget(vault))
    }
    fn add_key(&self, vault: VaultId, protector: &C::Protector) -> Told<()> {
        self.sets("add_key", (), |inner| inner.add_key(vault, protector))
    }
    fn remove_key(&self, key: KeyId) -> Told<Key> {
        testkit::forks::settled().expect("other tests' children begin");
        self.calls.5.borrow().iter().for_each(|look| look());
        self.sets("remove_key", Key::Absent, |inner| inner.remove_key(key))
    }
    fn set_policy(&self, path: &Path, key: KeyId, encryption: Encryption) -> Told<()> {
        self.sets("set_policy", (), |inner| inner.set_policy(path, key, encryption))
    }
    fn enlist(&self, _: VaultId, path: &Path) -> Told<u32> {
        self.sets("enlist", 1, |_| {
            self.calls.2.enlist(path);
            Ok(1)
        })
    }
    fn join(&self) -> Join {
        self.calls.2.join()
    }
    fn limit(&self, path: &Path, limit: Option<StorageLimit>) -> Told<()> {
        self.sets("limit", (), |_| {
            self.calls.2.limit(path, limit);
            Ok(())
        })
    }
    // Neither has an error to give: what they can't tell they tell as nothing.
    fn lags(&self, vault: VaultId) -> bool {
        self.inner.lags(vault)
    }
    fn is_away(&self) -> bool {
        self.inner.is_away()
    }
    fn look_for_names(&mut self) {
        self.inner.look_for_names();
    }
    fn stirred(&mut self) -> bool {
        self.inner.stirred()
    }
    fn since_boot(&self) -> SinceBoot {
        SinceBoot(self.inner.since_boot().0 + self.calls.1.get())
    }
    fn key_files(&self, vault: VaultId) -> Option<VaultFiles> {
        self.inner.key_files(vault)
    }
    fn reads(&self, vault: VaultId, files: &VaultFiles) -> bool {
        self.inner.reads(vault, files)
    }
    fn has_opened(&self, vault: VaultId) -> bool {
        self.inner.has_opened(vault)
    }
    fn is_alike(&self, one: &VaultFiles, other: &VaultFiles) -> bool {
        self.inner.is_alike(one, other)
    }
    fn unusable(&self) -> Vec<String> {
        self.inner.unusable()
    }
    fn unwiped(&self, vault: VaultId) -> Option<String> {
        self.inner.unwiped(vault)
    }
    fn residue(&self) -> Option<&'static str> {
        self.inner.residue()
    }
}
