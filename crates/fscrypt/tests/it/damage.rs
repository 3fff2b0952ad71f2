//! Key files on a disk that somebody, or time, has changed: refused, and told apart from a wrong key where that can be.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use fscrypt::{MetaDir, MetaError, UnwrapError};

use crate::made::{Disk, files, wrapping};

/// TH-2: no changed byte opens, or opens as something else.
#[test]
fn every_changed_byte_is_noticed() {
    let disk = Disk::new();
    let (meta, good) = (disk.meta(), files(7));
    meta.write(&good).unwrap();
    for (folder, name, bytes) in [
        ("protectors", good.protector.descriptor().to_string(), good.protector.to_bytes()),
        ("policies", good.policy.policy().identifier.to_string(), good.policy.to_bytes()),
    ] {
        let path = disk.path(".fscrypt").join(folder).join(name);
        for at in 0..bytes.len() {
            let mut bad = bytes.clone();
            bad[at] ^= 0x55;
            fs::write(&path, &bad).unwrap();
            assert!(outcome(&meta, &good).is_err_or_same(), "byte {at} of {folder}");
        }
        fs::write(&path, &bytes).unwrap();
    }
    assert!(matches!(outcome(&meta, &good), Outcome::Opened));
}

/// What reading and opening came to.
enum Outcome {
    Opened,
    OpenedWithOtherHints,
    Unread,
    Unopened(UnwrapError),
}

impl Outcome {
    /// The format authenticates neither the name, which is a hint, nor the modes, which are held against the kernel's.
    fn is_err_or_same(&self) -> bool {
        match self {
            Self::OpenedWithOtherHints | Self::Unread => true,
            Self::Unopened(why) => matches!(why, UnwrapError::WrongKey | UnwrapError::Damaged { .. }),
            Self::Opened => false,
        }
    }
}

fn outcome(meta: &MetaDir, good: &fscrypt::KeyFiles) -> Outcome {
    let protector = meta.read_protector(good.protector.descriptor());
    let policy = meta.read_policy(good.policy.policy().identifier);
    let (Ok(protector), Ok(policy)) = (protector, policy) else { return Outcome::Unread };
    let hints = protector.name() != good.protector.name() || policy.policy() != good.policy.policy();
    match (fscrypt::KeyFiles { protector, policy }).open(&wrapping(7)) {
        Ok(_) if hints => Outcome::OpenedWithOtherHints,
        Ok(_) => Outcome::Opened,
        Err(why) => Outcome::Unopened(why),
    }
}

#[test]
fn a_cut_file_is_damaged_and_an_absent_one_is_absent() {
    let disk = Disk::new();
    let (meta, good) = (disk.meta(), files(7));
    meta.write(&good).unwrap();
    let of = good.protector.descriptor();
    let path = disk.path(".fscrypt/protectors").join(of.to_string());
    let bytes = fs::read(&path).unwrap();
    for length in 0..bytes.len() {
        fs::write(&path, &bytes[..length]).unwrap();
        let error = meta.read_protector(of).unwrap_err();
        assert!(matches!(error, MetaError::Damaged { .. }), "{length} bytes: {error}");
    }
    fs::remove_file(&path).unwrap();
    assert!(matches!(meta.read_protector(of), Err(MetaError::Absent { .. })));
}

#[test]
fn another_keys_file_under_this_name_is_refused() {
    let disk = Disk::new();
    let (meta, good) = (disk.meta(), files(7));
    meta.write(&good).unwrap();
    let of = good.protector.descriptor();
    fs::write(disk.path(".fscrypt/protectors").join(of.to_string()), files(8).protector.to_bytes()).unwrap();
    assert!(matches!(meta.read_protector(of), Err(MetaError::Misnamed { .. })));
}

#[test]
fn links_and_open_folders_are_refused() {
    let disk = Disk::new();
    let (meta, good) = (disk.meta(), files(7));
    meta.write(&good).unwrap();
    let of = good.protector.descriptor();
    let path = disk.path(".fscrypt/protectors").join(of.to_string());
    fs::rename(&path, disk.path("elsewhere")).unwrap();
    symlink(disk.path("elsewhere"), &path).unwrap();
    assert!(matches!(meta.read_protector(of), Err(MetaError::Unsafe { .. })));
    assert!(matches!(meta.write_protector(&good.protector), Err(MetaError::Unsafe { .. })));
    fs::remove_file(&path).unwrap();
    fs::write(path.with_extension("link"), "UUID=of-another\n").unwrap();
    assert!(matches!(meta.read_protector(of), Err(MetaError::Unsafe { .. })), "the tool's own kind of link");
    fs::set_permissions(disk.path(".fscrypt/policies"), fs::Permissions::from_mode(0o777)).unwrap();
    assert!(matches!(MetaDir::open(&disk.path(".fscrypt")), Err(MetaError::Unsafe { .. })));
    fs::remove_dir_all(disk.path(".fscrypt")).unwrap();
    symlink("/tmp", disk.path(".fscrypt")).unwrap();
    assert!(matches!(MetaDir::open(&disk.path(".fscrypt")), Err(MetaError::Unsafe { .. })));
}
