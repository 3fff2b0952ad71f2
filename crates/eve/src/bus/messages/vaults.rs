//! The vaults, and what vaultmgr is asked about them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use vault::ids::{Name, SectionVersion, VaultId};
use vault::report::VaultReport;
use vault::section::Seal;
use vault::wanted::Head;

/// The vaults (vaultmgr).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct VaultStatus {
    /// Each.
    pub vaults: Vec<VaultReport>,
    /// The newest section that was accepted.
    pub accepted: Option<SectionVersion>,
    /// The section that the next one is to follow; none while the record of sections was not read.
    pub head: Option<Head>,
    /// What the TPM's share of each is sealed to; none where no TPM has a part in the key. Vaults of which that is not known are left out.
    pub seals: BTreeMap<VaultId, Option<Seal>>,
    /// What holds for all of them.
    pub notes: Vec<String>,
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

/// vaultmgr: accept the controller of this root in place of the one that was accepted before.
#[derive(Debug, Serialize, Deserialize)]
pub struct AcceptController {
    /// SHA-256 of the root certificate's DER: the one that is installed.
    pub root: [u8; 32],
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
