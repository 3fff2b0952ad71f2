//! Policies and keys in the real kernel.

use std::fs::{self, File};
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::Path;

use fscrypt::directory::{LookError, ProbeError};
use fscrypt::kernel::{AddKeyError, SetPolicyError};
use fscrypt::{
    Claims, KeyIdentifier, KeyStatus, Modes, PathKind, Policy, Removal, add_key, get_policy, key_status,
    look, probe_modes, remove_key, set_policy,
};

use crate::made::{Disk, content};

/// An encrypted directory with a file in it.
fn vault(disk: &Disk, modes: Modes) -> Policy {
    let (fs_root, dir) = (File::open(disk.fs.mount_point()).unwrap(), disk.path("vault"));
    fs::create_dir(&dir).unwrap();
    let policy = Policy { identifier: add_key(&fs_root, &content(7)).unwrap(), modes };
    set_policy(File::open(&dir).unwrap(), &policy).unwrap();
    fs::write(dir.join("file"), "plain").unwrap();
    policy
}

#[test]
fn the_kernel_names_keys_as_we_do_and_keeps_what_was_set() {
    let disk = Disk::new();
    let policy = vault(&disk, Modes::AES_256_XTS);
    assert_eq!(policy.identifier, KeyIdentifier::of(&content(7)));
    assert_eq!(get_policy(File::open(disk.path("vault")).unwrap()).unwrap(), Some(policy));
    assert_eq!(get_policy(File::open(disk.fs.mount_point()).unwrap()).unwrap(), None);
}

/// Not every kernel has Adiantum: the probe says so before a vault is made that could hold no file.
#[test]
fn a_probe_tells_whether_files_can_be_made() {
    let disk = Disk::new();
    match probe_modes(disk.fs.mount_point(), Modes::ADIANTUM, &content(9)) {
        Ok(()) => assert_eq!(vault(&disk, Modes::ADIANTUM).modes, Modes::ADIANTUM),
        Err(error) => {
            assert!(matches!(error, ProbeError::Modes { .. }), "{error:?}");
            std::panic::catch_unwind(|| vault(&disk, Modes::ADIANTUM)).unwrap_err();
        }
    }
}

/// VC-2: lock is done when the kernel says that the key is absent, and not before.
#[test]
fn a_key_is_gone_only_when_the_last_file_is_closed() {
    let disk = Disk::new();
    let policy = vault(&disk, Modes::AES_256_XTS);
    let root = File::open(disk.fs.mount_point()).unwrap();
    assert_eq!(key_status(&root, policy.identifier).unwrap(), KeyStatus::Present { users: 1 });
    let held = File::open(disk.path("vault/file")).unwrap();
    assert_eq!(remove_key(&root, policy.identifier, Claims::All).unwrap(), Removal::FilesBusy);
    assert_eq!(key_status(&root, policy.identifier).unwrap(), KeyStatus::IncompletelyRemoved);
    drop(held);
    assert_eq!(remove_key(&root, policy.identifier, Claims::All).unwrap(), Removal::Removed);
    assert_eq!(key_status(&root, policy.identifier).unwrap(), KeyStatus::Absent);
    assert_eq!(remove_key(&root, policy.identifier, Claims::All).unwrap(), Removal::WasAbsent);
    assert!(!disk.path("vault/file").exists(), "its name says nothing now");
    add_key(&root, &content(7)).unwrap();
    assert_eq!(fs::read_to_string(disk.path("vault/file")).unwrap(), "plain");
}

/// VC-2: a claim that somebody else made to the key does not keep it here, once all claims are taken back.
#[test]
fn a_key_that_another_user_added_too_goes_for_all() {
    const NOBODY: u32 = 65534;
    let disk = Disk::new();
    let policy = vault(&disk, Modes::AES_256_XTS);
    let root = File::open(disk.fs.mount_point()).unwrap();
    let other = root.try_clone().unwrap();
    // The kernel counts claims by a thread's own file system uid.
    let adds = std::thread::spawn(move || {
        nix::unistd::setfsuid(NOBODY.into());
        add_key(other, &content(7)).unwrap()
    });
    assert_eq!(adds.join().unwrap(), policy.identifier);
    assert_eq!(key_status(&root, policy.identifier).unwrap(), KeyStatus::Present { users: 2 });
    assert_eq!(remove_key(&root, policy.identifier, Claims::Own).unwrap(), Removal::OtherUsers);
    assert_eq!(key_status(&root, policy.identifier).unwrap(), KeyStatus::Present { users: 1 });
    assert!(disk.path("vault/file").exists(), "the other's claim holds the key");
    add_key(&root, &content(7)).unwrap();
    assert_eq!(remove_key(&root, policy.identifier, Claims::All).unwrap(), Removal::Removed);
    assert_eq!(key_status(&root, policy.identifier).unwrap(), KeyStatus::Absent);
}

#[test]
fn what_the_kernel_refuses_is_told_apart() {
    let disk = Disk::new();
    let policy = vault(&disk, Modes::AES_256_XTS);
    let set = |dir: &str, policy: &Policy| set_policy(File::open(disk.path(dir)).unwrap(), policy);
    assert!(set("vault", &policy).is_ok(), "the same again is no error");
    let other = Policy { identifier: policy.identifier, modes: Modes::ADIANTUM };
    let error = set("vault", &other).unwrap_err();
    assert!(matches!(error, SetPolicyError::OtherPolicy), "{error:?}");
    fs::create_dir_all(disk.path("full/of")).unwrap();
    let error = set("full", &policy).unwrap_err();
    assert!(matches!(error, SetPolicyError::NotEmpty), "{error:?}");
    let error = add_key(File::open("/proc").unwrap(), &content(7)).unwrap_err();
    assert!(matches!(error, AddKeyError::Unsupported), "{error:?}");
}

/// TH-2: what is put in a vault's place is not taken for it.
#[test]
fn what_stands_at_a_path_is_told_apart() {
    let disk = Disk::new();
    let policy = vault(&disk, Modes::AES_256_XTS);
    let device = fs::metadata(disk.fs.mount_point()).unwrap().dev();
    let top = disk.fs.mount_point();
    let open = |top: &Path| File::open(top).unwrap();
    let at = |name: &str| look(open(top), Path::new(name), device).unwrap();
    assert!(matches!(at("vault"), PathKind::Encrypted(_, found) if found == policy));
    fs::create_dir(disk.path("plain")).unwrap();
    fs::write(disk.path("file"), "").unwrap();
    symlink(disk.path("vault"), disk.path("link")).unwrap();
    assert!(matches!(at("absent"), PathKind::Nothing));
    assert!(matches!(at("plain"), PathKind::Plain(_)));
    assert!(matches!(at("file"), PathKind::Stranger));
    assert!(matches!(at("link"), PathKind::Stranger), "a link to a vault is none");
    let elsewhere = look(open(top), Path::new("vault"), device + 1).unwrap();
    assert!(matches!(elsewhere, PathKind::Stranger), "another filesystem than was opened");
    let (above, inside) = (top.parent().unwrap(), Path::new(top.file_name().unwrap()).join("vault"));
    let hidden = look(open(above), &inside, device).unwrap();
    assert!(matches!(hidden, PathKind::Covered), "a mount on the way");
    let outside = look(open(top), &disk.path("vault"), device).unwrap_err();
    assert!(matches!(outside, LookError::Io(io) if io.kind() == std::io::ErrorKind::InvalidInput));
    let error = look(open(top), Path::new(&"long".repeat(100)), device).unwrap_err();
    assert!(matches!(error, LookError::Io(io) if io.raw_os_error() == Some(36)), "the kernel's own reason");
}

/// Invariant 5: what a probe leaves that a power cut ends, names and all under a key that is gone, stops no later one.
#[test]
fn a_probe_that_was_cut_short_stops_no_later_one() {
    let mut disk = Disk::new();
    let fs_root = File::open(disk.fs.mount_point()).unwrap();
    fs::create_dir(disk.path(".eve-probe")).unwrap();
    let policy = Policy { identifier: add_key(&fs_root, &content(8)).unwrap(), modes: Modes::AES_256_XTS };
    set_policy(File::open(disk.path(".eve-probe")).unwrap(), &policy).unwrap();
    fs::write(disk.path(".eve-probe/probe"), "probe").unwrap();
    drop(fs_root);
    disk.fs.unmount().unwrap();
    disk.fs.mount().unwrap();
    probe_modes(disk.fs.mount_point(), Modes::AES_256_XTS, &content(9)).unwrap();
    assert!(!disk.path(".eve-probe").exists());
}

#[test]
fn a_probe_leaves_nothing_behind() {
    let disk = Disk::new();
    let key = content(9);
    for _ in 0..2 {
        probe_modes(disk.fs.mount_point(), Modes::AES_256_XTS, &key).unwrap();
    }
    let root = File::open(disk.fs.mount_point()).unwrap();
    assert_eq!(key_status(&root, KeyIdentifier::of(&key)).unwrap(), KeyStatus::Absent);
    assert!(!disk.path(".eve-probe").exists());
}
