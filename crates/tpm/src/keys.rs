//! The identity keys: where they are kept and of what shape. Handles are those of EVE, so that either system finds
//! the other's slots occupied rather than empty.

use tss_esapi::abstraction::{AsymmetricAlgorithmSelection, ek};
use tss_esapi::attributes::{ObjectAttributes, ObjectAttributesBuilder};
use tss_esapi::interface_types::algorithm::{HashingAlgorithm, PublicAlgorithm};
use tss_esapi::interface_types::ecc::EccCurve;
use tss_esapi::interface_types::key_bits::RsaKeyBits;
use tss_esapi::interface_types::resource_handles::Hierarchy;
use tss_esapi::structures::{
    EccPoint, EccScheme, HashScheme, KeyDerivationFunctionScheme, Public, PublicBuilder,
    PublicEccParametersBuilder,
};
use tss_esapi::traits::Marshall;

/// Kinds of endorsement key, the best first: a TPM's EK is the first that it can make.
pub(crate) const EK_KINDS: [EkKind; 3] = [
    EkKind {
        template: AsymmetricAlgorithmSelection::Ecc(EccCurve::NistP384),
        name: Name::Sha384,
        certificate: 0x01c0_0016,
    },
    EkKind {
        template: AsymmetricAlgorithmSelection::Ecc(EccCurve::NistP256),
        name: Name::Sha256,
        certificate: 0x01c0_000a,
    },
    EkKind {
        template: AsymmetricAlgorithmSelection::Rsa(RsaKeyBits::Rsa2048),
        name: Name::Sha256,
        certificate: 0x01c0_0002,
    },
];

/// One kind of endorsement key, of the TCG EK Credential Profile.
pub(crate) struct EkKind {
    template: AsymmetricAlgorithmSelection,
    pub(crate) name: Name,
    /// NV index of its certificate.
    pub(crate) certificate: u32,
}

/// The hash that a key's name is made with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Name {
    Sha384,
    Sha256,
}

/// The attestation key: ECC P-256, restricted, signing, ECDSA with SHA-256.
pub const AK_HANDLE: u32 = 0x8100_0004;
/// The ECDH key: ECC P-256, unrestricted.
pub const ECDH_HANDLE: u32 = 0x8100_0005;
/// The device key: ECC P-256, unrestricted, signing, ECDSA with SHA-256.
pub const DEVICE_HANDLE: u32 = 0x817f_ffff;

/// How many spare handles a key has, for a TPM where another system keeps something at the key's own.
pub(crate) const SPARE: u32 = 4;

/// A key of ours: a primary, made persistent.
pub(crate) struct KeySpec {
    pub(crate) handle: u32,
    /// First of [`SPARE`] more places.
    pub(crate) spare: u32,
    pub(crate) hierarchy: Hierarchy,
    restricted: bool,
    signs: bool,
}

/// A primary in the endorsement hierarchy: only there are reset count, restart count and firmware version in a quote
/// the real ones (TPM 2.0 Library Part 1, section 36.7).
pub(crate) const AK: KeySpec = KeySpec {
    handle: AK_HANDLE,
    spare: 0x8100_5640,
    hierarchy: Hierarchy::Endorsement,
    restricted: true,
    signs: true,
};
pub(crate) const DEVICE: KeySpec = KeySpec {
    handle: DEVICE_HANDLE,
    spare: 0x8100_5644,
    hierarchy: Hierarchy::Owner,
    restricted: false,
    signs: true,
};
pub(crate) const ECDH: KeySpec = KeySpec {
    handle: ECDH_HANDLE,
    spare: 0x8100_5648,
    hierarchy: Hierarchy::Owner,
    restricted: false,
    signs: false,
};

impl KeySpec {
    /// Where it may lie, its own handle first.
    pub(crate) fn handles(&self) -> impl Iterator<Item = u32> + use<> {
        std::iter::once(self.handle).chain(self.spare..self.spare + SPARE)
    }

    /// What TPM2_CreatePrimary is given; deterministic, so the same TPM makes the same key again.
    pub(crate) fn template(&self) -> tss_esapi::Result<Public> {
        let scheme = if self.signs {
            EccScheme::EcDsa(HashScheme::new(HashingAlgorithm::Sha256))
        } else {
            EccScheme::Null
        };
        let parameters = PublicEccParametersBuilder::new()
            .with_ecc_scheme(scheme)
            .with_curve(EccCurve::NistP256)
            .with_key_derivation_function_scheme(KeyDerivationFunctionScheme::Null)
            .with_is_signing_key(self.signs)
            .with_is_decryption_key(!self.signs)
            .with_restricted(self.restricted)
            .build()?;
        PublicBuilder::new()
            .with_public_algorithm(PublicAlgorithm::Ecc)
            .with_name_hashing_algorithm(HashingAlgorithm::Sha256)
            .with_object_attributes(self.attributes()?)
            .with_ecc_parameters(parameters)
            .with_ecc_unique_identifier(EccPoint::default())
            .build()
    }

    /// Outside dictionary-attack protection (`noDA`): there is no human secret to guess, and a key inside it would
    /// count an unclean reset after each use as a failed try, until lockout takes the node's identity away.
    fn attributes(&self) -> tss_esapi::Result<ObjectAttributes> {
        ObjectAttributesBuilder::new()
            .with_fixed_tpm(true)
            .with_fixed_parent(true)
            .with_sensitive_data_origin(true)
            .with_user_with_auth(true)
            .with_no_da(true)
            .with_restricted(self.restricted)
            .with_sign_encrypt(self.signs)
            .with_decrypt(!self.signs)
            .build()
    }
}

impl EkKind {
    /// Its default template: for P-384 of the high range (SHA-384, AES-256-CFB, PolicyB), for the others of the low one.
    pub(crate) fn template(&self) -> tss_esapi::Result<Public> {
        ek::create_ek_public_from_default_template_2(self.template, None)
    }
}

/// Everything of a public area but the point: what two keys of one template share.
pub(crate) fn shape(public: &Public) -> tss_esapi::Result<Vec<u8>> {
    let mut blank = public.clone();
    if let Public::Ecc { unique, .. } = &mut blank {
        *unique = EccPoint::default();
    }
    blank.marshall()
}
