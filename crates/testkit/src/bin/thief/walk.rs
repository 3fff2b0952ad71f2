//! Every file of a mounted disk, as far as the kernel gives it to root.

use std::fs;
use std::io::Write;
use std::path::Path;

use anyhow::Result;

/// Prints paths and bytes. What can't be read is left out.
pub(crate) fn print(folder: &Path, out: &mut impl Write) -> Result<()> {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let (path, kind) = (entry.path(), entry.file_type()?);
        writeln!(out, "{}", path.display())?;
        if kind.is_dir() {
            print(&path, out)?;
        } else if kind.is_file()
            && let Ok(bytes) = fs::read(&path)
        {
            out.write_all(&bytes)?;
        }
    }
    Ok(())
}
