//! The checkpoint: the last signed answer with a vault section, and the certificates to verify it with, in the Config Vault.

use std::fs;
use std::io::{ErrorKind, Read};
use std::path::Path;

use disk::Disk;
use vault::ids::CONFIG_VAULT;
use vault::report::State;

use super::Zedagent;
use crate::agents::ended::{self, StartsAnew};
use crate::bus::messages::{Bytes, SignedConfig, Source};
use crate::http::{ConfigFile, MAX_ANSWER};
use crate::paths;

impl Zedagent<'_> {
    /// Reads it once the Config Vault is open, and writes what came since.
    ///
    /// # Errors
    /// The walls around this process are older than the Config Vault: its next life is let in.
    pub(super) fn checkpoint(&mut self) -> Result<(), StartsAnew> {
        let open =
            self.vaults.vaults.iter().any(|vault| vault.id == CONFIG_VAULT && vault.state == State::Unlocked);
        let folder = paths::checkpoint(&self.root);
        if !open || !self.walls.let_in(&self.root, &folder)? {
            return Ok(());
        }
        if !self.checkpoint_read {
            self.checkpoint_read = true;
            // What the controller has said in this session counts for more.
            let said = self.unsaved.is_some() || !self.config_hash.is_empty();
            load(&folder).filter(|_| !said).iter().for_each(|signed| self.bus.publish(signed));
        }
        let Some(signed) = self.unsaved.take() else { return Ok(()) };
        if let Err(error) = save(&self.disk, &folder, &signed) {
            tracing::warn!(%error, "the checkpoint was not written");
            self.unsaved = Some(signed);
        }
        Ok(())
    }
}

/// The directory of the Config Vault, and the files in `config/`, as they were before the walls were built.
#[derive(Debug, Clone, Copy)]
pub(in crate::agents) struct BeforeWalls {
    config_vault: ended::FileIdentity,
    config: [ended::FileIdentity; 3],
}

impl BeforeWalls {
    pub(in crate::agents) fn look(root: &Path) -> Self {
        Self {
            config_vault: ended::FileIdentity::look(&config_vault(root)),
            config: ConfigFile::ALL.map(|file| ended::FileIdentity::look(&file.path(root))),
        }
    }

    /// Whether the folder can be used. One that may not be opened though nothing was exchanged is another's fault, and no reason
    /// to leave the controller alone.
    fn let_in(&self, root: &Path, folder: &Path) -> Result<bool, StartsAnew> {
        match fs::File::open(folder) {
            Err(error)
                if error.kind() == ErrorKind::PermissionDenied
                    && self.config_vault.is_outdated(&config_vault(root)) =>
            {
                Err(StartsAnew::ConfigVault)
            }
            opened => Ok(opened.is_ok()),
        }
    }

    /// Of a file that may not be read: whether that is for these walls alone.
    pub(super) fn know_config(&self, root: &Path, file: ConfigFile) -> Result<(), StartsAnew> {
        let known = self.config.iter().zip(ConfigFile::ALL).find(|(_, one)| *one == file);
        match known {
            Some((known, _)) if known.is_outdated(&file.path(root)) => Err(StartsAnew::Config(file.name())),
            _ => Ok(()),
        }
    }
}

fn config_vault(root: &Path) -> std::path::PathBuf {
    root.join("persist/config")
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

fn save(disk: &Disk, folder: &Path, signed: &SignedConfig) -> Result<(), disk::Error> {
    let folder = disk.folder(folder)?;
    folder.write("controllercerts", &signed.certs.0, 0o600)?;
    folder.write("lastconfig", &signed.envelope.0, 0o600)
}

#[cfg(test)]
mod tests {
    use disk::faulty::{Fault, Faults, Faulty};

    use super::*;

    fn said(answer: u8) -> SignedConfig {
        let (envelope, certs) = (Bytes(vec![answer; 300]), Bytes(vec![answer; 200]));
        SignedConfig { source: Source::Checkpoint, envelope, certs }
    }

    /// DF-1, invariant 5: cut at any operation, the checkpoint has the answer before or the new one, whole, and the new one never without the
    /// certificates that came with it. A full disk is told, and keeps no less.
    #[test]
    fn a_checkpoint_that_is_cut_has_one_answer_or_the_other() {
        for fault in Fault::ALL {
            let cut = |nth: &usize| {
                let (dir, faults) = (tempfile::tempdir().expect("a directory"), Faults::default());
                let disk = Disk::through(Faulty::linux(&faults));
                save(&disk, dir.path(), &said(1)).expect("saves");
                let mut ended = Ok(());
                let met = faults.during(fault, *nth, || ended = save(&disk, dir.path(), &said(2)));
                assert_eq!(met && fault.is_told(), ended.is_err(), "{fault:?} at {nth}: {ended:?}");
                let kept = load(dir.path()).expect("an answer");
                let whole = |of: fn(SignedConfig) -> Bytes| [1, 2].map(|n| of(said(n)) == of(kept.clone()));
                let (envelope, certs) = (whole(|it| it.envelope), whole(|it| it.certs));
                assert!(certs[1] || envelope[0] && certs[0], "{fault:?} at {nth}: {kept:?}");
                assert!(envelope.contains(&true), "{fault:?} at {nth}: {kept:?}");
                save(&disk, dir.path(), &said(2)).expect("saves");
                assert_eq!(load(dir.path()), Some(said(2)), "{fault:?} at {nth}");
                met
            };
            let operations = (0..100).find(|nth| !cut(nth)).expect("it comes to an end");
            assert!(operations > 1, "{fault:?}: nothing was cut");
        }
    }
}
