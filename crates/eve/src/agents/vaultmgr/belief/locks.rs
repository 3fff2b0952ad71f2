//! The locks that root ordered on this node. They outlive vaultmgr and `eve run`, and no boot: the file lies where a boot leaves
//! nothing, and names its boot for where that is not so.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::OnceLock;

use disk::Disk;
use vault::ids::VaultId;
use vault::section::Operation;

use crate::agents::vaultmgr::hands::durable;

/// Longest such file, bytes: a line for each of as many vaults as there may be.
const MAX: usize = 64 << 10;

/// Reads those of this boot; none where another boot's are.
///
/// # Errors
/// What is there is not understood. Then nobody knows what is to stay locked.
pub(crate) fn read(path: &Path) -> io::Result<BTreeMap<VaultId, Operation>> {
    let Some(bytes) = durable::read(path, MAX)? else { return Ok(BTreeMap::new()) };
    let text = String::from_utf8_lossy(&bytes);
    let mut lines = text.lines();
    if lines.next() != Some(&boot()?) {
        return Ok(BTreeMap::new());
    }
    let order = |line: &str| line.parse().map(|id| (id, Operation::Lock)).ok();
    let orders: Option<_> = lines.map(order).collect();
    orders.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "not a list of vaults"))
}

/// Keeps them, for root's eyes only. An urgent lock does not wait for the disk: after a power cut it is another boot, and whatever is
/// found here then names another one, or none.
pub(crate) fn write(disk: &Disk, path: &Path, held: &BTreeMap<VaultId, Operation>) -> io::Result<()> {
    let locked = held.iter().filter(|(_, operation)| **operation == Operation::Lock);
    let lines = std::iter::once(boot()?).chain(locked.map(|(id, _)| id.to_string()));
    let text: String = lines.map(|line| line + "\n").collect();
    Ok(disk.write_for_this_boot(path, text.as_bytes(), 0o600)?)
}

/// The kernel's name for this boot: another one each time, and the same for as long as this process lives.
pub(super) fn boot() -> io::Result<String> {
    static BOOT: OnceLock<String> = OnceLock::new();
    if let Some(boot) = BOOT.get() {
        return Ok(boot.clone());
    }
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id")?.trim().to_owned();
    Ok(BOOT.get_or_init(|| boot).clone())
}
