//! The controller's own files, with the power cut, a write torn, what was not synced lost, and no room, at every operation of its
//! first start.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use disk::Disk;
use disk::faulty::{Fault, Faults, Faulty};
use evc::clock::now;
use evc::service::{Controller, Settings, StartError, start_on, token_hash};

fn start(disk: &Disk, data: &Path) -> Result<Controller, StartError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let settings = Settings {
        data: data.to_owned(),
        names: vec![],
        poll_every_s: None,
        drill_every_s: evc::service::DRILL_EVERY_S,
        deleted_grace_s: evc::service::DELETED_GRACE_S,
        clock_is_right: false,
    };
    runtime.block_on(async {
        let started = start_on(disk, &settings, now()).await;
        if let Ok(controller) = &started {
            controller.store.close().await;
        }
        started
    })
}

/// Seen by users 0.2: whatever cuts the first start, the next one comes up with a key-encryption key, a root certificate and a token
/// that are whole and belong to its database, and nothing lies beside them.
#[test]
fn a_first_start_that_was_cut_anywhere_is_mended_by_the_next() {
    for fault in Fault::ALL {
        let cut = |nth: &usize| {
            let (dir, faults) = (tempfile::tempdir().expect("a folder"), Faults::default());
            let (data, when) = (dir.path().join("data"), format!("{fault:?} at {nth}"));
            let cut =
                faults.during(fault, *nth, || drop(start(&Disk::through(Faulty::linux(&faults)), &data)));
            let controller = start(&Disk::linux(), &data).unwrap_or_else(|error| panic!("{when}: {error:?}"));
            let read = |name: &str| fs::read(data.join(name)).unwrap_or_else(|_| panic!("{when}: {name}"));
            assert_eq!(read("kek").len(), 32, "{when}");
            assert_eq!(read("root-certificate.pem"), controller.authority.root_pem.as_bytes(), "{when}");
            let token = String::from_utf8(read("operator.token")).expect("text");
            // It works on its folder as long as it is there.
            drop(controller);
            assert!(knows(&data, &token), "{when}: the token is not that of the database");
            for name in ["kek", "operator.token"] {
                let mode = fs::metadata(data.join(name)).expect("there").permissions().mode();
                assert_eq!(mode & 0o777, 0o600, "{when}: {name}");
            }
            let left = fs::read_dir(&data).expect("lists").map(|entry| entry.expect("one").file_name());
            let left: Vec<_> = left.filter(|name| name.to_string_lossy().contains("tmp")).collect();
            assert!(left.is_empty(), "{when}: {left:?}");
            cut
        };
        let operations = (0..100).find(|nth| !cut(nth)).expect("it comes to an end");
        assert!(operations > if fault == Fault::Full { 8 } else { 15 }, "{fault:?}: {operations}");
    }
}

fn knows(data: &Path, token: &str) -> bool {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let claim = evc::store::StorePlace::Folder(data.to_owned()).claim().expect("nobody works on it");
        let store = claim.open().await.expect("opens");
        let hash = token_hash(token);
        let found = store.read(|tx| tx.token(&hash)).await.expect("reads");
        store.close().await;
        found.is_some()
    })
}
