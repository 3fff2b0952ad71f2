//! Keys and files of the tests, and a disk for them.

use std::convert::Infallible;
use std::path::PathBuf;
use std::process::Command;

use fscrypt::key_files::Ivs;
use fscrypt::{ContentKey, Iv, KeyFiles, MetaDir, Modes, ProtectorKey, WrappingKey};
use testkit::loopfs::LoopFs;

pub(crate) const NAME: &str = "eve-vault 6ba7b810-9dad-11d1-80b4-00c04fd430c8 e1";

fn all<const N: usize>(byte: u8) -> impl FnOnce(&mut [u8; N]) -> Result<(), Infallible> {
    move |key| {
        key.fill(byte);
        Ok(())
    }
}

pub(crate) fn content(byte: u8) -> ContentKey {
    ContentKey::init(all(byte)).unwrap()
}

pub(crate) fn protector(byte: u8) -> ProtectorKey {
    ProtectorKey::init(all(byte)).unwrap()
}

pub(crate) fn wrapping(byte: u8) -> WrappingKey {
    WrappingKey::init(all(byte)).unwrap()
}

/// Key files of keys whose bytes are all `byte`.
pub(crate) fn files(byte: u8) -> KeyFiles {
    let ivs = Ivs { protector: Iv([1; 16]), policy: Iv([2; 16]) };
    KeyFiles::make(&content(byte), &protector(byte), &wrapping(byte), NAME, Modes::AES_256_XTS, ivs)
}

/// A mounted file system that encrypts.
pub(crate) struct Disk {
    // Unmounted before its folder goes.
    pub(crate) fs: LoopFs,
    pub(crate) dir: tempfile::TempDir,
}

impl Disk {
    pub(crate) fn new() -> Self {
        Self::sized(32 << 20)
    }

    pub(crate) fn sized(bytes: u64) -> Self {
        Self::with(bytes, &[], "loop")
    }

    pub(crate) fn with(bytes: u64, mkfs: &[&str], options: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (image, mount) = (dir.path().join("image"), dir.path().join("mnt"));
        let mkfs = [["-O", "encrypt", "-b", "4096"].as_slice(), mkfs].concat();
        Self { fs: LoopFs::create_with(&image, &mount, bytes, &mkfs, options).unwrap(), dir }
    }

    /// Has the superblock say by which options it is mounted from now on: arguments of tune2fs.
    pub(crate) fn default_to(&mut self, defaults: &[&str]) {
        if !defaults.is_empty() {
            self.fs.unmount().unwrap();
            let done = Command::new("tune2fs").args(defaults).arg(self.fs.image()).output().unwrap();
            assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
            self.fs.mount().unwrap();
        }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.fs.mount_point().join(name)
    }

    /// The folder of key files where the tool looks for it.
    pub(crate) fn meta(&self) -> MetaDir {
        MetaDir::create(&disk::Disk::linux(), &self.path(".fscrypt")).unwrap()
    }
}
