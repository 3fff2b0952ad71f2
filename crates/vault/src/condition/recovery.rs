//! What is there of a vault's recovery key: a second protector of ours in its policy, and the key that opens it, encrypted to the
//! operator's recipients, in both places. Whether it opens can't be told here: the identities are elsewhere.

use crate::ids::Epoch;
use crate::recovery::RecipientsDigest;

/// What the name of a recovery protector says: a hint, by which it is replaced, and nothing is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecoveryHint {
    /// To whom its key is encrypted.
    pub recipients: RecipientsDigest,
    /// Which key of the controller's was the newest when it was made; none: none was part of the custody.
    pub epoch: Option<Epoch>,
}

/// What is there of a vault's recovery key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Recovery {
    /// Nothing.
    #[default]
    Nothing,
    /// All of one, in both places, and nothing beside it.
    Ready(RecoveryHint),
    /// The same, and its key was used on this node: another is to take its place.
    Used(RecoveryHint),
    /// Parts of one, or of more than one: damaged, or left by a change that was cut short. What is there may open the vault all the same.
    Parts,
}
