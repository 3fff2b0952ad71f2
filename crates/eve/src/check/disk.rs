//! The filesystem of `persist`: that it is one of its own, encrypts, and leaves no old bytes behind.

use std::fs::File;
use std::path::Path;

use fscrypt::{ContentKey, Modes, ProbeError};
use nix::sys::statvfs::{FsFlags, statvfs};

use super::finding::{Code, Finding};
use crate::agents::vaultmgr::hands::mounts::{Mounted, is_mount_point, mounted, to_encrypt};

/// With less free, bytes.
const TIGHT: u64 = 64 << 20;

pub(super) fn look(root: &Path) -> Vec<Finding> {
    let persist = root.join("persist");
    if !is_mount_point(&persist) {
        let shown = persist.display();
        return vec![Finding::of(Code::DiskMissing, format!("nothing is mounted at {shown}"))];
    }
    let (Ok(stat), Some(disk)) = (statvfs(&persist), mounted(&persist)) else {
        return vec![Finding::of(Code::DiskMissing, format!("{} can't be looked at", persist.display()))];
    };
    if stat.flags().contains(FsFlags::ST_RDONLY) {
        return vec![Finding::of(
            Code::DiskReadOnly,
            format!("{} is mounted for reading only", persist.display()),
        )];
    }
    let found: Vec<_> = standing(&persist).into_iter().chain(ciphers(&persist)).collect();
    let sound = !found.iter().any(|found| found.level > super::Level::Note);
    let good = sound
        .then(|| Finding::of(Code::Disk, format!("{} is {} and encrypts", persist.display(), disk.kind)));
    good.into_iter().chain(found).collect()
}

/// What is seen without trying anything.
pub(super) fn standing(persist: &Path) -> Vec<Finding> {
    let free = statvfs(persist).map(|stat| stat.blocks_available().saturating_mul(stat.fragment_size()));
    let kinds = mounted(persist).iter().flat_map(kind).collect::<Vec<_>>();
    kinds.into_iter().chain(journal(persist)).chain(free.ok().and_then(full)).collect()
}

fn full(free: u64) -> Option<Finding> {
    let found = format!("only {} MiB are free on persist", free >> 20);
    (free < TIGHT).then(|| Finding::of(Code::DiskFull, found))
}

fn kind(disk: &Mounted) -> Vec<Finding> {
    if disk.kind != "ext4" {
        return vec![Finding::of(Code::DiskUnknown, format!("persist is {}", disk.kind))];
    }
    let option = |name: &str| disk.options.split(',').any(|option| option == name);
    let quota = (!option("prjquota")).then(|| Finding::of(Code::DiskQuota, "persist has no project quotas"));
    quota.into_iter().collect()
}

fn journal(persist: &Path) -> Option<Finding> {
    let known = |disk: File| fscrypt::scrub::known_to_journal_data(disk) == Some(true);
    let journaled = File::open(persist).is_ok_and(known);
    journaled.then(|| Finding::of(Code::DiskJournalData, "persist is mounted with data=journal"))
}

/// Only making a file tells. It is made in the root of persist, with a key for this alone.
fn ciphers(persist: &Path) -> Vec<Finding> {
    match probe(persist, Modes::AES_256_XTS) {
        Err(ProbeError::Modes { source }) => vec![Finding::of(Code::CipherAes, told("AES-256-XTS", &source))],
        Err(why) => vec![Finding::with_advice(Code::DiskNoEncryption, why.to_string(), to_encrypt(persist))],
        Ok(()) => {
            let adiantum = probe(persist, Modes::ADIANTUM).err();
            adiantum
                .map(|why| Finding::of(Code::CipherAdiantum, told("Adiantum", &why)))
                .into_iter()
                .collect()
        }
    }
}

fn told(cipher: &str, why: &impl std::fmt::Display) -> String {
    format!("{cipher} can't be used here: {why}")
}

fn probe(persist: &Path, modes: Modes) -> Result<(), ProbeError> {
    let key = ContentKey::init(|out| getrandom::fill(out))
        .map_err(|_| std::io::Error::other("the kernel gives no random bytes"))?;
    fscrypt::probe_modes(persist, modes, &key)
}
