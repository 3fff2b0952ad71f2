//! The names that our protectors bear in fscrypt's metadata: `eve-vault <uuid> [<kind>] e<epoch>[-<mark>]`, epoch 0 for no controller's key;
//! the mark tells the key from another of that number, and is not in names of before. The
//! primary one, which `R` wraps, has no word for its kind; the recovery one has `recovery-<recipients>-<age file>`, the beginnings of two SHA-256: of the first 16 bytes, or 6 in names of before. A hint for people and plans, believed only once a key opened what it names.

use vault::condition::{Hint, RecoveryHint};
use vault::custody::EpochMark;
use vault::ids::{Epoch, VaultId};
use vault::recovery::RecipientsDigest;

/// Longest word for a kind, bytes.
const MAX_KIND: usize = 64;
/// Of a damaged name at most so many bits are others: a byte's. Two vaults' names differ in some sixty.
const MOST_BITS: u32 = 8;

/// Which of a vault's protectors of ours. A kind that follows is a variant here, with its word in [`Kind::read`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// `R` of its custody wraps it.
    Primary,
    /// A key that is encrypted to the operator's recipients wraps it.
    Recovery(RecoveryName),
    /// A word that this program has no key for: a later one's.
    Unknown,
}

impl Kind {
    /// A word is of lower-case letters, digits and hyphens, and begins with a letter.
    fn read(word: Option<&str>, hint: Hint) -> Option<Self> {
        let Some(word) = word else { return Some(Self::Primary) };
        let fine = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        let first = word.as_bytes().first().is_some_and(u8::is_ascii_lowercase);
        let is_word = first && word.len() <= MAX_KIND && word.bytes().all(fine);
        is_word.then(|| RecoveryName::read(word, hint).map_or(Self::Unknown, Self::Recovery))
    }
}

/// What the name of a recovery protector says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RecoveryName {
    pub(crate) hint: RecoveryHint,
    /// Of the age file that its key is in.
    pub(crate) sum: [u8; 5],
}

impl RecoveryName {
    fn read(word: &str, hint: Hint) -> Option<Self> {
        let (recipients, sum) = word.strip_prefix("recovery-")?.split_once('-')?;
        let mut of_file = [0; 5];
        hex::decode_to_slice(sum, &mut of_file).ok()?;
        let recipients = read_recipients(recipients)?;
        Some(Self { hint: RecoveryHint { recipients, epoch: hint.epoch() }, sum: of_file })
    }
}

fn read_recipients(text: &str) -> Option<RecipientsDigest> {
    let bytes = hex::decode(text).ok()?;
    let whole = bytes.as_slice().try_into().map(RecipientsDigest::Whole);
    whole.or_else(|_| bytes.as_slice().try_into().map(RecipientsDigest::Short)).ok()
}

/// What a name of ours says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Label {
    pub(crate) vault: VaultId,
    pub(crate) kind: Kind,
    pub(crate) hint: Hint,
}

/// The name of the primary protector. A hint that says nothing has none.
pub(crate) fn write(vault: VaultId, hint: Hint) -> String {
    format!("eve-vault {vault} e{}", written(hint))
}

fn written(hint: Hint) -> String {
    let number = hint.epoch().map_or(0, |epoch| epoch.0);
    match hint {
        Hint::Key(_, mark) => format!("{number}-{}", hex::encode(mark.0)),
        Hint::NoEpoch | Hint::Epoch(_) | Hint::Unknown => number.to_string(),
    }
}

fn read_hint(text: &str) -> Option<Hint> {
    let (number, mark) = text.split_once('-').map_or((text, None), |(number, mark)| (number, Some(mark)));
    let epoch = Epoch(number.parse().ok()?);
    let Some(mark) = mark else { return Some(if epoch.0 == 0 { Hint::NoEpoch } else { Hint::Epoch(epoch) }) };
    let mut bytes = [0; 16];
    hex::decode_to_slice(mark, &mut bytes).ok()?;
    (epoch.0 > 0).then_some(Hint::Key(epoch, EpochMark(bytes)))
}

/// The name of a recovery protector.
pub(crate) fn write_recovery(vault: VaultId, RecoveryName { hint, sum }: RecoveryName) -> String {
    let (recipients, sum) = (hex::encode(hint.recipients.bytes()), hex::encode(sum));
    format!("eve-vault {vault} recovery-{recipients}-{sum} e{}", hint.epoch.map_or(0, |epoch| epoch.0))
}

/// Reads a name of ours; it has exactly one form.
pub(crate) fn read(name: &str) -> Option<Label> {
    let (rest, epoch) = name.strip_prefix("eve-vault ")?.rsplit_once(" e")?;
    let (vault, word) = rest.split_once(' ').map_or((rest, None), |(vault, word)| (vault, Some(word)));
    let (vault, hint) = (vault.parse::<VaultId>().ok()?, read_hint(epoch)?);
    let kind = Kind::read(word, hint)?;
    let word = word.map(|word| format!(" {word}")).unwrap_or_default();
    (name == format!("eve-vault {vault}{word} e{}", written(hint))).then_some(Label { vault, kind, hint })
}

/// Whether a name begins as this vault's do, but for a few bits: nothing authenticates it.
pub(crate) fn resembles(name: &str, vault: VaultId) -> bool {
    let ours = format!("eve-vault {vault} ").into_bytes();
    let Some(begin) = name.as_bytes().get(..ours.len()) else { return false };
    let bits: u32 = begin.iter().zip(&ours).map(|(is, was)| (is ^ was).count_ones()).sum();
    bits <= MOST_BITS
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

    #[test]
    fn a_name_reads_back_and_has_one_form() {
        let mark = EpochMark([0xa5; 16]);
        for hint in [
            Hint::NoEpoch,
            Hint::Epoch(Epoch(1)),
            Hint::Epoch(Epoch(u64::MAX)),
            Hint::Key(Epoch(1), mark),
            Hint::Key(Epoch(u64::MAX), mark),
        ] {
            let label = Label { vault: CONFIG_VAULT, kind: Kind::Primary, hint };
            assert_eq!(read(&write(CONFIG_VAULT, hint)), Some(label));
        }
        let before = "eve-vault 6e2f2b4a-0000-4000-8000-000000000001 e7";
        assert_eq!(read(before).map(|label| label.hint), Some(Hint::Epoch(Epoch(7))), "a name of before");
        let good = write(CONFIG_VAULT, Hint::Epoch(Epoch(7)));
        let marked = write(CONFIG_VAULT, Hint::Key(Epoch(7), mark));
        for bad in ["", "eve-vault", &good.to_uppercase(), &good.replace("e7", "e07"), &format!("{good} ")] {
            assert_eq!(read(bad), None, "{bad}");
        }
        let (none, upper, short) =
            (marked.replace("e7", "e0"), marked.replace("a5a5", "A5a5"), &marked[..marked.len() - 2]);
        for bad in [none.as_str(), &upper, short, &format!("{good}-"), &format!("{marked}-a5")] {
            assert_eq!(read(bad), None, "{bad}");
        }
        assert_eq!(hint(&good, IMAGE_VAULT), Hint::Unknown, "another vault's");
    }

    /// Of a recovery protector too; a name of before, with six bytes of its recipients, reads as it was.
    #[test]
    fn a_recovery_protectors_name_reads_back() {
        let of = [RecipientsDigest::Whole([0xa5; 16]), RecipientsDigest::Short([0xa5; 6])];
        for (epoch, recipients) in
            [None, Some(Epoch(7))].into_iter().flat_map(|epoch| of.map(|of| (epoch, of)))
        {
            let hint = RecoveryHint { recipients, epoch };
            let name = RecoveryName { hint, sum: [0x5a; 5] };
            let text = write_recovery(CONFIG_VAULT, name);
            assert_eq!(kind(&text, CONFIG_VAULT), Some(Kind::Recovery(name)), "{text}");
            assert_eq!(kind(&text.replace("a5a5", "A5a5"), CONFIG_VAULT), None, "one form");
        }
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
