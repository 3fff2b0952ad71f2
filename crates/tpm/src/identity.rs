//! Provisioning: makes the identity keys where they are missing, and says what they are. Safe to repeat; a handle
//! that holds something else is passed over, never overwritten.

use aws_lc_rs::digest::{SHA256, digest};
use tss_esapi::handles::{KeyHandle, ObjectHandle, PersistentTpmHandle};
use tss_esapi::interface_types::algorithm::HashingAlgorithm;
use tss_esapi::interface_types::dynamic_handles::Persistent;
use tss_esapi::interface_types::resource_handles::{Hierarchy, Provision};
use tss_esapi::structures::Public;
use tss_esapi::traits::Marshall;

use crate::keys::{self, EK_KINDS, EkKind, KeySpec};
use crate::shell::Shell;
use crate::{CommandError, EkPublic, Meaning, ProvisionError, TpmError};

/// The public half of an ECC P-256 key of ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyPublic {
    /// TPMT_PUBLIC, without a size before it.
    pub tpmt_public: Vec<u8>,
    /// Algorithm 0x000b and the SHA-256 of the public area.
    pub name: [u8; 34],
    /// SEC 1 uncompressed point: 4, then x and y of 32 bytes each.
    pub sec1: [u8; 65],
}

/// What this TPM is, to others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Endorsement key.
    pub ek: EkPublic,
    /// Its certificate in DER, as the manufacturer put it into NV; none if there is none that can be read.
    pub ek_cert_der: Option<Vec<u8>>,
    /// Attestation key: signs quotes.
    pub ak: KeyPublic,
    /// Device key: signs messages to the controller.
    pub device: KeyPublic,
    /// ECDH key: opens EVE's cipher blocks.
    pub ecdh: KeyPublic,
}

/// What lies at a persistent handle, beside the key that is looked for.
enum HandleContent {
    Free,
    Ours(KeyHandle, KeyPublic),
    Foreign,
}

impl Shell {
    /// Makes what is missing and checks what is there.
    pub(crate) fn provision(&mut self) -> Result<Identity, ProvisionError> {
        let (ek_handle, ek, kind) = self.load_ek(|_| true, &EK_KINDS)?.ok_or(ProvisionError::NoEk)?;
        // Where the owner has a password, sessions that prove it are salted to this EK; none is, once this is over.
        let pinned = self.ek.replace(ek_handle);
        let identity = self.identity(ek, kind);
        self.ek = pinned;
        self.flush(ek_handle)?;
        identity
    }

    fn identity(&mut self, ek: EkPublic, kind: &EkKind) -> Result<Identity, ProvisionError> {
        Ok(Identity {
            ek,
            ek_cert_der: self.ek_certificate(kind.certificate)?,
            ak: self.provision_key(&keys::AK)?,
            device: self.provision_key(&keys::DEVICE)?,
            ecdh: self.provision_key(&keys::ECDH)?,
        })
    }

    pub(crate) fn flush(&mut self, key: KeyHandle) -> Result<(), TpmError> {
        Ok(self.run("FlushContext", |context| context.flush_context(ObjectHandle::from(key)))?)
    }

    fn provision_key(&mut self, spec: &KeySpec) -> Result<KeyPublic, ProvisionError> {
        if let Some((_, key)) = self.find(spec)? {
            return Ok(key);
        }
        let handle = self.free_handle(spec)?.ok_or(ProvisionError::Unexpected {
            handle: spec.handle,
            spare: spec.spare,
            last: spec.spare + keys::SPARE - 1,
        })?;
        if handle != spec.handle {
            tracing::warn!(
                "persistent handle {:#010x} holds a key of another system, which is left as it is: ours is kept at {handle:#010x}",
                spec.handle
            );
        }
        self.make_persistent(spec, handle)?;
        match self.look(spec, handle)? {
            HandleContent::Ours(_, key) => Ok(key),
            HandleContent::Free | HandleContent::Foreign => {
                Err(CommandError::malformed("EvictControl").into())
            }
        }
    }

    /// The key of ours, wherever it lies.
    fn find(&mut self, spec: &KeySpec) -> Result<Option<(KeyHandle, KeyPublic)>, TpmError> {
        for handle in spec.handles() {
            if let HandleContent::Ours(handle, key) = self.look(spec, handle)? {
                return Ok(Some((handle, key)));
            }
        }
        Ok(None)
    }

    fn free_handle(&mut self, spec: &KeySpec) -> Result<Option<u32>, TpmError> {
        for handle in spec.handles() {
            if matches!(self.look(spec, handle)?, HandleContent::Free) {
                return Ok(Some(handle));
            }
        }
        Ok(None)
    }

    /// The key of ours, found once in the life of this connection.
    pub(crate) fn identity_key(&mut self, spec: &KeySpec) -> Result<KeyHandle, TpmError> {
        if let Some(key) = self.known_key(spec.handle) {
            return Ok(key);
        }
        let absent = CommandError { command: "ReadPublic", meaning: Meaning::NoSuchHandle, rc: 0 };
        let (key, _) = self.find(spec)?.ok_or(absent)?;
        self.know_key(spec.handle, key);
        Ok(key)
    }

    /// A primary of its hierarchy and of our template is the very key that we would make.
    fn look(&mut self, spec: &KeySpec, handle: u32) -> Result<HandleContent, TpmError> {
        let opened = self.run("ReadPublic", |context| {
            context.tr_from_tpm_public(PersistentTpmHandle::new(handle)?.into()).map(KeyHandle::from)
        });
        let key = match opened {
            Err(error) if error.meaning == Meaning::NoSuchHandle => return Ok(HandleContent::Free),
            other => other?,
        };
        let (public, _, qualified) = self.run("ReadPublic", |context| context.read_public(key))?;
        let template = spec.template().map_err(refused)?;
        if keys::shape(&public).map_err(refused)? != keys::shape(&template).map_err(refused)? {
            return Ok(HandleContent::Foreign);
        }
        let found = key_public(&public)?;
        if qualified.value() == qualified_name(spec.hierarchy, &found.name) {
            Ok(HandleContent::Ours(key, found))
        } else {
            Ok(HandleContent::Foreign)
        }
    }

    fn make_persistent(&mut self, spec: &KeySpec, handle: u32) -> Result<(), TpmError> {
        let make = |context: &mut tss_esapi::Context| {
            context.create_primary(spec.hierarchy, spec.template()?, None, None, None, None)
        };
        let made = match spec.hierarchy {
            Hierarchy::Owner => self.run_owner("CreatePrimary", make)?,
            _ => self.run_open("CreatePrimary", make)?,
        };
        let kept = self.run_owner("EvictControl", |context| {
            let place = Persistent::Persistent(PersistentTpmHandle::new(handle)?);
            context.evict_control(Provision::Owner, made.key_handle.into(), place)
        });
        self.flush(made.key_handle)?;
        kept.map(drop)
    }
}

/// A value that this crate built itself and the wrapper would not take.
pub(crate) fn refused(error: tss_esapi::Error) -> TpmError {
    CommandError::new("marshalling", error).into()
}

pub(crate) fn marshal(public: &Public) -> Result<Vec<u8>, TpmError> {
    public.marshall().map_err(refused)
}

fn key_public(public: &Public) -> Result<KeyPublic, TpmError> {
    let tpmt_public = marshal(public)?;
    Ok(KeyPublic { sec1: sec1(public, HashingAlgorithm::Sha256)?, name: name_256(&tpmt_public), tpmt_public })
}

/// Algorithm 0x000b and SHA-256.
fn name_256(bytes: &[u8]) -> [u8; 34] {
    let mut name = [0; 34];
    name[..2].copy_from_slice(&[0x00, 0x0b]);
    name[2..].copy_from_slice(digest(&SHA256, bytes).as_ref());
    name
}

/// The qualified name of a primary: the hash over its hierarchy's handle and its own name.
fn qualified_name(hierarchy: Hierarchy, name: &[u8; 34]) -> Vec<u8> {
    let handle: u32 = match hierarchy {
        Hierarchy::Endorsement => 0x4000_000b,
        _ => 0x4000_0001,
    };
    name_256(&[&handle.to_be_bytes()[..], name].concat()).to_vec()
}

/// The point in SEC 1 form, `N` bytes, coordinates padded on the left.
fn sec1<const N: usize>(public: &Public, name_alg: HashingAlgorithm) -> Result<[u8; N], TpmError> {
    let Public::Ecc { unique, name_hashing_algorithm, .. } = public else { return Err(not_a_point()) };
    if *name_hashing_algorithm != name_alg {
        return Err(not_a_point());
    }
    let mut point = [0; N];
    point[0] = 4;
    let (x, y) = point[1..].split_at_mut((N - 1) / 2);
    pad_left(unique.x().value(), x).and_then(|()| pad_left(unique.y().value(), y)).ok_or_else(not_a_point)?;
    Ok(point)
}

/// Copies a big-endian number into a field that may be longer; none if it does not fit.
pub(crate) fn pad_left(number: &[u8], field: &mut [u8]) -> Option<()> {
    let start = field.len().checked_sub(number.len())?;
    field[start..].copy_from_slice(number);
    Some(())
}

fn not_a_point() -> TpmError {
    CommandError::malformed("ReadPublic").into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn padding_keeps_the_number(number in proptest::collection::vec(any::<u8>(), 0..40)) {
            let mut field = [0xff; 32];
            field.fill(0);
            let fits = pad_left(&number, &mut field).is_some();
            prop_assert_eq!(fits, number.len() <= 32);
            if fits {
                prop_assert!(field.ends_with(&number));
                prop_assert!(field[..32 - number.len()].iter().all(|b| *b == 0));
            }
        }
    }
}
