//! Notes: what no answer to a device depends on, so that writing it ends nothing that is kept in memory ([`super::changes`]). What is not
//! here can't be written as one: this type has the transaction to itself.

use vault::ids::{DeviceId, Project};

use super::{KeyRow, Scope, Stored, TokenRow, Tx, UnixSeconds};

/// What a body of notes has to itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Noted {
    /// When devices were heard.
    Heard,
    /// Operators' tokens.
    Operators,
    /// The time that the controller has seen.
    Clock,
}

impl From<Noted> for Scope {
    fn from(noted: Noted) -> Self {
        match noted {
            Noted::Heard => Self::Heard,
            Noted::Operators => Self::Operators,
            Noted::Clock => Self::Clock,
        }
    }
}

/// A transaction of notes.
pub struct Notes<'t, 'e>(&'t mut (dyn Tx + 'e));

impl<'t, 'e> Notes<'t, 'e> {
    /// Those within a transaction of more.
    pub fn of(tx: &'t mut (dyn Tx + 'e)) -> Self {
        Self(tx)
    }

    /// A device was heard at a time, if it is there and was not heard later.
    ///
    /// # Errors
    /// The engine's, as of all that follow.
    pub async fn heard_device(&mut self, id: DeviceId, at: UnixSeconds) -> Stored<()> {
        self.0.heard_device(id, at).await
    }

    /// A key of the controller's.
    ///
    /// # Errors
    /// The engine's.
    pub async fn key(&mut self, name: &str) -> Stored<Option<KeyRow>> {
        self.0.key(name).await
    }

    /// The token with this SHA-256.
    ///
    /// # Errors
    /// The engine's.
    pub async fn token(&mut self, hash: &[u8; 32]) -> Stored<Option<TokenRow>> {
        self.0.token(hash).await
    }

    /// Adds one.
    ///
    /// # Errors
    /// [`super::StoreError::Taken`], and the engine's.
    pub async fn add_token(&mut self, row: &TokenRow) -> Stored<()> {
        self.0.add_token(row).await
    }

    /// Forgets all others of its project; how many those were.
    ///
    /// # Errors
    /// The engine's.
    pub async fn drop_other_tokens(&mut self, project: &Project, than: &[u8; 32]) -> Stored<u64> {
        self.0.drop_other_tokens(project, than).await
    }

    /// Remembers a time.
    ///
    /// # Errors
    /// The engine's.
    pub async fn put_time(&mut self, which: Time, at: UnixSeconds) -> Stored<()> {
        self.0.put_meta(which.name(), &at.to_be_bytes()).await
    }
}

/// A time that is remembered over restarts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Time {
    /// The newest that was believed.
    Seen,
    /// What the clock showed last.
    Shown,
}

impl Time {
    /// In the store.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Seen => "time seen",
            Self::Shown => "time shown",
        }
    }
}
