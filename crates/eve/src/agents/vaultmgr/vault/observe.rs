//! One vault read back from kernel and disk. That the thing at its path is this vault is proved here, each time: a directory, no
//! link, on the persist filesystem, under the policy that the metadata names.

use std::path::Path;

use vault::condition::{Dir, Key, MetaCopy, Others, Recovery, Seen, Staged};
use vault::ids::VaultId;
use vault::section::Encryption;

use crate::agents::vaultmgr::hands::crypt::{CopyRead, Crypt, CryptError, Found, KeyId, MetaPlace};
use crate::agents::vaultmgr::paths::Paths;

/// What was seen, and the content key's identifier as far as it is known.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Sight {
    pub(crate) seen: Seen,
    pub(crate) key: Option<KeyId>,
    /// What the metadata names, while a copy of it is whole.
    named: Option<Named>,
}

/// The policy that the metadata is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Named {
    key: KeyId,
    encryption: Option<Encryption>,
}

/// Reads everything of one vault; its shares are added by the caller. `before` has the key it had, for a vault whose metadata went, and what lay at its
/// paths, for a disk that went.
pub(crate) fn observe(
    crypt: &impl Crypt,
    paths: &Paths,
    id: VaultId,
    before: Option<&Sight>,
) -> Result<Sight, CryptError> {
    if let Some(as_it_was) = before.and_then(|before| went(crypt, before)) {
        return as_it_was;
    }
    let (found, space) = crypt.find_with_space(&paths.vault(id))?;
    let Copies { copies, unread } = read_both(crypt, id)?;
    let (named, others) = (named(&found, &copies), others(&copies[0]).or(others(&copies[1])));
    let recovery =
        crypt.recovery(id, copies.iter().any(|copy| matches!(copy, CopyRead::Whole { recovery: true, .. })));
    let [first, second] = copies.map(|copy| meta(&copy, named));
    let standing = standing(crypt, id, &found, named);
    let key = key(standing, &found, named).or(before.and_then(|before| before.key));
    let dir = standing;
    let is_whole = matches!(dir, Dir::Vault(_)) && [first, second].iter().any(|copy| copy.hint().is_some());
    let staged = staged(crypt, paths, id, key);
    let seen = Seen {
        dir,
        // Nothing that may stand there is of need to a vault that is whole.
        staged: staged.or_else(|error| if is_whole { Ok(Staged::Nothing) } else { Err(error) })?,
        // What lies in a place that can't be read is not known.
        unwiped: unread || crypt.unwiped(id).is_some(),
        key: key.map_or(Ok(Key::Absent), |key| crypt.key(key))?,
        first,
        second,
        others,
        recovery,
        space,
        ..Seen::default()
    };
    Ok(Sight { seen: Seen { lags: lags(crypt, id, &seen), ..seen }, key, named })
}

/// Reads again what changes from outside, path and kernel, and whether the second copy has what others added: a key that opened a vault
/// may have mended what is ours. All else of the metadata is as it was, and of what is staged all but another vault's directory.
pub(crate) fn glance(
    crypt: &impl Crypt,
    paths: &Paths,
    id: VaultId,
    before: &Sight,
) -> Result<Sight, CryptError> {
    if let Some(as_it_was) = went(crypt, before) {
        return as_it_was;
    }
    let (found, space) = crypt.find_with_space(&paths.vault(id))?;
    let named = before.named;
    let standing = standing(crypt, id, &found, named);
    let key = key(standing, &found, named).or(before.key);
    let status = key.map_or(Ok(Key::Absent), |key| crypt.key(key))?;
    let lags = lags(crypt, id, &before.seen);
    // It is told until whoever moved it there has put it back.
    let staged = match before.seen.staged {
        Staged::Other => staged(crypt, paths, id, key).unwrap_or(Staged::Other),
        as_it_was => as_it_was,
    };
    Ok(Sight { seen: Seen { dir: standing, staged, key: status, lags, space, ..before.seen }, key, named })
}

/// A disk that went has all of it still, and the kernel its key: of what lies at its path now nothing is concluded.
fn went(crypt: &impl Crypt, before: &Sight) -> Option<Result<Sight, CryptError>> {
    let is_known = !before.seen.is_nothing() || before.key.is_some();
    let away = is_known && crypt.is_away();
    away.then(|| {
        let status = before.key.map_or(Ok(Key::Absent), |key| crypt.key(key))?;
        Ok(Sight { seen: Seen { key: status, ..before.seen }, ..*before })
    })
}

/// What is known of a vault that could not be looked at: what was seen of it before, or what its key files name; and what the kernel says of its
/// key, which asks nothing of its place.
pub(crate) fn unlooked(crypt: &impl Crypt, id: VaultId, before: &Sight) -> Sight {
    let known = before.key.map(|_| *before).or_else(|| of_key_files(crypt, id)).unwrap_or(*before);
    let status = known.key.and_then(|key| crypt.key(key).ok());
    Sight { seen: Seen { key: status.unwrap_or(known.seen.key), ..known.seen }, ..known }
}

fn of_key_files(crypt: &impl Crypt, id: VaultId) -> Option<Sight> {
    let Copies { copies, .. } = read_both(crypt, id).ok()?;
    let named = named(&Found::Nothing, &copies)?;
    let [first, second] = copies.map(|copy| meta(&copy, Some(named)));
    Some(Sight { seen: Seen { first, second, ..Seen::default() }, key: Some(named.key), named: Some(named) })
}

/// Both copies of the key files.
struct Copies {
    copies: [CopyRead; 2],
    /// The disk did not give one.
    unread: bool,
}

/// A copy that the disk does not give is as good as damaged while its twin is whole; else nothing is concluded.
fn read_both(crypt: &impl Crypt, id: VaultId) -> Result<Copies, CryptError> {
    let reads = [MetaPlace::First, MetaPlace::Second].map(|place| crypt.read(id, place));
    let unread = reads.iter().any(Result::is_err);
    if !reads.iter().any(|read| matches!(read, Ok(CopyRead::Whole { .. }))) {
        let [first, second] = reads;
        return Ok(Copies { copies: [first?, second?], unread });
    }
    let copies = reads.map(|read| {
        read.unwrap_or_else(|error| {
            tracing::warn!(vault = %id, error = %crate::agents::vaultmgr::chain(&error), "one copy of its metadata");
            CopyRead::Damaged
        })
    });
    Ok(Copies { copies, unread })
}

fn lags(crypt: &impl Crypt, id: VaultId, seen: &Seen) -> bool {
    let more = seen.others.count() > 0 || seen.recovery != Recovery::Nothing;
    seen.has_both_copies() && more && crypt.lags(id)
}

fn others(copy: &CopyRead) -> Others {
    match copy {
        CopyRead::Whole { others, .. } => *others,
        CopyRead::Absent | CopyRead::Damaged => Others::default(),
    }
}

fn policy(found: &Found) -> Option<KeyId> {
    match found {
        Found::Policy { key, .. } => Some(*key),
        Found::Nothing | Found::Stranger | Found::Covered | Found::Plain { .. } => None,
    }
}

/// What the metadata is of: when the copies differ, the one that the directory is under decides, by its key and, of two that name that, by
/// its modes, which no key proves.
fn named(found: &Found, copies: &[CopyRead; 2]) -> Option<Named> {
    let whole = |copy: &CopyRead| match *copy {
        CopyRead::Whole { key, encryption, .. } => Some(Named { key, encryption }),
        CopyRead::Absent | CopyRead::Damaged => None,
    };
    let mut all = copies.iter().filter_map(whole);
    let same_key = |named: &Named| Some(named.key) == policy(found);
    let same = |named: &Named| matches!(*found, Found::Policy { key, encryption } if *named == Named { key, encryption });
    all.clone().find(same).or_else(|| all.clone().find(same_key)).or_else(|| all.next())
}

fn meta(copy: &CopyRead, named: Option<Named>) -> MetaCopy {
    match *copy {
        CopyRead::Absent => MetaCopy::Absent,
        CopyRead::Whole { hint, key, encryption, .. } if Some(Named { key, encryption }) == named => {
            MetaCopy::Good(hint)
        }
        CopyRead::Whole { .. } | CopyRead::Damaged => MetaCopy::Damaged,
    }
}

/// The content key's name: what the metadata says, or else the policy of a directory that is no other vault's.
fn key(standing: Dir, found: &Found, named: Option<Named>) -> Option<KeyId> {
    named.map(|named| named.key).or_else(|| policy(found).filter(|_| standing != Dir::OtherVault))
}

/// Without metadata of its own a directory counts as the vault's, unless another vault's metadata tells that it is that one's.
fn standing(crypt: &impl Crypt, id: VaultId, found: &Found, named: Option<Named>) -> Dir {
    let is_anothers = |key| named.is_none() && crypt.is_named_by_another(id, key);
    if policy(found).is_some_and(is_anothers) { Dir::OtherVault } else { dir(found, named) }
}

/// Key and modes must be those that the metadata names: the directory's own word can be changed on the raw disk.
fn dir(found: &Found, named: Option<Named>) -> Dir {
    match *found {
        Found::Nothing => Dir::Absent,
        Found::Stranger => Dir::Stranger,
        Found::Covered => Dir::Covered,
        Found::Plain { empty: true } => Dir::Empty,
        Found::Plain { empty: false } => Dir::Plain,
        Found::Policy { key, encryption } => match (named, encryption) {
            (None, Some(encryption)) => Dir::Vault(encryption),
            (Some(named), Some(is)) if named == (Named { key, encryption }) => Dir::Vault(is),
            _ => Dir::OtherVault,
        },
    }
}

/// An empty directory without a policy is a copy that was cut short before it got one. One under another key than the vault's own is none of its copies.
fn staged(crypt: &impl Crypt, paths: &Paths, id: VaultId, own: Option<KeyId>) -> Result<Staged, CryptError> {
    if !id.is_default() {
        return Ok(Staged::Nothing);
    }
    Ok(match crypt.find(&paths.staging(id))? {
        // Files that only wait to be wiped are not the only copy of anything.
        Found::Nothing if paths.going(id).exists() || paths.stamps(id).exists() => Staged::Going,
        Found::Nothing => Staged::Nothing,
        // What stands in the place of the folder itself, or hides it, is nothing that was staged.
        Found::Covered => {
            return Err(CryptError::new("looking at a vault's staging place, which a mount hides"));
        }
        Found::Stranger if !paths.staging(id).parent().is_some_and(Path::is_dir) => {
            return Err(CryptError::new("looking at a vault's staging place"));
        }
        Found::Policy { key, .. } if own != Some(key) => Staged::Other,
        Found::Policy { .. } | Found::Plain { empty: true } => Staged::Copy,
        Found::Plain { empty: false } | Found::Stranger => Staged::Plain,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use vault::condition::Hint;

    const KEY: KeyId = KeyId([1; 16]);
    const AES: Option<Encryption> = Some(Encryption::Aes256Xts);

    fn looks(directory: (KeyId, Option<Encryption>), copies: [CopyRead; 2]) -> Dir {
        let found = Found::Policy { key: directory.0, encryption: directory.1 };
        dir(&found, named(&found, &copies))
    }

    /// Before anything is written there, key and modes are held against the metadata.
    #[test]
    fn another_key_or_other_modes_are_another_vault() {
        let others = Others::default();
        let whole =
            || CopyRead::Whole { hint: Hint::NoEpoch, key: KEY, encryption: AES, others, recovery: false };
        let both = || [whole(), whole()];
        assert_eq!(looks((KEY, AES), both()), Dir::Vault(Encryption::Aes256Xts));
        assert_eq!(looks((KeyId([2; 16]), AES), both()), Dir::OtherVault);
        assert_eq!(looks((KEY, Some(Encryption::Adiantum)), both()), Dir::OtherVault);
        assert_eq!(looks((KEY, None), both()), Dir::OtherVault);
        let flipped =
            || CopyRead::Whole { hint: Hint::NoEpoch, key: KEY, encryption: None, others, recovery: false };
        for copies in [[flipped(), whole()], [whole(), flipped()]] {
            assert_eq!(looks((KEY, AES), copies), Dir::Vault(Encryption::Aes256Xts), "one of them is right");
        }
        assert_eq!(looks((KEY, AES), [flipped(), flipped()]), Dir::OtherVault);
        let none = [CopyRead::Absent, CopyRead::Damaged];
        assert_eq!(looks((KEY, AES), none), Dir::Vault(Encryption::Aes256Xts), "nothing to hold it against");
    }
}
