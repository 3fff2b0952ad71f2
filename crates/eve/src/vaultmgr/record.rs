//! What vaultmgr keeps in the Config Vault: the newest accepted section as it was signed, and what earlier ones listed.
//! The one file is replaced whole. The section in it is verified anew at each start: encryption at rest is not authentication.

use std::io;

use serde::{Deserialize, Serialize};
use vault::plan::Record;

use super::durable;
use super::paths::Paths;

/// A section of a thousand vaults with its certificates is far below this.
const MAX_BYTES: usize = 4 << 20;

/// The record and the signed section it came from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Stored {
    /// Newest version, and what was listed.
    pub(crate) record: Record,
    /// The signed answer, as received.
    pub(crate) envelope: Vec<u8>,
    /// The controller's certificates, as received.
    pub(crate) certs: Vec<u8>,
    /// The controller's root that was accepted at first contact.
    pub(crate) root: [u8; 32],
}

/// Why the record was not read. Nothing is deleted meanwhile.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RecordError {
    /// The file.
    #[error("reading the record of accepted sections")]
    Read(#[source] io::Error),
    /// Its bytes.
    #[error("the record of accepted sections is damaged")]
    Damaged(#[source] postcard::Error),
}

/// Reads it; nothing when no section was ever accepted. The Config Vault must be open.
pub(crate) fn load(paths: &Paths) -> Result<Option<Stored>, RecordError> {
    let Some(bytes) = durable::read(&paths.record(), MAX_BYTES).map_err(RecordError::Read)? else {
        return Ok(None);
    };
    postcard::from_bytes(&bytes).map(Some).map_err(RecordError::Damaged)
}

/// Writes it, durably. The Config Vault must be open.
pub(crate) fn save(paths: &Paths, stored: &Stored) -> io::Result<()> {
    let bytes = postcard::to_allocvec(stored).map_err(io::Error::other)?;
    if bytes.len() > MAX_BYTES {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    Ok(paths.disk().write(&paths.record(), &bytes, 0o600)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;
    use vault::ids::{DeviceId, Incarnation, SectionVersion, VaultId};
    use vault::plan::Accepted;

    #[test]
    fn what_is_saved_is_loaded_and_damage_is_told_from_absence() {
        let dir = tempfile::tempdir().expect("a directory");
        let paths = Paths::new(dir.path());
        assert_eq!(load(&paths).expect("absent"), None);
        std::fs::create_dir_all(paths.own_folder()).expect("makes");
        let listed = BTreeMap::from([(VaultId(uuid::Uuid::nil()), "berlin".parse().expect("a name"))]);
        let version = SectionVersion { incarnation: Incarnation([1; 16]), version: 7 };
        let accepted = Accepted { device: DeviceId(uuid::Uuid::nil()), version, superseded: Vec::new() };
        let record = Record { accepted, listed, removed: BTreeMap::new() };
        let stored = Stored { record, envelope: vec![1], certs: vec![2], root: [3; 32] };
        save(&paths, &stored).expect("saves");
        assert_eq!(load(&paths).expect("loads"), Some(stored));
        std::fs::write(paths.record(), [0xff; 9]).expect("writes");
        assert!(matches!(load(&paths), Err(RecordError::Damaged(_))));
    }
}
