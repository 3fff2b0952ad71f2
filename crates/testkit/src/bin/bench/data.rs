//! Reading and writing inside an open vault, beside a directory of the same kernel policy that nobody manages.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};

use anyhow::Result;
use nix::fcntl::{PosixFadviseAdvice, posix_fadvise};
use testkit::node::Parts;

use super::local::Bare;
use super::report::Report;
use super::stats::{Samples, times};

const MIB: u64 = 1 << 20;
const VAULT: &str =
    "kind: VaultPolicy\nname: p\ncustody: tpm\n---\nkind: Vault\nname: till\ndevice: edge-1\npolicy: p\n";

#[derive(Default)]
struct Timings {
    write: Samples,
    read: Samples,
}

pub(crate) fn measure(folder: &Path, quick: bool, report: &mut Report) -> Result<()> {
    let (mib, pairs) = if quick { (4, 2) } else { (64, 15) };
    let (evc, mut node) = super::attested(folder, Parts { disk: (mib * 2 + 256) * MIB, ..Parts::default() })?;
    evc.apply(VAULT)?;
    node.until_vault("till", "unlocked")?;
    let bare = Bare::new(&node.root().join("persist"))?;
    let files = [node.vault_dir("till")?.join("data"), bare.dir.join("data")];
    let mut timings = [Timings::default(), Timings::default()];
    for pair in 0..pairs {
        // Beginning with the other one each time.
        for way in [pair % 2, (pair + 1) % 2] {
            timings[way].round(&files[way], mib)?;
        }
    }
    report.section(
        "Data in an open vault",
        &format!(
            "{mib} MiB written and synced, taken out of the cache, and read; in a vault and in a directory of the same policy that was \
             made by the ioctls alone, on one filesystem, by turns."
        ),
    );
    let [vault, bare] = &timings;
    tell(report, "write", &vault.write, &bare.write);
    tell(report, "read", &vault.read, &bare.read);
    Ok(())
}

fn tell(report: &mut Report, what: &str, vault: &Samples, bare: &Samples) {
    report.row(&format!("{what}: in a vault"), &vault.words());
    report.row(&format!("{what}: in the bare directory"), &bare.words());
    report.row(
        &format!("{what}: a vault's time in the bare directory's"),
        &format!("{:.2}", times(vault, bare)),
    );
}

impl Timings {
    fn round(&mut self, path: &PathBuf, mib: u64) -> Result<()> {
        let block = vec![7; usize::try_from(MIB)?];
        let mut file = File::create(path)?;
        self.write.time(|| -> Result<()> {
            (0..mib).try_for_each(|_| file.write_all(&block))?;
            Ok(file.sync_all()?)
        })?;
        posix_fadvise(&file, 0, 0, PosixFadviseAdvice::POSIX_FADV_DONTNEED)?;
        self.read.time(|| read(path))?;
        Ok(fs::remove_file(path)?)
    }
}

fn read(path: &Path) -> Result<()> {
    let (mut file, mut block) = (File::open(path)?, vec![0; usize::try_from(MIB)?]);
    while file.read(&mut block)? > 0 {}
    Ok(())
}
