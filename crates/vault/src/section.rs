//! The vault section: what the controller tells one session of one node about its vaults (IF-1, VC-1..VC-7).
//! Checked types; their bytes on the wire are in the `wire` crate. Holds sealed keys only.

use std::fmt;

use attest::SessionKey;
use serde::{Deserialize, Serialize};

use crate::cause::Cause;
use crate::ids::{DeviceId, DeviceKey, Epoch, Name, SectionDigest, SectionVersion, VaultId};
use crate::lease::{Lease, LeaseNonce};
use crate::recovery::Recipients;
use crate::space::StorageLimit;

/// Who holds the key of a vault (UC-E).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Custody {
    /// A share sealed in the node's TPM (KO-2).
    Tpm,
    /// The controller's key alone.
    Controller,
    /// Both: no local secret alone opens it (KO-3).
    #[serde(rename = "tpm+controller")]
    TpmAndController,
}

impl Custody {
    /// Whether a share in the TPM is part of the key.
    #[must_use]
    pub fn needs_tpm(self) -> bool {
        self != Self::Controller
    }
    /// Whether a key of the controller's is part of the key.
    #[must_use]
    pub fn needs_controller(self) -> bool {
        self != Self::Tpm
    }
}

/// Under which TPM policy the TPM's share lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Seal {
    /// This TPM in any state.
    Tpm,
    /// This TPM in the measured state.
    Pcrs,
}

impl Seal {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Tpm, Self::Pcrs];
}

/// One of something for each TPM policy: while a vault changes from one to the other it has a share under both.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct BySeal<T> {
    /// Of [`Seal::Tpm`].
    pub tpm: T,
    /// Of [`Seal::Pcrs`].
    pub pcrs: T,
}

impl<T: Copy> BySeal<T> {
    /// Asks for each.
    pub fn each(of: impl Fn(Seal) -> T) -> Self {
        Self { tpm: of(Seal::Tpm), pcrs: of(Seal::Pcrs) }
    }
    /// That of one.
    #[must_use]
    pub fn of(&self, seal: Seal) -> T {
        match seal {
            Seal::Tpm => self.tpm,
            Seal::Pcrs => self.pcrs,
        }
    }
    /// All of them.
    #[must_use]
    pub fn all(&self) -> [T; 2] {
        Seal::ALL.map(|seal| self.of(seal))
    }
}

/// How contents and file names are encrypted: kernel fscrypt modes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Encryption {
    /// AES-256-XTS contents, AES-256-CTS file names.
    #[serde(rename = "aes-256-xts")]
    Aes256Xts,
    /// Adiantum for both, for processors without AES instructions.
    #[serde(rename = "adiantum")]
    Adiantum,
}

/// As documents name it.
impl fmt::Display for Encryption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Aes256Xts => "aes-256-xts",
            Self::Adiantum => "adiantum",
        })
    }
}

/// What the operator wants done with the vault (VC-2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Operation {
    /// Keep it open.
    Unlock,
    /// Keep it locked.
    Lock,
    /// Open it and take the current epoch; sent until the node reports that epoch.
    ChangeKey,
}

/// The part of a vault's policy that the node carries out. The schedule of rotation is not told (VC-5).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodePolicy {
    /// Modes of its fscrypt policy; fixed once made.
    pub encryption: Encryption,
    /// Who holds the key.
    pub custody: Custody,
    /// Under which TPM policy; without meaning for custody `controller`.
    pub seal: Seal,
    /// How long it stays open without a new word of the controller's; none: for as long as nobody locks it. Not for default vaults.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease: Option<Lease>,
    /// To whom its recovery key is encrypted; none: it has no recovery key.
    #[serde(default, skip_serializing_if = "Recipients::is_none")]
    pub recovery: Recipients,
    /// The most that it may take on its node's disk. Not for the Config Vault.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage_limit: Option<StorageLimit>,
}

/// One controller key, sealed to the session (RFC 9180). Opaque here: `wire` seals and opens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SealedKey {
    /// The epoch inside, also bound as associated data.
    pub epoch: Epoch,
    /// HPKE encapsulated key.
    pub enc: Vec<u8>,
    /// Which message it is of those that `enc` begins, from 0.
    #[serde(default)]
    pub number: u32,
    /// HPKE ciphertext.
    pub ciphertext: Vec<u8>,
}

/// What the controller gives of its keys for one vault.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub enum Release {
    /// The custody asks for no key of the controller's.
    NotNeeded,
    /// The current key and the last published one; the same when there was no rotation (VC-3).
    Keys {
        /// The current one.
        current: SealedKey,
        /// The one published before it.
        last: SealedKey,
    },
    /// No key now; the vault is left as it is.
    Withheld {
        /// Coarse, for the node's status; the operator sees it in full.
        reason: Cause,
    },
}

/// Whether the vault is to stay.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Presence {
    /// Wanted.
    Active,
    /// Its grace runs: locked, kept, listed until the grace ends.
    Removing,
    /// Removed, and kept without an end: locked, listed until it is wanted again (KO-7).
    Retained,
}

/// One vault of the section.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Entry {
    /// Its identity.
    pub id: VaultId,
    /// Its user's name for it.
    pub name: Name,
    /// What the node carries out.
    pub policy: NodePolicy,
    /// Lock, unlock or change key.
    pub operation: Operation,
    /// Whether it stays.
    pub standing: Presence,
    /// The controller has seen it made: something absent is `missing`, never made anew.
    pub created: bool,
    /// An operator's order to make a missing vault anew, empty.
    pub recreate: bool,
    /// The controller's keys, or why not.
    pub release: Release,
}

impl Entry {
    /// Whether neither its operator nor its removal wants it locked.
    #[must_use]
    pub fn is_wanted_open(&self) -> bool {
        self.operation != Operation::Lock && self.standing == Presence::Active
    }
}

/// The whole section. Present, even empty, it is the authoritative list of user vaults (IF-5).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Section {
    /// The device it was signed for, as the controller knows it.
    pub device: DeviceId,
    /// That device's key. By this, and by nothing that another agent says, a node knows that the section is for it.
    pub device_key: DeviceKey,
    /// The session it was made for: one life of vaultmgr.
    pub session: SessionKey,
    /// Its place in the device's history.
    pub version: SectionVersion,
    /// The section before it that the node had accepted, as the node told. None: the controller knows of none.
    pub follows: Option<SectionDigest>,
    /// The vaults. At most [`MAX_VAULTS`], no identity twice.
    pub vaults: Vec<Entry>,
    /// Vaults that an operator had removed and whose grace is over: the node deletes these, and nothing else that is absent.
    /// At most [`MAX_VAULTS`], none of them listed.
    pub removed: Vec<VaultId>,
    /// The node's question that this renews the leases by; none where no vault has one to be renewed.
    pub lease: Option<LeaseNonce>,
}

/// Most vaults of one node.
pub const MAX_VAULTS: usize = 1024;
/// Most orders of one answer.
pub const MAX_ORDERS: usize = 1024;
