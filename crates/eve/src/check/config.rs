//! What an installer wrote into `config/`.

use std::path::Path;

use wire::Certificate;

use super::finding::{Code, Finding};
use crate::http;
use crate::paths;

pub(super) fn look(root: &Path) -> Vec<Finding> {
    let found: Vec<_> = [controller(root), certificate(root), onboarding(root), read_only(root)]
        .into_iter()
        .flatten()
        .collect();
    if found.is_empty() {
        return vec![Finding::of(
            Code::Config,
            "config/ names a controller and its root, and how to register",
        )];
    }
    found
}

fn controller(root: &Path) -> Option<Finding> {
    http::check(root).err().map(|error| Finding::of(Code::ConfigMissing, error.to_string()))
}

fn certificate(root: &Path) -> Option<Finding> {
    let pem = std::fs::read(paths::root_certificate(root)).ok()?;
    let why = Certificate::from_pem(&pem).err()?;
    Some(Finding::of(
        Code::ConfigCertificate,
        format!("config/root-certificate.pem is no certificate: {why}"),
    ))
}

/// What a node writes there is written once, as a rule: after that a folder for reading only does.
fn read_only(root: &Path) -> Option<Finding> {
    let stat = nix::sys::statvfs::statvfs(&root.join("config")).ok()?;
    if !stat.flags().contains(nix::sys::statvfs::FsFlags::ST_RDONLY) {
        return None;
    }
    let is_registered = std::fs::metadata(paths::device_cert(root)).is_ok_and(|cert| cert.len() > 0);
    let code = if is_registered { Code::ConfigReadOnly } else { Code::ConfigUnwritable };
    Some(Finding::of(code, "config/ is mounted for reading only"))
}

/// Needed until the device is registered.
fn onboarding(root: &Path) -> Option<Finding> {
    let there = |path: std::path::PathBuf| path.exists();
    let missing = !there(paths::onboard_cert(root)) || !there(paths::onboard_key(root));
    let found = "config/onboard.cert.pem or config/onboard.key.pem is not there, and the device is not registered yet";
    (missing && !there(paths::device_cert(root))).then(|| Finding::of(Code::ConfigOnboarding, found))
}
