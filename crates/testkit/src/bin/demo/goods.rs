//! What the demo keeps in the vault: the user's file or folder, or one that it makes.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

/// A file or folder, and its place in the vault.
pub(crate) struct Goods {
    source: PathBuf,
    name: String,
    /// In bytes, all files together.
    pub(crate) size: u64,
}

impl Goods {
    /// The user's, or one made in `folder`.
    pub(crate) fn choose(path: Option<&Path>, folder: &Path) -> Result<Self> {
        let source = match path {
            Some(path) => path.canonicalize().with_context(|| path.display().to_string())?,
            None => made(&folder.join("till"))?,
        };
        let name = source.file_name().context("a path that ends in a name")?.to_string_lossy().into_owned();
        let size = command("du", &["-sb"], &[&source])?;
        let size =
            size.split_whitespace().next().and_then(|bytes| bytes.parse().ok()).context("du's answer")?;
        Ok(Self { source, name, size })
    }

    /// Copies them into the vault.
    pub(crate) fn copy_into(&self, vault: &Path) -> Result<String> {
        command("cp", &["--archive", "--no-preserve=ownership"], &[&self.source, vault])?;
        Ok(format!("{} bytes in {}", self.size, self.name))
    }

    /// Compares what the vault holds with the source, byte by byte.
    pub(crate) fn same_in(&self, vault: &Path) -> Result<String> {
        command("diff", &["--recursive", "--no-dereference"], &[&self.source, &vault.join(&self.name)])?;
        Ok("the same, byte by byte".to_owned())
    }

    /// The biggest file of them, in the vault.
    pub(crate) fn biggest_in(&self, vault: &Path) -> Result<PathBuf> {
        let biggest = files(&vault.join(&self.name))?.into_iter().max();
        let (length, path) = biggest.context("nothing was given to keep: the folder holds no file")?;
        ensure!(length > 0, "nothing was given to keep: every file of {} is empty", self.source.display());
        Ok(path)
    }

    /// The name under which they lie in the vault.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }
}

fn made(folder: &Path) -> Result<PathBuf> {
    fs::create_dir_all(folder.join("2026"))?;
    fs::write(folder.join("customers.csv"), "name,card\nA. Lovelace,4111111111111111\n".repeat(2000))?;
    fs::write(folder.join("2026/november.journal"), (0..=255).collect::<Vec<u8>>().repeat(16 << 10))?;
    Ok(folder.to_owned())
}

/// Every regular file at or under a path, with its length in bytes.
fn files(path: &Path) -> Result<Vec<(u64, PathBuf)>> {
    let about = fs::symlink_metadata(path)?;
    if !about.is_dir() {
        return Ok(if about.is_file() { vec![(about.len(), path.to_owned())] } else { Vec::new() });
    }
    let within: Result<Vec<_>> = fs::read_dir(path)?.map(|entry| files(&entry?.path())).collect();
    Ok(within?.concat())
}

fn command(program: &str, options: &[&str], paths: &[&Path]) -> Result<String> {
    let output = Command::new(program).args(options).arg("--").args(paths).output();
    let output = output.with_context(|| format!("{program} could not be run"))?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    ensure!(output.status.success(), "{program}: {}{}", text(&output.stdout), text(&output.stderr));
    Ok(text(&output.stdout))
}
