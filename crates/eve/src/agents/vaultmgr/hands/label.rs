//! The names that our protectors bear in fscrypt's metadata: `eve-vault <uuid> [<kind>] e<epoch>`, epoch 0 for no controller's key. The
//! primary one, which `R` wraps, has no word for its kind. A hint for people and plans, believed only once a key opened what it names.

use vault::condition::Hint;
use vault::custody::Wrapping;
use vault::ids::{Epoch, VaultId};

/// Longest word for a kind, bytes.
const MAX_KIND: usize = 32;

/// Which of a vault's protectors of ours. A kind that follows is a variant here, with its word in [`Kind::read`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// `R` of its custody wraps it.
    Primary,
    /// A word that this program has no key for: a later one's.
    Unknown,
}

impl Kind {
    /// A word is of lower-case letters, digits and hyphens, and begins with a letter.
    fn read(word: Option<&str>) -> Option<Self> {
        let Some(word) = word else { return Some(Self::Primary) };
        let fine = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        let first = word.as_bytes().first().is_some_and(u8::is_ascii_lowercase);
        (first && word.len() <= MAX_KIND && word.bytes().all(fine)).then_some(Self::Unknown)
    }
}

/// What a name of ours says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Label {
    pub(crate) vault: VaultId,
    pub(crate) kind: Kind,
    pub(crate) hint: Hint,
}

/// The name of the primary protector under a wrapping.
pub(crate) fn write(vault: VaultId, wrapping: Wrapping) -> String {
    format!("eve-vault {vault} e{}", wrapping.epoch().map_or(0, |epoch| epoch.0))
}

/// Reads a name of ours; it has exactly one form.
pub(crate) fn read(name: &str) -> Option<Label> {
    let (rest, epoch) = name.strip_prefix("eve-vault ")?.rsplit_once(" e")?;
    let (vault, word) = rest.split_once(' ').map_or((rest, None), |(vault, word)| (vault, Some(word)));
    let (vault, number) = (vault.parse::<VaultId>().ok()?, epoch.parse::<u64>().ok()?);
    let hint = if number == 0 { Hint::NoEpoch } else { Hint::Epoch(Epoch(number)) };
    let kind = Kind::read(word)?;
    let word = word.map(|word| format!(" {word}")).unwrap_or_default();
    (name == format!("eve-vault {vault}{word} e{number}")).then_some(Label { vault, kind, hint })
}

/// Which protector of one vault's a name is.
pub(crate) fn kind(name: &str, vault: VaultId) -> Option<Kind> {
    read(name).filter(|label| label.vault == vault).map(|label| label.kind)
}

/// What the name of one vault's protector hints at.
pub(crate) fn hint(name: &str, vault: VaultId) -> Hint {
    read(name).filter(|label| label.vault == vault).map_or(Hint::Unknown, |label| label.hint)
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
            let label = Label { vault: CONFIG_VAULT, kind: Kind::Primary, hint: expected };
            assert_eq!(read(&write(CONFIG_VAULT, wrapping)), Some(label));
        }
        let good = write(CONFIG_VAULT, Wrapping::Both(Seal::Tpm, Epoch(7)));
        for bad in ["", "eve-vault", &good.to_uppercase(), &good.replace("e7", "e07"), &format!("{good} ")] {
            assert_eq!(read(bad), None, "{bad}");
        }
        assert_eq!(hint(&good, IMAGE_VAULT), Hint::Unknown, "another vault's");
    }

    /// A kind of a later version is known for ours, and for none that this one has a key for. The program of before takes it for
    /// somebody else's.
    #[test]
    fn a_word_names_a_kind() {
        let named = |word: &str| format!("eve-vault {CONFIG_VAULT} {word} e3");
        for word in ["recovery", "e3", "escrow-2", "a", &"k".repeat(MAX_KIND)] {
            let label = Label { vault: CONFIG_VAULT, kind: Kind::Unknown, hint: Hint::Epoch(Epoch(3)) };
            assert_eq!(read(&named(word)), Some(label), "{word}");
            assert_eq!(
                (kind(&named(word), CONFIG_VAULT), kind(&named(word), IMAGE_VAULT)),
                (Some(Kind::Unknown), None)
            );
        }
        for bad in ["", " ", "Recovery", "2nd", "-a", "two words", "a_b", "é", &"k".repeat(MAX_KIND + 1)] {
            assert_eq!(read(&named(bad)), None, "{bad}");
        }
    }
}
