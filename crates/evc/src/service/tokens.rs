//! Operators' tokens: a new one comes in beside the one that asks, and ends all others once it is used to say so. So whoever asks
//! keeps the new one safe before the old one ends, and is never without.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use zeroize::Zeroizing;

use super::operate::Done;
use super::{Controller, Refusal};
use crate::custody::{CustodyError, random};
use crate::store::{Scope, Stored, Tx, UnixSeconds};

/// Makes a token: 256 random bits as text.
///
/// # Errors
/// [`CustodyError::Making`]: there is no randomness.
pub fn new_token() -> Result<Zeroizing<String>, CustodyError> {
    let mut bytes = Zeroizing::new([0; 32]);
    random(bytes.as_mut_slice())?;
    Ok(Zeroizing::new(URL_SAFE_NO_PAD.encode(*bytes)))
}

impl Controller {
    /// Lets a token in, by its hash. Safe to repeat.
    ///
    /// # Errors
    /// [`Refusal`] of the store's.
    pub async fn add_token(&self, hash: &[u8; 32], now: UnixSeconds) -> Result<Done, Refusal> {
        self.store.write(Scope::Operators, |tx| Box::pin(add_once(tx, hash, now))).await?;
        Ok(Done { done: "the token is good".into(), notes: vec!["so are those before it".into()] })
    }

    /// Ends all tokens but one, which must still be good: of two that ask at once one is refused, and the other's token stays.
    ///
    /// # Errors
    /// [`Refusal::NoToken`]: it was ended meanwhile. Else the store's.
    pub async fn end_other_tokens(&self, than: &[u8; 32]) -> Result<Done, Refusal> {
        let ended = self.store.write(Scope::Operators, |tx| Box::pin(end_others(tx, than))).await?;
        tracing::info!(ended, "tokens ended");
        Ok(Done { done: "the token is new, and the one before it has ended".into(), notes: vec![] })
    }
}

async fn add_once(tx: &mut dyn Tx, hash: &[u8; 32], now: UnixSeconds) -> Stored<()> {
    match tx.token(hash).await? {
        Some(_) => Ok(()),
        None => tx.add_token(hash, "operator", now).await,
    }
}

async fn end_others(tx: &mut dyn Tx, than: &[u8; 32]) -> Result<u64, Refusal> {
    if tx.token(than).await?.is_none() {
        return Err(Refusal::NoToken("this token was ended by another one"));
    }
    Ok(tx.drop_other_tokens(than).await?)
}
