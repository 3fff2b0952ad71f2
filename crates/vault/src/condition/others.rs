//! What opens a vault beside our own protector: told to people, never opened, and never a reason to do anything to the vault.

use std::fmt;

/// What opens a vault beside our own protector, by its kind: how many there are. Counted from what the metadata says of itself, so
/// these are hints for people, and never a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Others {
    /// Passphrases of their own.
    pub passphrases: u16,
    /// Login passphrases.
    pub logins: u16,
    /// Key files.
    pub key_files: u16,
    /// Named as ours, of a kind that this program has no key for, or one that it has and that no key of ours opened.
    pub named_ours: u16,
    /// Of which nothing more is here.
    pub unknown: u16,
}

impl Others {
    /// How many.
    #[must_use]
    pub fn count(self) -> u32 {
        let Self { passphrases, logins, key_files, named_ours, unknown } = self;
        [passphrases, logins, key_files, named_ours, unknown].into_iter().map(u32::from).sum()
    }

    /// At least those that either of two copies has: each copy opens the vault.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self {
            passphrases: self.passphrases.max(other.passphrases),
            logins: self.logins.max(other.logins),
            key_files: self.key_files.max(other.key_files),
            named_ours: self.named_ours.max(other.named_ours),
            unknown: self.unknown.max(other.unknown),
        }
    }
}

impl fmt::Display for Others {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kinds = [
            (self.passphrases, "with a passphrase"),
            (self.logins, "with a login passphrase"),
            (self.key_files, "with a key file"),
            (self.named_ours, "named as ours"),
            (self.unknown, "of an unknown kind"),
        ];
        let named = kinds.into_iter().filter(|(count, _)| *count > 0);
        let named: Vec<_> = named.map(|(count, kind)| format!("{count} {kind}")).collect();
        f.write_str(&named.join(", "))
    }
}
