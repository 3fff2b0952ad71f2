//! A volume storage key, with what it was seen to open. Whether a vault's share opens is asked at each look at the vault, and it changes with
//! the share's line in the table or with the key alone. So what was found is kept beside the key and goes with it, and counts for the very
//! line that was tried. No share is kept for it: the one that opened is wiped at once.

use std::collections::BTreeMap;
use std::ops::Deref;
use std::sync::{Mutex, PoisonError};

use vault::ids::{Generation, VaultId};
use vault::roots::Vsk;
use vault::shares::{OpenError, ShareEntry, Table};

/// The key.
#[derive(Debug)]
pub(crate) struct TriedVsk {
    vsk: Vsk,
    found: Mutex<BTreeMap<VaultId, Found>>,
}

/// What came of one line.
#[derive(Debug)]
struct Found {
    generation: Generation,
    line: ShareEntry,
    opens: Result<(), OpenError>,
}

impl From<Vsk> for TriedVsk {
    fn from(vsk: Vsk) -> Self {
        Self { vsk, found: Mutex::default() }
    }
}

impl Deref for TriedVsk {
    type Target = Vsk;

    fn deref(&self) -> &Vsk {
        &self.vsk
    }
}

impl TriedVsk {
    /// Whether the vault's share opens with it: [`Table::open`], done once for each line.
    ///
    /// # Errors
    /// As there.
    pub(super) fn opens(&self, table: &Table, vault: VaultId) -> Result<(), OpenError> {
        let line = table.entry(vault, self.seal()).ok_or(OpenError::Absent)?;
        let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(before) = found.get(&vault).filter(|found| found.is_of(table, line)) {
            return before.opens;
        }
        let opens = table.open(vault, self).map(drop);
        found.insert(vault, Found { generation: table.generation(), line: line.clone(), opens });
        opens
    }
}

impl Found {
    fn is_of(&self, table: &Table, line: &ShareEntry) -> bool {
        self.generation == table.generation() && self.line == *line
    }
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::hmac;
    use vault::condition::ShareKey;
    use vault::roots::{PcrsRoot, TpmRoot};
    use vault::secret::{RootSecret, TpmShare};
    use vault::section::Seal;
    use vault::shares::{Mark, Nonce};

    use super::*;
    use crate::agents::vaultmgr::generation::roots::{RootKeys, SlotContent, Slots};
    use crate::agents::vaultmgr::generation::shares::ShareStore;

    const ID: VaultId = VaultId(uuid::Uuid::max());

    fn key(byte: u8) -> TriedVsk {
        TpmRoot(RootSecret::copied_from(&[byte; 32])).vsk().into()
    }

    fn table(sealed_by: &Vsk) -> Table {
        let mut table = Table::new(Generation(1));
        let share = TpmShare::copied_from(&[5; 32]);
        table.add(ID, Mark::Made, sealed_by, &share, Nonce([0; 12])).expect("room");
        table
    }

    /// The same lines, in a table of the next generation.
    fn moved(table: &Table) -> Table {
        let key = TpmRoot(RootSecret::copied_from(&[9; 32])).table_key();
        let mut bytes = table.encode(&key);
        bytes[8..12].copy_from_slice(&2_u32.to_be_bytes());
        let (told, mac) = bytes.split_at_mut(table.encode(&key).len() - 32);
        let by = hmac::Key::new(hmac::HMAC_SHA256, key.expose_table_key());
        mac.copy_from_slice(hmac::sign(&by, told).as_ref());
        Table::decode(&bytes, &key).expect("authentic")
    }

    /// KO-1: what was found of one line is said of no other one that comes into its place, nor of the same one where it does not belong.
    #[test]
    fn ko1_what_a_key_opened_says_nothing_of_another_line() {
        let (own, other) = (key(1), key(2));
        let good = table(&own);
        let mut dropped = good.clone();
        dropped.remove(ID, own.seal());
        for (what, table, expected) in [
            ("its own", &good, Ok(())),
            ("sealed by another key", &table(&other), Err(OpenError::Damaged)),
            ("its own again", &good, Ok(())),
            ("dropped", &dropped, Err(OpenError::Absent)),
            ("its own in another generation", &moved(&good), Err(OpenError::Damaged)),
            ("its own once more", &good, Ok(())),
        ] {
            for time in ["first", "second"] {
                assert_eq!(own.opens(table, ID), expected, "{what}, the {time} time");
            }
        }
        assert_eq!(other.opens(&good, ID), Err(OpenError::Damaged), "another key has found nothing yet");
    }

    /// TH-5: what the root of a measured boot opened is closed with it, and another root in its place opens it no more.
    #[test]
    fn th5_what_was_found_goes_with_its_root() {
        let root = |byte| RootSecret::copied_from(&[byte; 32]);
        let (tpm, pcrs) = (TpmRoot(root(1)), PcrsRoot(root(2)));
        let keys = RootKeys::of(Generation(1), &tpm, Ok(&pcrs));
        let mut store = ShareStore::open(keys, table(&pcrs.vsk()));
        let mut reads = |read| {
            let set = Slots { generation: Generation(1), tpm: SlotContent::Root(root(1)), pcrs: read };
            store.keys.as_mut().expect("there").take_pcrs(&[set]);
            [store.keys(ID), store.keys(ID)].map(|keys| keys.of(Seal::Pcrs))
        };
        for (read, expected) in [
            (SlotContent::Root(root(2)), ShareKey::Open),
            (SlotContent::PcrsMoved(vec![4]), ShareKey::Closed),
            (SlotContent::Root(root(3)), ShareKey::Damaged),
            (SlotContent::Root(root(2)), ShareKey::Open),
            (SlotContent::Unsteady, ShareKey::Closed),
        ] {
            let what = format!("{read:?}");
            assert_eq!(reads(read), [expected; 2], "{what}");
        }
    }
}
