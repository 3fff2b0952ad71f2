//! What is said on the bus. Bytes that come signed stay bytes; secrets are types that print redacted.

use std::fmt;

use attest::SessionKey;
use serde::{Deserialize, Serialize};
use vault::ids::{DeviceId, Generation, Name, SectionVersion, VaultId};
use vault::report::VaultReport;
use wire::control::{Challenge as Question, PcrMask};

use super::{Agent, BusRoot, Call, CallId, Topic, TopicId};

macro_rules! topics {
    ($($name:ident),*) => {$(
        impl Topic for $name {
            const ID: TopicId = TopicId::$name;
        }
    )*};
}
topics!(
    Agents,
    NetworkStatus,
    TpmStatus,
    Onboarded,
    SignedConfig,
    Challenge,
    ControllerStatus,
    Session,
    Evidence,
    VaultStatus
);

macro_rules! calls {
    ($($name:ident => $answer:ty),*) => {$(
        impl Call for $name {
            const ID: CallId = CallId::$name;
            type Answer = $answer;
        }
    )*};
}
calls!(
    Sign => Signed, ReadRoots => Roots, DefineRoots => (), UndefineRoots => (), Health => TpmHealth,
    UnlockVault => VaultReport, LockVault => VaultReport, Recreate => VaultReport, Vaults => VaultStatus
);

/// Signed or public bytes, printed as their length.
#[derive(Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Bytes(pub Vec<u8>);

impl fmt::Debug for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.0.len())
    }
}

/// The agents' processes (supervisor).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Agents(pub Vec<AgentLine>);

/// One agent's process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentLine {
    /// Which.
    pub agent: Agent,
    /// Its process, while it runs.
    pub pid: Option<u32>,
    /// How often it was started anew after it died.
    pub restarts: u32,
}

/// Addresses and location (nim).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetworkStatus {
    /// Interfaces that are up.
    pub ports: Vec<Port>,
    /// Where the node is, if it is told.
    pub location: Option<Location>,
}

/// One interface.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Port {
    /// Its name.
    pub name: String,
    /// Its addresses.
    pub addresses: Vec<std::net::IpAddr>,
}

/// A position and where it is known from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Location {
    /// Degrees north.
    pub latitude: f64,
    /// Degrees east.
    pub longitude: f64,
    /// `fixed`: told by the installer.
    pub source: String,
}

impl Eq for Location {}

/// The node's TPM (tpmmgr).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum TpmStatus {
    /// The node has none; its device key is in a file.
    Absent {
        /// The device key's public point, SEC 1.
        device_key: Vec<u8>,
    },
    /// It is provisioned and answers.
    Ready {
        /// PCRs 0 and 4 are not all zero.
        measured: bool,
        /// What it is.
        identity: Box<TpmIdentity>,
    },
    /// It is configured or was there, and can't be used; why, and what to do.
    Failing {
        /// The words.
        why: String,
    },
}

/// The public halves of a TPM's keys.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TpmIdentity {
    /// Device key, SEC 1 point.
    pub device_key: Vec<u8>,
    /// Attestation key, SEC 1 point.
    pub ak: Vec<u8>,
    /// Attestation key, TPMT_PUBLIC.
    pub ak_public: Bytes,
    /// ECDH key, SEC 1 point.
    pub ecdh: Vec<u8>,
    /// Endorsement key, TPMT_PUBLIC.
    pub ek_public: Bytes,
    /// Its certificate, DER, if the TPM holds one.
    pub ek_cert: Option<Bytes>,
    /// The endorsement key is not the one that the node was installed with: no roots are read or written.
    pub other_tpm: bool,
}

/// Who the device is (client).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Onboarded {
    /// Its identity, from the controller.
    pub device: DeviceId,
    /// Its certificate, PEM.
    pub device_cert: Bytes,
    /// The controller's certificates, the list as received.
    pub certs: Bytes,
}

/// Where a signed answer comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Source {
    /// The controller, just now.
    Live,
    /// The checkpoint in the Config Vault.
    Checkpoint,
}

/// The controller's whole signed answer, unchanged (zedagent).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedConfig {
    /// Where from.
    pub source: Source,
    /// The envelope.
    pub envelope: Bytes,
    /// The certificates to verify it with.
    pub certs: Bytes,
}

/// The controller's question (zedagent).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Challenge {
    /// The session that it is for.
    pub session: SessionKey,
    /// The question.
    pub question: Question,
}

/// How it goes with the controller (zedagent): for people.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ControllerStatus {
    /// The controller's address.
    pub server: String,
    /// Its last answer was good.
    pub reachable: bool,
    /// What the last exchange said.
    pub words: String,
    /// When it last answered, seconds since 1970.
    pub last_answer_unix_s: Option<u64>,
    /// The verdict on this session's evidence.
    pub attestation: Option<String>,
    /// The evidence was taken.
    pub attested: bool,
}

/// One life of vaultmgr (vaultmgr).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// Its public key.
    pub key: SessionKey,
}

/// The answer to a challenge (tpmmgr).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    /// The session that it speaks for.
    pub session: SessionKey,
    /// The challenge that it answers.
    pub nonce: [u8; 32],
    /// What the node claims: JSON, bytes as hashed.
    pub claims: Bytes,
    /// By a TPM, or by a device key in a file.
    pub proof: Proof,
}

/// What proves it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Proof {
    /// A TPM's quote.
    Quote {
        /// TPMS_ATTEST.
        attest: Bytes,
        /// DER.
        signature: Bytes,
        /// Index and value, SHA-256 bank.
        pcrs: Vec<(u8, [u8; 32])>,
    },
    /// `r || s` of the device key.
    DeviceKey(Bytes),
}

/// The vaults (vaultmgr).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct VaultStatus {
    /// Each.
    pub vaults: Vec<VaultReport>,
    /// The newest section that was accepted.
    pub accepted: Option<SectionVersion>,
    /// What holds for all of them.
    pub notes: Vec<String>,
}

/// tpmmgr: sign a payload with the device key. Evidence is refused.
#[derive(Debug, Serialize, Deserialize)]
pub struct Sign {
    /// What is hashed and signed.
    pub payload: Bytes,
}

/// A signature, `r || s`.
#[derive(Debug, Serialize, Deserialize)]
pub struct Signed {
    /// 64 bytes.
    pub signature: Bytes,
}

/// tpmmgr: read all roots.
#[derive(Debug, Serialize, Deserialize)]
pub struct ReadRoots;

/// All roots of this TPM.
#[derive(Debug, Serialize, Deserialize)]
pub struct Roots {
    /// Both slot sets, those that are absent altogether left out.
    pub sets: Vec<RootSet>,
}

/// The roots of one generation.
#[derive(Debug, Serialize, Deserialize)]
pub struct RootSet {
    /// Which they say they are; where no root reads, the lowest that has its place there (1 or 2).
    pub generation: Generation,
    /// `T_g`.
    pub tpm: RootSlot,
    /// `P_g`.
    pub pcrs: RootSlot,
}

/// One slot.
#[derive(Debug, Serialize, Deserialize)]
pub enum RootSlot {
    /// Its root.
    Root(BusRoot),
    /// Not defined.
    Absent,
    /// Defined, never written.
    Unwritten,
    /// Readable under other PCRs only.
    PcrsMoved,
    /// Not what we write.
    Damaged,
}

/// tpmmgr: define, write and read back a generation's roots.
#[derive(Debug, Serialize, Deserialize)]
pub struct DefineRoots {
    /// Which.
    pub generation: Generation,
    /// `T_g`.
    pub tpm: BusRoot,
    /// `P_g`.
    pub pcrs: BusRoot,
    /// Which PCRs, in their present state, guard `P_g`; none: EVE's sealing set.
    pub selection: Option<PcrMask>,
}

/// tpmmgr: undefine a generation's roots.
#[derive(Debug, Serialize, Deserialize)]
pub struct UndefineRoots {
    /// Which.
    pub generation: Generation,
}

/// tpmmgr: how the TPM is.
#[derive(Debug, Serialize, Deserialize)]
pub struct Health;

/// How the TPM is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TpmHealth {
    /// Dictionary-attack lockout is on.
    pub in_lockout: bool,
    /// Failed authorisations counted.
    pub lockout_counter: Option<u32>,
    /// Persistent objects that still fit.
    pub persistent_free: Option<u32>,
    /// Sessions that still fit.
    pub sessions_free: Option<u32>,
    /// Commands that were sent for roots and all else since tpmmgr opened it, as name and count.
    pub commands: String,
}

/// vaultmgr: open a vault.
#[derive(Debug, Serialize, Deserialize)]
pub struct UnlockVault {
    /// Which.
    pub id: VaultId,
}

/// vaultmgr: close a vault.
#[derive(Debug, Serialize, Deserialize)]
pub struct LockVault {
    /// Which.
    pub id: VaultId,
}

/// vaultmgr: make a missing vault anew, empty.
#[derive(Debug, Serialize, Deserialize)]
pub struct Recreate {
    /// Which.
    pub id: VaultId,
    /// Its name, as root typed it twice.
    pub name: Name,
}

/// vaultmgr: the status of every vault.
#[derive(Debug, Serialize, Deserialize)]
pub struct Vaults;
