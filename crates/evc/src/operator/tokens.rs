//! Operators' tokens. Over the API: a new one comes in beside the one that asks, and ends all others once it is used to say so. So whoever asks
//! keeps the new one safe before the old one ends, and is never without. On the controller's own machine, where none is left: whoever reads
//! the key-encryption key and writes the database can do everything, so he is given one, whether the controller runs or not.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use disk::Disk;
use vault::ids::Project;
use zeroize::Zeroizing;

use super::Operator;
use crate::api::Done;
use crate::custody::{CustodyError, Identity, Kek, random};
use crate::service::start::{DATABASE, KEK, StartError};
use crate::service::{NoToken, Refusal, first, token_hash};
use crate::store::{Noted, Notes, StorePlace, Stored, TokenRow, UnixSeconds};

/// Makes a token: 256 random bits as text.
///
/// # Errors
/// [`CustodyError::Making`]: there is no randomness.
pub fn new_token() -> Result<Zeroizing<String>, CustodyError> {
    let mut bytes = Zeroizing::new([0; 32]);
    random(bytes.as_mut_slice())?;
    Ok(Zeroizing::new(URL_SAFE_NO_PAD.encode(*bytes)))
}

impl Operator {
    /// Lets a token into this project, by its hash. Safe to repeat.
    ///
    /// # Errors
    /// [`Refusal`] of the store's.
    pub async fn add_token(&self, hash: &[u8; 32], now: UnixSeconds) -> Result<Done, Refusal> {
        let (hash, project) = (*hash, self.project.clone());
        let row = TokenRow { hash, project, name: "operator".into(), added_at: now };
        self.store.note(Noted::Operators, |tx| Box::pin(add_once(tx, &row))).await?;
        Ok(Done {
            done: format!(
                "token {} is added: whoever has it may do all that an operator may",
                in_short(&hash)
            ),
            notes: vec!["the tokens before it are taken as before".into()],
        })
    }

    /// Ends all tokens of this project but one, which must still be good: of two that ask at once one is refused, and the other's token stays.
    ///
    /// # Errors
    /// [`NoToken::Ended`]: it was ended meanwhile. Else the store's.
    pub async fn end_other_tokens(&self, than: &[u8; 32]) -> Result<Done, Refusal> {
        let ended =
            self.store.note(Noted::Operators, |tx| Box::pin(end_others(tx, &self.project, than))).await?;
        let tokens =
            if ended == 1 { "1 other token has".into() } else { format!("{ended} other tokens have") };
        let done = format!("token {} is the only one from now on: {tokens} ended", in_short(than));
        Ok(Done { done, notes: vec![] })
    }
}

/// What a token is called in answers and in the log: the first digits of its SHA-256, by which nobody finds the token.
fn in_short(hash: &[u8; 32]) -> String {
    hex::encode(&hash[..6])
}

async fn add_once(mut tx: Notes<'_, '_>, row: &TokenRow) -> Stored<()> {
    match tx.token(&row.hash).await? {
        Some(_) => Ok(()),
        None => tx.add_token(row).await,
    }
}

async fn end_others(mut tx: Notes<'_, '_>, project: &Project, than: &[u8; 32]) -> Result<u64, Refusal> {
    if tx.token(than).await?.is_none_or(|token| token.project != *project) {
        return Err(NoToken::Ended.into());
    }
    Ok(tx.drop_other_tokens(project, than).await?)
}

/// Lets a token into the database of a data folder, whose key-encryption key lies beside it. Tokens before it stay good.
///
/// # Errors
/// [`StartError`]: nothing was changed.
pub async fn let_in(disk: &Disk, data: &Path, token: &str, now: UnixSeconds) -> Result<(), StartError> {
    first::refuse_without_database(data)?;
    let kek = Kek::from_file_on(disk, &data.join(KEK), false)?;
    let opened = StorePlace::Folder(data.to_owned()).join().await;
    let path = data.join(DATABASE).display().to_string();
    let store = opened.map_err(|source| StartError::Store { path, source })?;
    let added = store.note(Noted::Operators, |tx| Box::pin(add_where_it_belongs(tx, &kek, token, now))).await;
    store.close().await;
    added
}

/// The key-encryption key must be this database's: the CA's key opens under it.
async fn add_where_it_belongs(
    mut tx: Notes<'_, '_>,
    kek: &Kek,
    token: &str,
    now: UnixSeconds,
) -> Result<(), StartError> {
    let ca = tx.key("ca").await?.ok_or_else(|| CustodyError::Absent(Identity::Key("ca").into()))?;
    kek.open(Identity::Key("ca"), &ca.sealed)?;
    let (hash, project) = (token_hash(token), Project::default());
    let name = "operator, on the controller's machine".into();
    Ok(tx.add_token(&TokenRow { hash, project, name, added_at: now }).await?)
}
