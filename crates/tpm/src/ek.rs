//! The endorsement key: which kind this TPM can make, its name, which a node pins, and its certificate.

use std::fmt;

use aws_lc_rs::digest::{SHA256, SHA384, digest};
use tss_esapi::abstraction::nv;
use tss_esapi::handles::{KeyHandle, NvIndexHandle, NvIndexTpmHandle};
use tss_esapi::interface_types::resource_handles::{Hierarchy, NvAuth};

use crate::identity::{marshal, refused};
use crate::keys::{EK_KINDS, EkKind, Name};
use crate::shell::Shell;
use crate::{AuthLack, Meaning, PinError, TpmError};

/// Largest EK certificate that is read, in bytes.
const MAX_CERTIFICATE: usize = 8192;

/// The name of an EK: the algorithm (0x000c for P-384, 0x000b for the others) and that hash of its public area. What a node pins.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct EkName {
    bytes: [u8; 50],
    length: usize,
}

impl EkName {
    fn of(name: Name, tpmt_public: &[u8]) -> Self {
        let (algorithm, hash) = match name {
            Name::Sha384 => (0x0c, digest(&SHA384, tpmt_public)),
            Name::Sha256 => (0x0b, digest(&SHA256, tpmt_public)),
        };
        let (mut bytes, length) = ([0; 50], 2 + hash.as_ref().len());
        bytes[1] = algorithm;
        bytes[2..length].copy_from_slice(hash.as_ref());
        Self { bytes, length }
    }

    /// The name in the standard's form, 50 bytes or 34.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }

    /// Reads back what [`EkName::as_bytes`] gave; none if it is no name of a kind of EK that is known here.
    #[must_use]
    pub fn from_bytes(name: &[u8]) -> Option<Self> {
        let known = matches!((name, name.len()), ([0, 0x0c, ..], 50) | ([0, 0x0b, ..], 34));
        let mut bytes = [0; 50];
        known.then(|| bytes[..name.len()].copy_from_slice(name));
        known.then_some(Self { bytes, length: name.len() })
    }

    fn kind(&self) -> Name {
        if self.length == 50 { Name::Sha384 } else { Name::Sha256 }
    }
}

impl fmt::Debug for EkName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EkName(")?;
        self.as_bytes().iter().try_for_each(|byte| write!(f, "{byte:02x}"))?;
        f.write_str(")")
    }
}

/// The endorsement key's public half: ECC P-384, else ECC P-256, else RSA-2048, as the TPM can.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EkPublic {
    /// TPMT_PUBLIC, without a size before it.
    pub tpmt_public: Vec<u8>,
    /// What to pin.
    pub name: EkName,
}

impl Shell {
    /// Loads the EK and keeps it for salting, if it is the expected one.
    ///
    /// It is made anew from its template rather than read from a persistent handle: of TPM2_CreatePrimary's answer the TSS
    /// checks that name and public area agree, and salts to that very public area; of TPM2_ReadPublic's it does not.
    pub(crate) fn pin_ek(&mut self, expected: &EkName) -> Result<(), PinError> {
        if let Some(old) = self.ek.take() {
            // Gone already if another client took the TPM over meanwhile.
            let _ = self.flush(old);
        }
        let kinds = EK_KINDS.iter().filter(|kind| kind.name == expected.kind());
        let (handle, ..) = self.load_ek(|name| name == expected, kinds)?.ok_or(PinError::OtherEk)?;
        self.ek = Some(handle);
        Ok(())
    }

    /// Loads the first EK that this TPM can make and that `fits`; none if there is none.
    pub(crate) fn load_ek<'a>(
        &mut self,
        fits: impl Fn(&EkName) -> bool,
        kinds: impl IntoIterator<Item = &'a EkKind>,
    ) -> Result<Option<(KeyHandle, EkPublic, &'a EkKind)>, TpmError> {
        if self.permanent()?.endorsement_auth_set() {
            return Err(TpmError::HierarchyAuth { hierarchy: "endorsement", lack: AuthLack::NotGiven });
        }
        for kind in kinds {
            let (handle, ek) = match self.make_ek(kind) {
                Err(error) if matches!(error.meaning(), Some(Meaning::Unsupported | Meaning::BadValue)) => {
                    continue;
                }
                made => made?,
            };
            if fits(&ek.name) {
                return Ok(Some((handle, ek, kind)));
            }
            self.flush(handle)?;
        }
        Ok(None)
    }

    fn make_ek(&mut self, kind: &EkKind) -> Result<(KeyHandle, EkPublic), TpmError> {
        let made = self.run_open("CreatePrimary", |context| {
            context.create_primary(Hierarchy::Endorsement, kind.template()?, None, None, None, None)
        })?;
        match marshal(&made.out_public) {
            Ok(tpmt_public) => {
                let name = EkName::of(kind.name, &tpmt_public);
                Ok((made.key_handle, EkPublic { tpmt_public, name }))
            }
            Err(error) => {
                self.flush(made.key_handle)?;
                Err(error)
            }
        }
    }

    /// One that can't be read is as good as none here; only a TPM that fails is an error.
    pub(crate) fn ek_certificate(&mut self, index: u32) -> Result<Option<Vec<u8>>, TpmError> {
        match self.read_certificate(index) {
            Err(TpmError::Command(error)) if error.meaning == Meaning::NoSuchHandle => {
                tracing::info!("this TPM has no EK certificate at {index:#010x}, and is used without");
                Ok(None)
            }
            Err(TpmError::Command(error)) if !error.meaning.is_of_the_tpm() => {
                tracing::warn!(%error, "the EK certificate at {index:#010x} can't be read: taken for none");
                Ok(None)
            }
            read => read,
        }
    }

    fn read_certificate(&mut self, index: u32) -> Result<Option<Vec<u8>>, TpmError> {
        let index = NvIndexTpmHandle::new(index).map_err(refused)?;
        let handle = self.run("NV_ReadPublic", |context| context.tr_from_tpm_public(index.into()))?;
        let handle = NvIndexHandle::from(handle);
        let (public, _) = self.run("NV_ReadPublic", |context| context.nv_read_public(handle))?;
        let (attributes, fits) = (public.attributes(), public.data_size() <= MAX_CERTIFICATE);
        // An index with a password and within dictionary-attack protection counts each wrong try: none is made.
        let reader = match attributes {
            a if a.owner_read() && !self.permanent()?.owner_auth_set() => NvAuth::Owner,
            a if a.auth_read() && a.no_da() => NvAuth::NvIndex(handle),
            _ => return Ok(None),
        };
        if !attributes.written() || !fits {
            return Ok(None);
        }
        Ok(Some(self.run_open("NV_Read", |context| nv::read_full(context, reader, index))?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_name_reads_back_and_nothing_else_does(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
            let fits = |bytes: &[u8]| {
                let like = |algorithm, length| bytes.len() == length && bytes.starts_with(&[0x00, algorithm]);
                like(0x0c, 50) || like(0x0b, 34)
            };
            for (algorithm, length) in [(0x0c, 50), (0x0b, 34), (0x0b, 50)] {
                let mut bytes = bytes.clone();
                bytes.splice(..0, [0, algorithm]);
                bytes.resize(length, 7);
                let name = EkName::from_bytes(&bytes);
                prop_assert_eq!(name.is_some(), fits(&bytes));
                prop_assert!(name.is_none_or(|name| name.as_bytes() == bytes));
            }
            prop_assert_eq!(EkName::from_bytes(&bytes).is_some(), fits(&bytes));
        }
    }
}
