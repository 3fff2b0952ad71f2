//! What follows from the two roots of a generation that lie in the TPM's NV (KO-2): volume storage keys and the table's key.
//! VSK, volume storage key, is EVE's word. Pure; a root is an argument, read by tpmmgr, and is never written anywhere else.

use std::convert::Infallible;

use aws_lc_rs::constant_time::verify_slices_are_equal;

use crate::custody::derive;
use crate::secret::{EscrowKey, RootSecret, TableKey, VolumeKey};
use crate::section::Seal;

/// `T_g`: readable by this TPM in any state.
#[derive(Debug)]
pub struct TpmRoot(pub RootSecret);

/// `P_g`: readable by this TPM in the measured state.
#[derive(Debug)]
pub struct PcrsRoot(pub RootSecret);

/// The volume storage key of one TPM policy; it carries which.
#[derive(Debug)]
pub struct Vsk {
    seal: Seal,
    key: VolumeKey,
}

impl Vsk {
    /// The TPM policy that its shares lie under.
    #[must_use]
    pub fn seal(&self) -> Seal {
        self.seal
    }
    /// Whether it is the same one. In constant time.
    #[must_use]
    pub fn is(&self, other: &Self) -> bool {
        let [own, its] = [self, other].map(|vsk| vsk.key.expose_volume_key());
        self.seal == other.seal && verify_slices_are_equal(own, its).is_ok()
    }
    /// Its key.
    #[must_use]
    pub(crate) fn key(&self) -> &VolumeKey {
        &self.key
    }
}

impl TpmRoot {
    /// VSK(tpm) = HKDF-SHA-256(no salt, `T_g`, "vsk tpm").
    #[must_use]
    pub fn vsk(&self) -> Vsk {
        let Ok(key) = VolumeKey::init(|out| self.fill(b"vsk tpm", out));
        Vsk { seal: Seal::Tpm, key }
    }

    /// The key that authenticates the share table: HKDF-SHA-256(no salt, `T_g`, "table").
    #[must_use]
    pub fn table_key(&self) -> TableKey {
        let Ok(key) = TableKey::init(|out| self.fill(b"table", out));
        key
    }

    /// W_g, the key of the generation's escrow: HKDF-SHA-256(no salt, `T_g`, "escrow").
    #[must_use]
    pub fn escrow_key(&self) -> EscrowKey {
        let Ok(key) = EscrowKey::init(|out| self.fill(b"escrow", out));
        key
    }

    fn fill(&self, info: &[u8], out: &mut [u8; 32]) -> Result<(), Infallible> {
        derive(&[], self.0.expose_root_secret(), &[info], out);
        Ok(())
    }
}

impl PcrsRoot {
    /// VSK(pcrs) = `P_g` itself.
    #[must_use]
    pub fn vsk(&self) -> Vsk {
        Vsk { seal: Seal::Pcrs, key: VolumeKey::copied_from(self.0.expose_root_secret()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// KO-2: known answers, computed by an independent implementation.
    #[test]
    fn ko2_known_answers() {
        let root = TpmRoot(RootSecret::copied_from(&[7; 32]));
        let hex = |bytes: &[u8; 32]| bytes.iter().map(|b| format!("{b:02x}")).collect::<String>();
        assert_eq!(
            hex(root.vsk().key().expose_volume_key()),
            "6ebd09c5f91943f5b461e3cd6f2362c6daa06aa8e2bbdffd14c8ba83a33a9a89"
        );
        assert_eq!(
            hex(root.table_key().expose_table_key()),
            "f32703237ccb9df06e053cf86efc817859e7b34b0e17aca670362410a16cbc7f"
        );
        let pcrs = PcrsRoot(RootSecret::copied_from(&[9; 32])).vsk();
        assert_eq!((pcrs.seal(), pcrs.key().expose_volume_key()), (Seal::Pcrs, &[9; 32]));
    }
}
