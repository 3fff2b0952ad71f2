//! The kernel of nodes in VMs: Debian's cloud kernel, unpacked into the target folder and not installed.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::run;

/// A package with no files of its own, which depends on the newest kernel of that kind.
const PACKAGE: &str = "linux-image-cloud-amd64";

/// Downloads and unpacks it where it is missing.
///
/// # Errors
/// apt has none, or it can't be unpacked.
pub(crate) fn unpacked() -> Result<()> {
    let folder = run::target()?.join("vm");
    if folder.join("kernel/boot").is_dir() {
        return Ok(());
    }
    fs::create_dir_all(&folder)?;
    let name = newest()?;
    run::program(
        Command::new("apt-get")
            .args(["-o", "APT::Sandbox::User=root", "download", &name])
            .current_dir(&folder),
    )?;
    unpack(&folder, &name)
}

/// The name of the package that has its files.
fn newest() -> Result<String> {
    let told = Command::new("apt-cache").args(["show", "--no-all-versions", PACKAGE]).output();
    let told = told.context("apt-cache can't be started")?;
    depends(&String::from_utf8_lossy(&told.stdout))
        .with_context(|| format!("apt knows no {PACKAGE}: `apt-get update`"))
}

/// `Depends: linux-image-6.1.0-56-cloud-amd64 (= 6.1.192-2)`
fn depends(shown: &str) -> Option<String> {
    let line = shown.lines().find_map(|line| line.strip_prefix("Depends: "))?;
    line.split([' ', ',']).find(|name| name.starts_with("linux-image-")).map(str::to_owned)
}

/// Under another name until it is whole.
fn unpack(folder: &Path, name: &str) -> Result<()> {
    let mut entries = fs::read_dir(folder)?.flatten().map(|entry| entry.path());
    let package = entries.find(|path| {
        path.extension().is_some_and(|end| end == "deb")
            && path.file_name().is_some_and(|file| file.to_string_lossy().starts_with(&format!("{name}_")))
    });
    let Some(package) = package else {
        bail!("apt-get download left no file of {name} in {}", folder.display())
    };
    let half = folder.join("unpacking");
    run::program(Command::new("dpkg-deb").arg("-x").args([&package, &half]))?;
    fs::rename(half, folder.join("kernel"))?;
    Ok(fs::remove_file(package)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_package_with_the_files_is_the_one_that_is_depended_on() {
        let shown =
            "Package: linux-image-cloud-amd64\nDepends: linux-image-6.1.0-9-cloud-amd64 (= 6.1.1-1)\n";
        assert_eq!(depends(shown).as_deref(), Some("linux-image-6.1.0-9-cloud-amd64"));
        assert_eq!(depends("Package: x\n"), None);
    }
}
