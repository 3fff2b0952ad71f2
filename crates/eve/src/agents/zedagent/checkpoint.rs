//! The checkpoint: the last signed answer with a vault section, and the certificates to verify it with, in the Config Vault.

use std::fs;
use std::io::{ErrorKind, Read};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use anyhow::bail;
use disk::Disk;
use vault::ids::CONFIG_VAULT;
use vault::report::State;

use super::Zedagent;
use crate::bus::messages::{Bytes, SignedConfig, Source};
use crate::http::MAX_ANSWER;
use crate::paths;

impl Zedagent<'_> {
    /// Reads it once the Config Vault is open, and writes what came since.
    ///
    /// # Errors
    /// The walls around this process are older than the Config Vault: its next life is let in.
    pub(super) fn checkpoint(&mut self) -> anyhow::Result<()> {
        let open =
            self.vaults.vaults.iter().any(|vault| vault.id == CONFIG_VAULT && vault.state == State::Unlocked);
        let folder = paths::checkpoint(&self.root);
        if !open || !self.config_vault.let_in(&self.root, &folder)? {
            return Ok(());
        }
        if !self.checkpoint_read {
            self.checkpoint_read = true;
            // What the controller has said in this session counts for more.
            let said = self.unsaved.is_some() || !self.config_hash.is_empty();
            load(&folder).filter(|_| !said).iter().for_each(|signed| self.bus.publish(signed));
        }
        let Some(signed) = self.unsaved.take() else { return Ok(()) };
        if let Err(error) = save(&folder, &signed) {
            tracing::warn!(%error, "the checkpoint was not written");
            self.unsaved = Some(signed);
        }
        Ok(())
    }
}

/// The directory of the Config Vault as it was before the walls were built; landlock knows this one and no other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::agents) struct Known(Option<(u64, u64)>);

impl Known {
    pub(in crate::agents) fn look(root: &Path) -> Self {
        let place = paths::checkpoint(root).parent().and_then(|vault| fs::metadata(vault).ok());
        Self(place.map(|meta| (meta.dev(), meta.ino())))
    }

    /// Whether the folder can be used. One that may not be opened though nothing was exchanged is another's fault, and no reason
    /// to leave the controller alone.
    fn let_in(self, root: &Path, folder: &Path) -> anyhow::Result<bool> {
        match fs::File::open(folder) {
            Err(error) if error.kind() == ErrorKind::PermissionDenied && Self::look(root) != self => {
                bail!("the Config Vault is newer than this process's walls: starting anew, to be let in")
            }
            opened => Ok(opened.is_ok()),
        }
    }
}

fn load(folder: &Path) -> Option<SignedConfig> {
    let envelope = bounded(&folder.join("lastconfig"))?;
    let certs = bounded(&folder.join("controllercerts"))?;
    Some(SignedConfig { source: Source::Checkpoint, envelope: Bytes(envelope), certs: Bytes(certs) })
}

/// A file of a checkpoint, if it is no longer than the answers that are taken from the network.
fn bounded(path: &Path) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    fs::File::open(path).ok()?.take(MAX_ANSWER + 1).read_to_end(&mut bytes).ok()?;
    (bytes.len() as u64 <= MAX_ANSWER).then_some(bytes)
}

fn save(folder: &Path, signed: &SignedConfig) -> Result<(), disk::Error> {
    let folder = Disk::linux().folder(folder)?;
    folder.write("controllercerts", &signed.certs.0, 0o600)?;
    folder.write("lastconfig", &signed.envelope.0, 0o600)
}
