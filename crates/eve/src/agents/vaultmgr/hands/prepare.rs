//! Folders of ours, and what the disk shows of vaults before any key is at hand.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::StatVfsMountFlags;
use vault::ids::{CONFIG_VAULT, IMAGE_VAULT, VaultId};

use crate::agents::vaultmgr::generation::files::{covered_on_the_way, is_covered};
use crate::agents::vaultmgr::hands::crypt::{Crypt, CryptError, Found};
use crate::agents::vaultmgr::manager::Owner;
use crate::agents::vaultmgr::paths::Paths;

/// Who may use a vault goes through it, and lists nothing.
const VAULTS_MODE: u32 = 0o711;

/// Makes the folder that all the others lie in.
pub(crate) fn vaults_folder(paths: &Paths) -> io::Result<()> {
    own_folder(paths, &paths.vaults(), VAULTS_MODE)
}

/// The same; on a disk that can't be written the one that is there is enough.
pub(crate) fn vaults_folder_to_read(paths: &Paths) -> io::Result<()> {
    vaults_folder(paths).or_else(|error| if is_read_only(paths) { Ok(()) } else { Err(error) })
}

/// Whether something is mounted over one of our folders, or on the way to it.
pub(crate) fn any_covered(paths: &Paths) -> bool {
    let of_two = [paths.tables(), paths.recoveries()].into_iter().flatten();
    of_two.chain([paths.vaults().join(".new")]).any(|path| is_covered(paths, &path))
}

/// Makes the folders of ours that are outside every vault, in that of all. Says of which that can't be done, or which can't be read: what lies in
/// each has a second copy, or is of no need to a vault that is whole. On a disk that can't be written what is there is enough.
pub(crate) fn own_folders(paths: &Paths) -> Vec<String> {
    let [tables, recoveries] = [paths.tables(), paths.recoveries()];
    let apart = [paths.vaults().join(".new"), tables[0].clone(), recoveries[0].clone()];
    // Within a folder that is a link nothing is made: it would be made wherever that leads.
    let within = [paths.metas(), tables[1].clone(), recoveries[1].clone()];
    let read_only = is_read_only(paths);
    let unusable = |path: &PathBuf| own_folder(paths, path, 0o700).err().filter(|_| !read_only);
    let unread = |path: &PathBuf| disk::entries(path).err().map(|error| not_read(path, &error));
    let wrong = |path: &PathBuf| unusable(path).or_else(|| unread(path).filter(|_| !read_only));
    // Without the outermost nothing is in it.
    let in_it = |metas: &PathBuf| {
        wrong(metas).map_or_else(|| within[1..].iter().filter_map(wrong).collect(), |it| vec![it])
    };
    let words = |error: io::Error| {
        format!("{error}; meanwhile vaults open by what lies elsewhere, and it is tried again by itself")
    };
    let mut told: Vec<String> = apart.iter().filter_map(wrong).chain(in_it(&within[0])).map(words).collect();
    // One mount may hide several.
    told.dedup();
    told
}

fn not_read(path: &Path, error: &io::Error) -> io::Error {
    let shown = crate::agents::vaultmgr::hands::tree::shown(path);
    io::Error::other(format!(
        "{shown}: vaultmgr's folder can't be read ({error}): see what the kernel's log (`dmesg`) says of the disk, and run `fsck` on it while it is not mounted"
    ))
}

/// No link is followed, wherever it leads, and nothing is made in what is mounted there.
fn own_folder(paths: &Paths, path: &Path, mode: u32) -> io::Result<()> {
    if is_covered(paths, path) {
        return Err(covered_on_the_way(paths, path).into());
    }
    let advice = |error: disk::Error| {
        let words = match &error {
            disk::Error::Unsafe { .. } => {
                "a link or a file stands where vaultmgr's folder is to be; move it away, and eve goes on"
                    .to_owned()
            }
            _ => format!("vaultmgr's folder can't be made: {}", crate::agents::vaultmgr::chain(&error)),
        };
        io::Error::new(
            io::Error::from(error).kind(),
            format!("{}: {words}", crate::agents::vaultmgr::hands::tree::shown(path)),
        )
    };
    paths.disk().make_folder(path, mode).map(drop).map_err(advice)
}

/// Whether nothing can be written on the persist filesystem.
pub(crate) fn is_read_only(paths: &Paths) -> bool {
    let flags = rustix::fs::statvfs(paths.persist()).map(|found| found.f_flag);
    flags.is_ok_and(|flags| flags.contains(StatVfsMountFlags::RDONLY))
}

/// Makes the folders inside the Config Vault: ours, and zedagent's for its checkpoint.
pub(crate) fn config_folders(paths: &Paths, zedagent: Owner) -> Result<(), disk::Error> {
    if were_given(paths, zedagent) {
        return Ok(());
    }
    let disk = paths.disk();
    // It may have been moved in from another user's. Others reach their own folder through it, and list nothing.
    disk.folder(&paths.vault(CONFIG_VAULT))?.give(0, 0, 0o711)?;
    disk.make_folder(&paths.own_folder(), 0o700)?.give(0, 0, 0o700)?;
    disk.make_folder(&paths.zedagent_folder(), 0o700)?.give(zedagent.uid, zedagent.gid, 0o700)
}

/// Whether an earlier life came to the end of that. What is another user's was given to him after its name was durable, and so was
/// the name before it: then no boot waits for the disk.
fn were_given(paths: &Paths, zedagent: Owner) -> bool {
    let is = |path: &Path, uid, gid, mode| {
        fs::symlink_metadata(path).is_ok_and(|found| {
            found.is_dir() && (found.uid(), found.gid(), found.mode() & 0o7777) == (uid, gid, mode)
        })
    };
    zedagent.uid != 0
        && is(&paths.vault(CONFIG_VAULT), 0, 0, 0o711)
        && is(&paths.own_folder(), 0, 0, 0o700)
        && is(&paths.zedagent_folder(), zedagent.uid, zedagent.gid, 0o700)
}

/// Vaults with metadata or a directory of their own. What can't be listed is not there for this question.
pub(crate) fn on_disk(paths: &Paths, crypt: &impl Crypt) -> Vec<VaultId> {
    crypt.vaults().unwrap_or_default().into_iter().chain(directories(paths).unwrap_or_default()).collect()
}

fn directories(paths: &Paths) -> io::Result<Vec<VaultId>> {
    let named = |entry: fs::DirEntry| entry.file_name().to_str().and_then(|name| name.parse().ok());
    Ok(disk::entries(&paths.vaults())?.into_iter().filter_map(named).collect())
}

/// Whether anything of a vault is on the disk: metadata, a vault's directory, or a default one's with a policy.
///
/// # Errors
/// Not all could be looked at, and nothing was found elsewhere: then it is not known.
pub(crate) fn has_vaults(paths: &Paths, crypt: &impl Crypt) -> Result<bool, CryptError> {
    let listing = |error| CryptError::because("listing the vaults' directories", error);
    let encrypted =
        |id| crypt.find(&paths.vault(id)).map(|found| !matches!(found, Found::Nothing | Found::Plain { .. }));
    let looks = [
        crypt.vaults().map(|vaults| !vaults.is_empty()),
        directories(paths).map(|vaults| !vaults.is_empty()).map_err(listing),
        encrypted(CONFIG_VAULT),
        encrypted(IMAGE_VAULT),
    ];
    let any = looks.iter().any(|look| matches!(look, Ok(true)));
    looks.into_iter().try_fold(any, |any, look| if any { Ok(true) } else { look })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::chown;

    use super::*;

    /// seen-by-users 0b.14: what stands in the way of our folders is named with its path and what to do.
    #[test]
    fn what_stands_in_our_folders_place_is_named() {
        for name in ["vaults", "vaults/.new", "vaults/.meta", "vaults/.shares", "vaults/.recovery"] {
            let dir = tempfile::tempdir().expect("a directory");
            let (persist, outside) = (dir.path().join("persist"), dir.path().join("outside"));
            let path = persist.join(name);
            fs::create_dir_all(path.parent().expect("one")).expect("makes");
            fs::create_dir(&outside).expect("makes");
            std::os::unix::fs::symlink(&outside, &path).expect("links");
            let paths = Paths::new(dir.path());
            let told = match vaults_folder(&paths) {
                Err(error) => error.to_string(),
                Ok(()) => own_folders(&paths).join("; "),
            };
            assert!(told.contains(&path.display().to_string()) && told.contains("move it away"), "{told}");
            fs::remove_file(&path).expect("there");
            vaults_folder(&paths).expect("its twin");
            assert_eq!(own_folders(&paths), [""; 0], "its twin");
            assert_eq!(fs::read_dir(&outside).expect("lists").count(), 0);
        }
    }

    /// A Config Vault that was moved in from another user's folder. vaultmgr may change owners, and not write past them.
    #[test]
    fn the_config_vault_becomes_roots_without_writing_past_its_owner() {
        let dir = tempfile::tempdir().expect("a directory");
        let paths = Paths::new(dir.path());
        let vault = paths.vault(CONFIG_VAULT);
        fs::create_dir_all(&vault).expect("makes");
        chown(&vault, Some(12345), Some(12345)).expect("as root");
        // Capabilities are a thread's own.
        let without = std::thread::spawn(move || {
            caps::drop(None, caps::CapSet::Effective, caps::Capability::CAP_DAC_OVERRIDE).expect("drops");
            config_folders(&paths, Owner { uid: 7303, gid: 7303 })
        });
        without.join().expect("runs").expect("the folders");
    }
}
