//! Key files on a disk that somebody, or time, has changed: refused, and told apart from a wrong key where that can be.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::Path;

use fscrypt::key_files::open_policy;
use fscrypt::{MetaDir, MetaError, PolicyFile, UnwrapError, rewrap_both};

use crate::made::{Disk, files, protector, wrapping};

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
            let outcome = outcome(&meta, &good);
            assert!(outcome.is_err_or_same(), "byte {at} of {folder}");
            // Only the protector's wrap, its last 88 bytes, may look like one made under another key.
            let may_look_wrong = folder == "protectors" && at + 88 > bytes.len();
            let looks_wrong = matches!(outcome, Outcome::Unopened(UnwrapError::WrongKey));
            assert!(may_look_wrong || !looks_wrong, "damage of byte {at} of {folder} passes for a wrong key");
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
    let (protector, policy) = (good.protector.descriptor(), good.policy.policy().identifier);
    let path = disk.path(".fscrypt/protectors").join(protector.to_string());
    cut_everywhere(&path, &|| meta.read_protector(protector).unwrap_err());
    let path = disk.path(".fscrypt/policies").join(policy.to_string());
    cut_everywhere(&path, &|| meta.read_policy(policy).unwrap_err());
}

/// Cuts the file to each length, then removes it.
fn cut_everywhere(path: &Path, read: &dyn Fn() -> MetaError) {
    let bytes = fs::read(path).unwrap();
    for length in 0..bytes.len() {
        fs::write(path, &bytes[..length]).unwrap();
        let error = read();
        assert!(matches!(error, MetaError::Damaged { .. }), "{length} bytes of {}: {error}", path.display());
    }
    fs::remove_file(path).unwrap();
    assert!(matches!(read(), MetaError::Absent { .. }));
}

/// VC-6: whoever holds the protector's key is told of damage, not that the key is wrong.
#[test]
fn a_damaged_policy_is_no_wrong_key_for_its_protector() {
    let good = files(7).policy.to_bytes();
    let open = |bytes: &[u8]| open_policy(&PolicyFile::parse(bytes).unwrap(), &protector(7)).map(drop);
    assert_eq!(open(&good), Ok(()));
    assert_eq!(open_policy(&files(7).policy, &protector(8)).unwrap_err(), UnwrapError::WrongKey);
    // IV (16 bytes), encrypted key (64) and authentication tag (32) end the file, a header of two bytes before each.
    for (from, length) in [(116, 16), (98, 64), (32, 32)] {
        for at in good.len() - from..good.len() - from + length {
            let mut bad = good.clone();
            bad[at] ^= 1;
            assert!(matches!(open(&bad), Err(UnwrapError::Damaged { .. })), "byte {at}");
        }
    }
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
    assert!(matches!(
        MetaDir::open(&disk::Disk::linux(), &disk.path(".fscrypt")),
        Err(MetaError::Unsafe { .. })
    ));
    fs::remove_dir_all(disk.path(".fscrypt")).unwrap();
    symlink("/tmp", disk.path(".fscrypt")).unwrap();
    assert!(matches!(
        MetaDir::open(&disk::Disk::linux(), &disk.path(".fscrypt")),
        Err(MetaError::Unsafe { .. })
    ));
}

/// In a folder where all users may add names, a name of ours for somebody's file does not make us overwrite it.
#[test]
fn only_a_file_of_ours_that_has_no_other_name_is_overwritten() {
    const SOMEBODY: u32 = 4711;
    let disk = Disk::new();
    let (meta, leftover) = (disk.meta(), disk.path(".fscrypt/protectors/.tmp-eve-old-5da815fe4203d5c1"));
    fs::set_permissions(disk.path(".fscrypt/protectors"), fs::Permissions::from_mode(0o1777)).unwrap();
    let victim = disk.path("victim");
    for (owner, is_ours) in [(SOMEBODY, false), (0, true)] {
        fs::write(&victim, "of worth").unwrap();
        chown(&victim, Some(owner), None).unwrap();
        fs::hard_link(&victim, &leftover).unwrap();
        let outcome = meta.sweep();
        assert_eq!(fs::read_to_string(&victim).unwrap(), "of worth", "of user {owner}");
        assert_eq!(meta.has_leftovers(), is_ours, "of user {owner}");
        if is_ours {
            assert!(matches!(outcome, Err(MetaError::Unsafe { .. })), "{outcome:?}");
            fs::remove_file(&victim).unwrap();
        } else {
            outcome.expect("it is none of ours");
            fs::remove_file(&leftover).expect("it is left alone");
        }
    }
    let held = fs::File::open(&leftover).unwrap();
    meta.sweep().expect("ours alone");
    let left = std::io::read_to_string(held).unwrap();
    assert_eq!((left.as_bytes(), leftover.exists()), ([0; 8].as_slice(), false), "overwritten");
}

/// VC-2: a copy that keeps another name would keep the old wrap; so a re-wrap does not say that it is done.
#[test]
fn a_rewrap_of_a_file_with_another_name_is_not_done() {
    let disk = Disk::new();
    let (meta, good) = (disk.meta(), files(7));
    meta.write(&good).unwrap();
    let path = disk.path(".fscrypt/protectors").join(good.protector.descriptor().to_string());
    fs::hard_link(&path, disk.path("kept")).unwrap();
    let refused = rewrap_both(&[&meta], &good.protector);
    assert!(matches!(refused, Err(MetaError::Unsafe { .. })), "{refused:?}");
    assert_eq!(fs::read(disk.path("kept")).unwrap(), good.protector.to_bytes());
    fs::remove_file(disk.path("kept")).unwrap();
    rewrap_both(&[&meta], &good.protector).expect("with its one name");
}
