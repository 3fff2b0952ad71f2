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
    let persist = tree::shown(&paths.persist());
    let advice = match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            format!("make room on {persist} (`df {persist}`, and `df -i {persist}` for its inodes)")
        }
        _ => format!("see what the kernel's log (`dmesg`) says of the disk at {persist}"),
    };
    format!("the folder of vaults can't be used ({error}): {advice}; it is tried again by itself")
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
