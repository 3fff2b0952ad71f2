//! Google's `fscrypt` command, the peer that our vaults must work with. It runs in a mount namespace of its own with a
//! copy of /etc, so that its one configuration file is ours and the machine's stays as it is. Software of others may never return, and
//! may print without end: every run has a limit of time and of output.

use std::fs;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Result, bail, ensure};

use crate::mounts::OwnMounts;
use crate::process::{output, wait_at_most};

/// After which a command is killed.
const PATIENCE: Duration = Duration::from_secs(10);
/// The most that it writes into any file, its output too, bytes; its own files are far below.
const MOST: u64 = 1 << 20;
/// The beginning of its words that is kept, bytes.
const HEAD: u64 = 16 << 10;
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

    /// Puts its configuration into /etc of this process's own mounts: then [`Self::run_bare`] needs no wrapping.
    ///
    /// # Errors
    /// mount fails.
    pub fn take_etc(&self, _own: &OwnMounts) -> Result<()> {
        output(Command::new("mount").arg("--bind").arg(self.dir.join("etc")).arg("/etc")).map(drop)
    }

    /// Runs `fscrypt ARGS` alone, after [`Self::take_etc`], to be measured. What it prints goes nowhere.
    ///
    /// # Errors
    /// It fails, or does not end and is killed.
    pub fn run_bare(&self, args: &[&str]) -> Result<()> {
        run_bare("fscrypt", args, PATIENCE)
    }

    /// Runs `fscrypt ARGS`; returns what it printed.
    ///
    /// # Errors
    /// It fails, or is killed at a limit. The beginning of its words is in the error.
    pub fn run(&self, args: &[&str]) -> Result<String> {
        self.run_program("fscrypt", args, "", PATIENCE)
    }

    /// Runs `fscrypt ARGS` with `input` to read: a passphrase, where ARGS have `--quiet`.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub fn run_told(&self, args: &[&str], input: &str) -> Result<String> {
        self.run_program("fscrypt", args, input, PATIENCE)
    }

    fn run_program(&self, program: &str, args: &[&str], input: &str, patience: Duration) -> Result<String> {
        let (said, told) = (self.dir.join("said"), self.dir.join("told"));
        fs::write(&told, input)?;
        let out = fs::File::create(&said)?;
        let mut command = self.command(program, patience);
        command.stdin(fs::File::open(&told)?).stdout(out.try_clone()?).stderr(out);
        let status = command.args(args).status()?;
        let words = head(&said)?;
        ensure!(status.success(), "{program} {args:?}: {status}: {words}");
        Ok(words)
    }

    /// The program in mounts of its own, with our configuration, and its limits.
    fn command(&self, program: &str, patience: Duration) -> Command {
        let mut command = Command::new("unshare");
        command.args(["--mount", "sh", "-c", "mount --bind \"$1\" /etc && shift && exec \"$@\"", "sh"]);
        command.arg(self.dir.join("etc"));
        command.args(["timeout", "--kill-after=1", &patience.as_secs().to_string()]);
        command.args(["prlimit", &format!("--fsize={MOST}"), "--core=0", program]);
        command
    }
}

fn run_bare(program: &str, args: &[&str], patience: Duration) -> Result<()> {
    let mut command = Command::new(program);
    command.args(args).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    match wait_at_most(command.spawn()?, patience)? {
        status if status.success() => Ok(()),
        status => bail!("{program} {args:?}: {status}"),
    }
}

fn head(file: &Path) -> Result<String> {
    use std::io::Read as _;
    let mut words = Vec::new();
    fs::File::open(file)?.take(HEAD).read_to_end(&mut words)?;
    Ok(String::from_utf8_lossy(&words).into_owned())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]
mod tests {
    use super::*;

    #[test]
    fn what_prints_without_end_is_ended_and_leaves_a_bounded_output() {
        let dir = tempfile::tempdir().unwrap();
        let cli = FscryptCli::new(dir.path()).unwrap();
        // So long that only the other limit can end it.
        let ended = cli.run_program("yes", &[], "", Duration::from_secs(3600)).unwrap_err().to_string();
        assert!(ended.len() as u64 <= HEAD + 200, "{} bytes", ended.len());
        assert_eq!(fs::metadata(dir.path().join("said")).unwrap().len(), MOST);
        assert_eq!(cli.run_program("echo", &["a word"], "", PATIENCE).unwrap(), "a word\n");
        assert_eq!(cli.run_program("cat", &[], "a word", PATIENCE).unwrap(), "a word");
    }

    #[test]
    fn what_never_returns_is_ended() {
        let dir = tempfile::tempdir().unwrap();
        let cli = FscryptCli::new(dir.path()).unwrap();
        let short = Duration::from_secs(1);
        assert!(cli.run_program("sleep", &["infinity"], "", short).is_err());
        assert!(run_bare("sleep", &["infinity"], short).is_err());
        run_bare("true", &[], PATIENCE).unwrap();
    }
}
