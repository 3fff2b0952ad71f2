//! Where a store lies: the one place that names engines. A second engine is a variant here.

use std::path::PathBuf;

use super::sqlite::{Lock, SqliteStore};
use super::{Failure, Noted, Notes, Running, Store, Stored};

/// Where a store lies.
#[derive(Debug, Clone)]
pub enum StorePlace {
    /// In a folder of its own, as a SQLite file.
    Folder(PathBuf),
}

/// A place that no other controller works on.
pub struct Claim(Lock);

impl StorePlace {
    /// Claims it for a controller. An engine that lets several work on one database has nothing to claim.
    ///
    /// # Errors
    /// [`super::StoreError::InUse`]: another controller works on it.
    pub fn claim(&self) -> Stored<Claim> {
        let Self::Folder(folder) = self;
        Lock::of(folder).map(Claim)
    }

    /// Opens what is there as it is, also beside a controller that works on it: that one is not disturbed.
    ///
    /// # Errors
    /// The engine's: it is not there, is another version's, or can't be read.
    pub async fn join(&self) -> Stored<Beside> {
        let Self::Folder(folder) = self;
        SqliteStore::join(folder).await.map(Store::over).map(Beside)
    }
}

/// A store beside a controller that works on it, which keeps in memory what it read, and is not told of what is written here. So notes are
/// all that can be: no answer of that controller depends on them.
pub struct Beside(Store);

impl Beside {
    /// As [`Store::note`].
    ///
    /// # Errors
    /// The body's, and the engine's.
    pub async fn note<'e, T, E: Failure>(
        &self,
        noted: Noted,
        body: impl for<'t> Fn(Notes<'t, 'e>) -> Running<'t, T, E>,
    ) -> Result<T, E> {
        self.0.note(noted, body).await
    }

    /// As [`Store::close`].
    pub async fn close(&self) {
        self.0.close().await;
    }
}

impl Claim {
    /// Opens the store, making it when it is not there, and brings its tables up to date. The claim ends with it.
    ///
    /// # Errors
    /// The engine's: it can't be made, read or migrated.
    pub async fn open(self) -> Stored<Store> {
        SqliteStore::open(self.0).await.map(Store::over)
    }
}
