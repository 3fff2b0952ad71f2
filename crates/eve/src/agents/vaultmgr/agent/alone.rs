//! While another vaultmgr works on the same persist filesystem, or the folder that says so can't be made there, as on a new disk that is full: that is told,
//! orders are refused, and nothing is read or written there.

use std::io;
use std::sync::mpsc::Receiver;

use vault::report::State;

use super::away::{status, take};
use super::{Input, Later};
use crate::agents::vaultmgr::hands::alone::{self, Alone};
use crate::agents::vaultmgr::hands::{prepare, tree};
use crate::agents::vaultmgr::paths::Paths;
use crate::bus::Bus;
use crate::bus::messages::{OrderError, VaultStatus};

/// Returns once the vaults are this process's alone. No session is published before: nothing is asked of the controller, and this node, which may be
/// the other one too, is not heard twice.
///
/// # Errors
/// The bus is gone.
pub(super) fn until_alone(
    bus: &Bus,
    paths: &Paths,
    inputs: &Receiver<Input>,
    later: &mut Later,
) -> anyhow::Result<Alone> {
    let mut told = VaultStatus::default();
    loop {
        let (words, refusal) = match taken(paths) {
            Ok(Ok(alone)) => return Ok(alone),
            Ok(Err(taken)) => (taken.waits(), not_alone as fn(String) -> OrderError),
            Err(error) => (not_made(paths, &error), no_disk as fn(String) -> OrderError),
        };
        let now = VaultStatus { notes: vec![words.clone()], ..status(State::Failed, words.clone()) };
        if told != now {
            tracing::error!("{words}");
            bus.publish(&now);
            told = now;
        }
        take(inputs, later, &told, &refusal(words))?;
    }
}

fn not_alone(words: String) -> OrderError {
    OrderError::NotAlone { words }
}

fn no_disk(words: String) -> OrderError {
    OrderError::DiskAway { words }
}

/// No vault was ever made there, or none can be reached.
fn not_made(paths: &Paths, error: &io::Error) -> String {
    let (vaults, advice) = (tree::shown(&paths.vaults()), advice(paths, error));
    format!("the folder of vaults, {vaults}, can't be used ({error}): {advice}; it is tried again by itself")
}

/// By what failed. The disk is blamed only for what it does.
fn advice(paths: &Paths, error: &io::Error) -> String {
    use io::ErrorKind::{NotADirectory, PermissionDenied, QuotaExceeded, ReadOnlyFilesystem, StorageFull};
    let [persist, vaults] = [paths.persist(), paths.vaults()].map(|path| tree::shown(&path));
    match (error.kind(), error.raw_os_error()) {
        (StorageFull | QuotaExceeded, _) => {
            format!("make room on {persist} (`df {persist}`, and `df -i {persist}` for its inodes)")
        }
        (NotADirectory, _) | (_, Some(libc::ELOOP)) => {
            format!("a link or a file stands there (`ls -ld {vaults}`); move it away")
        }
        (PermissionDenied, _) => {
            format!("see its owner, mode and attributes (`ls -ld {vaults}`, `lsattr -d {vaults}`), and of whatever confines eve beside its own walls what that refused")
        }
        (ReadOnlyFilesystem, _) => {
            format!("{persist} can't be written: the kernel's log (`dmesg`) says why, unless it was mounted so (`findmnt -T {persist}`)")
        }
        (_, Some(libc::EMFILE | libc::ENFILE | libc::ENOMEM | libc::ENOLCK)) => {
            "this machine is short of memory, or of files that may be open: see `free` and `/proc/sys/fs/file-nr`".to_owned()
        }
        (_, Some(libc::EIO)) => format!("see what the kernel's log (`dmesg`) says of the disk at {persist}"),
        _ => "put right what that says; of a fault of the disk the kernel's log (`dmesg`) says more".to_owned(),
    }
}

/// On a new disk the folder is made, which is no harm to another one that makes it, too.
fn taken(paths: &Paths) -> io::Result<Result<Alone, alone::Taken>> {
    match alone::take(paths) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            prepare::vaults_folder(paths)?;
            alone::take(paths)
        }
        taken => taken,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{channel, sync_channel};
    use std::{fs, thread};

    use disk::Disk;
    use disk::faulty::{Fault, Faults, Faulty};

    use super::*;
    use crate::bus::Agent;

    /// What stands in the place of the folder is named, and what is short; the disk is blamed for what it alone does.
    #[test]
    fn what_is_said_of_the_folder_names_what_failed() {
        let dir = tempfile::tempdir().expect("a folder");
        fs::create_dir_all(dir.path().join("persist")).expect("made");
        let paths = Paths::new(dir.path());
        let put: [fn(&std::path::Path); 2] = [
            |at| std::os::unix::fs::symlink("/var", at).expect("links"),
            |at| fs::write(at, "").expect("writes"),
        ];
        for put in put {
            put(&paths.vaults());
            let error = taken(&paths).expect_err("no folder");
            let words = not_made(&paths, &error);
            assert!(words.contains("move it away") && !words.contains("dmesg"), "{words}");
            assert!(words.contains(&paths.vaults().display().to_string()), "{words}");
            fs::remove_file(paths.vaults()).expect("removes");
        }
        for (errno, says, of_the_disk) in [
            (libc::EMFILE, "open", false),
            (libc::ENOLCK, "memory", false),
            (libc::EACCES, "lsattr", false),
            (libc::EROFS, "can't be written", true),
            (libc::EIO, "of the disk at", true),
        ] {
            let words = not_made(&paths, &io::Error::from_raw_os_error(errno));
            assert!(words.contains(says) && words.contains("dmesg") == of_the_disk, "{words}");
        }
    }

    /// A disk that is full before the first write of ours: that is told with what to do, and vaultmgr lives; with room it goes on.
    #[test]
    fn a_disk_that_is_full_before_the_first_write_is_told() {
        let (dir, faults) = (tempfile::tempdir().expect("a folder"), Faults::default());
        for name in ["persist", "run/eve"] {
            fs::create_dir_all(dir.path().join(name)).expect("made");
        }
        let paths = Paths::on(Disk::through(Faulty::linux(&faults)), dir.path());
        let bus = Bus::join(dir.path(), Agent::Vaultmgr).expect("joined");
        let waits = |inputs: Receiver<Input>| until_alone(&bus, &paths, &inputs, &mut Later::default());
        let (sender, inputs) = sync_channel(0);
        faults.during(Fault::Full, 0, || {
            thread::scope(|scope| {
                let waiting = scope.spawn(move || waits(inputs).map(drop));
                let (reply, answer) = channel();
                sender.send(Input::Vaults(reply)).expect("it lives");
                let status = answer.recv().expect("answered").expect("a status");
                let told = status.notes.join("; ");
                assert!(told.contains("make room on") && told.contains("tried again by itself"), "{told}");
                assert!(status.vaults.iter().all(|vault| vault.state == State::Failed), "{status:?}");
                drop(sender);
                waiting.join().expect("no panic").expect_err("nobody listens any more");
            });
        });
        let (_sender, inputs) = sync_channel(0);
        waits(inputs).expect("there is room");
    }
}
