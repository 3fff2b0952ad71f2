//! An escrow bundle on its way: up, sealed to the controller's ECDH certificate; down, sealed to one session of the node. RFC 9180, base mode,
//! one message; what goes into info and aad stands in `proto/vault.proto`. So recorded traffic and the stolen node together give nothing, a
//! proxy that ends TLS sees nothing, and what was sealed for one device, bundle or session opens for no other.
//! It does not say who sealed it: that is the signature around the message.

use ::attest::SessionKey;
use serde::{Deserialize, Serialize};
use vault::escrow::{Bundle, BundleId, MAX_BUNDLE_BYTES};
use vault::ids::DeviceId;
use zeroize::Zeroizing;

use crate::control;
use crate::error::DecodeError;
use crate::hpke::{self, HpkeError, KEY_LEN, POINT_LEN, TAG_LEN};
use crate::limits::{blob, exactly, present};
use crate::pb::vault as pb;
use crate::release::SessionSecret;
use crate::sign::P256PublicKey;
use crate::suite;

const UP: &[u8] = b"eve-vault escrow v1";
const DOWN: &[u8] = b"eve-vault rescue v1";
const MAX_SEALED: usize = MAX_BUNDLE_BYTES + TAG_LEN;

/// Where a bundle on its way up stands among all that its device sends: so what is sent again by somebody else is told from news.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct UploadPlace {
    /// The session that sends it.
    pub session: SessionKey,
    /// Greater than that of every earlier bundle of the session.
    pub number: u64,
}

/// A bundle, sealed.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SealedBundle {
    /// Of what is inside: bound to it.
    pub id: BundleId,
    /// Of one on its way up: bound to it.
    pub place: Option<UploadPlace>,
    /// What is encapsulated.
    pub enc: Vec<u8>,
    /// The bundle's bytes, encrypted, and a tag.
    pub ciphertext: Vec<u8>,
}

impl std::fmt::Debug for SealedBundle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SealedBundle({}, {} bytes)", self.id, self.ciphertext.len())
    }
}

/// It does not open here: damaged, or for another device, session or controller; or inside is another bundle than it says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the sealed bundle {0} does not open here")]
pub struct NotOpened(pub BundleId);

/// The key is none that can be sealed to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no bundle can be sealed to this key")]
pub struct NotSealed;

/// Seals a bundle to a controller, by the key of its ECDH certificate.
///
/// # Errors
/// [`NotSealed`]: the controller's fault.
pub fn seal_up(
    controller: &P256PublicKey,
    device: DeviceId,
    place: UploadPlace,
    id: BundleId,
    bundle: &[u8],
) -> Result<SealedBundle, NotSealed> {
    let (info, aad) = ([UP, device.0.as_bytes()].concat(), aad_up(device, id, place));
    let sealed = sealed_by(id, bundle, |buffer| hpke::seal_to_point(controller.point(), &info, &aad, buffer));
    Ok(SealedBundle { place: Some(place), ..sealed? })
}

/// Opens at the controller what a device sent; `pkcs8` is the key of its ECDH certificate.
///
/// # Errors
/// [`NotOpened`]: nothing is kept of it.
pub fn open_up(
    pkcs8: &[u8],
    device: DeviceId,
    sealed: &SealedBundle,
) -> Result<Zeroizing<Vec<u8>>, NotOpened> {
    let info = [UP, device.0.as_bytes()].concat();
    let aad = aad_up(device, sealed.id, sealed.place.ok_or(NotOpened(sealed.id))?);
    opened_by(sealed, |parts, clear| hpke::open_by_pkcs8(pkcs8, &sealed.enc, &info, &aad, parts, clear))
}

/// Seals a bundle to a session.
///
/// # Errors
/// [`NotSealed`]: the peer's fault.
pub fn seal_down(
    session: &SessionKey,
    device: DeviceId,
    id: BundleId,
    bundle: &[u8],
) -> Result<SealedBundle, NotSealed> {
    let info = [DOWN, &session.0].concat();
    sealed_by(id, bundle, |buffer| hpke::seal_in_place(&session.0, &info, &aad(device, id), buffer))
}

/// Opens on the node what the controller gave back.
///
/// # Errors
/// [`NotOpened`]: all stays as it is.
pub fn open_down(
    session: &SessionSecret,
    device: DeviceId,
    sealed: &SealedBundle,
) -> Result<Zeroizing<Vec<u8>>, NotOpened> {
    let info = [DOWN, &session.session_key().0].concat();
    let aad = aad(device, sealed.id);
    let secret = session.expose_session_secret();
    opened_by(sealed, |parts, clear| hpke::open_into(secret, &sealed.enc, &info, &aad, parts, clear))
}

fn aad(device: DeviceId, id: BundleId) -> Vec<u8> {
    [&device.0.as_bytes()[..], &id.generation.0.to_be_bytes(), &id.digest].concat()
}

fn aad_up(device: DeviceId, id: BundleId, place: UploadPlace) -> Vec<u8> {
    [&aad(device, id)[..], &place.session.0, &place.number.to_be_bytes()].concat()
}

fn sealed_by(
    id: BundleId,
    bundle: &[u8],
    seal: impl FnOnce(&mut [u8]) -> Result<(Vec<u8>, [u8; TAG_LEN]), HpkeError>,
) -> Result<SealedBundle, NotSealed> {
    let mut ciphertext = bundle.to_vec();
    let (enc, tag) = seal(&mut ciphertext).map_err(|_| NotSealed)?;
    ciphertext.extend_from_slice(&tag);
    Ok(SealedBundle { id, place: None, enc, ciphertext })
}

fn opened_by(
    sealed: &SealedBundle,
    open: impl FnOnce((&[u8], &[u8]), &mut [u8]) -> Result<(), HpkeError>,
) -> Result<Zeroizing<Vec<u8>>, NotOpened> {
    let refused = NotOpened(sealed.id);
    let length = sealed.ciphertext.len().checked_sub(TAG_LEN).ok_or(refused)?;
    let mut clear = Zeroizing::new(vec![0; length]);
    open(sealed.ciphertext.split_at(length), &mut clear).map_err(|_| refused)?;
    let is_it = Bundle::id_of(sealed.id.generation, &clear) == sealed.id;
    is_it.then_some(clear).ok_or(refused)
}

/// As it goes out.
pub(crate) fn raw(bundle: &SealedBundle, suite: u32) -> pb::SealedBundle {
    pb::SealedBundle {
        id: Some((&bundle.id).into()),
        enc: bundle.enc.clone(),
        ciphertext: bundle.ciphertext.clone(),
        suite,
        session: bundle.place.map_or_else(Vec::new, |place| place.session.0.to_vec()),
        number: bundle.place.map_or(0, |place| place.number),
    }
}

/// As it comes in, of the suite that stands there.
pub(crate) fn sealed(raw: pb::SealedBundle, suite: u32) -> Result<SealedBundle, DecodeError> {
    if raw.suite != suite {
        let value = i32::try_from(raw.suite).unwrap_or(i32::MAX);
        return Err(DecodeError::NotUnderstood { field: "suite", value });
    }
    let length = if suite == suite::P256 { POINT_LEN } else { KEY_LEN };
    if raw.enc.len() != length {
        return Err(DecodeError::Invalid { field: "enc", why: "is not as long as its suite's" });
    }
    Ok(SealedBundle {
        id: control::bundle(present("id", raw.id)?)?,
        place: place(&raw.session, raw.number)?,
        enc: raw.enc,
        ciphertext: blob("ciphertext", raw.ciphertext, MAX_SEALED)?,
    })
}

fn place(session: &[u8], number: u64) -> Result<Option<UploadPlace>, DecodeError> {
    let named = (!session.is_empty()).then(|| exactly("session", session)).transpose()?;
    Ok(named.map(|session| UploadPlace { session: SessionKey(session), number }))
}
