//! The Debian packages that building and testing need, each with its reason.

use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::run;

const PACKAGES: [&str; 17] = [
    "gcc",                 // linking, and the C parts of the cryptography
    "libc6-dev",           // their headers
    "pkg-config",          // finds libtss2
    "libtss2-dev",         // the TPM Software Stack
    "libtss2-tcti-swtpm0", // and its way to a software TPM
    "swtpm",               // a TPM 2.0 where there is no chip
    "swtpm-tools",         // swtpm_setup: gives it an endorsement key and certificate
    "tpm2-tools",          // the second opinion on all that we do with a TPM
    "openssl",             // the second opinion on certificates
    "fscrypt",             // the interop peer
    "age",                 // another: opens recovery keys
    "e2fsprogs",           // mkfs.ext4, chattr
    "mount",               // mount, losetup
    "util-linux",          // setpriv
    "runc",                // containers that hold files of a vault
    "procps",              // kill, for tests that take agents down
    "perl-base",           // system calls: a mount that shows files under other ids, a mapping, a root
];

/// What nodes in VMs need beside them: for the tests, not for the demo or the benchmark.
const VMS: [&str; 5] = [
    "qemu-system-x86", // the machine
    "ovmf",            // firmware that measures what it boots
    "busybox-static",  // the shell and the tools of its initrd
    "cpio",            // packs it
    "binutils",        // strip: an initrd of a quarter of the size
];

/// How many they are with those.
pub(crate) const COUNT: usize = PACKAGES.len() + VMS.len();

/// Installs what is missing; says how many that were.
///
/// # Errors
/// When packages are missing and can't be installed; the text says with which command they can.
pub(crate) fn install() -> Result<usize> {
    install_of(&PACKAGES)
}

/// The same with what nodes in VMs need.
///
/// # Errors
/// As [`install`].
pub(crate) fn install_all() -> Result<usize> {
    install_of(&[&PACKAGES[..], &VMS].concat())
}

fn install_of(packages: &[&'static str]) -> Result<usize> {
    let missing: Vec<&str> = packages.iter().copied().filter(|name| !installed(name)).collect();
    let count = missing.len();
    if count == 0 {
        return Ok(0);
    }
    if !is_root()? {
        bail!(
            "packages are missing; install them with:\n  sudo apt-get install --no-install-recommends {}",
            missing.join(" ")
        );
    }
    retried(&["update"])?;
    let mut install = vec!["install", "--yes", "--no-install-recommends"];
    install.extend(missing);
    retried(&install)?;
    Ok(count)
}

fn installed(name: &str) -> bool {
    let query = Command::new("dpkg-query")
        .args(["--show", "--showformat=${db:Status-Status}", name])
        .stderr(Stdio::null())
        .output();
    query.is_ok_and(|answer| answer.stdout == b"installed")
}

fn is_root() -> Result<bool> {
    let id = Command::new("id").arg("--user").output().context("`id` can't be started")?;
    Ok(id.stdout.trim_ascii() == b"0")
}

/// A mirror may be out for a moment.
fn retried(args: &[&str]) -> Result<()> {
    let apt = || run::program(Command::new("apt-get").args(args).env("DEBIAN_FRONTEND", "noninteractive"));
    apt().or_else(|_| apt()).or_else(|_| apt())
}
