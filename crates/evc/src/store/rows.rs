//! Rows of the store as checked types.

use serde::{Deserialize, Serialize};
use vault::decide::TpmPin;
use vault::escrow::drill::Drills;
use vault::ids::{DeviceId, Epoch, Name, Project, VaultId};
use vault::labels::Labels;
use vault::ledger::{Ledger, Mark};
use vault::life::Phase;
use vault::policy::{VaultPolicy, VaultRule};
use vault::report::VaultReport;

use super::HeldBundle;
use super::UnixSeconds;
use super::damaged::VaultRemains;
use super::found::Alarm;
use super::kept::{DeviceReport, Fared, Pcrs, Record};
use super::told::NodeWord;

/// Which part of a list: at most `limit` after the name `after`.
#[derive(Debug, Clone)]
pub struct Page {
    /// Names after this one; empty for the first.
    pub after: String,
    /// At most so many.
    pub limit: u32,
}

impl Page {
    /// The first one.
    #[must_use]
    pub fn first(limit: u32) -> Self {
        Self { after: String::new(), limit }
    }
}

/// A certificate and serial that may register.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OnboardRow {
    /// The project that the device comes into.
    pub project: Project,
    /// SHA-256 of the certificate's DER.
    pub cert_digest: [u8; 32],
    /// The serial, or `*` for any.
    pub serial: String,
    /// The certificate.
    pub cert_der: Vec<u8>,
    /// The name that the device will have.
    pub name: Option<Name>,
    /// The labels that the device will have.
    pub labels: Labels,
    /// When it was allowed.
    pub added_at: UnixSeconds,
    /// The device that used it.
    pub device: Option<DeviceId>,
    /// Who registers by it gets back what is kept of the deleted device that it was.
    pub give_back: bool,
}

/// A device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceRow {
    /// Its identity.
    pub id: DeviceId,
    /// Its project; it stays.
    pub project: Project,
    /// Its name.
    pub name: Name,
    /// What an operator sorts it by.
    pub labels: Labels,
    /// SHA-256 of its certificate's DER.
    pub cert_digest: [u8; 32],
    /// Its certificate.
    pub cert_der: Vec<u8>,
    /// SHA-256 of its key's SubjectPublicKeyInfo; none: a device of before has the same key, or its certificate does not read.
    pub key: Option<[u8; 32]>,
    /// The serial it registered with.
    pub serial: String,
    /// SHA-256 of the certificate under whose allowance for any serial it came in.
    pub let_in_by: Option<[u8; 32]>,
    /// Whether it has a TPM.
    pub tpm: TpmPin,
    /// Its next good quote is learned as a reference value.
    pub learn: bool,
    /// When it registered.
    pub registered_at: UnixSeconds,
    /// When it was last heard: any verified request, written at most once a minute.
    pub last_seen: Option<UnixSeconds>,
    /// When it last gave what nobody can send again: good evidence, or a report of the session whose evidence stands.
    pub proved_at: Option<UnixSeconds>,
    /// How many challenges it has answered: nonces that were given to it before the last of those are void.
    pub answered: u64,
    /// The version of its vault section.
    pub section_version: u64,
    /// What that version says, hashed.
    pub section_digest: Option<[u8; 32]>,
    /// The chain of its sections.
    pub ledger: Ledger,
    /// How it showed that this database is older than it.
    pub older: Option<Mark>,
    /// What it last reported of itself.
    pub report: NodeWord<DeviceReport>,
    /// How its last evidence fared.
    pub verdict: NodeWord<Fared>,
    /// An operator said that it is lost: nothing is released to it.
    pub lost_at: Option<UnixSeconds>,
    /// What was seen of it that one device does not do, until an operator settles it.
    pub alarm: Option<Alarm>,
    /// The newest report: its session, and its number in it.
    pub reported: Option<([u8; 32], u64)>,
    /// The newest bundle that it sent: its session, and its number in it.
    pub uploaded: Option<([u8; 32], u64)>,
    /// Its newest escrow bundle.
    pub held: Option<HeldBundle>,
    /// Its drills.
    pub drills: NodeWord<Drills>,
    /// Since when it sends a bundle for which there is no room.
    pub no_room_at: Option<UnixSeconds>,
}

/// A vault of each device with some labels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleRow {
    /// Its project.
    pub project: Project,
    /// Itself.
    pub rule: VaultRule,
    /// When it was changed.
    pub changed_at: UnixSeconds,
}

/// A device that an operator removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemovedRow {
    /// SHA-256 of its certificate's DER.
    pub cert_digest: [u8; 32],
    /// SHA-256 of its key's SubjectPublicKeyInfo.
    pub key: [u8; 32],
    /// Its name.
    pub name: Name,
    /// Its serial, by which it may come back; none: removed before that was kept.
    pub serial: Option<String>,
    /// When.
    pub removed_at: UnixSeconds,
    /// An operator had said that it is lost, and it is when it comes again.
    pub lost_at: Option<UnixSeconds>,
    /// What was seen of it that one device does not do, and nobody had settled.
    pub alarm: Option<Alarm>,
}

/// A certificate that a device uploaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertRow {
    /// Whose.
    pub device: DeviceId,
    /// Type of eve-api's `ZCertType`: 11 quote key, 12 EK, 13 ECDH.
    pub kind: i32,
    /// The certificate as it came.
    pub pem: Vec<u8>,
    /// The TPM public area that came beside it.
    pub public: Option<Vec<u8>>,
    /// When it was pinned.
    pub added_at: UnixSeconds,
}

/// A session that a later one followed: one life of vaultmgr that is over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PastSession {
    /// Whose.
    pub device: DeviceId,
    /// The session's public key.
    pub session: [u8; 32],
    /// When the later one gave evidence.
    pub ended_at: UnixSeconds,
    /// An operator settled an alarm since.
    pub settled: bool,
    /// The later one quoted the same TPM after a boot: its reset count went up.
    pub booted: bool,
}

/// What stands of a device's session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StandingRow {
    /// Whose.
    pub device: DeviceId,
    /// The session's public key.
    pub session: [u8; 32],
    /// When the evidence was appraised.
    pub at: UnixSeconds,
    /// New evidence is wanted before its time.
    pub renew: bool,
    /// What the device showed.
    pub record: Record,
}

/// All that an answer to a device depends on, beside its own row.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Around {
    /// Its vaults, in the order of their identity.
    pub vaults: Vec<VaultRow>,
    /// Those whose rows do not read.
    pub damaged: Vec<VaultRemains>,
    /// The policies that they name, but those that do not read.
    pub policies: Vec<PolicyRow>,
    /// What stands of its session.
    pub standing: Option<StandingRow>,
    /// Its certificates.
    pub certs: Vec<CertRow>,
    /// Its reference values.
    pub references: Vec<ReferenceRow>,
}

/// A policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyRow {
    /// Its project.
    pub project: Project,
    /// Itself, with its name.
    pub policy: VaultPolicy,
    /// When it last changed.
    pub changed_at: UnixSeconds,
}

/// Whether a vault is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum VaultStanding {
    /// Wanted.
    Active,
    /// Its grace runs: listed, locked, kept.
    Removing,
    /// Removed, and kept without an end: listed, locked.
    Retained,
    /// Left the list; the node has yet to say that it erased it. Its keys are gone here.
    Gone,
}

impl VaultStanding {
    /// Of a vault that is listed, and when its grace ends.
    #[must_use]
    pub fn of(phase: Phase) -> (Self, Option<UnixSeconds>) {
        match phase {
            Phase::Wanted => (Self::Active, None),
            Phase::Grace { until } => (Self::Removing, Some(until)),
            Phase::Retained => (Self::Retained, None),
        }
    }
}

/// A vault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VaultRow {
    /// Its device's project.
    pub project: Project,
    /// Its device.
    pub device: DeviceId,
    /// Its identity.
    pub id: VaultId,
    /// Its name.
    pub name: Name,
    /// Its policy, of the same project; none for a default vault that no operator changed.
    pub policy: Option<Name>,
    /// Whether it is wanted.
    pub standing: VaultStanding,
    /// When its grace ends.
    pub delete_at: Option<UnixSeconds>,
    /// The first version of the section that does not list it.
    pub left_version: Option<u64>,
    /// The node reported it made.
    pub created: bool,
    /// An operator ordered to make it anew.
    pub recreate: bool,
    /// The newest epoch.
    pub current_epoch: Epoch,
    /// The one published before it.
    pub last_epoch: Epoch,
    /// The epoch that the node's protector is wrapped under, as it reported.
    pub reported_epoch: Option<Epoch>,
    /// The node's last report of it.
    pub report: NodeWord<VaultReport>,
    /// When that came first; the device's report says since when it was repeated.
    pub reported_at: Option<UnixSeconds>,
    /// When it was added.
    pub added_at: UnixSeconds,
    /// Taken in while it was open: the epoch of the key of another's that its node had it under.
    pub others_epoch: Option<Epoch>,
}

/// A vault's grace, in the order of its end. No more of the row: whatever else is wrong in it is its own matter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Grace {
    /// When it ends.
    pub until: UnixSeconds,
    /// The vault's device.
    pub device: DeviceId,
    /// The vault.
    pub vault: VaultId,
}

/// What a node reported of a vault, and what follows from it by `vault::life`: read, decided and written in one transaction of its device's
/// scope, so that no act of an operator's comes between.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VaultSaid {
    /// It was made, then or before.
    pub created: bool,
    /// It is ordered to be made anew, and was not since.
    pub recreate: bool,
    /// The epoch that the node's protector is wrapped under.
    pub epoch: Option<Epoch>,
    /// The report.
    pub report: VaultReport,
    /// When it came.
    pub at: UnixSeconds,
}

/// What an operator said of a reference value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ReferenceState {
    /// Nothing yet: it lets nothing pass.
    Pending,
    /// Good.
    Approved,
    /// Not good.
    Rejected,
}

/// PCR values that a device may have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReferenceRow {
    /// Its number; ignored when it is added.
    pub id: i64,
    /// Its device's project.
    pub project: Project,
    /// Whose.
    pub device: DeviceId,
    /// The values.
    pub pcrs: Pcrs,
    /// What an operator said.
    pub state: ReferenceState,
    /// When it was learned.
    pub learned_at: UnixSeconds,
    /// When an operator spoke.
    pub decided_at: Option<UnixSeconds>,
}
