//! The vaults, and what vaultmgr is asked about them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use vault::escrow::drill::DrillAnswer;
use vault::ids::{Generation, Name, SectionVersion, VaultId};
use vault::lease::SinceBoot;
pub use vault::ordered::Hope;
use vault::report::VaultReport;
use vault::section::Seal;
use vault::wanted::{Head, OrderedAt};

use crate::bus::{BusRecoveryKey, Change};

/// The vaults (vaultmgr).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct VaultStatus {
    /// Each.
    pub vaults: Vec<VaultReport>,
    /// The newest section that was accepted.
    pub accepted: Option<SectionVersion>,
    /// The section that the next one is to follow; none while the record of sections was not read.
    pub head: Option<Head>,
    /// Where the newest orders to lock that hold stand in the device's history.
    #[serde(default)]
    pub ordered: Option<OrderedAt>,
    /// What the TPM's share of each is sealed to; none where no TPM has a part in the key. Vaults of which that is not known are left out.
    pub seals: BTreeMap<VaultId, Option<Seal>>,
    /// The generation of the TPM's roots and of the share table that is in force, while that is open.
    #[serde(default)]
    pub generation: Option<Generation>,
    /// Until when the leases last that vaults have.
    #[serde(default)]
    pub leases: BTreeMap<VaultId, SinceBoot>,
    /// How the last drill of the escrow went, in this life.
    #[serde(default)]
    pub drill: Option<DrillAnswer>,
    /// What holds for all of them.
    pub notes: Vec<String>,
    /// The disk that they lie on is not there; the notes say what to do.
    pub disk_away: bool,
    /// What the controller said last did not count in full: it is to be asked to say all again.
    #[serde(default)]
    pub unheard: bool,
    /// SHA-256 of the root certificate of the controller that the node belongs to, as far as that is known.
    #[serde(default)]
    pub root: Option<[u8; 32]>,
}

/// What is new of some vaults. All else that is told of the node's vaults is as it was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VaultChange {
    /// Those, each as it is now. None of them is new.
    pub vaults: Vec<VaultReport>,
    /// What the TPM's share of each is sealed to; none: that is not known.
    pub seals: BTreeMap<VaultId, Option<Option<Seal>>>,
}

impl VaultChange {
    /// Whether it would change this.
    #[must_use]
    pub fn is_new_to(&self, status: &VaultStatus) -> bool {
        let known = |report| status.vaults.contains(report);
        let same = |(id, seal): (&VaultId, &Option<Option<Seal>>)| status.seals.get(id) == seal.as_ref();
        !(self.vaults.iter().all(known) && self.seals.iter().all(same))
    }
}

impl Change<VaultStatus> for VaultChange {
    fn change(self, status: &mut VaultStatus) {
        for report in self.vaults {
            status
                .vaults
                .iter_mut()
                .find(|before| before.id == report.id)
                .into_iter()
                .for_each(|before| *before = report.clone());
        }
        for (id, seal) in self.seals {
            match seal {
                Some(seal) => drop(status.seals.insert(id, seal)),
                None => drop(status.seals.remove(&id)),
            }
        }
    }
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

/// vaultmgr: open a vault by its recovery key.
#[derive(Debug, Serialize, Deserialize)]
pub struct Recover {
    /// Which.
    pub id: VaultId,
    /// The key, as it came out of the age file.
    pub key: BusRecoveryKey,
}

/// vaultmgr: make a missing vault anew, empty.
#[derive(Debug, Serialize, Deserialize)]
pub struct Recreate {
    /// Which.
    pub id: VaultId,
    /// Its name, as root typed it.
    pub name: Name,
    /// What becomes of that which a bundle in escrow may bring back.
    pub hope: Hope,
}

/// vaultmgr: the status of every vault.
#[derive(Debug, Serialize, Deserialize)]
pub struct Vaults;

#[cfg(test)]
mod tests {
    use vault::report::{By, Opened, State};
    use vault::section::Operation;

    use super::*;

    /// The bus carries fields by their place: one that is left out takes the next one's.
    #[test]
    fn a_status_is_read_as_it_was_written_whatever_is_not_known_of_it() {
        for opened in [None, Some(Opened { by: By::Both })] {
            let report = VaultReport {
                id: vault::ids::IMAGE_VAULT,
                name: "image".parse().expect("a name"),
                state: State::Locked,
                created: true,
                epoch: None,
                wanted: Operation::Unlock,
                last: None,
                opened,
                storage: None,
                change_due: false,
                holds_escrow_up: false,
                under_anothers_key: false,
                behind_in_escrow: None,
                ordered_locked: false,
                detail: vec!["locked".to_owned()],
            };
            let status = VaultStatus { vaults: vec![report], ..VaultStatus::default() };
            let sent = postcard::to_allocvec(&status).expect("encodes");
            assert_eq!(postcard::from_bytes::<VaultStatus>(&sent).expect("decodes"), status);
        }
    }
}
