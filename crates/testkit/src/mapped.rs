//! A process that writes to a file by its memory alone: the file is mapped, shared and for writing, and no descriptor of it is open.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Stdio};

use anyhow::{Context, Result, ensure};
use nix::libc::{SYS_mmap, SYS_read};

use crate::process::{mortal, spawn};

/// What it reads from its standard input the kernel puts into the mapping: PROT_READ and PROT_WRITE, MAP_SHARED.
const MAP: &str = r#"
    my ($mmap, $read, $path) = (shift() + 0, shift() + 0, shift);
    open(my $file, "+<", $path) or die "open: $!";
    my $at = syscall($mmap, 0, 4096, 1 | 2, 1, fileno($file), 0);
    $at == -1 and die "mmap: $!";
    close($file) or die "close: $!";
    $| = 1;
    print "ready\n";
    syscall($read, 0, $at, 4096) == -1 and die "read: $!";
"#;

/// The process; killed on drop.
pub struct Mapped {
    child: Child,
    input: ChildStdin,
}

impl Mapped {
    /// Maps the beginning of the file at `path`.
    ///
    /// # Errors
    /// There is no perl, or the file can't be mapped.
    pub fn new(path: &Path) -> Result<Self> {
        let mut command = mortal("perl");
        command.args(["-e", MAP, &SYS_mmap.to_string(), &SYS_read.to_string()]).arg(path);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = spawn(command)?;
        let (input, output) = child.stdin.take().zip(child.stdout.take()).context("both are piped")?;
        let mut line = String::new();
        BufReader::new(output).read_line(&mut line)?;
        ensure!(line == "ready\n", "{} can't be mapped", path.display());
        Ok(Self { child, input })
    }

    /// Its process.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Writes to the beginning of the file by the mapping, and ends.
    ///
    /// # Errors
    /// It ended before, or could not write.
    pub fn write(mut self, text: &[u8]) -> Result<()> {
        self.input.write_all(text)?;
        ensure!(self.child.wait()?.success(), "it could not write by its mapping");
        Ok(())
    }
}

impl Drop for Mapped {
    fn drop(&mut self) {
        let _ = self.child.kill().and_then(|()| self.child.wait());
    }
}
