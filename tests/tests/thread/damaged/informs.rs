//! Files of `persist/status`, which only inform: damaged while the node is off, one by one and both.

use std::fs;
use std::path::Path;

use testkit::node::Power;
use testkit::wait;

use super::table::expected;
use super::{Cut, Emptied, Flipped, Removed, TPM, done_to, is, scene};

const PORTS: &str = "nim/DevicePortConfigList.json";
const IN_USE: &str = "tpmmgr/tpm_in_use";

/// What a reader of it needs.
fn reads(file: &str, bytes: &[u8]) -> bool {
    if file == IN_USE { bytes == b"1\n" } else { serde_json::from_slice::<serde_json::Value>(bytes).is_ok() }
}

/// Invariant 4: what only informs shuts nothing, whatever is done to it, and the next boot writes it anew.
#[test]
fn what_only_informs_shuts_nothing_and_is_written_anew() {
    let mut scene = scene(true, TPM);
    let status = scene.node.root().join("persist/status");
    let read = |file: &str| {
        wait::until(file, || fs::read(status.join(file)).ok().filter(|bytes| reads(file, bytes))).unwrap()
    };
    let whole = [PORTS, IN_USE].map(|file| (file, read(file)));
    for what in [Flipped, Cut, Emptied, Removed] {
        for damaged in [&whole[..1], &whole[1..], &whole] {
            let when = format!("{what:?} {:?}", damaged.iter().map(|(file, _)| file).collect::<Vec<_>>());
            scene.node.off(Power::Clean).unwrap();
            let damage = |persist: &Path| {
                for (file, bytes) in damaged {
                    let path = persist.join("status").join(file);
                    match done_to(bytes, what, &[], &[]) {
                        None => fs::remove_file(path).unwrap(),
                        Some(bytes) => fs::write(path, bytes).unwrap(),
                    }
                }
            };
            scene.node.offline(damage).unwrap();
            scene.node.on(Power::Clean).unwrap();
            is(&mut scene, &when, &expected(&[]));
            damaged.iter().for_each(|(file, _)| drop(read(file)));
        }
    }
}
