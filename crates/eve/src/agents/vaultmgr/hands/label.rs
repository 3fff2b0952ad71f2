//! The name that our protectors bear in fscrypt's metadata: `eve-vault <uuid> e<epoch>`, epoch 0 for no controller's key.
//! A hint for people and plans, believed only once a key opened what it names.

use vault::condition::Hint;
use vault::custody::Wrapping;
use vault::ids::{Epoch, VaultId};

/// The name for a wrapping.
pub(crate) fn write(vault: VaultId, wrapping: Wrapping) -> String {
    format!("eve-vault {vault} e{}", wrapping.epoch().map_or(0, |epoch| epoch.0))
}

/// Reads a name of ours; it has exactly one form.
pub(crate) fn read(name: &str) -> Option<(VaultId, Hint)> {
    let (vault, epoch) = name.strip_prefix("eve-vault ")?.split_once(" e")?;
    let (vault, number) = (vault.parse::<VaultId>().ok()?, epoch.parse::<u64>().ok()?);
    let hint = if number == 0 { Hint::NoEpoch } else { Hint::Epoch(Epoch(number)) };
    (name == format!("eve-vault {vault} e{number}")).then_some((vault, hint))
}

/// What the name of one vault's protector hints at.
pub(crate) fn hint(name: &str, vault: VaultId) -> Hint {
    read(name).filter(|(of, _)| *of == vault).map_or(Hint::Unknown, |(_, hint)| hint)
}

#[cfg(test)]
mod tests {
    use super::*;
    use vault::ids::{CONFIG_VAULT, IMAGE_VAULT};
    use vault::section::Seal;

    #[test]
    fn a_name_reads_back_and_has_one_form() {
        for (wrapping, expected) in [
            (Wrapping::Tpm(Seal::Pcrs), Hint::NoEpoch),
            (Wrapping::Controller(Epoch(1)), Hint::Epoch(Epoch(1))),
            (Wrapping::Both(Seal::Tpm, Epoch(u64::MAX)), Hint::Epoch(Epoch(u64::MAX))),
        ] {
            assert_eq!(read(&write(CONFIG_VAULT, wrapping)), Some((CONFIG_VAULT, expected)));
        }
        let good = write(CONFIG_VAULT, Wrapping::Both(Seal::Tpm, Epoch(7)));
        for bad in ["", "eve-vault", &good.to_uppercase(), &good.replace("e7", "e07"), &format!("{good} ")] {
            assert_eq!(read(bad), None, "{bad}");
        }
        assert_eq!(hint(&good, IMAGE_VAULT), Hint::Unknown, "another vault's");
    }
}
