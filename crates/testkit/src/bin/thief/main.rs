//! The attacker of the threat matrix who has a disk: a program of its own, with nothing of ours in it but the kernel's ioctls. It is given an
//! image, a folder to mount it on, and on its standard input keys that it is to have guessed, one in hexadecimal a line. It tells what it won.

mod unwrap;
mod walk;

use std::fs::{self, File};
use std::io::{self, BufRead as _, Write as _};
use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Parser;
use testkit::loopfs::LoopFs;

use unwrap::{Key, Wrapped};

/// Opens what can be opened of a disk, and prints each file that it can read: its path, and its bytes.
#[derive(Debug, Parser)]
#[command(name = "thief")]
struct Args {
    /// The disk, a copy that may be written to.
    image: PathBuf,
    /// Where to mount it.
    folder: PathBuf,
}

fn main() -> Result<()> {
    let args = Args::parse();
    let guessed = guessed()?;
    let raw = fs::read(&args.image).context("the image")?;
    let wrapped = unwrap::found_in(&raw);
    let disk = LoopFs::open(&args.image, &args.folder)?;
    let contents = opened(&wrapped, &guessed);
    for content in &contents {
        give_to_kernel(disk.mount_point(), content)?;
    }
    let mut out = io::stdout().lock();
    writeln!(out, "{} wrapped keys found, {} opened", wrapped.len(), contents.len())?;
    walk::print(disk.mount_point(), &mut out)?;
    unwrap::print_texts(&raw, &mut out)
}

fn guessed() -> Result<Vec<Key>> {
    let lines = io::stdin().lock().lines().collect::<io::Result<Vec<_>>>()?;
    lines.iter().filter(|line| !line.is_empty()).map(|line| Ok(hex::decode(line)?)).collect()
}

/// From what was guessed to protectors' keys, and from these to keys of contents; whatever lies between, and wherever it lies.
fn opened(wrapped: &[Wrapped], guessed: &[Key]) -> Vec<Key> {
    let by = |keys: &[Key]| -> Vec<Key> {
        let pairs = wrapped.iter().flat_map(|wrapped| keys.iter().map(move |key| wrapped.open(key)));
        pairs.flatten().collect()
    };
    let mut contents: Vec<Key> = by(&by(guessed)).into_iter().chain(by(guessed)).collect();
    contents.retain(|key| key.len() == 64);
    contents.sort_unstable();
    contents.dedup();
    contents
}

fn give_to_kernel(mounted: &std::path::Path, content: &Key) -> Result<()> {
    let key = fscrypt::ContentKey::init(|out| {
        out.copy_from_slice(content);
        Ok::<(), std::convert::Infallible>(())
    });
    let Ok(key) = key;
    fscrypt::kernel::add_key(File::open(mounted)?, &key)
        .map(drop)
        .context("a key that the kernel does not take")
}
