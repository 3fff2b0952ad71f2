//! Which vaults name which content key, by their key files or by their directory: kept in step with what is seen of them, so that whoever else
//! names a key is found without looking at all.

use std::collections::BTreeSet;

use vault::ids::VaultId;

use crate::agents::vaultmgr::hands::crypt::KeyId;

/// Each key with the vaults that name it.
#[derive(Debug, Default)]
pub(crate) struct Naming(BTreeSet<(KeyId, VaultId)>);

impl Naming {
    /// All vaults that name the key, in order.
    pub(crate) fn of(&self, key: KeyId) -> impl Iterator<Item = VaultId> + '_ {
        let (first, last) = (VaultId(uuid::Uuid::nil()), VaultId(uuid::Uuid::max()));
        self.0.range((key, first)..=(key, last)).map(|(_, id)| *id)
    }

    /// A vault names another key than before, or none.
    pub(super) fn change(&mut self, id: VaultId, before: Option<KeyId>, now: Option<KeyId>) {
        if before != now {
            if let Some(key) = before {
                self.0.remove(&(key, id));
            }
            self.0.extend(now.map(|key| (key, id)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_names_a_key_is_found_by_it_and_nobody_else() {
        let [a, b, c] = [1, 2, 3].map(|n| VaultId(uuid::Uuid::from_u128(n)));
        let [key, other] = [1, 2].map(|byte| KeyId([byte; 16]));
        let of = |naming: &Naming, key| naming.of(key).collect::<Vec<_>>();
        let mut naming = Naming::default();
        naming.change(c, None, Some(key));
        naming.change(a, None, Some(key));
        naming.change(b, None, Some(other));
        assert_eq!((of(&naming, key), of(&naming, other)), (vec![a, c], vec![b]));
        naming.change(a, Some(key), Some(other));
        naming.change(c, Some(key), None);
        assert_eq!((of(&naming, key), of(&naming, other)), (vec![], vec![a, b]));
    }
}
