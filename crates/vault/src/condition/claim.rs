//! Whose a key is: key files that name it may have been copied, and their names changed, so that several vaults name the same one.

use super::Seen;

/// How sure it is that the key which a vault's key files or its directory name is that vault's. The first that tells two apart decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct KeyClaim {
    /// It was proved, or the vault has a share, which is authentic.
    proved: bool,
    /// Its directory stands under it.
    directory: bool,
    /// The vault is listed.
    listed: bool,
}

impl KeyClaim {
    /// Of a vault, of which its own protector is at hand or not, and which is listed or not. Nothing seen: none.
    #[must_use]
    pub fn of(seen: &Seen, protector: bool, listed: bool) -> Self {
        Self { proved: protector || seen.has_share(), directory: seen.is_vault(), listed }
    }

    /// Whether the key counts for another: for one vault alone, and of equal claims for each.
    #[must_use]
    pub fn yields(self, others: impl IntoIterator<Item = Self>) -> bool {
        others.into_iter().any(|other| other > self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::condition::Dir;
    use crate::section::{BySeal, Encryption};
    use crate::shares::Mark;

    /// TH-1: a copy of another vault's key files makes the key not its own; a proof is more than a directory, and that is more than a name in a list.
    #[test]
    fn a_key_counts_for_the_vault_of_the_better_claim() {
        let dir = Seen { dir: Dir::Vault(Encryption::Aes256Xts), ..Seen::default() };
        let share = Seen { shares: BySeal { tpm: Some(Mark::Begun), pcrs: None }, ..Seen::default() };
        let rising = [
            KeyClaim::of(&Seen::default(), false, false),
            KeyClaim::of(&Seen::default(), false, true),
            KeyClaim::of(&dir, false, false),
            KeyClaim::of(&dir, false, true),
            KeyClaim::of(&share, false, false),
            KeyClaim::of(&dir, true, true),
        ];
        for (at, own) in rising.into_iter().enumerate() {
            for (other_at, other) in rising.into_iter().enumerate() {
                assert_eq!(own.yields([other]), other_at > at, "{own:?} beside {other:?}");
            }
        }
        assert!(rising[0].yields(rising) && !rising[0].yields([]));
        assert_eq!(KeyClaim::of(&share, false, true), KeyClaim::of(&share, true, true), "a share is a proof");
    }
}
