//! Where a file lies on the disk, and what the disk holds there: the ciphertext, as a thief would read it.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use aws_lc_rs::digest;

use crate::process::output;

/// Block size of the file systems made here, bytes.
const BLOCK: u64 = 4096;

/// A run of blocks: where it begins on the disk and how long it is, in blocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extent {
    /// First block on the disk.
    pub physical: u64,
    /// Blocks.
    pub length: u64,
}

/// A file on the raw disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Raw {
    /// Its extents in the order of the file.
    pub extents: Vec<Extent>,
    /// SHA-256 over what the disk holds there.
    pub digest: Vec<u8>,
}

/// The file's extents, and the digest of the image's bytes there. Syncs the file system first.
///
/// # Errors
/// filefrag (e2fsprogs) is missing or failed, or the image can't be read.
pub fn raw(file: &Path, image: &Path) -> Result<Raw> {
    output(Command::new("sync").arg("--file-system").arg(file))?;
    let listing = output(Command::new("filefrag").args(["-v", "-s", "-b4096"]).arg(file))?;
    let extents: Vec<_> = listing.lines().filter_map(extent).collect();
    ensure!(!extents.is_empty(), "no extents of {}: {listing}", file.display());
    let digest = hashed(&extents, image).with_context(|| image.display().to_string())?;
    Ok(Raw { extents, digest })
}

/// `  0:        0..       1:      33000..     33001:      2: ...`
fn extent(line: &str) -> Option<Extent> {
    let columns: Vec<_> = line.split(':').map(str::trim).collect();
    columns.first()?.parse::<u64>().ok()?;
    let (first, _) = columns.get(2)?.split_once("..")?;
    Some(Extent { physical: first.trim().parse().ok()?, length: columns.get(3)?.parse().ok()? })
}

fn hashed(extents: &[Extent], image: &Path) -> std::io::Result<Vec<u8>> {
    let image = File::open(image)?;
    let mut hash = digest::Context::new(&digest::SHA256);
    let mut block = [0; BLOCK as usize];
    for number in extents.iter().flat_map(|extent| extent.physical..extent.physical + extent.length) {
        image.read_exact_at(&mut block, number * BLOCK)?;
        hash.update(&block);
    }
    Ok(hash.finish().as_ref().to_vec())
}
