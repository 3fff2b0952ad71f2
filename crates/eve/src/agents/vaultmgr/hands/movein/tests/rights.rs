//! What comes over is open to nobody whom the original is closed to.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use rustix::fs::{XattrFlags, lgetxattr, lremovexattr, lsetxattr};

use super::*;

fn acl(entries: &[(u16, u16, u32)]) -> Vec<u8> {
    let mut bytes = 2_u32.to_le_bytes().to_vec();
    for (tag, perm, id) in entries {
        bytes.extend(tag.to_le_bytes());
        bytes.extend(perm.to_le_bytes());
        bytes.extend(id.to_le_bytes());
    }
    bytes
}

const NOBODY: u32 = u32::MAX;
const STRANGER: u32 = 65534;

/// owner rwx, the stranger rwx, group r-x, mask rwx, others nothing.
fn for_the_stranger() -> Vec<u8> {
    acl(&[(1, 7, NOBODY), (2, 7, STRANGER), (4, 5, NOBODY), (0x10, 7, NOBODY), (0x20, 0, NOBODY)])
}

fn has_acl(path: &Path) -> bool {
    let mut value = [0; 256];
    lgetxattr(path, "system.posix_acl_access", &mut value).is_ok()
}

/// Threats, one user's files and another: a folder has a default ACL for a stranger, and a file in it has none (it is older than that ACL, or `setfacl -b`
/// took it off). It is written to while it is copied, so it is copied anew: the copy must not be open to the stranger.
#[test]
fn a_file_that_is_copied_once_more_is_open_to_nobody_whom_the_original_is_closed_to() {
    let tree = OnExt4::new();
    let Places { place, staging, .. } = &tree.places;
    let folder = place.join("shared");
    fs::create_dir(&folder).expect("makes");
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).expect("sets");
    let secret = folder.join("secret");
    fs::write(&secret, "first").expect("writes");
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o660)).expect("sets");
    lsetxattr(&folder, "system.posix_acl_default", &for_the_stranger(), XattrFlags::CREATE).expect("sets");
    assert!(!has_acl(&secret), "the original is closed to the stranger");
    let (from, to) = (Folder::top(place).expect("opens"), Folder::top(staging).expect("opens"));
    let (mut stamps, work) = (Stamps::default(), Work::default());
    copy::tree(&from, &to, &mut stamps, &work).expect("copies");
    fs::write(&secret, "second").expect("somebody writes meanwhile");
    compare(&from, &to, &mut stamps, Look::Bytes, &work).expect("compares").expect("differs");
    drop((from, to));
    // As a whole, as vaultmgr goes on with its next round.
    let (from, to) = (Folder::top(place).expect("opens"), Folder::top(staging).expect("opens"));
    copy_until_same(&from, &to, &tree.places, &work).expect("the same");
    let copy = staging.join("shared/secret");
    assert_eq!(fs::read_to_string(&copy).expect("reads"), "second");
    assert!(!has_acl(&copy), "the copy is open to uid {STRANGER}, the original was not");
}

/// The same kind: a right that the owner takes away while the folder is copied stays taken away.
#[test]
fn a_right_that_is_taken_away_meanwhile_is_not_given_by_the_copy() {
    let tree = OnExt4::new();
    let Places { place, staging, .. } = &tree.places;
    let folder = place.join("shared");
    fs::create_dir(&folder).expect("makes");
    fs::write(folder.join("file"), "first").expect("writes");
    lsetxattr(&folder, "system.posix_acl_access", &for_the_stranger(), XattrFlags::CREATE).expect("sets");
    let (from, to) = (Folder::top(place).expect("opens"), Folder::top(staging).expect("opens"));
    let (mut stamps, work) = (Stamps::default(), Work::default());
    copy::tree(&from, &to, &mut stamps, &work).expect("copies");
    lremovexattr(&folder, "system.posix_acl_access").expect("the owner takes it away");
    drop((from, to));
    let (from, to) = (Folder::top(place).expect("opens"), Folder::top(staging).expect("opens"));
    copy_until_same(&from, &to, &tree.places, &work).expect("the same");
    assert!(!has_acl(&staging.join("shared")), "the copy gives what the owner took away");
}
