//! One vault read back from kernel and disk. That the thing at its path is this vault is proved here, each time: a directory, no
//! link, on the persist filesystem, under the policy that the metadata names.

use vault::ids::VaultId;
use vault::plan::{Dir, Key, MetaCopy, Seen, Staged};

use super::crypt::{CopyRead, Crypt, CryptError, Found, KeyId, Place};
use super::paths::Paths;

/// What was seen, and the content key's identifier as far as it is known.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Sight {
    pub(crate) seen: Seen,
    pub(crate) key: Option<KeyId>,
}

/// Reads everything of one vault; its share is added by the caller. `known`: the key it had, for a vault whose metadata went.
pub(crate) fn observe(
    crypt: &impl Crypt,
    paths: &Paths,
    id: VaultId,
    known: Option<KeyId>,
) -> Result<Sight, CryptError> {
    let found = crypt.find(&paths.vault(id))?;
    let copies = [crypt.read(id, Place::First)?, crypt.read(id, Place::Second)?];
    let named = named(&found, &copies);
    let [first, second] = copies.map(|copy| meta(&copy, named));
    let key = named.or(policy(&found)).or(known);
    let seen = Seen {
        dir: dir(&found, named),
        staged: staged(crypt, paths, id)?,
        key: key.map_or(Ok(Key::Absent), |key| crypt.key(key))?,
        first,
        second,
        share: None,
    };
    Ok(Sight { seen, key })
}

/// Reads again what changes from outside: path and kernel. Metadata is as it was.
pub(crate) fn glance(
    crypt: &impl Crypt,
    paths: &Paths,
    id: VaultId,
    before: &Sight,
) -> Result<Sight, CryptError> {
    let found = crypt.find(&paths.vault(id))?;
    let named = if before.seen.has_metadata() { before.key } else { None };
    let key = named.or(policy(&found)).or(before.key);
    let status = key.map_or(Ok(Key::Absent), |key| crypt.key(key))?;
    Ok(Sight { seen: Seen { dir: dir(&found, named), key: status, ..before.seen }, key })
}

fn policy(found: &Found) -> Option<KeyId> {
    match found {
        Found::Policy { key, .. } => Some(*key),
        Found::Nothing | Found::Stranger | Found::Plain { .. } => None,
    }
}

/// The key that the metadata is of: when the copies differ, the one that the directory is under decides.
fn named(found: &Found, copies: &[CopyRead; 2]) -> Option<KeyId> {
    let keys = || {
        copies
            .iter()
            .filter_map(|copy| if let CopyRead::Whole { key, .. } = copy { Some(*key) } else { None })
    };
    keys().find(|key| Some(*key) == policy(found)).or_else(|| keys().next())
}

fn meta(copy: &CopyRead, named: Option<KeyId>) -> MetaCopy {
    match copy {
        CopyRead::Absent => MetaCopy::Absent,
        CopyRead::Whole { hint, key } if Some(*key) == named => MetaCopy::Good(*hint),
        CopyRead::Whole { .. } | CopyRead::Damaged => MetaCopy::Damaged,
    }
}

fn dir(found: &Found, named: Option<KeyId>) -> Dir {
    match *found {
        Found::Nothing => Dir::Absent,
        Found::Stranger => Dir::Stranger,
        Found::Plain { empty: true } => Dir::Empty,
        Found::Plain { empty: false } => Dir::Plain,
        Found::Policy { key, encryption: Some(encryption) } if named.is_none_or(|named| named == key) => {
            Dir::Vault(encryption)
        }
        Found::Policy { .. } => Dir::OtherVault,
    }
}

/// An empty directory without a policy is a copy that was cut short before it got one.
fn staged(crypt: &impl Crypt, paths: &Paths, id: VaultId) -> Result<Staged, CryptError> {
    if !id.is_default() {
        return Ok(Staged::Nothing);
    }
    Ok(match crypt.find(&paths.staging(id))? {
        Found::Nothing => Staged::Nothing,
        Found::Policy { .. } | Found::Plain { empty: true } => Staged::Copy,
        Found::Plain { empty: false } | Found::Stranger => Staged::Plain,
    })
}
