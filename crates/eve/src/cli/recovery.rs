//! A vault's recovery key, as root brings it: out of the age file on the disk by an identity, or decrypted elsewhere. Neither is ever an
//! argument; both are wiped. The identity, which may open other nodes' vaults too, goes no further than this process.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use vault::ids::VaultId;
use vault::secret::RecoveryKey;
use wire::age::{self, Identity, MAX_AGE_FILE};
use zeroize::Zeroizing;

use crate::agents::vaultmgr::hands::durable;
use crate::agents::vaultmgr::paths::Paths;

/// Longest file of identities that is read, bytes.
const MAX_IDENTITIES: usize = 64 << 10;

/// The key, by what was given: an identity or the key itself.
pub(super) fn key(
    root: &Path,
    vault: VaultId,
    identity: Option<&Path>,
    key: Option<&Path>,
) -> anyhow::Result<RecoveryKey> {
    match (identity, key) {
        (Some(identity), _) => by_identity(root, vault, identity),
        (None, Some(key)) => given(key),
        (None, None) => bail!("give --identity FILE or --key FILE"),
    }
}

fn given(path: &Path) -> anyhow::Result<RecoveryKey> {
    let bytes = read(path, 33)?;
    match <&[u8; 32]>::try_from(bytes.as_slice()) {
        Ok(bytes) => Ok(RecoveryKey::copied_from(bytes)),
        Err(_) => bail!(
            "{} is no recovery key, which has exactly 32 bytes: give what `age -d` wrote, unchanged",
            shown(path)
        ),
    }
}

fn by_identity(root: &Path, vault: VaultId, path: &Path) -> anyhow::Result<RecoveryKey> {
    let text = read(path, MAX_IDENTITIES)?;
    let text =
        std::str::from_utf8(&text).with_context(|| format!("{} is no file of identities", shown(path)))?;
    let identities =
        Identity::read_all(text).with_context(|| format!("reading the identities in {}", shown(path)))?;
    let files = files(root, vault);
    let mut last = None;
    for file in &files {
        match durable::read(file, MAX_AGE_FILE)
            .map(|bytes| age::open(&bytes.unwrap_or_default(), &identities))
        {
            Ok(Ok(key)) => return Ok(key),
            Ok(Err(error)) => last = Some((file, anyhow::Error::from(error))),
            Err(error) => last = Some((file, error.into())),
        }
    }
    match last {
        Some((file, error)) => {
            Err(error.context(format!("the recovery key in {} does not open", file.display())))
        }
        None => bail!(
            "there is no recovery key of this vault: none lies in {}. Its policy at the controller asks for one with `recovery: {{ recipients: [..] }}`",
            Paths::new(root).recoveries()[0].display()
        ),
    }
}

/// All of one vault's, in both places: of one that was being replaced there are two.
fn files(root: &Path, vault: VaultId) -> Vec<PathBuf> {
    let entries = Paths::new(root)
        .recoveries()
        .into_iter()
        .flat_map(|folder| durable::entries(&folder).unwrap_or_default());
    let of = |name: &str| name.starts_with(&format!("{vault}.")) && name.ends_with(".age");
    entries.filter(|entry| entry.file_name().to_str().is_some_and(of)).map(|entry| entry.path()).collect()
}

/// A file, or standard input. What is read into has its room beforehand, so that no copy is left behind.
fn read(path: &Path, most: usize) -> anyhow::Result<Zeroizing<Vec<u8>>> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(most + 1));
    let from: Box<dyn Read> = match path == Path::new("-") {
        true => Box::new(std::io::stdin().lock()),
        false => Box::new(File::open(path).with_context(|| format!("opening {}", shown(path)))?),
    };
    from.take(most as u64 + 1).read_to_end(&mut bytes).with_context(|| format!("reading {}", shown(path)))?;
    if bytes.len() > most {
        bail!("{} is longer than such a file is ({most} bytes)", shown(path));
    }
    Ok(bytes)
}

fn shown(path: &Path) -> String {
    if path == Path::new("-") { "standard input".to_owned() } else { path.display().to_string() }
}
