//! What the kernel itself holds of a tree: loop devices and swap, which no process need have open. Compared is what a file is: the path by
//! which somebody gave it to the kernel may be that of another hard link, or of before it was renamed, or lead nowhere from here.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use fscrypt::sharing::{FileId, behind_loop};
use rustix::fs::{Mode, OFlags, open};

use super::subject::{Given, Subject};
use crate::agents::vaultmgr::hands::mounts::Table;
use crate::agents::vaultmgr::hands::swaps;

/// In words, with what ends each.
pub(super) fn kernels(subject: &Subject<'_>) -> Vec<String> {
    // What lies behind a server is not ours, and to ask for it might be to wait.
    let Ok(table) = Table::read_until(Path::new("/proc/self/mountinfo"), subject.late) else {
        return Vec::new();
    };
    let asked = |path: &Path| !(subject.late)() && !table.may_wait(path);
    let loops = Loop::all().filter(|device| asked(&device.file)).filter_map(|device| device.told(subject));
    let swaps = swaps::files().into_iter().filter(|file| asked(file));
    loops.chain(swaps.filter_map(|file| swap(subject, &file))).collect()
}

/// A loop device that has a file.
struct Loop {
    name: String,
    /// Its path, as the kernel tells it.
    file: PathBuf,
}

impl Loop {
    fn all() -> impl Iterator<Item = Self> {
        let devices = fs::read_dir("/sys/block").into_iter().flatten().flatten();
        devices.filter_map(|device| {
            let file = fs::read(device.path().join("loop/backing_file")).ok()?;
            let file = PathBuf::from(OsStr::from_bytes(file.trim_ascii_end()));
            Some(Self { name: device.file_name().into_string().ok()?, file })
        })
    }

    fn told(&self, subject: &Subject<'_>) -> Option<String> {
        let name = &self.name;
        match subject.has_given(&self.file, self.behind()) {
            Given::OfTree => Some(format!("loop device {name} is backed by a file (losetup -d /dev/{name})")),
            Given::Perhaps => Some(format!(
                "perhaps loop device {name}: it is backed by a file to which no path leads (losetup -d /dev/{name})"
            )),
            Given::Not => None,
        }
    }

    /// None where its device is not here, as in a container: then its path has to do.
    fn behind(&self) -> Option<FileId> {
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let device = open(Path::new("/dev").join(&self.name), flags, Mode::empty()).ok()?;
        behind_loop(&File::from(device)).ok()
    }
}

fn swap(subject: &Subject<'_>, file: &Path) -> Option<String> {
    match subject.has_given(file, None) {
        Given::OfTree => Some("a file of it is swap (swapoff)".to_owned()),
        Given::Perhaps => Some(
            "perhaps swap: it lies in a file to which no path leads (`swapon --show` lists it)".to_owned(),
        ),
        Given::Not => None,
    }
}
