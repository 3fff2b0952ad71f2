//! The checkpoint: the last signed answer with a configuration, and the certificates to verify it with, in the Config Vault.

use std::fs;
use std::io::{Read, Write};
use std::path::Path;

use vault::ids::CONFIG_VAULT;
use vault::report::State;

use super::Zedagent;
use crate::bus::messages::{Bytes, SignedConfig, Source};
use crate::http::MAX_ANSWER;
use crate::paths;

impl Zedagent<'_> {
    /// Reads it once the Config Vault is open, and writes what came since.
    pub(super) fn checkpoint(&mut self) {
        let open =
            self.vaults.vaults.iter().any(|vault| vault.id == CONFIG_VAULT && vault.state == State::Unlocked);
        let folder = paths::checkpoint(&self.root);
        if !open || !folder.is_dir() {
            return;
        }
        if !self.checkpoint_read {
            self.checkpoint_read = true;
            if let (None, Some(signed)) = (&self.unsaved, load(&folder)) {
                self.bus.publish(&signed);
            }
        }
        let Some(signed) = self.unsaved.take() else { return };
        if let Err(error) = save(&folder, &signed) {
            tracing::warn!(%error, "the checkpoint was not written");
            self.unsaved = Some(signed);
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

fn save(folder: &Path, signed: &SignedConfig) -> std::io::Result<()> {
    replace(folder, "controllercerts", &signed.certs.0)?;
    replace(folder, "lastconfig", &signed.envelope.0)
}

fn replace(folder: &Path, name: &str, bytes: &[u8]) -> std::io::Result<()> {
    let new = folder.join(format!("{name}.new"));
    let mut file = fs::File::create(&new)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(new, folder.join(name))?;
    fs::File::open(folder)?.sync_all()
}
