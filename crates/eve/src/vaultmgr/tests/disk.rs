//! An ext4 with encryption on a loop device, mounted under a temporary root; gone when dropped, also on panic.

use std::path::{Path, PathBuf};
use std::process::Command;

pub(super) struct Disk {
    dir: tempfile::TempDir,
    mounted: bool,
}

fn run(program: &str, args: &[&str]) {
    let output =
        Command::new(program).args(args).output().unwrap_or_else(|error| panic!("{program}: {error}"));
    assert!(output.status.success(), "{program} {args:?}: {}", String::from_utf8_lossy(&output.stderr));
}

impl Disk {
    pub(super) fn new() -> Self {
        let mut disk = Self { dir: tempfile::tempdir().expect("a directory"), mounted: false };
        let image = std::fs::File::create(disk.image()).expect("an image");
        image.set_len(64 << 20).expect("its length");
        run("mkfs.ext4", &["-q", "-O", "encrypt", &disk.image().to_string_lossy()]);
        std::fs::create_dir_all(disk.persist()).expect("the mount point");
        std::fs::create_dir_all(disk.root().join("config")).expect("the config folder");
        disk.mount();
        disk
    }
    pub(super) fn root(&self) -> PathBuf {
        self.dir.path().join("node")
    }
    pub(super) fn persist(&self) -> PathBuf {
        self.root().join("persist")
    }
    pub(super) fn image(&self) -> PathBuf {
        self.dir.path().join("image")
    }
    pub(super) fn mount(&mut self) {
        run("mount", &["-o", "loop", &self.image().to_string_lossy(), &self.persist().to_string_lossy()]);
        self.mounted = true;
    }
    pub(super) fn unmount(&mut self) {
        run("umount", &[&self.persist().to_string_lossy()]);
        self.mounted = false;
    }
    /// Whether the bytes are anywhere on the unmounted disk.
    pub(super) fn contains(&self, needle: &[u8]) -> bool {
        assert!(!self.mounted, "the disk is looked at raw when it is unmounted");
        let bytes = std::fs::read(self.image()).expect("reads");
        bytes.windows(needle.len()).any(|window| window == needle)
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        if self.mounted {
            let _ = Command::new("umount").arg("-l").arg(self.persist()).status();
        }
    }
}

pub(super) fn write(path: &Path, text: &str) {
    std::fs::write(path, text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
}
