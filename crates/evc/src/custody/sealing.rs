//! How a key of the controller's seals a row: AES-256-GCM, bound to the row. Nonce (12 random bytes) || ciphertext || tag.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use zeroize::{Zeroize as _, Zeroizing};

use super::{CustodyError, Identity, Unmade, random};

/// # Errors
/// [`CustodyError::Making`].
pub(super) fn seal(key: &[u8; 32], row: Identity<'_>, plain: &[u8]) -> Result<Vec<u8>, CustodyError> {
    let mut nonce = [0; NONCE_LEN];
    random(&mut nonce)?;
    // Room for the tag at once: growing would leave a copy of the plain bytes behind.
    let mut sealed = Vec::with_capacity(NONCE_LEN + plain.len() + AES_256_GCM.tag_len());
    sealed.extend_from_slice(plain);
    let done = cipher(key).seal_in_place_append_tag(Nonce::from(&nonce), Aad::from(row.aad()), &mut sealed);
    if done.is_err() {
        sealed.zeroize();
        return Err(CustodyError::Making(Unmade::Sealing));
    }
    sealed.splice(0..0, nonce);
    Ok(sealed)
}

/// # Errors
/// [`CustodyError::Unsealed`].
pub(super) fn open(
    key: &[u8; 32],
    row: Identity<'_>,
    sealed: &[u8],
) -> Result<Zeroizing<Vec<u8>>, CustodyError> {
    let unsealed = || CustodyError::Unsealed(row.into());
    let (nonce, rest) = sealed.split_at_checked(NONCE_LEN).ok_or_else(unsealed)?;
    let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| unsealed())?;
    let mut plain = Zeroizing::new(rest.to_vec());
    let opened = cipher(key).open_in_place(nonce, Aad::from(row.aad()), &mut plain);
    let length = opened.map_err(|_| unsealed())?.len();
    plain.truncate(length);
    Ok(plain)
}

fn cipher(key: &[u8; 32]) -> LessSafeKey {
    LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key).expect("32 bytes are an AES-256 key"))
}
