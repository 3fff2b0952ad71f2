//! A vault's recovery key, as root brings it: out of the age file on the disk by an identity, or decrypted elsewhere. Neither is ever an
//! argument; both are wiped. The identity, which may open other nodes' vaults too, goes no further than this process.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use vault::ids::VaultId;
use vault::secret::RecoveryKey;
use vault::text::path_shown;
use wire::age::{self, Identity, MAX_AGE_FILE};
use zeroize::Zeroizing;

use crate::agents::vaultmgr::hands::durable;
use crate::agents::vaultmgr::paths::Paths;

/// Longest file of identities that is read, bytes.
const MAX_IDENTITIES: usize = 64 << 10;

/// The keys that may be the vault's, by what was given: an identity or the key itself. There is one. Where the power was cut while it was replaced
/// there are two, and the disk alone does not say which of them is in force: each is to be tried.
pub(super) fn keys(
    root: &Path,
    vault: VaultId,
    identity: Option<&Path>,
    key: Option<&Path>,
) -> anyhow::Result<Vec<RecoveryKey>> {
    match (identity, key) {
        (Some(identity), _) => by_identity(root, vault, identity),
        (None, Some(key)) => Ok(vec![given(key)?]),
        (None, None) => bail!("nothing is named that opens the vault: give --identity FILE or --key FILE"),
    }
}

fn given(path: &Path) -> anyhow::Result<RecoveryKey> {
    let bytes = read(path, 33)?;
    match <&[u8; 32]>::try_from(bytes.as_slice()) {
        Ok(bytes) => Ok(RecoveryKey::copied_from(bytes)),
        Err(_) => bail!(
            "{} is no recovery key, which has exactly 32 bytes: give what `age -d` wrote, unchanged",
            path_shown(path)
        ),
    }
}

/// Gives each key in turn, until one opens the vault.
///
/// # Errors
/// None does: what was said of the last.
pub(super) fn each<T>(
    keys: Vec<RecoveryKey>,
    mut give: impl FnMut(RecoveryKey) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    let mut last = Err(anyhow::anyhow!(
        "no recovery key was given: name one with --key, or who opens it with --identity"
    ));
    for key in keys {
        last = give(key);
        if last.is_ok() {
            break;
        }
    }
    last
}

fn by_identity(root: &Path, vault: VaultId, path: &Path) -> anyhow::Result<Vec<RecoveryKey>> {
    let text = read(path, MAX_IDENTITIES)?;
    let text = std::str::from_utf8(&text)
        .with_context(|| format!("{} is no file of identities", path_shown(path)))?;
    let identities = Identity::read_all(text)
        .with_context(|| format!("reading the identities in {}", path_shown(path)))?;
    let (files, unread) = files(root, vault);
    let (mut keys, mut last) = (Vec::new(), None);
    for file in &files {
        match durable::read(file, MAX_AGE_FILE)
            .map(|bytes| age::open(&bytes.unwrap_or_default(), &identities))
        {
            Ok(Ok(key)) => note(&mut keys, key),
            Ok(Err(error)) => last = Some((file, anyhow::Error::from(error))),
            Err(error) => last = Some((file, error.into())),
        }
    }
    match last {
        _ if !keys.is_empty() => Ok(keys),
        Some((file, error)) => {
            Err(error.context(format!("the recovery key in {} does not open", file.display())))
        }
        None => Err(unread.unwrap_or_else(|| anyhow::anyhow!(
            "there is no recovery key of this vault: none lies in {}; to have one made, write `recovery: {{ recipients: [..] }}` into its policy at the controller while it opens",
            Paths::new(root).recoveries()[0].display()
        ))),
    }
}

/// Each once: a file lies in two places.
fn note(keys: &mut Vec<RecoveryKey>, key: RecoveryKey) {
    let same = |other: &RecoveryKey| other.expose_recovery_key() == key.expose_recovery_key();
    if !keys.iter().any(same) {
        keys.push(key);
    }
}

/// All of one vault's, in both places: of one that was being replaced there are two. And why a place can't be read: the other one may have all.
fn files(root: &Path, vault: VaultId) -> (Vec<PathBuf>, Option<anyhow::Error>) {
    let of = |name: &str| name.starts_with(&format!("{vault}.")) && name.ends_with(".age");
    let (mut files, mut unread) = (Vec::new(), None);
    for folder in Paths::new(root).recoveries() {
        let entries = disk::entries(&folder);
        match entries.with_context(|| format!("reading the folder {}", path_shown(&folder))) {
            Ok(entries) => {
                let ours = entries.into_iter().filter(|entry| entry.file_name().to_str().is_some_and(of));
                files.extend(ours.map(|entry| entry.path()));
            }
            Err(error) => unread = Some(error),
        }
    }
    (files, unread)
}

/// A file, or standard input. What is read into has its room beforehand, so that no copy is left behind.
fn read(path: &Path, most: usize) -> anyhow::Result<Zeroizing<Vec<u8>>> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(most + 1));
    let from: Box<dyn Read> = if path == Path::new("-") {
        Box::new(std::io::stdin().lock())
    } else {
        Box::new(File::open(path).with_context(|| format!("opening {}", path_shown(path)))?)
    };
    from.take(most as u64 + 1)
        .read_to_end(&mut bytes)
        .with_context(|| format!("reading {}", path_shown(path)))?;
    if bytes.len() > most {
        bail!(
            "{} is longer than such a file is ({most} bytes): give the key, or the identities, and nothing else",
            path_shown(path)
        );
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPERATOR: (&str, &str) = (
        "AGE-SECRET-KEY-1AD09SLRRQKVXAUQA08C4EX2A2HJTX5XAMKVU7DEKT4SVYEV3K4TQ0U82P2",
        "age148z9va8x42exdm7nl0rkc8hde3nutdrx6a6jms2ksa05y6fevqqssazwnu",
    );

    /// Invariant 5: where the power was cut while the key was replaced, two age files lie there, and either may be the one in force. Each is tried.
    #[test]
    fn of_two_keys_the_one_that_opens_is_found() {
        let dir = tempfile::tempdir().expect("a directory");
        let root = dir.path();
        let vault = VaultId("00000000-0000-0000-0000-00000000004d".parse().expect("an id"));
        let recipients = vec![OPERATOR.1.parse().expect("a recipient")].try_into().expect("recipients");
        for folder in Paths::new(root).recoveries() {
            std::fs::create_dir_all(&folder).expect("makes");
            for n in [1, 2] {
                let file = age::seal(&recipients, &RecoveryKey::copied_from(&[n; 32])).expect("seals");
                std::fs::write(folder.join(format!("{vault}.{n}.age")), file).expect("writes");
            }
        }
        let identity = root.join("identity");
        std::fs::write(&identity, OPERATOR.0).expect("writes");
        for right in [1, 2] {
            let keys = keys(root, vault, Some(&identity), None).expect("opened");
            assert_eq!(keys.len(), 2);
            let give = |key: RecoveryKey| {
                let opens = key.expose_recovery_key() == &[right; 32];
                if opens { Ok(right) } else { bail!("not this one") }
            };
            assert_eq!(each(keys, give).expect("one opens"), right);
        }
        let refused =
            each(vec![RecoveryKey::copied_from(&[3; 32])], |_| bail!("not this one") as anyhow::Result<()>);
        assert!(refused.is_err_and(|error| error.to_string() == "not this one"));
    }
}
