//! Seals a controller's key to one session of one node, and opens it there: RFC 9180, base mode,
//! DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, AES-256-GCM. Each key is one message; those of one answer may share an encapsulation.
//!
//! `info` = "eve-vault release v1" || session key (32);
//! `aad` = device (16) || vault (16) || epoch (8, big endian) || custody (1: its number in `proto/vault.proto`).
//! So what was sealed for one session, device, vault, epoch or custody opens for no other.
//! It does not say who sealed it: that is the signature around the section.

use std::fmt;

use ::attest::SessionKey;
use vault::ids::{DeviceId, Epoch, VaultId};
use vault::secret::ControllerKey;
use vault::section::{Custody, SealedKey};
use zeroize::Zeroizing;

use crate::hpke::{self, HpkeError, KEY_LEN, Receiver, Sender, TAG_LEN};
use crate::section::custody_to;

/// Length of the encapsulated key in bytes.
pub const ENC_LEN: usize = KEY_LEN;
/// Length of the ciphertext in bytes: the key's 32, and the tag.
pub const CIPHERTEXT_LEN: usize = 32 + TAG_LEN;

const LABEL: &[u8; 20] = b"eve-vault release v1";

/// The private half of a session: 32 bytes of X25519, in vaultmgr's memory only. Wiped on drop.
pub struct SessionSecret(Box<Zeroizing<[u8; 32]>>);

impl SessionSecret {
    /// Fills a secret in place with 32 random bytes, leaving no copy on the stack.
    ///
    /// # Errors
    /// Those of `fill`.
    pub fn init<E>(fill: impl FnOnce(&mut [u8; 32]) -> Result<(), E>) -> Result<Self, E> {
        let mut secret = Box::new(Zeroizing::new([0; 32]));
        fill(&mut secret)?;
        Ok(Self(secret))
    }

    /// The public half: names the session, and keys are sealed to it.
    #[must_use]
    pub fn session_key(&self) -> SessionKey {
        SessionKey(hpke::public_of(self.expose_session_secret()))
    }

    pub(crate) fn expose_session_secret(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for SessionSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionSecret(redacted)")
    }
}

/// What a sealed key is for. The session is beside it: the sealer knows its public, the opener its private half.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Purpose {
    /// The device.
    pub device: DeviceId,
    /// The vault.
    pub vault: VaultId,
    /// The vault's custody.
    pub custody: Custody,
}

impl Purpose {
    fn aad(&self, epoch: Epoch) -> [u8; 41] {
        let mut aad = [0; 41];
        aad[..16].copy_from_slice(self.device.0.as_bytes());
        aad[16..32].copy_from_slice(self.vault.0.as_bytes());
        aad[32..40].copy_from_slice(&epoch.0.to_be_bytes());
        aad[40] = custody_to(self.custody) as u8;
        aad
    }
}

fn info(session: &SessionKey) -> [u8; 52] {
    let mut info = [0; 52];
    info[..20].copy_from_slice(LABEL);
    info[20..].copy_from_slice(&session.0);
    info
}

/// The session's public key is not one that can be sealed to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("nothing can be sealed to this session key")]
pub struct SealError;

/// A sealed key does not open: it is damaged, or for another session, device, vault, epoch or custody.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the sealed key of epoch {epoch} does not open here")]
pub struct OpenError {
    /// The epoch that it says it is of.
    pub epoch: Epoch,
}

/// Seals the keys of one answer to one session: one encapsulation, which is half of what a seal costs and more, and one message for
/// each key. A node must have said that it opens such a series (`ConfigAsk.series`).
pub struct Series(Sender);

impl Series {
    /// With fresh randomness of the operating system.
    ///
    /// # Errors
    /// [`SealError`]: the peer's fault, a session key of low order.
    ///
    /// # Panics
    /// When the operating system gives no randomness: nothing may be sealed then.
    pub fn to(session: &SessionKey) -> Result<Self, SealError> {
        Sender::to(&session.0, &info(session)).map(Self).map_err(|_| SealError)
    }

    /// The next message: the key of `epoch`.
    ///
    /// # Errors
    /// [`SealError`]: more keys than any device has.
    pub fn seal(
        &mut self,
        purpose: &Purpose,
        epoch: Epoch,
        key: &ControllerKey,
    ) -> Result<SealedKey, SealError> {
        let mut ciphertext = key.expose_controller_key().to_vec();
        let Ok((number, tag)) = self.0.seal_in_place(&purpose.aad(epoch), &mut ciphertext) else {
            zeroize::Zeroize::zeroize(&mut ciphertext);
            return Err(SealError);
        };
        ciphertext.extend_from_slice(&tag);
        Ok(SealedKey { epoch, enc: self.0.enc().to_vec(), number, ciphertext })
    }
}

/// Seals one key by itself: what any node opens.
///
/// # Errors
/// Those of [`Series::to`].
///
/// # Panics
/// Those of [`Series::to`].
pub fn seal(
    session: &SessionKey,
    purpose: &Purpose,
    epoch: Epoch,
    key: &ControllerKey,
) -> Result<SealedKey, SealError> {
    Series::to(session)?.seal(purpose, epoch, key)
}

/// Opens the keys of one section. What they share, the encapsulation, is worked out once for those that follow each other.
pub struct Opener<'s> {
    session: &'s SessionSecret,
    info: [u8; 52],
    last: Option<(Vec<u8>, Receiver)>,
}

impl<'s> Opener<'s> {
    /// By this session.
    #[must_use]
    pub fn of(session: &'s SessionSecret) -> Self {
        Self { session, info: info(&session.session_key()), last: None }
    }

    /// A key sealed to this session for this purpose.
    ///
    /// # Errors
    /// [`OpenError`]: no key; the vault stays as it is.
    pub fn open(&mut self, purpose: &Purpose, sealed: &SealedKey) -> Result<ControllerKey, OpenError> {
        self.opened(purpose, sealed).map_err(|_| OpenError { epoch: sealed.epoch })
    }

    fn opened(&mut self, purpose: &Purpose, sealed: &SealedKey) -> Result<ControllerKey, HpkeError> {
        let receiver = self.receiver(&sealed.enc)?;
        ControllerKey::init(|key| {
            let sealed_key = sealed.ciphertext.split_at_checked(key.len()).ok_or(HpkeError)?;
            receiver.open_into(sealed.number, &purpose.aad(sealed.epoch), sealed_key, key)
        })
    }

    fn receiver(&mut self, enc: &[u8]) -> Result<&Receiver, HpkeError> {
        let last = match self.last.take() {
            Some(last) if last.0 == enc => last,
            _ => {
                let secret = self.session.expose_session_secret();
                (enc.to_vec(), Receiver::of(secret, enc, &self.info)?)
            }
        };
        Ok(&self.last.insert(last).1)
    }
}

/// Opens one key by itself.
///
/// # Errors
/// Those of [`Opener::open`].
pub fn open(
    session: &SessionSecret,
    purpose: &Purpose,
    sealed: &SealedKey,
) -> Result<ControllerKey, OpenError> {
    Opener::of(session).open(purpose, sealed)
}
