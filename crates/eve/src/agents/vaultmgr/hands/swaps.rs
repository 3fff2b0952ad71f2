//! Where memory goes when there is little of it. Swap on a file of persist keeps that file in use, and what lies in swap that is not
//! encrypted is outside what vaults protect: contents of open files, and the memory of whoever reads them.

use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::agents::vaultmgr::hands::mounts::unescaped;

/// Files and devices that are swap now (proc_swaps(5)).
fn all() -> Vec<PathBuf> {
    paths(&fs::read("/proc/swaps").unwrap_or_default())
}

/// The files among them, as the kernel names them to us: in another namespace that path may lead elsewhere, or nowhere.
pub(crate) fn files() -> Vec<PathBuf> {
    let table = fs::read("/proc/swaps").unwrap_or_default();
    lines(&table).filter(|line| line.kind == b"file").map(|line| line.path).collect()
}

/// What is to be said of the swap of a node whose vaults lie under `persist`; nothing where all of it is encrypted, or there is none.
pub(crate) fn notes(persist: &Path) -> Vec<String> {
    let device = fs::metadata(persist).map(|found| found.dev()).ok();
    all().iter().filter_map(|swap| note(swap, device)).collect()
}

fn note(swap: &Path, persist: Option<u64>) -> Option<String> {
    let found = fs::metadata(swap).ok();
    let shown = crate::agents::vaultmgr::hands::tree::shown(swap);
    match found {
        Some(found) if found.is_file() && Some(found.dev()) == persist => Some(format!(
            "swap lies in a file on the persist filesystem ({shown}): what apps have in memory is written there in the clear; swapoff it, and use swap on dm-crypt"
        )),
        Some(found) if is_safe(&found, swap) => None,
        _ => Some(format!(
            "swap on {shown} is not encrypted: what apps have in memory may be written there in the clear; use swap on dm-crypt, or none"
        )),
    }
}

/// A device of dm-crypt, or one in memory.
fn is_safe(found: &fs::Metadata, swap: &Path) -> bool {
    use std::os::unix::fs::FileTypeExt;
    let (major, minor) = (rustix::fs::major(found.rdev()), rustix::fs::minor(found.rdev()));
    let device = PathBuf::from(format!("/sys/dev/block/{major}:{minor}"));
    found.file_type().is_block_device() && is_safe_device(&device, swap)
}

/// By what the kernel says of the device in this folder.
fn is_safe_device(device: &Path, swap: &Path) -> bool {
    let in_memory = swap.file_name().is_some_and(|name| name.to_string_lossy().starts_with("zram"));
    is_crypt(device) || in_memory && !writes_back(device)
}

fn is_crypt(device: &Path) -> bool {
    fs::read_to_string(device.join("dm/uuid")).is_ok_and(|uuid| uuid.starts_with("CRYPT-"))
}

/// zram may put what it holds on a disk, of which the name need not be UTF-8. A kernel that can't has no such file.
fn writes_back(device: &Path) -> bool {
    match fs::read(device.join("backing_dev")) {
        Ok(backing) => backing.trim_ascii() != b"none",
        Err(error) => error.kind() != std::io::ErrorKind::NotFound,
    }
}

fn paths(table: &[u8]) -> Vec<PathBuf> {
    lines(table).map(|line| line.path).collect()
}

struct Line<'a> {
    path: PathBuf,
    /// `file` or `partition`.
    kind: &'a [u8],
}

fn lines(table: &[u8]) -> impl Iterator<Item = Line<'_>> {
    table.split(|byte| *byte == b'\n').skip(1).filter_map(|line| {
        let mut words = line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
        let path = PathBuf::from(OsString::from_vec(unescaped(words.next()?)));
        Some(Line { path, kind: words.next().unwrap_or_default() })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Facts, fault 4: a swap file of persist is told, and swap that nothing encrypts.
    #[test]
    fn swap_that_is_not_encrypted_is_told() {
        let table = b"Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n/a\\040file   file\t\t100\t0\t-2\n/dev/zram0 partition\t1\t0\t-1\n";
        assert_eq!(paths(table), [Path::new("/a file"), Path::new("/dev/zram0")]);
        let kinds: Vec<_> = lines(table).map(|line| line.kind).collect();
        assert_eq!(kinds, [&b"file"[..], b"partition"]);
        let dir = tempfile::tempdir().expect("a directory");
        let (file, device) = (dir.path().join("swap"), fs::metadata(dir.path()).expect("there").dev());
        fs::write(&file, "x").expect("writes");
        let told = |persist| note(&file, persist).expect("a note");
        assert!(told(Some(device)).contains("on the persist filesystem"));
        assert!(told(Some(device + 1)).contains("is not encrypted"));
        assert!(note(Path::new("/dev/null"), None).is_some(), "no block device");
    }

    /// Facts, fault 4: of the device mapper's devices those of dm-crypt alone encrypt, by the beginning of their UUID.
    #[test]
    fn of_mapped_devices_those_of_dm_crypt_alone_are_safe() {
        let dir = tempfile::tempdir().expect("a directory");
        let is_safe = || is_safe_device(dir.path(), Path::new("/dev/dm-0"));
        assert!(!is_safe(), "no mapped device");
        fs::create_dir(dir.path().join("dm")).expect("makes");
        for (uuid, safe) in [
            ("CRYPT-PLAIN-swap\n", true),
            ("CRYPT-LUKS2-0123-swap\n", true),
            ("LVM-abcd\n", false),
            ("LVM-CRYPT-abcd\n", false),
            ("\n", false),
        ] {
            fs::write(dir.path().join("dm/uuid"), uuid).expect("writes");
            assert_eq!(is_safe(), safe, "{uuid}");
        }
    }

    /// zram lies in memory, but where it writes back; the name of that file need not be UTF-8, and a kernel that can't has no such file.
    #[test]
    fn a_zram_that_writes_to_a_disk_is_known_whatever_that_is_called() {
        let dir = tempfile::tempdir().expect("a directory");
        let is_safe = |swap: &str| is_safe_device(dir.path(), Path::new(swap));
        assert!(is_safe("/dev/zram0") && !is_safe("/dev/sda2"));
        for (backing, safe) in [(&b"none\n"[..], true), (b"/mnt/\xff\n", false)] {
            fs::write(dir.path().join("backing_dev"), backing).expect("writes");
            assert_eq!(is_safe("/dev/zram1"), safe);
        }
    }
}
