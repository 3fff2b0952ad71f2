//! A vault in a new life of its controller's database, which was put back from a copy. Nobody knows what was said of it after that copy was made.

use super::{Gone, Life, Listed, Phase};

/// The version of the first section of a new life.
const FIRST: u64 = 1;

impl Phase {
    /// What was removed, or was being removed, is retained until an operator says anew what becomes of it: erased it would be gone for good, and
    /// active its key would go out before anybody said so.
    #[must_use]
    pub fn begun_anew(self) -> Self {
        match self {
            Self::Wanted => Self::Wanted,
            Self::Grace { .. } | Self::Retained => Self::Retained,
        }
    }
}

impl Life {
    /// With its keys, and with nothing that its node said or was ordered.
    #[must_use]
    pub fn begun_anew(self) -> Self {
        match self {
            Self::Listed(vault) => Self::Listed(Listed {
                phase: vault.phase.begun_anew(),
                recreate: false,
                taken: None,
                said: None,
                ..vault
            }),
            Self::Gone(gone) => Self::Gone(Gone { left: FIRST, ..gone }),
        }
    }
}
