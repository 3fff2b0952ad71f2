//! How the TPM is reached: a TCTI string, parsed once into a checked type.
//! The words are those of the TPM Software Stack's TCTI loader; only the two kinds that we run over are accepted.

use std::fmt;
use std::net::IpAddr;
use std::path::{Component, Path, PathBuf};
use std::str::FromStr;

/// The TPM of a node whose configuration names none: the kernel's resource manager.
pub const DEFAULT_DEVICE: &str = "/dev/tpmrm0";

/// Configured for a node that is to be without a TPM though it may have one.
const NONE: &str = "none";

/// Longest TCTI string that is looked at, in bytes.
const MAX_LEN: usize = 256;

/// Where the TPM is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tcti {
    /// A character device, `device:/dev/tpmrm0`.
    Device(PathBuf),
    /// A software TPM over TCP, `swtpm:host=127.0.0.1,port=2321`; its control channel is on `port + 1`.
    Swtpm {
        /// Loopback only: the protocol has no protection of its own.
        host: IpAddr,
        /// Command port, 1 to 65534.
        port: u16,
    },
}

/// Why a text is no [`Tcti`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadTcti {
    /// Neither `device:` nor `swtpm:`.
    #[error("a TCTI starts with `device:` or `swtpm:`; `none` is for a node without a TPM")]
    Kind,
    /// Not an absolute path under `/dev` without `..`.
    #[error("a TPM device is an absolute path under /dev")]
    Device,
    /// Something other than `host=` and `port=`, or one of them missing or given twice.
    #[error("a swtpm TCTI is `swtpm:host=ADDRESS,port=NUMBER`")]
    Fields,
    /// Not an IP address, or not a loopback one.
    #[error("the host of a swtpm is a loopback address")]
    Host,
    /// Not in 1 to 65534 (the control channel needs the next one).
    #[error("the port of a swtpm lies in 1 to 65534")]
    Port,
    /// Longer than 256 bytes.
    #[error("a TCTI has at most 256 bytes")]
    TooLong,
}

impl Tcti {
    /// The TPM that this node has: the configured one, else [`DEFAULT_DEVICE`] if that exists, else none. Where `none` is configured it
    /// has none, whatever the kernel offers.
    ///
    /// A configured TPM is returned whether or not it answers: one that fails is never "no TPM".
    ///
    /// # Errors
    /// [`BadTcti`]: the configured text is none; an operator must mend it.
    pub fn find(configured: Option<&str>) -> Result<Option<Self>, BadTcti> {
        match configured {
            Some(text) if text.trim() == NONE => Ok(None),
            Some(text) => text.trim().parse().map(Some),
            None => Ok(default_device(Path::new(DEFAULT_DEVICE))),
        }
    }

    /// Whether a resource manager stands between us and the TPM, which then cleans up after us itself.
    pub(crate) fn has_resource_manager(&self) -> bool {
        match self {
            Self::Device(path) => {
                path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("tpmrm"))
            }
            Self::Swtpm { .. } => false,
        }
    }
}

/// Only "does not exist" means that there is no TPM; a device that can't be looked at is one that fails.
fn default_device(path: &Path) -> Option<Tcti> {
    match std::fs::symlink_metadata(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        _ => Some(Tcti::Device(path.into())),
    }
}

impl FromStr for Tcti {
    type Err = BadTcti;

    fn from_str(text: &str) -> Result<Self, BadTcti> {
        if text.len() > MAX_LEN {
            return Err(BadTcti::TooLong);
        }
        match text.split_once(':') {
            Some(("device", path)) => device(Path::new(path)),
            Some(("swtpm", fields)) => swtpm(fields),
            _ => Err(BadTcti::Kind),
        }
    }
}

fn device(path: &Path) -> Result<Tcti, BadTcti> {
    let plain = path.components().all(|part| matches!(part, Component::RootDir | Component::Normal(_)));
    let printable = path.to_str().is_some_and(|text| text.chars().all(|c| c.is_ascii_graphic()));
    if plain && printable && path.starts_with("/dev") && path != Path::new("/dev") {
        Ok(Tcti::Device(path.into()))
    } else {
        Err(BadTcti::Device)
    }
}

fn swtpm(fields: &str) -> Result<Tcti, BadTcti> {
    let (mut host, mut port) = (None, None);
    for field in fields.split(',') {
        let slot = match field.split_once('=') {
            Some(("host", value)) => (&mut host, value),
            Some(("port", value)) => (&mut port, value),
            _ => return Err(BadTcti::Fields),
        };
        if slot.0.replace(slot.1).is_some() {
            return Err(BadTcti::Fields);
        }
    }
    let (Some(host), Some(port)) = (host, port) else { return Err(BadTcti::Fields) };
    Ok(Tcti::Swtpm { host: loopback(host)?, port: command_port(port)? })
}

fn loopback(text: &str) -> Result<IpAddr, BadTcti> {
    text.parse::<IpAddr>().ok().filter(IpAddr::is_loopback).ok_or(BadTcti::Host)
}

fn command_port(text: &str) -> Result<u16, BadTcti> {
    let digits = text.bytes().all(|b| b.is_ascii_digit());
    text.parse::<u16>().ok().filter(|port| digits && (1..u16::MAX).contains(port)).ok_or(BadTcti::Port)
}

impl fmt::Display for Tcti {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Device(path) => write!(f, "device:{}", path.display()),
            Self::Swtpm { host, port } => write!(f, "swtpm:host={host},port={port}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn accepts_what_the_stack_takes() {
        for text in [
            "device:/dev/tpmrm0",
            "device:/dev/tpm0",
            "swtpm:host=127.0.0.1,port=2321",
            "swtpm:host=::1,port=1",
        ] {
            assert_eq!(text.parse::<Tcti>().unwrap().to_string(), text, "{text}");
        }
        let swapped: Tcti = "swtpm:port=7,host=127.0.0.1".parse().unwrap();
        assert_eq!(swapped.to_string(), "swtpm:host=127.0.0.1,port=7");
    }

    #[test]
    fn refuses_the_rest_with_its_reason() {
        for (text, why) in [
            ("", BadTcti::Kind),
            ("tabrmd:", BadTcti::Kind),
            ("device:", BadTcti::Device),
            ("device:dev/tpm0", BadTcti::Device),
            ("device:/dev/../etc/passwd", BadTcti::Device),
            ("device:/etc/passwd", BadTcti::Device),
            ("device:/dev", BadTcti::Device),
            ("device:/dev/tpm0\n", BadTcti::Device),
            ("swtpm:", BadTcti::Fields),
            ("swtpm:path=/x/sock", BadTcti::Fields),
            ("swtpm:host=127.0.0.1", BadTcti::Fields),
            ("swtpm:host=127.0.0.1,port=1,port=2", BadTcti::Fields),
            ("swtpm:host=localhost,port=1", BadTcti::Host),
            ("swtpm:host=192.0.2.1,port=1", BadTcti::Host),
            ("swtpm:host=127.0.0.1,port=0", BadTcti::Port),
            ("swtpm:host=127.0.0.1,port=65535", BadTcti::Port),
            ("swtpm:host=127.0.0.1,port=+80", BadTcti::Port),
        ] {
            assert_eq!(text.parse::<Tcti>(), Err(why), "{text:?}");
        }
        assert_eq!(format!("device:/dev/{}", "x".repeat(300)).parse::<Tcti>(), Err(BadTcti::TooLong));
    }

    #[test]
    fn absence_of_the_default_device_alone_means_no_tpm() {
        assert_eq!(default_device(Path::new("/dev/no-such-tpm")), None);
        assert!(default_device(Path::new("/dev/null")).is_some());
        assert!(
            default_device(Path::new("/dev/null/tpm")).is_some(),
            "an error other than absence is a failing TPM"
        );
    }

    /// Seen-by-users 0.6: doing without is a choice, in writing.
    #[test]
    fn none_is_a_choice_and_nothing_like_it() {
        assert_eq!(Tcti::find(Some("none\n")), Ok(None));
        for text in ["", "None", "none:", "nonesuch"] {
            assert_eq!(Tcti::find(Some(text)), Err(BadTcti::Kind), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn never_panics_and_prints_what_it_parsed(text in "(device|swtpm):[ -~]{0,40}|\\PC{0,60}") {
            if let Ok(tcti) = text.parse::<Tcti>() {
                prop_assert_eq!(tcti.to_string().parse::<Tcti>(), Ok(tcti));
            }
        }

        #[test]
        fn every_loopback_port_round_trips(port in 1..u16::MAX, last in 1u8..) {
            let text = format!("swtpm:host=127.0.0.{last},port={port}");
            prop_assert_eq!(text.parse::<Tcti>().unwrap().to_string(), text);
        }
    }
}
