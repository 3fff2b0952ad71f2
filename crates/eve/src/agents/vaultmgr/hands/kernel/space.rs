//! A vault's directory as a project of the filesystem's quotas. Its key files, its share and what we report lie outside of it: a vault that is
//! full is re-keyed, locked and told of like any other.

use std::fs::File;
use std::path::Path;

use fscrypt::PathKind;
use fscrypt::quota::{self, Keeps};
use vault::ids::VaultId;
use vault::space::{self, Project, Space, StorageLimit};

use super::{Kernel, failed};
use crate::agents::vaultmgr::hands::crypt::CryptError;

/// Numbers of vaults' projects begin with this byte ("E"). People number theirs from 1 (/etc/projid).
const OURS: u32 = 0x4500_0000;
const OWN_PART: u32 = 0x00ff_ffff;
/// How many numbers are tried for one that nobody uses.
const TRIES: u32 = 64;

impl Kernel {
    /// None: it is not known.
    pub(super) fn space_of(&self, directory: &File) -> Option<Space> {
        let keeps = match quota::keeps(&self.mount) {
            Keeps::Nothing => return None,
            Keeps::Counts => space::Keeps::Counts,
            Keeps::Bounds => space::Keeps::Bounds,
        };
        let (project, number) = project(directory).ok()?;
        let Project::Own = project else { return Some(Space { keeps, project, ..Space::default() }) };
        let usage = quota::usage(&self.mount, number).ok()?;
        let limit = usage.limit.and_then(StorageLimit::of_bytes);
        Some(Space { keeps, project, limit, used: usage.bytes, uncounted: false })
    }

    pub(super) fn project_of(&self, vault: VaultId, path: &Path) -> Result<u32, CryptError> {
        let directory = self.directory(path)?;
        match project(&directory).map_err(failed("asking for the directory's project"))? {
            (Project::Own, number) => Ok(number),
            (Project::Foreign(_), _) => Err(CryptError::new("the directory belongs to another's project")),
            (Project::None, _) => self.join_new(vault, &directory),
        }
    }

    /// What a life before has left of this number's limit bounds nobody: it goes before the directory joins.
    fn join_new(&self, vault: VaultId, directory: &File) -> Result<u32, CryptError> {
        let number = self.free_number(vault)?;
        quota::set_limit(&self.mount, number, None).map_err(failed("clearing a project's limit"))?;
        quota::join(directory, number, true).map_err(failed("giving the directory a project"))?;
        Ok(number)
    }

    /// By the vault's identity, so that it is the same on each day; the next where something has that already.
    fn free_number(&self, vault: VaultId) -> Result<u32, CryptError> {
        let own = |part: u32| OURS | (part & OWN_PART);
        let [a, b, c, d, ..] = *vault.0.as_bytes();
        let first = u32::from_be_bytes([a, b, c, d]);
        for number in (0..TRIES).map(|step| own(first.wrapping_add(step))) {
            let usage = quota::usage(&self.mount, number).map_err(failed("asking for a project's usage"))?;
            if (usage.bytes, usage.inodes) == (0, 0) {
                return Ok(number);
            }
        }
        Err(CryptError::new("no number is free for the vault's project"))
    }

    pub(super) fn set_limit(&self, path: &Path, limit: Option<StorageLimit>) -> Result<(), CryptError> {
        let project =
            project(&self.directory(path)?).map_err(failed("asking for the directory's project"))?;
        let (Project::Own, number) = project else {
            return Err(CryptError::new("the directory is in no project of ours"));
        };
        let set = quota::set_limit(&self.mount, number, limit.map(StorageLimit::bytes));
        set.map_err(failed("setting the storage limit"))
    }

    fn directory(&self, path: &Path) -> Result<File, CryptError> {
        match self.look(path)? {
            PathKind::Plain(directory) | PathKind::Encrypted(directory, _) => Ok(directory),
            PathKind::Nothing | PathKind::Stranger | PathKind::Covered => {
                Err(CryptError::new("there is no directory of ours"))
            }
        }
    }
}

/// One whose files do not follow it counts as none: it joins anew.
fn project(directory: &File) -> std::io::Result<(Project, u32)> {
    let belongs = quota::belongs(directory)?;
    Ok(match belongs.project {
        0 => (Project::None, 0),
        number if number & !OWN_PART == OURS && belongs.inherits => (Project::Own, number),
        number if number & !OWN_PART == OURS => (Project::None, 0),
        number => (Project::Foreign(number), number),
    })
}
