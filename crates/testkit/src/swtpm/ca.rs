//! The manufacturer: a CA in a folder of its own, made by swtpm_localca with the first TPM. Never the system's CA.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use crate::process::{mortal, output};
use anyhow::{Context, Result};

/// A CA for EK certificates. Several tests, and several processes, may use one at once.
#[derive(Debug, Clone)]
pub struct TestTpmCa {
    dir: PathBuf,
}

impl TestTpmCa {
    /// The CA in `dir`, made with its first TPM.
    ///
    /// # Errors
    /// The folder can't be made.
    pub fn in_dir(dir: &Path) -> Result<Self> {
        fs::create_dir_all(dir)?;
        let ca = Self { dir: dir.canonicalize()? };
        let _lock = ca.lock()?;
        ca.write_config()?;
        Ok(ca)
    }

    /// The root certificate, PEM. There once a TPM was made.
    #[must_use]
    pub fn root_certificate(&self) -> PathBuf {
        self.dir.join("swtpm-localca-rootca-cert.pem")
    }

    /// The certificate of the issuer of EK certificates, PEM.
    #[must_use]
    pub fn issuer_certificate(&self) -> PathBuf {
        self.dir.join("issuercert.pem")
    }

    /// Makes a TPM's state in `state`: seeds, EKs and their certificates, `banks` of PCRs as swtpm_setup names them. One at a time,
    /// since serial numbers (and at first the CA's keys) are files.
    pub(super) fn manufacture(&self, state: &Path, vmid: &str, banks: &str) -> Result<()> {
        let _lock = self.lock()?;
        // It starts an swtpm that would outlive it if it were killed: so in a process namespace that ends with it.
        let mut setup = mortal("unshare");
        setup.args(["--pid", "--fork", "--kill-child=KILL", "swtpm_setup"]);
        setup.args(["--tpm2", "--create-ek-cert", "--create-platform-cert", "--lock-nvram", "--overwrite"]);
        setup.args(["--pcr-banks", banks, "--vmid", vmid]);
        setup.arg("--tpmstate").arg(state).arg("--config").arg(self.dir.join("swtpm_setup.conf"));
        output(&mut setup).map(drop)
    }

    fn lock(&self) -> Result<File> {
        let lock = File::create(self.dir.join("lock")).context("the TPM CA's lock")?;
        lock.lock()?;
        Ok(lock)
    }

    fn write_config(&self) -> Result<()> {
        let dir = self.dir.display();
        let localca = format!(
            "statedir = {dir}\nsigningkey = {dir}/signkey.pem\nissuercert = {dir}/issuercert.pem\ncertserial = {dir}/certserial\n"
        );
        let options = "--platform-manufacturer EVE\n--platform-version 1.0\n--platform-model testkit\n";
        let setup = format!(
            "create_certs_tool = /usr/bin/swtpm_localca\ncreate_certs_tool_config = {dir}/swtpm-localca.conf\ncreate_certs_tool_options = {dir}/swtpm-localca.options\nactive_pcr_banks = sha256\n"
        );
        fs::write(self.dir.join("swtpm-localca.conf"), localca)?;
        fs::write(self.dir.join("swtpm-localca.options"), options)?;
        Ok(fs::write(self.dir.join("swtpm_setup.conf"), setup)?)
    }
}
