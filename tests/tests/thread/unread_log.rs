//! The log of a node whose disk is full, whose reader went away, or stands still: the node works on, by itself and by order.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use eve_vault_tests::{DEVICE, Scene};
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use testkit::node::Parts;
use testkit::{Programs, program};

const LEASED: &str = "custody: tpm+controller\nlease: 20s";

/// Our programs, of which `eve run` logs there.
fn logging_to(folder: &Path, log: &Path) -> Programs {
    let (eve, evc) = (program("eve").unwrap(), program("evc").unwrap());
    let script = format!(
        "#!/bin/bash\nif [ \"$1\" = run ]; then exec {eve} \"$@\" 2>{log}; fi\nexec {eve} \"$@\"\n",
        eve = eve.display(),
        log = log.display()
    );
    std::fs::write(folder.join("eve"), script).unwrap();
    std::fs::set_permissions(folder.join("eve"), PermissionsExt::from_mode(0o755)).unwrap();
    symlink(evc, folder.join("evc")).unwrap();
    Programs::of(folder).unwrap()
}

/// A pipe, and its reader, who reads nothing.
fn unread(folder: &Path) -> (PathBuf, File) {
    let path = folder.join("log");
    mkfifo(&path, Mode::S_IRWXU).unwrap();
    let mut both = OpenOptions::new();
    let reader = both.read(true).write(true).custom_flags(nix::libc::O_NONBLOCK).open(&path).unwrap();
    (path, reader)
}

fn pids(scene: &Scene) -> [Option<i32>; 5] {
    ["nim", "client", "zedagent", "tpmmgr", "vaultmgr"].map(|agent| scene.node.agent_pid(agent).ok())
}

/// A vault opens, hears an order, is told to lock as the device is lost, and locks when its lease ends.
fn works(programs: Programs, during: impl FnOnce()) {
    let mut scene = Scene::prepared(Parts { programs, ..Parts::default() }).unwrap();
    scene.node.start().unwrap();
    scene.evc.approve_references(DEVICE).unwrap();
    scene.node.until_vault("config", "unlocked").unwrap();
    during();
    scene.vault_with_data("till", LEASED).unwrap();
    let before = pids(&scene);
    scene.evc.run(&["device", "lost", DEVICE]).unwrap();
    scene.node.until_vault("till", "locked").unwrap();
    scene.evc.run(&["device", "found", DEVICE]).unwrap();
    scene.node.until_vault("till", "unlocked").unwrap();
    scene.evc.stop().unwrap();
    scene.node.until_vault("till", "locked").unwrap();
    scene.assert_closed("till");
    scene.evc.start().unwrap();
    scene.node.until_vault("till", "unlocked").unwrap();
    assert_eq!(pids(&scene), before, "none died meanwhile");
    scene.node.off(testkit::node::Power::Clean).unwrap();
}

#[test]
fn a_node_whose_log_is_full_works_on() {
    let folder = tempfile::tempdir().unwrap();
    works(logging_to(folder.path(), Path::new("/dev/full")), || {});
}

#[test]
fn a_node_whose_log_has_no_reader_any_more_works_on() {
    let folder = tempfile::tempdir().unwrap();
    let (log, reader) = unread(folder.path());
    works(logging_to(folder.path(), &log), || drop(reader));
}

#[test]
fn a_node_whose_log_is_not_read_works_on() {
    let folder = tempfile::tempdir().unwrap();
    let (log, mut reader) = unread(folder.path());
    works(logging_to(folder.path(), &log), || {
        for part in [4096, 1] {
            while reader.write(&[b'\n'; 4096][..part]).is_ok() {}
        }
    });
}
