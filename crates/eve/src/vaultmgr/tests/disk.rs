//! A node's root with a disk that encrypts at its `persist`.

use std::path::{Path, PathBuf};

use testkit::loopfs::LoopFs;

const SIZE: u64 = 64 << 20;

pub(super) struct Disk {
    // Unmounted before its folder goes.
    fs: LoopFs,
    dir: tempfile::TempDir,
}

impl Disk {
    pub(super) fn new() -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let fs = LoopFs::create(&dir.path().join("image"), &dir.path().join("node/persist"), SIZE);
        std::fs::create_dir_all(dir.path().join("node/config")).expect("the config folder");
        Self { fs: fs.expect("a disk"), dir }
    }
    pub(super) fn root(&self) -> PathBuf {
        self.dir.path().join("node")
    }
    pub(super) fn persist(&self) -> PathBuf {
        self.root().join("persist")
    }
    pub(super) fn mount(&mut self) {
        self.fs.mount().expect("mounts");
    }
    pub(super) fn unmount(&mut self) {
        self.fs.unmount().expect("unmounts");
    }
    /// Whether the bytes are anywhere on the unmounted disk.
    pub(super) fn contains(&self, needle: &[u8]) -> bool {
        self.fs.contains(needle).expect("the raw disk reads")
    }
}

pub(super) fn write(path: &Path, text: &str) {
    std::fs::write(path, text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
}
