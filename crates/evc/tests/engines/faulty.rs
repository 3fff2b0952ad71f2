//! An engine over another one that fails. A step is what an engine can fail at: a beginning, an operation, a commit.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use evc::store::*;
use vault::decide::TpmPin;
use vault::escrow::drill::Drills;
use vault::escrow::history::Contents;
use vault::ids::{DeviceId, Epoch, Generation, Name, Project, SectionDigest, VaultId};
use vault::labels::Labels;
use vault::ledger::{Ledger, Mark, Older};
use vault::policy::VaultRule;

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The n-th step finds the disk full; those after it find room.
    Full(usize),
    /// From the n-th step on the database is gone.
    Gone(usize),
    /// The n-th step asks for another run.
    Again(usize),
    /// The n-th step, if it is a commit, is done, and says that it failed.
    Lost(usize),
    /// The n-th step, if it is a commit, waits until something else is to go wrong, or nothing; then it is done.
    Waits(usize),
    /// The n-th step panics.
    Panics(usize),
    /// One step in so many asks for another run, or fails, by chance.
    Chance { one_in: u64, seed: u64 },
}

/// What was asked of the engine.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Asked {
    pub(crate) steps: usize,
    pub(crate) reads: usize,
    pub(crate) writes: usize,
}

/// What is to go wrong, and what was asked since that was said.
#[derive(Clone, Default)]
pub(crate) struct Faults(Arc<Mutex<(Option<Fault>, Asked)>>);

enum Said {
    Go,
    Fail(StoreError),
    DoAndFail,
    Wait,
}

impl Faults {
    pub(crate) fn set(&self, fault: Option<Fault>) {
        *self.0.lock().expect("never poisoned") = (fault, Asked::default());
    }

    pub(crate) fn asked(&self) -> Asked {
        self.0.lock().expect("never poisoned").1
    }

    fn begun(&self, count: impl FnOnce(&mut Asked)) -> Stored<()> {
        count(&mut self.0.lock().expect("never poisoned").1);
        self.step()
    }

    fn next(&self) -> Said {
        let mut now = self.0.lock().expect("never poisoned");
        now.1.steps += 1;
        let step = now.1.steps;
        match &mut now.0 {
            Some(Fault::Full(at)) if *at == step => Said::Fail(StoreError::Disk("full".into())),
            Some(Fault::Gone(from)) if *from <= step => Said::Fail(StoreError::Failed("gone".into())),
            Some(Fault::Again(at)) if *at == step => Said::Fail(StoreError::Again),
            Some(Fault::Lost(at)) if *at == step => Said::DoAndFail,
            Some(Fault::Waits(at)) if *at == step => Said::Wait,
            Some(Fault::Panics(at)) if *at == step => {
                drop(now);
                panic!("a step that panics");
            }
            Some(Fault::Chance { one_in, seed }) => match chance(seed) % *one_in {
                0 => Said::Fail(StoreError::Disk("full".into())),
                1 => Said::Fail(StoreError::Again),
                _ => Said::Go,
            },
            _ => Said::Go,
        }
    }

    fn step(&self) -> Stored<()> {
        match self.next() {
            Said::Fail(error) => Err(error),
            Said::Go | Said::DoAndFail | Said::Wait => Ok(()),
        }
    }
}

/// Marsaglia's xorshift.
fn chance(seed: &mut u64) -> u64 {
    for shift in [13, -7, 17_i32] {
        *seed ^= if shift > 0 { *seed << shift } else { *seed >> -shift };
    }
    *seed >> 8
}

/// The engine.
pub(crate) struct Faulty<E>(pub(crate) E, pub(crate) Faults);

#[async_trait]
impl<E: Engine> Engine for Faulty<E> {
    async fn read(&self) -> Stored<Box<dyn Open>> {
        self.1.begun(|asked| asked.reads += 1)?;
        Ok(Box::new(FaultyTx(self.0.read().await?, self.1.clone())))
    }
    async fn write(&self, scope: Scope) -> Stored<Box<dyn Open>> {
        self.1.begun(|asked| asked.writes += 1)?;
        Ok(Box::new(FaultyTx(self.0.write(scope).await?, self.1.clone())))
    }
    async fn write_ahead(&self, scope: Scope) -> Stored<Box<dyn Open>> {
        self.1.begun(|asked| asked.writes += 1)?;
        Ok(Box::new(FaultyTx(self.0.write_ahead(scope).await?, self.1.clone())))
    }
    async fn close(&self) {
        self.0.close().await;
    }
    fn is_alone(&self) -> bool {
        self.0.is_alone()
    }
}

struct FaultyTx(Box<dyn Open>, Faults);

#[async_trait]
impl Open for FaultyTx {
    async fn commit(self: Box<Self>) -> Stored<()> {
        match self.1.next() {
            Said::Go => self.0.commit().await,
            Said::Fail(error) => Err(error),
            Said::Wait => {
                while matches!(self.1.0.lock().expect("never poisoned").0, Some(Fault::Waits(_))) {
                    tokio::time::sleep(std::time::Duration::from_millis(1)).await;
                }
                self.0.commit().await
            }
            Said::DoAndFail => {
                self.0.commit().await?;
                Err(StoreError::Failed("the answer was lost".into()))
            }
        }
    }
}

#[async_trait]
impl Tx for FaultyTx {
    async fn around(&mut self, device: DeviceId) -> Stored<Around> {
        self.1.step()?;
        self.0.around(device).await
    }
}

/// Every operation is a step, and then the engine's.
macro_rules! steps {
    ($trait:ident { $($name:ident($($arg:ident: $type:ty),*) -> $told:ty;)* }) => {
        #[async_trait]
        impl $trait for FaultyTx {
            $(async fn $name(&mut self, $($arg: $type),*) -> Stored<$told> {
                self.1.step()?;
                self.0.$name($($arg),*).await
            })*
        }
    };
}

steps! { Devices {
    add_onboarding(row: &OnboardRow) -> ();
    onboarding(cert_digest: &[u8; 32], serial: &str) -> Option<OnboardRow>;
    name_is_kept(project: &Project, name: &Name) -> bool;
    onboardings(project: &Project, after: Option<([u8; 32], &str)>, limit: u32) -> Vec<OrDamaged<OnboardRow>>;
    drop_onboarding(cert_digest: &[u8; 32], serial: &str) -> bool;
    use_onboarding(cert_digest: &[u8; 32], serial: &str, device: DeviceId) -> ();
    add_device(row: &DeviceRow) -> ();
    device(id: DeviceId) -> Option<DeviceRow>;
    device_by_cert(cert_digest: &[u8; 32]) -> Option<DeviceRow>;
    device_by_name(project: &Project, name: &str) -> Option<DeviceRow>;
    device_by_key(key: &[u8; 32]) -> Option<DeviceRow>;
    let_in_by(cert_digest: &[u8; 32]) -> u64;
    devices_before_keys(after: Option<DeviceId>, limit: u32) -> Vec<OrDamaged<DeviceRow>>;
    put_device_key(id: DeviceId, key: &[u8; 32]) -> ();
    answered(id: DeviceId, fared: &Fared, at: UnixSeconds) -> ();
    proved_device(id: DeviceId, at: UnixSeconds) -> ();
    certify_device(id: DeviceId, cert_digest: &[u8; 32], cert_der: &[u8], keep: u32) -> ();
    devices(project: &Project, page: &Page) -> Vec<OrDamaged<DeviceRow>>;
    remains(project: &Project, which: &str) -> Option<DeviceRemains>;
    saw_device(id: DeviceId, at: UnixSeconds) -> ();
    heard_device(id: DeviceId, at: UnixSeconds) -> ();
    pin_tpm(id: DeviceId, tpm: TpmPin) -> ();
    set_learning(id: DeviceId, learn: bool) -> ();
    put_report(id: DeviceId, report: &DeviceReport, at: UnixSeconds) -> ();
    set_lost(id: DeviceId, at: Option<UnixSeconds>) -> ();
    set_alarm(id: DeviceId, alarm: Option<&Alarm>) -> ();
    put_report_place(id: DeviceId, session: &[u8; 32], number: u64) -> ();
    put_upload_place(id: DeviceId, session: &[u8; 32], number: u64) -> ();
    drop_device(id: DeviceId, removed: &RemovedRow) -> ();
    removed_device(cert_digest: &[u8; 32], key: &[u8; 32]) -> Option<RemovedRow>;
    forget_removal(key: &[u8; 32]) -> ();
    certs(device: DeviceId) -> Vec<CertRow>;
    put_cert(row: &CertRow) -> ();
    drop_cert(device: DeviceId, kind: i32) -> ();
} }
steps! { Chains {
    put_section(id: DeviceId, version: u64, digest: &[u8; 32]) -> ();
    put_ledger(id: DeviceId, ledger: &Ledger) -> ();
    add_sent_before(id: DeviceId, digests: &[SectionDigest]) -> ();
    was_sent_before(id: DeviceId, digest: &SectionDigest) -> bool;
    set_older(id: DeviceId, older: Option<Mark>) -> ();
    all_older() -> Vec<Older>;
    one_older() -> Option<Older>;
    hold_back(held: bool) -> ();
    number_anew() -> ();
    keep_ending(now: UnixSeconds) -> ();
    keep_deleted_longer(now: UnixSeconds) -> ();
    end_section(id: DeviceId) -> ();
} }
steps! { Rules {
    put_labels(id: DeviceId, labels: &Labels) -> ();
    devices_named_by(project: &Project, selector: &Labels, page: &Page) -> Vec<OrDamaged<DeviceRow>>;
    rule(project: &Project, name: &Name) -> Option<RuleRow>;
    rules(project: &Project, page: &Page) -> Vec<OrDamaged<RuleRow>>;
    rule_with_policy(project: &Project, policy: &Name) -> Option<RuleRow>;
    put_rule(project: &Project, rule: &VaultRule, at: UnixSeconds) -> ();
    drop_rule(project: &Project, name: &Name) -> bool;
} }
steps! { EvidenceRows {
    past_session(device: DeviceId, session: &[u8; 32]) -> Option<PastSession>;
    end_session(row: &PastSession, keep: u32) -> ();
    resume_session(device: DeviceId, session: &[u8; 32]) -> ();
    sessions_since(device: DeviceId, after: UnixSeconds) -> u64;
    settle_sessions(device: DeviceId) -> ();
    standing(device: DeviceId) -> Option<StandingRow>;
    put_standing(row: &StandingRow) -> ();
    drop_standing(device: DeviceId) -> ();
    renew_standing(device: DeviceId) -> ();
    add_reference(row: &ReferenceRow) -> i64;
    reference(project: &Project, id: i64) -> Option<ReferenceRow>;
    references_of(device: DeviceId) -> Vec<ReferenceRow>;
    references_listed(device: DeviceId) -> Vec<OrDamaged<ReferenceRow>>;
    references(project: &Project, after: i64, limit: u32) -> Vec<OrDamaged<ReferenceRow>>;
    judge_reference(id: i64, state: ReferenceState, at: UnixSeconds) -> ();
} }
steps! { Vaults {
    policy(project: &Project, name: &str) -> Option<PolicyRow>;
    policies(project: &Project, page: &Page) -> Vec<OrDamaged<PolicyRow>>;
    put_policy(row: &PolicyRow) -> ();
    drop_policy(project: &Project, name: &str) -> ();
    vault_with_policy(project: &Project, policy: &str) -> Option<VaultRow>;
    vault_with_policy_and_tpm(project: &Project, policy: &str, tpm: TpmPin) -> Option<VaultRow>;
    vaults(device: DeviceId) -> Vec<VaultRow>;
    vaults_listed(device: DeviceId) -> Vec<OrDamaged<VaultRow>>;
    vaults_of_identity(project: &Project, id: VaultId, limit: u32) -> Vec<OrDamaged<VaultRow>>;
    defaults_under(project: &Project, policy: &Name) -> Vec<VaultRow>;
    vaults_under(project: &Project, policy: &Name, limit: u32) -> Vec<VaultRow>;
    vault(device: DeviceId, id: VaultId) -> Option<VaultRow>;
    vault_by_name(device: DeviceId, name: &Name) -> Option<VaultRow>;
    all_vaults(project: &Project, after: Option<(DeviceId, VaultId)>, limit: u32) -> Vec<OrDamaged<VaultRow>>;
    add_vault(row: &VaultRow) -> ();
    want_vault(device: DeviceId, id: VaultId, policy: Option<&Name>) -> ();
    retain_vault(device: DeviceId, id: VaultId) -> ();
    rename_vault(device: DeviceId, id: VaultId, name: &Name) -> ();
    begin_grace(device: DeviceId, id: VaultId, until: UnixSeconds) -> ();
    end_grace(device: DeviceId, id: VaultId, left_version: u64) -> ();
    set_recreate(device: DeviceId, id: VaultId, recreate: bool) -> ();
    put_epochs(device: DeviceId, id: VaultId, current: Epoch, last: Epoch) -> ();
    report_vault(device: DeviceId, id: VaultId, said: &VaultSaid) -> ();
    drop_vault(device: DeviceId, id: VaultId) -> ();
    was_vault(device: DeviceId, which: &Name) -> bool;
    move_graces(by_s: i64) -> ();
    graces_over(now: UnixSeconds, after: Option<Grace>, limit: u32) -> Vec<Grace>;
} }
steps! { Bundles {
    put_bundle(row: &BundleRow) -> ();
    bundles(device: DeviceId) -> Vec<ListedBundle>;
    bundles_listed(device: DeviceId) -> Vec<OrDamaged<ListedBundle>>;
    note_contents(device: DeviceId, digest: &[u8; 32], has: &Contents) -> ();
    offer_bundle(device: DeviceId, digest: Option<&[u8; 32]>) -> ();
    drop_bundle(device: DeviceId, digest: &[u8; 32]) -> ();
    bundle(device: DeviceId, digest: &[u8; 32]) -> Option<BundleRow>;
    put_drills(device: DeviceId, drills: &Drills) -> ();
    set_no_room(device: DeviceId, since: Option<UnixSeconds>) -> ();
    bundle_of(device: DeviceId, generation: Generation) -> Option<BundleRow>;
} }
steps! { Deleted {
    keep_deleted(row: &DeletedRow) -> ();
    deleted(project: &Project) -> Vec<OrDamaged<DeletedRow>>;
    deleted_by_key(key: &[u8; 32]) -> Vec<OrDamaged<DeletedRow>>;
    deleted_as(id: DeviceId) -> Vec<OrDamaged<DeletedRow>>;
    deleted_over(now: UnixSeconds) -> Vec<OrDamaged<DeviceId>>;
    of_deleted(id: DeviceId) -> OfDeleted;
    go_on(id: DeviceId, device: DeviceId) -> ();
    forget_deleted_vault(id: DeviceId, vault: VaultId) -> ();
    forget_deleted_bundle(id: DeviceId, digest: &[u8; 32]) -> ();
    forget_deleted(id: DeviceId) -> ();
} }
steps! { Identities {
    identify(device: DeviceId, anew: DeviceId, sealed: &SealedAnew) -> ();
} }
steps! { KeyRows {
    releases_of(device: DeviceId, vault: VaultId) -> Vec<ReleaseRow>;
    meta(name: &str) -> Option<Vec<u8>>;
    put_meta(name: &str, value: &[u8]) -> ();
    key(name: &str) -> Option<KeyRow>;
    put_key(row: &KeyRow) -> ();
    token(hash: &[u8; 32]) -> Option<TokenRow>;
    add_token(row: &TokenRow) -> ();
    drop_other_tokens(project: &Project, than: &[u8; 32]) -> u64;
    period(period: &str) -> Option<Vec<u8>>;
    add_period(period: &str, sealed: &[u8]) -> ();
    epoch(device: DeviceId, vault: VaultId, epoch: Epoch) -> Option<EpochRow>;
    epochs_in_use(device: DeviceId) -> Vec<OrDamaged<EpochRow>>;
    epochs_before_projects(after: Option<(DeviceId, VaultId, Epoch)>, limit: u32) -> Vec<EpochRow>;
    bind_epoch(row: &EpochRow) -> ();
    add_epoch(row: &EpochRow) -> ();
    drop_epochs(device: DeviceId, vault: VaultId) -> ();
    drop_old_releases(device: DeviceId, vault: VaultId, epoch: Epoch) -> ();
    drop_releases_before(device: DeviceId, vault: VaultId, epoch: Epoch) -> ();
    releases(project: &Project, device: DeviceId, session: &[u8; 32]) -> Vec<ReleaseRow>;
    put_release(row: &ReleaseRow) -> ();
} }
