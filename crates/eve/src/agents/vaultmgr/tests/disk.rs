//! A node's root with a disk that encrypts at its `persist`.

use std::path::{Path, PathBuf};
use std::process::Command;

use testkit::loopfs::LoopFs;

const SIZE: u64 = 24 << 20;

pub(super) struct Disk {
    // Unmounted before its folder goes.
    fs: LoopFs,
    dir: tempfile::TempDir,
}

impl Disk {
    pub(super) fn new() -> Self {
        // In memory where there is such a place: what these tests wait for is the host's disk, at every one of our fsyncs.
        let dir = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).expect("a directory");
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
    /// From now on its journal has a copy of all that is written, as the superblock has it (mount's `data=journal`).
    pub(super) fn journal_all(&mut self) {
        self.unmount();
        let done = Command::new("tune2fs").args(["-o", "journal_data"]).arg(self.fs.image()).output();
        assert!(done.expect("runs tune2fs").status.success());
        self.mount();
    }
    pub(super) fn sync(&self) {
        let mount = std::fs::File::open(self.persist()).expect("the mount point");
        nix::unistd::syncfs(&mount).expect("syncs");
    }
    /// Loses what was not synced: what the device has at this moment is what the next mount sees.
    pub(super) fn power_cut(&mut self) {
        let at_that_moment = self.dir.path().join("at-that-moment");
        self.fs.copy_of_now(&at_that_moment).expect("copies the device");
        self.unmount();
        std::fs::copy(&at_that_moment, self.fs.image()).expect("copies it back");
        self.mount();
    }
    /// A copy of the device as it is now, to be put back.
    pub(super) fn image(&self) -> Vec<u8> {
        self.sync();
        std::fs::read(self.fs.image()).expect("reads the device")
    }
    /// Puts a copy in the place of the device, and mounts it.
    pub(super) fn put_back(&mut self, image: &[u8]) {
        std::fs::write(self.fs.image(), image).expect("writes the device");
        self.mount();
    }
    /// Spoils the inode of a path on the unmounted disk: whoever looks at it then gets an error of the disk.
    pub(super) fn spoil(&self, path: &Path) {
        let inside = Path::new("/").join(path.strip_prefix(self.persist()).expect("on the disk"));
        let request = format!("set_inode_field {} mode 0", inside.display());
        let done = Command::new("debugfs").args(["-w", "-R", &request]).arg(self.fs.image()).output();
        let done = done.expect("runs debugfs");
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    }
    /// Whether the bytes are anywhere on the unmounted disk.
    pub(super) fn contains(&self, needle: &[u8]) -> bool {
        self.fs.contains(needle).expect("the raw disk reads")
    }
}

pub(super) fn write(path: &Path, text: &str) {
    std::fs::write(path, text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
}
