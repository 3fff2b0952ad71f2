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

/// Of keys that came and do not open. They are sealed to this session alone, so another one gets others.
pub(crate) fn words_of_shut(section: &Section, errors: &[(VaultId, OpenError)]) -> Option<String> {
    let name = |id: VaultId| section.vaults.iter().find(|entry| entry.id == id).map(|entry| &entry.name);
    let line = |(id, error): &(VaultId, OpenError)| match name(*id) {
        Some(name) => format!("vault `{name}`: {error}"),
        None => format!("vault {id}: {error}"),
    };
    let lines: Vec<String> = errors.iter().map(line).collect();
    (!lines.is_empty()).then(|| {
        format!(
            "keys of the controller's came damaged, and their vaults stay as they are: {}; restart `eve run`, whose next session gets them sealed anew; if they are damaged again, the controller's log and `evc status` say what is wrong there",
            lines.join("; ")
        )
    })
}

#[cfg(test)]
mod tests {
    use attest::SessionKey;
    use vault::ids::{DeviceKey, IMAGE_VAULT, Incarnation, SectionVersion};
    use vault::section::{Custody, Encryption, NodePolicy, Operation, Presence, Seal};
    use wire::release::seal;

    use super::*;

    const DEVICE: DeviceId = DeviceId(uuid::Uuid::from_u128(1));

    fn section(session: SessionKey, key: SealedKey) -> Section {
        let policy = NodePolicy {
            encryption: Encryption::Aes256Xts,
            custody: Custody::Controller,
            seal: Seal::Tpm,
            lease: None,
            recovery: vault::recovery::Recipients::NONE,
            storage_limit: None,
        };
        let entry = Entry {
            id: IMAGE_VAULT,
            name: "image".parse().expect("a name"),
            policy,
            operation: Operation::Unlock,
            standing: Presence::Active,
            created: true,
            recreate: false,
            release: Release::Keys { last: key.clone(), current: key },
        };
        Section {
            device: DEVICE,
            device_key: DeviceKey([3; 32]),
            session,
            version: SectionVersion { incarnation: Incarnation([1; 16]), version: 1 },
            follows: None,
            vaults: vec![entry],
            removed: vec![],
            lease: None,
        }
    }

    /// TH-5: a key of which one bit was flipped is none, whichever; the status names its vault, and says what to do.
    #[test]
    fn a_damaged_key_is_not_at_hand_and_is_named_with_what_to_do() {
        let session = SessionSecret::init(|bytes| {
            bytes.fill(9);
            Ok::<_, ()>(())
        });
        let session = session.expect("filled");
        let purpose = Purpose { device: DEVICE, vault: IMAGE_VAULT, custody: Custody::Controller };
        let key = ControllerKey::init(|bytes| {
            bytes.fill(7);
            Ok::<_, ()>(())
        });
        let whole = seal(&session.session_key(), &purpose, Epoch(1), &key.expect("filled")).expect("sealed");
        let (ring, errors) = Ring::open(&section(session.session_key(), whole.clone()), &session);
        assert!(errors.is_empty() && ring.key(IMAGE_VAULT, Epoch(1)).is_some(), "the twin");
        for bit in 0..8 * (whole.enc.len() + whole.ciphertext.len()) {
            let mut flipped = whole.clone();
            let of_enc = 8 * whole.enc.len();
            let part = if bit < of_enc { &mut flipped.enc } else { &mut flipped.ciphertext };
            let at = if bit < of_enc { bit } else { bit - of_enc };
            // The key of X25519 has 255 bits.
            if (bit < of_enc) && at == 255 {
                continue;
            }
            part[at / 8] ^= 1 << (at % 8);
            let given = section(session.session_key(), flipped);
            let (ring, errors) = Ring::open(&given, &session);
            assert!(ring.key(IMAGE_VAULT, Epoch(1)).is_none(), "bit {bit}");
            let words = words_of_shut(&given, &errors).expect("told");
            assert!(words.contains("vault `image`") && words.contains("restart `eve run`"), "{words}");
        }
    }
}
