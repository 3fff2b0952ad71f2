//! What the kernel gives: walls, locked memory, a journal that can be wiped.

use std::path::Path;

use super::finding::{Code, Finding};
use crate::agents::vaultmgr::hands::swaps;
use crate::cli::freed;
use crate::sandbox;

/// Below it agents can't lock what they hold, in KiB.
const LOCKED_KIB: u64 = 64 << 10;

/// Who may give another user's file a second name. Source: Documentation/admin-guide/sysctl/fs.rst.
const HARDLINKS: &str = "/proc/sys/fs/protected_hardlinks";

pub(super) fn look() -> Vec<Finding> {
    let found = [
        old(),
        sandbox::landlock_lacks().map(|lacks| Finding::of(Code::KernelLandlock, lacks)),
        freed::note().map(|note| Finding::of(Code::KernelFreed, note)),
        memory(),
        hardlinks(&std::fs::read_to_string(HARDLINKS).unwrap_or_default()),
    ];
    let swap = swaps::notes(Path::new("/")).into_iter().map(|note| Finding::of(Code::KernelSwap, note));
    let found: Vec<_> = found.into_iter().flatten().chain(swap).collect();
    let faults = found.iter().any(|found| found.code != Code::KernelFreed);
    let good = (!faults).then(|| {
        Finding::of(Code::Kernel, "the kernel has landlock, lets memory be locked, and wipes journals")
    });
    good.into_iter().chain(found).collect()
}

/// Of a kernel that leaves in the journal what passed through it.
pub(super) fn old() -> Option<Finding> {
    let release = nix::sys::utsname::uname().ok()?.release().to_string_lossy().into_owned();
    let found = format!("the kernel is {release}, which can't wipe the journal of ext4");
    is_old(&release).then(|| Finding::of(Code::KernelOld, found))
}

/// Before 5.14, where EXT4_IOC_CHECKPOINT came.
fn is_old(release: &str) -> bool {
    let mut numbers = release.split(['.', '-']).map(|part| part.parse::<u32>().ok());
    matches!((numbers.next().flatten(), numbers.next().flatten()), (Some(major), Some(minor)) if (major, minor) < (5, 14))
}

/// A file that has a second name is not wiped, for its bytes would stay under that.
fn hardlinks(setting: &str) -> Option<Finding> {
    let found = "fs.protected_hardlinks is 0: any user of this machine may give another's file a second name, and key files that have one are not wiped by a rotation";
    (setting.trim() == "0").then(|| Finding::of(Code::KernelHardlinks, found))
}

fn memory() -> Option<Finding> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let limits = std::fs::read_to_string("/proc/self/limits").ok()?;
    let found = "this user may not lock enough memory for keys";
    (!may_lock(&status, &limits)).then(|| Finding::of(Code::MemoryLock, found))
}

/// By CAP_IPC_LOCK (14), or by a limit that is high enough.
fn may_lock(status: &str, limits: &str) -> bool {
    let caps = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let caps = caps.and_then(|caps| u64::from_str_radix(caps.trim(), 16).ok()).unwrap_or_default();
    let limit = limits.lines().find_map(|line| line.strip_prefix("Max locked memory"));
    let soft = limit.and_then(|rest| rest.split_whitespace().next()).unwrap_or_default();
    let enough = soft.parse::<u64>().is_ok_and(|bytes| bytes >> 10 >= LOCKED_KIB);
    caps & (1 << 14) != 0 || soft == "unlimited" || enough
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Where the kernel does not say, nothing is told.
    #[test]
    fn who_may_link_what_is_anothers_is_told() {
        for (setting, is_told) in [("0\n", true), ("1\n", false), ("", false)] {
            assert_eq!(hardlinks(setting).is_some(), is_told, "{setting}");
        }
    }

    /// Issue 9, 11.
    #[test]
    fn an_old_kernel_and_memory_that_may_not_be_locked_are_told() {
        for (release, old) in
            [("5.13.9", true), ("5.14.0-rc1", false), ("6.1.0-56-amd64", false), ("4.19", true), ("x", false)]
        {
            assert_eq!(is_old(release), old, "{release}");
        }
        let limit = |soft: &str| format!("Max locked memory         {soft}              8388608    bytes\n");
        assert!(may_lock("CapEff:\t0000000000004000\n", &limit("0")));
        assert!(
            may_lock("CapEff:\t0\n", &limit("unlimited")) && may_lock("CapEff:\t0\n", &limit("67108864"))
        );
        assert!(!may_lock("CapEff:\t00000000a80425fb\n", &limit("65536")));
        assert!(!may_lock("", ""));
    }
}
