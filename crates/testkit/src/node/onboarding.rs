//! What an installer puts into /config: an onboarding certificate with its key, and the serial.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::Result;

/// By what a node may register.
#[derive(Debug, Clone)]
pub struct Onboarding {
    /// PEM file.
    pub certificate: PathBuf,
    /// Serial number.
    pub serial: String,
}

impl Onboarding {
    /// Makes one and writes it into `config`.
    pub(crate) fn write(config: &Path, serial: &str) -> Result<Self> {
        let key = rcgen::KeyPair::generate()?;
        let certificate = rcgen::CertificateParams::new(Vec::new())?.self_signed(&key)?;
        let path = config.join("onboard.cert.pem");
        fs::write(&path, certificate.pem())?;
        let mut private = OpenOptions::new();
        let private = private.write(true).create(true).truncate(true).mode(0o600);
        private.open(config.join("onboard.key.pem"))?.write_all(key.serialize_pem().as_bytes())?;
        fs::write(config.join("serial"), serial)?;
        Ok(Self { certificate: path, serial: serial.to_owned() })
    }
}
