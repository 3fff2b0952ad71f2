//! A disk: an image file with an ext4 that can encrypt, mounted through a loop device. The mount and its loop device
//! end with the value, also on panic; and with the mount namespace, when `cargo xtask test` made one.

use std::fs::{self, File};
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::Command;

use aho_corasick::AhoCorasick;
use anyhow::{Context, Result, ensure};

use crate::process::output;
use crate::wait;

/// Read at once while a raw disk is searched.
const WINDOW: usize = 1 << 20;

/// What was written to a device until now, as the kernel counts (Documentation/block/stat.rst).
#[derive(PartialEq, Eq)]
struct Written {
    writes: u64,
    discards: u64,
    all_done: bool,
}

impl Written {
    fn to(stat: &Path) -> Result<Self> {
        let text = fs::read_to_string(stat).with_context(|| format!("{} can't be read", stat.display()))?;
        let numbers: Vec<u64> = text.split_whitespace().map_while(|number| number.parse().ok()).collect();
        let at = |field: usize| numbers.get(field).copied().context("a device's counts are shorter");
        Ok(Self { writes: at(4)?, discards: at(11)?, all_done: at(8)? == 0 })
    }
}

/// A loop-mounted file system.
pub struct LoopFs {
    image: PathBuf,
    mount_point: PathBuf,
    options: String,
    mounted: bool,
}

impl LoopFs {
    /// Makes a sparse image of this many bytes with a new ext4, and mounts it.
    ///
    /// # Errors
    /// mkfs.ext4 or mount is missing, fails, or this is not root.
    pub fn create(image: &Path, mount_point: &Path, bytes: u64) -> Result<Self> {
        Self::create_with(image, mount_point, bytes, &["-O", "encrypt", "-b", "4096"], "loop")
    }

    /// The same, with these arguments of mkfs.ext4 and options of mount; `loop` is one of them.
    ///
    /// # Errors
    /// As [`LoopFs::create`].
    pub fn create_with(
        image: &Path,
        mount_point: &Path,
        bytes: u64,
        mkfs: &[&str],
        options: &str,
    ) -> Result<Self> {
        File::create(image)?.set_len(bytes)?;
        output(Command::new("mkfs.ext4").arg("-q").args(mkfs).arg(image))?;
        Self::open_with(image, mount_point, options)
    }

    /// Mounts an image that exists.
    ///
    /// # Errors
    /// As [`LoopFs::create`].
    pub fn open(image: &Path, mount_point: &Path) -> Result<Self> {
        Self::open_with(image, mount_point, "loop")
    }

    fn open_with(image: &Path, mount_point: &Path, options: &str) -> Result<Self> {
        fs::create_dir_all(mount_point)?;
        let mount_point = mount_point.canonicalize()?;
        let (image, options) = (image.canonicalize()?, options.to_owned());
        let mut disk = Self { image, mount_point, options, mounted: false };
        disk.mount()?;
        Ok(disk)
    }

    /// Mounts it again.
    ///
    /// # Errors
    /// As [`LoopFs::create`].
    pub fn mount(&mut self) -> Result<()> {
        ensure!(!self.mounted, "mounted already");
        output(Command::new("mount").args(["-o", &self.options]).arg(&self.image).arg(&self.mount_point))?;
        self.mounted = true;
        Ok(())
    }

    /// Mounts it for reading only, from now on.
    ///
    /// # Errors
    /// Somebody writes there, or it is not mounted.
    pub fn make_read_only(&self) -> Result<()> {
        output(Command::new("mount").args(["-o", "remount,ro"]).arg(&self.mount_point)).map(drop)
    }

    /// Unmounts it: all is written, and the kernel forgets its keys. Waits for those who just died on it, and for mount namespaces that
    /// have a copy of the mount: while one has, the filesystem lives on, with its keys.
    ///
    /// # Errors
    /// Somebody holds a file open.
    pub fn unmount(&mut self) -> Result<()> {
        let alive = self.filesystem()?;
        let umount = || output(Command::new("umount").arg(&self.mount_point));
        wait::until(&format!("{} to be unmounted", self.mount_point.display()), umount)?;
        self.mounted = false;
        // Another's may be on that device by now.
        let gone = || (!alive.exists() || !self.is_behind(&alive)).then_some(());
        wait::until(&format!("the kernel to let go of {}", self.mount_point.display()), gone)
    }

    /// What is there while the kernel has the filesystem, mounted somewhere or not.
    fn filesystem(&self) -> Result<PathBuf> {
        let table = String::from_utf8_lossy(&fs::read("/proc/self/mounts")?).into_owned();
        let of = |line: &str| {
            let mut words = line.split(' ');
            let (device, place) = (words.next()?, words.next()?);
            (Path::new(place) == self.mount_point).then(|| PathBuf::from(device))
        };
        let device = table.lines().rev().find_map(of).context("it is not mounted")?;
        let name = device.file_name().context("a device without a name")?;
        Ok(Path::new("/sys/fs/ext4").join(name))
    }

    /// Whether our image is what this loop device has; of another kind of device nobody can say, and it is.
    fn is_behind(&self, filesystem: &Path) -> bool {
        let device = Path::new("/sys/block").join(filesystem.file_name().unwrap_or_default());
        let file = fs::read_to_string(device.join("loop/backing_file"));
        file.map_or(true, |file| Path::new(file.trim_end_matches('\n')) == self.image)
    }

    /// Copies what the device has at one moment while it is mounted. Nothing was written to it meanwhile: half of what the kernel's journal does
    /// before a copy's place and half after it is a disk that no power cut leaves.
    ///
    /// # Errors
    /// It is not mounted, it never rests, or the copy can't be written.
    pub fn copy_of_now(&self, to: &Path) -> Result<()> {
        let stat =
            Path::new("/sys/block").join(self.filesystem()?.file_name().unwrap_or_default()).join("stat");
        wait::until("the disk to rest while it is copied", || {
            let before = Written::to(&stat)?;
            fs::copy(&self.image, to)?;
            ensure!(
                before.all_done && before == Written::to(&stat)?,
                "something is written to {}",
                stat.display()
            );
            Ok(())
        })
    }

    /// From the next mount on another file is the disk.
    ///
    /// # Errors
    /// It is mounted, or the file is not there.
    pub fn exchange(&mut self, image: &Path) -> Result<PathBuf> {
        ensure!(!self.mounted, "a disk is exchanged while it is not mounted");
        Ok(std::mem::replace(&mut self.image, image.canonicalize()?))
    }

    /// The image file.
    #[must_use]
    pub fn image(&self) -> &Path {
        &self.image
    }

    /// Where it is mounted.
    #[must_use]
    pub fn mount_point(&self) -> &Path {
        &self.mount_point
    }

    /// Whether the bytes are anywhere on the raw disk. Only while it is unmounted, so that nothing is in a cache.
    ///
    /// # Errors
    /// It is mounted, or can't be read.
    pub fn contains(&self, needle: &[u8]) -> Result<bool> {
        ensure!(!self.mounted, "a raw disk is searched while it is not mounted");
        contains(&self.image, needle)
    }
}

impl Drop for LoopFs {
    fn drop(&mut self) {
        if self.mounted {
            let _ = Command::new("umount").arg("--lazy").arg(&self.mount_point).status();
        }
    }
}

/// What is mounted at or under a folder, the deepest first.
#[must_use]
pub fn mounted_under(folder: &Path) -> Vec<PathBuf> {
    let table = String::from_utf8_lossy(&fs::read("/proc/self/mounts").unwrap_or_default()).into_owned();
    let places = table.lines().filter_map(|line| line.split(' ').nth(1)).map(PathBuf::from);
    let mut found: Vec<_> = places.filter(|place| place.starts_with(folder)).collect();
    found.reverse();
    found
}

/// Whether a file holds the bytes anywhere.
///
/// # Errors
/// It can't be read.
pub fn contains(file: &Path, needle: &[u8]) -> Result<bool> {
    ensure!(!needle.is_empty(), "nothing to search for");
    let search = AhoCorasick::new([needle])?;
    let mut file = BufReader::new(File::open(file).with_context(|| file.display().to_string())?);
    let mut window = Vec::with_capacity(WINDOW + needle.len());
    loop {
        if file.by_ref().take(WINDOW as u64).read_to_end(&mut window)? == 0 {
            return Ok(false);
        }
        if search.is_match(&window) {
            return Ok(true);
        }
        // What may be the beginning of a find that ends in the next window stays.
        window.drain(..window.len().saturating_sub(needle.len() - 1));
    }
}
