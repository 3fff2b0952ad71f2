//! Provisioning: makes the identity keys where they are missing, and says what they are. Safe to repeat; a handle
//! that holds something else is reported, never overwritten.

use std::fmt;

use aws_lc_rs::digest::{SHA256, SHA384, digest};
use tss_esapi::abstraction::nv;
use tss_esapi::handles::{KeyHandle, NvIndexHandle, NvIndexTpmHandle, ObjectHandle, PersistentTpmHandle};
use tss_esapi::interface_types::algorithm::HashingAlgorithm;
use tss_esapi::interface_types::dynamic_handles::Persistent;
use tss_esapi::interface_types::resource_handles::{Hierarchy, NvAuth, Provision};
use tss_esapi::structures::Public;
use tss_esapi::traits::Marshall;

use crate::keys::{self, EK_CERTIFICATE_INDEX, EK_HANDLE, KeySpec};
use crate::shell::Shell;
use crate::{CommandError, Meaning, PinError, ProvisionError, TpmError};

/// Largest EK certificate that is read, in bytes.
const MAX_CERTIFICATE: usize = 8192;

/// The name of an EK: algorithm 0x000c and the SHA-384 of its public area. What a node pins.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct EkName([u8; 50]);

impl EkName {
    /// The name in the standard's form, 50 bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 50] {
        &self.0
    }

    /// Reads back what [`EkName::as_bytes`] gave; none if it is not a SHA-384 name.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().filter(|name: &[u8; 50]| name.starts_with(&[0x00, 0x0c])).map(Self)
    }
}

impl fmt::Debug for EkName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EkName(")?;
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))?;
        f.write_str(")")
    }
}

/// The endorsement key's public half: ECC P-384.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EkPublic {
    /// TPMT_PUBLIC, without a size before it.
    pub tpmt_public: Vec<u8>,
    /// What to pin.
    pub name: EkName,
    /// SEC 1 uncompressed point: 4, then x and y of 48 bytes each.
    pub sec1: [u8; 97],
}

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
    /// Its certificate in DER, as the manufacturer put it into NV; none if there is none.
    pub ek_cert_der: Option<Vec<u8>>,
    /// Attestation key: signs quotes.
    pub ak: KeyPublic,
    /// Device key: signs messages to the controller.
    pub device: KeyPublic,
    /// ECDH key: opens EVE's cipher blocks.
    pub ecdh: KeyPublic,
}

impl Shell {
    /// Makes what is missing and checks what is there.
    pub(crate) fn provision(&mut self) -> Result<Identity, ProvisionError> {
        let (ek_handle, ek) = self.load_ek()?;
        let known = self.compare_persistent_ek(&ek);
        self.flush(ek_handle)?;
        known?;
        Ok(Identity {
            ek,
            ek_cert_der: self.ek_certificate()?,
            ak: self.provision_key(&keys::AK)?,
            device: self.provision_key(&keys::DEVICE)?,
            ecdh: self.provision_key(&keys::ECDH)?,
        })
    }

    /// Loads the EK and keeps it for salting, if it is the expected one.
    ///
    /// It is made anew from its template rather than read from [`EK_HANDLE`]: of TPM2_CreatePrimary's answer the TSS
    /// checks that name and public area agree, and salts to that very public area; of TPM2_ReadPublic's it does not.
    pub(crate) fn pin_ek(&mut self, expected: &EkName) -> Result<(), PinError> {
        if let Some(old) = self.ek.take() {
            // Gone already if another client took the TPM over meanwhile.
            let _ = self.flush(old);
        }
        let (handle, ek) = self.load_ek()?;
        if ek.name != *expected {
            self.flush(handle)?;
            return Err(PinError::OtherEk);
        }
        self.ek = Some(handle);
        Ok(())
    }

    fn load_ek(&mut self) -> Result<(KeyHandle, EkPublic), TpmError> {
        let made = self.run_open("CreatePrimary", |context| {
            context.create_primary(Hierarchy::Endorsement, keys::ek_template()?, None, None, None, None)
        })?;
        match ek_public(&made.out_public) {
            Ok(public) => Ok((made.key_handle, public)),
            Err(error) => {
                self.flush(made.key_handle)?;
                Err(error)
            }
        }
    }

    fn flush(&mut self, key: KeyHandle) -> Result<(), TpmError> {
        Ok(self.run("FlushContext", |context| context.flush_context(ObjectHandle::from(key)))?)
    }

    fn compare_persistent_ek(&mut self, ek: &EkPublic) -> Result<(), ProvisionError> {
        match self.read_persistent(EK_HANDLE)? {
            None => Ok(()),
            Some((public, _)) if marshal(&public)? == ek.tpmt_public => Ok(()),
            Some(_) => {
                Err(ProvisionError::Unexpected { handle: EK_HANDLE, what: "not the P-384 EK of this TPM" })
            }
        }
    }

    fn provision_key(&mut self, spec: &KeySpec) -> Result<KeyPublic, ProvisionError> {
        if self.read_persistent(spec.handle)?.is_none() {
            self.make_persistent(spec)?;
        }
        let unexpected = |what| ProvisionError::Unexpected { handle: spec.handle, what };
        let (public, qualified) =
            self.read_persistent(spec.handle)?.ok_or(unexpected("nothing, though just made"))?;
        let template = spec.template().map_err(refused)?;
        if keys::shape(&public).map_err(refused)? != keys::shape(&template).map_err(refused)? {
            return Err(unexpected("a key of another kind"));
        }
        let key = key_public(&public)?;
        if qualified != qualified_name(spec.hierarchy, &key.name) {
            return Err(unexpected("a key that is no primary of its hierarchy"));
        }
        Ok(key)
    }

    fn make_persistent(&mut self, spec: &KeySpec) -> Result<(), TpmError> {
        let made = self.run_open("CreatePrimary", |context| {
            context.create_primary(spec.hierarchy, spec.template()?, None, None, None, None)
        })?;
        let kept = self.run_open("EvictControl", |context| {
            let place = Persistent::Persistent(PersistentTpmHandle::new(spec.handle)?);
            context.evict_control(Provision::Owner, made.key_handle.into(), place)
        });
        self.flush(made.key_handle)?;
        kept.map(drop).map_err(TpmError::from)
    }

    /// Public area and qualified name of what a persistent handle holds; none if it is free.
    fn read_persistent(&mut self, handle: u32) -> Result<Option<(Public, Vec<u8>)>, TpmError> {
        let key = match self.key(handle) {
            Err(error) if error.meaning() == Some(Meaning::NoSuchHandle) => return Ok(None),
            other => other?,
        };
        let (public, _, qualified) = self.run("ReadPublic", |context| context.read_public(key))?;
        Ok(Some((public, qualified.value().to_vec())))
    }

    fn ek_certificate(&mut self) -> Result<Option<Vec<u8>>, ProvisionError> {
        let unusable = |what| ProvisionError::Certificate { index: EK_CERTIFICATE_INDEX, what };
        let index = NvIndexTpmHandle::new(EK_CERTIFICATE_INDEX).map_err(refused)?;
        let handle = match self.run("NV_ReadPublic", |context| context.tr_from_tpm_public(index.into())) {
            Err(error) if error.meaning == Meaning::NoSuchHandle => return Ok(None),
            other => NvIndexHandle::from(other?),
        };
        let (public, _) = self.run("NV_ReadPublic", |context| context.nv_read_public(handle))?;
        let reader = match public.attributes() {
            a if a.owner_read() => NvAuth::Owner,
            a if a.auth_read() => NvAuth::NvIndex(handle),
            _ => return Err(unusable("neither owner nor index may read it")),
        };
        if public.data_size() > MAX_CERTIFICATE {
            return Err(unusable("too large"));
        }
        Ok(Some(self.run_open("NV_Read", |context| nv::read_full(context, reader, index))?))
    }
}

/// A value that this crate built itself and the wrapper would not take.
fn refused(error: tss_esapi::Error) -> TpmError {
    CommandError::new("marshalling", error).into()
}

fn marshal(public: &Public) -> Result<Vec<u8>, TpmError> {
    public.marshall().map_err(refused)
}

fn ek_public(public: &Public) -> Result<EkPublic, TpmError> {
    let tpmt_public = marshal(public)?;
    let mut name = [0; 50];
    name[..2].copy_from_slice(&[0x00, 0x0c]);
    name[2..].copy_from_slice(digest(&SHA384, &tpmt_public).as_ref());
    Ok(EkPublic { sec1: sec1(public, HashingAlgorithm::Sha384)?, name: EkName(name), tpmt_public })
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
        fn a_name_reads_back_and_nothing_else_does(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
            let fits = bytes.len() == 50 && bytes.starts_with(&[0x00, 0x0c]);
            let name = EkName::from_bytes(&bytes);
            prop_assert_eq!(name.is_some(), fits);
        }

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
