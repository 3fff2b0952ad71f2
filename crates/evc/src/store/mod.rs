//! What the controller keeps: transactions of small operations, every look-up by an indexed key.
//! Engines: SQLite now. A second one is a driver, that is an [`Engine`], and a migration; it takes the same contract suite
//! (`tests/store/contract.rs`), and [`StorePlace`] is the one that names it.
//! What has a name is found within a project. What a device or a vault is, by its identity, is of whichever project its row says.
//! Never draws randomness or opens a seal, and writes no time of its own: times, identities and sealed bytes come from the caller.

mod bundles;
mod chains;
mod changes;
mod damaged;
mod deleted;
mod engine;
mod error;
mod found;
mod identities;
mod kept;
mod key_rows;
mod notes;
mod place;
mod reruns;
mod rows;
pub mod sqlite;
mod told;
mod transact;

use async_trait::async_trait;
use vault::decide::TpmPin;
use vault::ids::{DeviceId, Epoch, Name, Project, VaultId};
use vault::labels::Labels;
use vault::policy::VaultRule;

pub use bundles::{BundleRow, Bundles, HeldBundle, ListedBundle};
pub use chains::Chains;
pub use changes::AsOf;
pub use damaged::{
    DamagedRow, DeviceRemains, OrDamaged, RowKind, VaultRemains, all_whole, next_page, readable,
};
pub use deleted::{DELETED_GRACE_S, Deleted, DeletedRow, KeptBundle, OfDeleted, WentOut};
pub use engine::{Engine, Open, Scope};
pub use error::{Cause, StoreError, Stored};
pub use found::{Alarm, AlarmCause, BadEvidence, BadQuote, BadSignature, OfEvidence};
pub use identities::{Identities, SealedAnew};
pub(crate) use kept::understood;
pub use kept::{Accepted, Appraised, DeviceReport, Fared, Moment, Pcrs, Record, Repeated, Strange};
pub use key_rows::{EpochRow, KeyRow, ReleaseRow, TokenRow};
pub use notes::{Noted, Notes, Time};
pub use place::{Beside, Claim, StorePlace};
pub use rows::{
    Around, CertRow, DeviceRow, Grace, OnboardRow, Page, PastSession, PolicyRow, ReferenceRow,
    ReferenceState, RemovedRow, RuleRow, StandingRow, VaultRow, VaultSaid, VaultStanding,
};
pub use told::NodeWord;
pub use transact::{Failure, Running, Store};

/// Seconds since 1970-01-01 UTC by the controller's clock.
pub type UnixSeconds = u64;

/// Most sections of a device that are remembered beside its ledger; those that were sent last.
pub const SENT_BEFORE: u32 = 4096;

/// Most vaults of a device that are remembered by name once they are forgotten; those that were last.
pub const PAST_VAULTS: u32 = 1024;

/// What a body may do in its transaction.
#[async_trait]
pub trait Tx:
    Devices + Chains + Identities + Rules + EvidenceRows + Vaults + KeyRows + Bundles + Deleted + Send
{
    /// All that an answer to a device depends on, beside its own row.
    async fn around(&mut self, device: DeviceId) -> Stored<Around>;
}

/// Devices, their onboarding, and what is known of each.
#[async_trait]
pub trait Devices {
    /// Allows a certificate and serial to register once; [`StoreError::Taken`] when allowed before, in whichever project.
    async fn add_onboarding(&mut self, row: &OnboardRow) -> Stored<()>;
    /// What was allowed for a certificate (SHA-256 of DER) and serial: these say into which project a device comes.
    async fn onboarding(&mut self, cert_digest: &[u8; 32], serial: &str) -> Stored<Option<OnboardRow>>;
    /// Whether an allowance of the project that no device used yet keeps this name.
    async fn name_is_kept(&mut self, project: &Project, name: &Name) -> Stored<bool>;
    /// Those of a project in the order of certificate and serial, after `after`, at most `limit`.
    async fn onboardings(
        &mut self,
        project: &Project,
        after: Option<([u8; 32], &str)>,
        limit: u32,
    ) -> Stored<Vec<OrDamaged<OnboardRow>>>;
    /// Forgets one; false when it is not there.
    async fn drop_onboarding(&mut self, cert_digest: &[u8; 32], serial: &str) -> Stored<bool>;
    /// Binds an allowance to the device that used it.
    async fn use_onboarding(&mut self, cert_digest: &[u8; 32], serial: &str, device: DeviceId) -> Stored<()>;
    /// Adds a device; [`StoreError::Taken`] when its name is, in its project, or its certificate or key.
    async fn add_device(&mut self, row: &DeviceRow) -> Stored<()>;
    /// By identity.
    async fn device(&mut self, id: DeviceId) -> Stored<Option<DeviceRow>>;
    /// By SHA-256 of the certificate's DER: of its present one, or of one that its key had before.
    async fn device_by_cert(&mut self, cert_digest: &[u8; 32]) -> Stored<Option<DeviceRow>>;
    /// By name, in a project.
    async fn device_by_name(&mut self, project: &Project, name: &str) -> Stored<Option<DeviceRow>>;
    /// By SHA-256 of its key's SubjectPublicKeyInfo.
    async fn device_by_key(&mut self, key: &[u8; 32]) -> Stored<Option<DeviceRow>>;
    /// How many came in under this certificate's allowance for any serial.
    async fn let_in_by(&mut self, cert_digest: &[u8; 32]) -> Stored<u64>;
    /// Those of which no key is kept yet, after one of them, at most `limit`.
    async fn devices_before_keys(
        &mut self,
        after: Option<DeviceId>,
        limit: u32,
    ) -> Stored<Vec<OrDamaged<DeviceRow>>>;
    /// The key of one of those; [`StoreError::Taken`] when it is another's.
    async fn put_device_key(&mut self, id: DeviceId, key: &[u8; 32]) -> Stored<()>;
    /// Gives a device another certificate; [`StoreError::Taken`] when it is another's. The one before is remembered; of those, the newest `keep`
    /// stay.
    async fn certify_device(
        &mut self,
        id: DeviceId,
        cert_digest: &[u8; 32],
        cert_der: &[u8],
        keep: u32,
    ) -> Stored<()>;
    /// Those of a project by name, after `page.after`, at most `page.limit`. Before the first come those whose project does not read, as in each
    /// list.
    async fn devices(&mut self, project: &Project, page: &Page) -> Stored<Vec<OrDamaged<DeviceRow>>>;
    /// What reads of one, by identity, or by name in a project.
    async fn remains(&mut self, project: &Project, which: &str) -> Stored<Option<DeviceRemains>>;
    /// It was heard at a time.
    async fn saw_device(&mut self, id: DeviceId, at: UnixSeconds) -> Stored<()>;
    /// The same, where it is there and was not heard later: whoever says so has not read it.
    async fn heard_device(&mut self, id: DeviceId, at: UnixSeconds) -> Stored<()>;
    /// It answered a challenge, and how that fared; heard then. A good answer nobody can send again.
    async fn answered(&mut self, id: DeviceId, fared: &Fared, at: UnixSeconds) -> Stored<()>;
    /// It gave what nobody can send again.
    async fn proved_device(&mut self, id: DeviceId, at: UnixSeconds) -> Stored<()>;
    /// Whether it has a TPM is known now.
    async fn pin_tpm(&mut self, id: DeviceId, tpm: TpmPin) -> Stored<()>;
    /// Its next good quote is learned, or not.
    async fn set_learning(&mut self, id: DeviceId, learn: bool) -> Stored<()>;
    /// What it reported of itself; heard then.
    async fn put_report(&mut self, id: DeviceId, report: &DeviceReport, at: UnixSeconds) -> Stored<()>;
    /// An operator's word that it is lost, since then; or that it is not.
    async fn set_lost(&mut self, id: DeviceId, at: Option<UnixSeconds>) -> Stored<()>;
    /// What was seen of it that one device does not do; or nothing.
    async fn set_alarm(&mut self, id: DeviceId, alarm: Option<&Alarm>) -> Stored<()>;
    /// The place of its newest report: the session, and the number in it.
    async fn put_report_place(&mut self, id: DeviceId, session: &[u8; 32], number: u64) -> Stored<()>;
    /// The place of the newest bundle that it sent: the session, and the number in it.
    async fn put_upload_place(&mut self, id: DeviceId, session: &[u8; 32], number: u64) -> Stored<()>;
    /// Forgets a device and all that is kept for it: allowances that it used, and open ones of its serial in its project and with the
    /// certificate by which it came in; vaults, keys, evidence.
    /// What is left is the row of its removal.
    async fn drop_device(&mut self, id: DeviceId, removed: &RemovedRow) -> Stored<()>;
    /// The removal of a device with this certificate, or with this key.
    async fn removed_device(&mut self, cert_digest: &[u8; 32], key: &[u8; 32]) -> Stored<Option<RemovedRow>>;
    /// Forgets that a device with this key was removed.
    async fn forget_removal(&mut self, key: &[u8; 32]) -> Stored<()>;
    /// The certificates of a device.
    async fn certs(&mut self, device: DeviceId) -> Stored<Vec<CertRow>>;
    /// Pins one, in place of what was pinned of that kind.
    async fn put_cert(&mut self, row: &CertRow) -> Stored<()>;
    /// Forgets the one of a kind.
    async fn drop_cert(&mut self, device: DeviceId, kind: i32) -> Stored<()>;
}

/// Labels of devices, and rules of vaults by them.
#[async_trait]
pub trait Rules {
    /// A device has these labels, and no others.
    async fn put_labels(&mut self, id: DeviceId, labels: &Labels) -> Stored<()>;
    /// The devices of a project with all of these labels by name, after `page.after`, at most `page.limit`; no labels name none. One whose labels
    /// do not read may have them.
    async fn devices_named_by(
        &mut self,
        project: &Project,
        selector: &Labels,
        page: &Page,
    ) -> Stored<Vec<OrDamaged<DeviceRow>>>;
    /// By name, in a project.
    async fn rule(&mut self, project: &Project, name: &Name) -> Stored<Option<RuleRow>>;
    /// Those of a project by name, after `page.after`, at most `page.limit`.
    async fn rules(&mut self, project: &Project, page: &Page) -> Stored<Vec<OrDamaged<RuleRow>>>;
    /// One that names this policy, if any.
    async fn rule_with_policy(&mut self, project: &Project, policy: &Name) -> Stored<Option<RuleRow>>;
    /// Adds or replaces one; its policy is there.
    async fn put_rule(&mut self, project: &Project, rule: &VaultRule, at: UnixSeconds) -> Stored<()>;
    /// Forgets one; false when it is not there.
    async fn drop_rule(&mut self, project: &Project, name: &Name) -> Stored<bool>;
}

/// Sessions, standings and reference values.
#[async_trait]
pub trait EvidenceRows {
    /// A session of the device's that a later one followed.
    async fn past_session(&mut self, device: DeviceId, session: &[u8; 32]) -> Stored<Option<PastSession>>;
    /// A later one followed it; of all that are kept for the device, the newest so many stay.
    async fn end_session(&mut self, row: &PastSession, keep: u32) -> Stored<()>;
    /// It speaks again.
    async fn resume_session(&mut self, device: DeviceId, session: &[u8; 32]) -> Stored<()>;
    /// How many ended after a time, and since an operator settled the last alarm; but for those that ended with a boot of their TPM.
    async fn sessions_since(&mut self, device: DeviceId, after: UnixSeconds) -> Stored<u64>;
    /// An operator settled the alarm.
    async fn settle_sessions(&mut self, device: DeviceId) -> Stored<()>;
    /// What stands of a device.
    /// One that does not read is none: whoever damaged it might as well have taken it away, and the device is asked for another.
    async fn standing(&mut self, device: DeviceId) -> Stored<Option<StandingRow>>;
    /// Replaces it.
    async fn put_standing(&mut self, row: &StandingRow) -> Stored<()>;
    /// Forgets it: what comes next has nothing before it.
    async fn drop_standing(&mut self, device: DeviceId) -> Stored<()>;
    /// Asks for new evidence at the next contact.
    async fn renew_standing(&mut self, device: DeviceId) -> Stored<()>;
    /// Adds a reference value; its number, which no other had.
    async fn add_reference(&mut self, row: &ReferenceRow) -> Stored<i64>;
    /// By number, in a project.
    async fn reference(&mut self, project: &Project, id: i64) -> Stored<Option<ReferenceRow>>;
    /// Those of a device.
    /// Those that read: one that does not approves of nothing.
    async fn references_of(&mut self, device: DeviceId) -> Stored<Vec<ReferenceRow>>;
    /// The same for a list.
    async fn references_listed(&mut self, device: DeviceId) -> Stored<Vec<OrDamaged<ReferenceRow>>>;
    /// Those of a project after number `after`, at most `limit`.
    async fn references(
        &mut self,
        project: &Project,
        after: i64,
        limit: u32,
    ) -> Stored<Vec<OrDamaged<ReferenceRow>>>;
    /// Writes an operator's word on one.
    async fn judge_reference(&mut self, id: i64, state: ReferenceState, at: UnixSeconds) -> Stored<()>;
}

/// Policies and vaults.
#[async_trait]
pub trait Vaults {
    /// By name, in a project.
    async fn policy(&mut self, project: &Project, name: &str) -> Stored<Option<PolicyRow>>;
    /// Those of a project by name, after `page.after`, at most `page.limit`.
    async fn policies(&mut self, project: &Project, page: &Page) -> Stored<Vec<OrDamaged<PolicyRow>>>;
    /// Adds or replaces one.
    async fn put_policy(&mut self, row: &PolicyRow) -> Stored<()>;
    /// Removes one that no vault names.
    async fn drop_policy(&mut self, project: &Project, name: &str) -> Stored<()>;
    /// A vault that names this policy, if any.
    async fn vault_with_policy(&mut self, project: &Project, policy: &str) -> Stored<Option<VaultRow>>;
    /// One that names this policy and is not being removed, on a device with, without, or with an unknown TPM.
    async fn vault_with_policy_and_tpm(
        &mut self,
        project: &Project,
        policy: &str,
        tpm: TpmPin,
    ) -> Stored<Option<VaultRow>>;
    /// Those of a device, in the order of their identity.
    async fn vaults(&mut self, device: DeviceId) -> Stored<Vec<VaultRow>>;
    /// The same for a list.
    async fn vaults_listed(&mut self, device: DeviceId) -> Stored<Vec<OrDamaged<VaultRow>>>;
    /// By identity.
    async fn vault(&mut self, device: DeviceId, id: VaultId) -> Stored<Option<VaultRow>>;
    /// By name, of those not gone.
    async fn vault_by_name(&mut self, device: DeviceId, name: &Name) -> Stored<Option<VaultRow>>;
    /// Of all devices of a project, after (device, vault), at most `limit`.
    async fn all_vaults(
        &mut self,
        project: &Project,
        after: Option<(DeviceId, VaultId)>,
        limit: u32,
    ) -> Stored<Vec<OrDamaged<VaultRow>>>;
    /// Those of this identity on all devices of a project, at most `limit`: for vaults that are not every device's.
    async fn vaults_of_identity(
        &mut self,
        project: &Project,
        id: VaultId,
        limit: u32,
    ) -> Stored<Vec<OrDamaged<VaultRow>>>;
    /// The default vaults of a project that are under a policy.
    async fn defaults_under(&mut self, project: &Project, policy: &Name) -> Stored<Vec<VaultRow>>;
    /// Of a project those that name this policy, by device, at most `limit`; what is being removed, or gone, is none.
    async fn vaults_under(&mut self, project: &Project, policy: &Name, limit: u32) -> Stored<Vec<VaultRow>>;
    /// Adds one, of its device's project; [`StoreError::Taken`] when it is there, or its name is another's on that device.
    async fn add_vault(&mut self, row: &VaultRow) -> Stored<()>;
    /// It is wanted, under this policy: a grace that ran is over.
    async fn want_vault(&mut self, device: DeviceId, id: VaultId, policy: Option<&Name>) -> Stored<()>;
    /// Its grace runs until then.
    async fn begin_grace(&mut self, device: DeviceId, id: VaultId, until: UnixSeconds) -> Stored<()>;
    /// Keeps one that was removed, without an end.
    async fn retain_vault(&mut self, device: DeviceId, id: VaultId) -> Stored<()>;
    /// Gives it another name, which no other listed one of its device has.
    async fn rename_vault(&mut self, device: DeviceId, id: VaultId, name: &Name) -> Stored<()>;
    /// It is gone, under no policy, from this version of the section on.
    async fn end_grace(&mut self, device: DeviceId, id: VaultId, left_version: u64) -> Stored<()>;
    /// Whether it is to be made anew.
    async fn set_recreate(&mut self, device: DeviceId, id: VaultId, recreate: bool) -> Stored<()>;
    /// Its newest epoch, and the one published before it.
    async fn put_epochs(&mut self, device: DeviceId, id: VaultId, current: Epoch, last: Epoch) -> Stored<()>;
    /// What its node reported of it. Of what an operator says of a vault it writes the order to make it anew alone.
    async fn report_vault(&mut self, device: DeviceId, id: VaultId, said: &VaultSaid) -> Stored<()>;
    /// Forgets one, its epochs and its releases. Its name and identity are remembered as those of one that was; of a device's, the newest
    /// [`PAST_VAULTS`].
    async fn drop_vault(&mut self, device: DeviceId, id: VaultId) -> Stored<()>;
    /// Whether one of this name or identity was the device's, and was forgotten.
    async fn was_vault(&mut self, device: DeviceId, which: &Name) -> Stored<bool>;
    /// All graces that run end so much later, or earlier. An end beyond the last number stays there.
    async fn move_graces(&mut self, by_s: i64) -> Stored<()>;
    /// Those that are over, by their end, after one of them; none of a device that this database is older than.
    async fn graces_over(&mut self, now: UnixSeconds, after: Option<Grace>, limit: u32)
    -> Stored<Vec<Grace>>;
}

/// The controller's own keys, sealed; epochs; releases; tokens.
#[async_trait]
pub trait KeyRows {
    /// A value by name: incarnation and the like. These, keys and periods are the controller's own, and of no project.
    async fn meta(&mut self, name: &str) -> Stored<Option<Vec<u8>>>;
    /// Writes one.
    async fn put_meta(&mut self, name: &str, value: &[u8]) -> Stored<()>;
    /// A key of the controller's.
    async fn key(&mut self, name: &str) -> Stored<Option<KeyRow>>;
    /// Writes one.
    async fn put_key(&mut self, row: &KeyRow) -> Stored<()>;
    /// The token with this SHA-256: it says of which project whoever has it is.
    async fn token(&mut self, hash: &[u8; 32]) -> Stored<Option<TokenRow>>;
    /// Adds one; [`StoreError::Taken`] when it is there.
    async fn add_token(&mut self, row: &TokenRow) -> Stored<()>;
    /// Forgets all others of its project; how many those were.
    async fn drop_other_tokens(&mut self, project: &Project, than: &[u8; 32]) -> Stored<u64>;
    /// A period's sealed key.
    async fn period(&mut self, period: &str) -> Stored<Option<Vec<u8>>>;
    /// Adds one; [`StoreError::Taken`] when another transaction did meanwhile.
    async fn add_period(&mut self, period: &str, sealed: &[u8]) -> Stored<()>;
    /// A vault's sealed key of one epoch.
    async fn epoch(&mut self, device: DeviceId, vault: VaultId, epoch: Epoch) -> Stored<Option<EpochRow>>;
    /// The sealed keys of the newest epochs of a device's vaults, and of those that were published before them. Each is one vault's own matter.
    async fn epochs_in_use(&mut self, device: DeviceId) -> Stored<Vec<OrDamaged<EpochRow>>>;
    /// Those that were sealed before there were projects, in the order of their identity, after one of them, at most `limit`.
    async fn epochs_before_projects(
        &mut self,
        after: Option<(DeviceId, VaultId, Epoch)>,
        limit: u32,
    ) -> Stored<Vec<EpochRow>>;
    /// One of those is sealed for a project.
    async fn bind_epoch(&mut self, row: &EpochRow) -> Stored<()>;
    /// Adds one.
    async fn add_epoch(&mut self, row: &EpochRow) -> Stored<()>;
    /// Forgets all epochs and releases of a vault.
    async fn drop_epochs(&mut self, device: DeviceId, vault: VaultId) -> Stored<()>;
    /// Forgets what went out of a vault's epochs before this one, but for the newest of all that went out: by it is known under which custody its node
    /// has it.
    async fn drop_old_releases(&mut self, device: DeviceId, vault: VaultId, epoch: Epoch) -> Stored<()>;
    /// Forgets what went out of a vault's epochs before this one, all of it.
    async fn drop_releases_before(&mut self, device: DeviceId, vault: VaultId, epoch: Epoch) -> Stored<()>;
    /// What went out to a session of a device's, under a project.
    async fn releases(
        &mut self,
        project: &Project,
        device: DeviceId,
        session: &[u8; 32],
    ) -> Stored<Vec<ReleaseRow>>;
    /// What went out of a vault's keys to its device, of the epochs that are not over, under each custody to the session that got it last.
    async fn releases_of(&mut self, device: DeviceId, vault: VaultId) -> Stored<Vec<ReleaseRow>>;
    /// Keeps what goes out, in place of what went to an earlier session.
    async fn put_release(&mut self, row: &ReleaseRow) -> Stored<()>;
}
