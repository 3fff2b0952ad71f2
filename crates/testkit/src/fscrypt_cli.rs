//! Google's `fscrypt` command, the peer that our vaults must work with. It runs in a mount namespace of its own with a
//! copy of /etc, so that its one configuration file is ours and the machine's stays as it is; always under `timeout`,
//! since it asks for ever when a raw key is wrong.

use std::fs;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Result, bail};

use crate::mounts::OwnMounts;
use crate::process::output;

/// Seconds after which a command is killed.
const PATIENCE: &str = "10";
/// As `fscrypt setup` writes it, with quick hashing.
const CONFIG: &str = r#"{"source":"custom_passphrase","hash_costs":{"time":"1","memory":"8","parallelism":"1"},
"options":{"padding":"32","contents":"AES_256_XTS","filenames":"AES_256_CTS","policy_version":"2"},
"use_fs_keyring_for_v1_policies":false,"allow_cross_user_metadata":false}"#;

/// The command, with its configuration.
pub struct FscryptCli {
    dir: PathBuf,
}

impl FscryptCli {
    /// Keeps its configuration and keys in `dir`.
    ///
    /// # Errors
    /// The file system's.
    pub fn new(dir: &Path) -> Result<Self> {
        let etc = dir.join("etc");
        fs::create_dir_all(&etc)?;
        for file in ["passwd", "group", "nsswitch.conf"] {
            fs::copy(Path::new("/etc").join(file), etc.join(file))
                .or_else(|error| if file == "nsswitch.conf" { Ok(0) } else { Err(error) })?;
        }
        fs::write(etc.join("fscrypt.conf"), CONFIG)?;
        Ok(Self { dir: dir.canonicalize()? })
    }

    /// Writes a raw key file, as `--key` takes it.
    ///
    /// # Errors
    /// The file system's.
    pub fn key_file(&self, name: &str, key: &[u8; 32]) -> Result<PathBuf> {
        let path = self.dir.join(name);
        let _ = fs::remove_file(&path);
        let mut options = fs::OpenOptions::new();
        let mut file = options.write(true).create_new(true).mode(0o600).open(&path)?;
        std::io::Write::write_all(&mut file, key)?;
        Ok(path)
    }

    /// `fscrypt ARGS`, to be run or measured.
    #[must_use]
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new("unshare");
        command.args([
            "--mount",
            "sh",
            "-c",
            "mount --bind \"$1\" /etc && shift && exec timeout \"$@\"",
            "sh",
        ]);
        command.arg(self.dir.join("etc")).args([PATIENCE, "fscrypt"]).args(args).stdin(Stdio::null());
        command
    }

    /// Puts its configuration into /etc of this process's own mounts: then [`Self::bare_command`] needs no wrapping.
    ///
    /// # Errors
    /// mount fails.
    pub fn take_etc(&self, _own: &OwnMounts) -> Result<()> {
        output(Command::new("mount").arg("--bind").arg(self.dir.join("etc")).arg("/etc")).map(drop)
    }

    /// `fscrypt ARGS` alone, after [`Self::take_etc`]: with a wrong key it never ends.
    #[must_use]
    pub fn bare_command(&self, args: &[&str]) -> Command {
        let mut command = Command::new("fscrypt");
        command.args(args);
        command
    }

    /// Runs `fscrypt ARGS`; returns what it printed.
    ///
    /// # Errors
    /// It fails, or asks for more than it was given until it is killed. The end of its words is in the error.
    pub fn run(&self, args: &[&str]) -> Result<String> {
        // Into a file that is cut: with a wrong key it prints without end.
        let said = self.dir.join("said");
        let out = fs::File::create(&said)?;
        let status = self.command(args).stdout(out.try_clone()?).stderr(out).status()?;
        let words = head(&said)?;
        if !status.success() {
            bail!("fscrypt {args:?}: {status}: {words}");
        }
        Ok(words)
    }
}

fn head(file: &Path) -> Result<String> {
    use std::io::Read as _;
    let mut words = Vec::new();
    fs::File::open(file)?.take(16 << 10).read_to_end(&mut words)?;
    Ok(String::from_utf8_lossy(&words).into_owned())
}
