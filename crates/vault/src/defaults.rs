//! The two default vaults (DF-1 to DF-4): which they are, in which order they are taken, what they are called, and their policy
//! when nobody changed it. Said here once, for both programs.
//!
//! Without a policy of the operator's a default vault has custody `tpm` and seal `tpm`. On a node without a TPM it has custody
//! `controller`: there it waits for first contact, and nothing falls back to plaintext.

use std::collections::BTreeSet;

use crate::ids::{CONFIG_VAULT, IMAGE_VAULT, Name, VaultId};
use crate::recovery::Recipients;
use crate::section::{Custody, Encryption, NodePolicy, Seal};
use crate::wanted::nameless;

/// Both, with the names that operators know them by. The Config Vault first: the record of sections lies in it.
pub const DEFAULT_VAULTS: [(VaultId, &str); 2] = [(CONFIG_VAULT, "config"), (IMAGE_VAULT, "image")];

/// The default vault of this name.
#[must_use]
pub fn named(name: &Name) -> Option<VaultId> {
    DEFAULT_VAULTS.into_iter().find(|(_, of)| *of == name.as_str()).map(|(id, _)| id)
}

/// The name of a default vault.
#[must_use]
pub fn name(id: VaultId) -> Option<Name> {
    let (_, name) = DEFAULT_VAULTS.into_iter().find(|(of, _)| *of == id)?;
    Some(name.parse().expect("letters are a name"))
}

/// The name of a vault that somebody calls so. None but a default vault goes by its name, whoever gave it to another: an order would be about either.
#[must_use]
pub fn called(id: VaultId, name: Name) -> Name {
    if named(&name).is_none_or(|of| of == id) { name } else { nameless(id) }
}

/// The TPM's share alone, in any state (KO-2); on a node without a TPM the controller's key, at first contact (DF-3).
#[must_use]
pub fn policy(has_tpm: bool) -> NodePolicy {
    let custody = if has_tpm { Custody::Tpm } else { Custody::Controller };
    NodePolicy {
        encryption: Encryption::Aes256Xts,
        custody,
        seal: Seal::Tpm,
        lease: None,
        recovery: Recipients::NONE,
        storage_limit: None,
    }
}

/// The order in which a node takes its vaults: the default ones, whether named or not, then the others by identity.
#[must_use]
pub fn first(ids: impl Iterator<Item = VaultId>) -> Vec<VaultId> {
    let others: BTreeSet<VaultId> = ids.filter(|id| !id.is_default()).collect();
    DEFAULT_VAULTS.into_iter().map(|(id, _)| id).chain(others).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// DF-1, DF-2: names and identities belong together both ways, and a user's vault has no such name.
    #[test]
    fn df1_names_and_identities_belong_together() {
        for (id, text) in DEFAULT_VAULTS {
            assert_eq!(name(id).map(String::from).as_deref(), Some(text));
            assert_eq!(named(&text.parse().expect("a name")), Some(id));
            assert!(id.is_default());
        }
        assert_eq!(named(&"payments".parse().expect("a name")), None);
        assert_eq!(name(VaultId(uuid::Uuid::from_u128(5))), None);
    }

    /// A vault that another controller, or a list of before, calls `config` is known by its UUID.
    #[test]
    fn no_other_vault_goes_by_the_name_of_a_default_one() {
        let user = VaultId(uuid::Uuid::from_u128(5));
        for (id, text) in DEFAULT_VAULTS {
            let name: Name = text.parse().expect("a name");
            assert_eq!(called(id, name.clone()), name);
            assert_eq!(called(user, name).as_str(), user.to_string());
        }
        let own: Name = "payments".parse().expect("a name");
        assert_eq!(called(user, own.clone()), own);
    }

    /// AC-6: the Config Vault comes first, for the record in it decides about the rest.
    #[test]
    fn ac6_default_vaults_come_first_and_once() {
        let user = VaultId(uuid::Uuid::from_u128(5));
        assert_eq!(first([user, IMAGE_VAULT, user].into_iter()), [CONFIG_VAULT, IMAGE_VAULT, user]);
    }
}
