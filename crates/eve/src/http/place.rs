//! Where the controller is, whom to believe there, and the way to it: what an installer writes into `config/`, and may change.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use crate::paths;

/// What `config/` says of the controller.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct ControllerPlace {
    /// `host:port`.
    pub(super) server: String,
    /// The only root that is believed.
    pub(super) root_pem: Vec<u8>,
    /// `http://host:port`, if there is no other way. May hold a password.
    pub(super) proxy: Option<String>,
}

/// Why that can't be used, and what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PlaceError {
    /// It is not there, or may not be read.
    #[error("{file} can't be read ({why}): {advice}", file = .file.name(), why = in_words(*.why), advice = .file.advice())]
    Unreadable { file: ConfigFile, why: ErrorKind },
    /// Without one nobody is believed.
    #[error("config/root-certificate.pem has no certificate: take it from the controller")]
    NoCertificate,
    /// Anything but an HTTP proxy.
    #[error("config/proxy is not understood: write http://HOST:PORT there, or remove it")]
    Proxy,
}

/// Of a file that is not there Rust says that no entity was found.
fn in_words(why: ErrorKind) -> String {
    if why == ErrorKind::NotFound { "it is not there".to_owned() } else { why.to_string() }
}

/// A file that says something of the controller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ConfigFile {
    /// Its address.
    Server,
    /// Its root.
    RootCertificate,
    /// The way to it.
    Proxy,
}

impl ConfigFile {
    /// All.
    pub(crate) const ALL: [Self; 3] = [Self::Server, Self::RootCertificate, Self::Proxy];

    /// Under the node's root.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Server => "config/server",
            Self::RootCertificate => "config/root-certificate.pem",
            Self::Proxy => "config/proxy",
        }
    }

    fn advice(self) -> &'static str {
        match self {
            Self::Server => "write host:port there",
            Self::RootCertificate => "take it from the controller",
            Self::Proxy => "let every user read it; or remove it, if no proxy is needed",
        }
    }

    /// Where it is.
    pub(crate) fn path(self, root: &Path) -> PathBuf {
        match self {
            Self::Server => paths::server(root),
            Self::RootCertificate => paths::root_certificate(root),
            Self::Proxy => paths::proxy(root),
        }
    }

    fn read(self, root: &Path) -> Result<Vec<u8>, PlaceError> {
        let unreadable = |error: std::io::Error| PlaceError::Unreadable { file: self, why: error.kind() };
        std::fs::read(self.path(root)).map_err(unreadable)
    }

    fn line(self, root: &Path) -> Result<String, PlaceError> {
        Ok(String::from_utf8_lossy(&self.read(root)?).trim().to_owned())
    }
}

/// Whether all of that can be read.
///
/// # Errors
/// As it would be told.
pub(crate) fn check(root: &Path) -> Result<(), PlaceError> {
    ControllerPlace::read(root).map(drop)
}

impl ControllerPlace {
    pub(super) fn read(root: &Path) -> Result<Self, PlaceError> {
        let server = ConfigFile::Server.line(root)?;
        let proxy = match ConfigFile::Proxy.line(root) {
            Ok(line) if line.is_empty() => None,
            Ok(line) if is_http_proxy(&line) => Some(line),
            Ok(_) => return Err(PlaceError::Proxy),
            Err(PlaceError::Unreadable { why: ErrorKind::NotFound, .. }) => None,
            Err(error) => return Err(error),
        };
        Ok(Self {
            server: server.trim_start_matches("https://").trim_end_matches('/').to_owned(),
            root_pem: ConfigFile::RootCertificate.read(root)?,
            proxy,
        })
    }
}

/// `http://[USER[:PASSWORD]@]HOST:PORT`, and nothing else: what is only a word would be taken for a host that nobody finds.
fn is_http_proxy(line: &str) -> bool {
    let Some(rest) = line.strip_prefix("http://") else { return false };
    let rest = rest.strip_suffix('/').unwrap_or(rest);
    let place = rest.rsplit_once('@').map_or(rest, |(_, place)| place);
    let Some((host, port)) = place.rsplit_once(':') else { return false };
    let v6 = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let is_name = |name: &str| {
        let fine = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
        !name.is_empty() && name.bytes().all(fine)
    };
    let is_host = v6.map_or_else(|| is_name(host), |v6| v6.parse::<std::net::Ipv6Addr>().is_ok());
    is_host && port.parse::<std::num::NonZeroU16>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(server: &str) -> tempfile::TempDir {
        let dir = tempfile::tempdir().expect("a directory");
        std::fs::create_dir(dir.path().join("config")).expect("makes");
        std::fs::write(paths::server(dir.path()), server).expect("writes");
        std::fs::write(paths::root_certificate(dir.path()), "a root").expect("writes");
        dir
    }

    #[test]
    fn an_address_is_taken_however_installers_write_it_and_no_proxy_is_an_empty_one() {
        for written in ["c:1", " c:1\n", "https://c:1/"] {
            assert_eq!(
                ControllerPlace::read(config(written).path()).expect("is read").server,
                "c:1",
                "{written:?}"
            );
        }
        let dir = config("c:1");
        for (written, proxy) in [("\n", None), ("http://p:3128\n", Some("http://p:3128"))] {
            std::fs::write(paths::proxy(dir.path()), written).expect("writes");
            assert_eq!(ControllerPlace::read(dir.path()).expect("is read").proxy.as_deref(), proxy);
        }
    }

    /// What is no proxy is told with its place and what belongs there, and is not asked for as a host.
    #[test]
    fn what_is_no_proxy_is_refused_with_its_place() {
        let dir = config("c:1");
        for (written, fine) in [
            ("http://p:3128", true),
            ("http://user:pa@ss@p.example:3128/", true),
            ("http://[fd00::1]:3128", true),
            ("yes", false),
            ("p:3128", false),
            ("http://p", false),
            ("http://p:0", false),
            ("http://p:port", false),
            ("http://:3128", false),
            ("http://p q:3128", false),
            ("https://p:3128", false),
            ("http://p:3128/way", false),
            ("http://p:3128\nhttp://q:3128", false),
        ] {
            std::fs::write(paths::proxy(dir.path()), written).expect("writes");
            assert_eq!(check(dir.path()), if fine { Ok(()) } else { Err(PlaceError::Proxy) }, "{written:?}");
        }
    }

    /// What is missing is told with what belongs there. A proxy that can't be read is not passed by.
    #[test]
    fn a_file_that_cannot_be_read_is_named_with_what_to_do() {
        let dir = config("c:1");
        std::fs::create_dir(paths::proxy(dir.path())).expect("in its place");
        let told =
            ControllerPlace::read(dir.path()).map(drop).expect_err("no other way is taken").to_string();
        assert!(told.starts_with("config/proxy can't be read"), "{told}");
        std::fs::remove_file(paths::server(dir.path())).expect("removes");
        let told = ControllerPlace::read(dir.path()).map(drop).expect_err("no address").to_string();
        assert!(told.contains("config/server") && told.contains("host:port"), "{told}");
    }
}
