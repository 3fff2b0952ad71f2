//! The controller's keys released to this session, opened, in locked memory: exactly those of the section in force.

use std::collections::HashMap;

use vault::custody::{EpochMark, epoch_mark};
use vault::ids::{DeviceId, Epoch, VaultId};
use vault::secret::ControllerKey;
use vault::section::{Entry, Release, SealedKey, Section};
use wire::release::{OpenError, Opener, Purpose, SessionSecret};

/// The keys, by vault. At most two a vault (VC-3).
#[derive(Debug, Default)]
pub(crate) struct Ring {
    keys: HashMap<VaultId, Released>,
}

#[derive(Debug)]
struct Released {
    current: Opened,
    last: Option<Opened>,
}

/// One key. What tells it from another is derived once, and goes with it.
#[derive(Debug)]
struct Opened {
    epoch: Epoch,
    mark: EpochMark,
    key: ControllerKey,
}

impl Ring {
    /// Opens all keys of a section. One that does not open is told, and is not there.
    pub(crate) fn open(section: &Section, session: &SessionSecret) -> (Self, Vec<(VaultId, OpenError)>) {
        let (mut ring, mut errors, mut opener) = (Self::default(), Vec::new(), Opener::of(session));
        for entry in &section.vaults {
            match released(entry, section.device, &mut opener) {
                Ok(Some(keys)) => drop(ring.keys.insert(entry.id, keys)),
                Ok(None) => {}
                Err(error) => errors.push((entry.id, error)),
            }
        }
        (ring, errors)
    }

    /// Drops those of a vault; whether there were any.
    pub(crate) fn forget(&mut self, vault: VaultId) -> bool {
        self.keys.remove(&vault).is_some()
    }

    /// The current epoch and the one before, as far as they are here.
    pub(crate) fn epochs(&self, vault: VaultId) -> (Option<Epoch>, Option<Epoch>) {
        let Some(keys) = self.keys.get(&vault) else { return (None, None) };
        let last = keys.last.as_ref().unwrap_or(&keys.current).epoch;
        (Some(keys.current.epoch), Some(last))
    }

    /// What tells the key of one epoch from another that came under the same number; nothing while it is not here.
    pub(crate) fn mark(&self, vault: VaultId, epoch: Epoch) -> Option<EpochMark> {
        self.opened(vault, epoch).map(|opened| opened.mark)
    }

    /// The key of one epoch.
    pub(crate) fn key(&self, vault: VaultId, epoch: Epoch) -> Option<&ControllerKey> {
        self.opened(vault, epoch).map(|opened| &opened.key)
    }

    fn opened(&self, vault: VaultId, epoch: Epoch) -> Option<&Opened> {
        let keys = self.keys.get(&vault)?;
        let mut both = std::iter::once(&keys.current).chain(&keys.last);
        both.find(|opened| opened.epoch == epoch)
    }
}

fn released(entry: &Entry, device: DeviceId, opener: &mut Opener<'_>) -> Result<Option<Released>, OpenError> {
    let Release::Keys { current, last } = &entry.release else { return Ok(None) };
    let purpose = Purpose { device, vault: entry.id, custody: entry.policy.custody };
    let mut open = |sealed: &SealedKey| {
        let key = opener.open(&purpose, sealed)?;
        Ok(Opened { epoch: sealed.epoch, mark: epoch_mark(entry.id, &key), key })
    };
    let last = (last.epoch != current.epoch).then(|| open(last)).transpose()?;
    Ok(Some(Released { current: open(current)?, last }))
}
