//! nim: addresses of the interfaces and where the node is. It never opens a connection. It looks every few seconds rather than listen
//! to the kernel's netlink groups: addresses are a claim beside evidence, nothing waits for them, and a look can't miss a change.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::net::IpAddr;
use std::path::Path;
use std::thread;
use std::time::Duration;

use disk::Disk;
use nix::ifaddrs::getifaddrs;
use nix::net::if_::InterfaceFlags;
use vault::text::quoted;

use crate::bus::Bus;
use crate::bus::messages::{Location, NetworkStatus, Port};
use crate::paths;

/// How often the interfaces are looked at.
const EVERY: Duration = Duration::from_secs(15);

#[derive(serde::Deserialize)]
struct FixedLocation {
    latitude: f64,
    longitude: f64,
}

pub(super) fn run(bus: &Bus, disk: &Disk, root: &Path) -> anyhow::Result<()> {
    let mut told = None;
    loop {
        let status = NetworkStatus { ports: ports()?, location: location(root) };
        if told.as_ref() != Some(&status) {
            keep(disk, root, &status);
            bus.publish(&status);
            told = Some(status);
        }
        thread::sleep(EVERY);
    }
}

fn ports() -> nix::Result<Vec<Port>> {
    let mut ports: BTreeMap<String, Vec<IpAddr>> = BTreeMap::new();
    for interface in getifaddrs()?.filter(|interface| interface.flags.contains(InterfaceFlags::IFF_UP)) {
        let addresses = ports.entry(interface.interface_name).or_default();
        let Some(address) = interface.address else { continue };
        let v4 = address.as_sockaddr_in().map(|address| IpAddr::V4(address.ip()));
        addresses.extend(v4.or(address.as_sockaddr_in6().map(|address| IpAddr::V6(address.ip()))));
    }
    Ok(ports.into_iter().map(|(name, addresses)| Port { name, addresses }).collect())
}

/// What the installer wrote; a broken file is told and counts as none.
fn location(root: &Path) -> Option<Location> {
    let read = fixed(root).inspect_err(|error| tracing::warn!("{error}"));
    let FixedLocation { latitude, longitude } = read.ok()??;
    Some(Location { latitude, longitude, source: "fixed".to_owned() })
}

/// The installer's file on where the node is does not read.
#[derive(Debug, thiserror::Error)]
#[error(
    "config/location.json is not understood ({why}), and the node's location is not told; write {{\"latitude\": 52.5, \"longitude\": 13.4}} there, in degrees, or remove it"
)]
pub(crate) struct BadLocation {
    why: String,
}

fn fixed(root: &Path) -> Result<Option<FixedLocation>, BadLocation> {
    let bad = |why: &dyn std::fmt::Display| BadLocation { why: quoted(&why.to_string()) };
    match std::fs::read_to_string(paths::location(root)) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(bad(&error)),
        Ok(text) => serde_json::from_str(&text).map(Some).map_err(|error| bad(&error)),
    }
}

/// What `eve status` says of that file, where there is something to be said.
pub(crate) fn note(root: &Path) -> Option<String> {
    fixed(root).err().map(|error| error.to_string())
}

fn keep(disk: &Disk, root: &Path, status: &NetworkStatus) {
    let path = paths::port_config(root);
    let text = serde_json::to_vec_pretty(status).expect("names and addresses are JSON");
    if std::fs::read(&path).is_ok_and(|kept| kept == text) {
        return;
    }
    if let Err(error) = disk.write(&path, &text, 0o644) {
        tracing::warn!(%error, "the list of ports was not kept");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    form::every! {
        locations: BadLocation { BadLocation { .. } => BadLocation { why: "a comma is missing".into() } }
    }

    /// Issue 8, errors: a location that does not read is told with its file and what to write.
    #[test]
    fn a_bad_location_is_told_with_its_place() {
        let told = locations().into_iter().map(|error| error.to_string());
        let eve = crate::cli::command();
        assert_eq!(
            told.flat_map(|told| form::wrong_line(&eve, &["config/"], &told)).collect::<Vec<_>>(),
            [""; 0]
        );
    }

    /// Invariant 4: a file of the installer's that does not read is named to whoever looks at the node, with what to do.
    #[test]
    fn a_location_that_does_not_read_is_named_and_advised() {
        let dir = tempfile::tempdir().expect("a directory");
        let file = paths::location(dir.path());
        std::fs::create_dir(file.parent().expect("config")).expect("makes");
        assert_eq!(note(dir.path()), None, "none is needed");
        std::fs::write(&file, r#"{"latitude": 52.5, "longitude": 13.4}"#).expect("writes");
        assert_eq!((note(dir.path()), location(dir.path()).is_some()), (None, true));
        for bad in ["", "{", r#"{"latitude": 52.5}"#] {
            std::fs::write(&file, bad).expect("writes");
            let told = note(dir.path()).expect("told");
            assert!(told.contains("config/location.json") && told.contains("write {\"latitude\""), "{told}");
            assert!(location(dir.path()).is_none());
        }
    }
}
