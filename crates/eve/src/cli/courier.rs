//! `eve import` and `eve export-evidence`: what is carried between this node and a controller that it has no line to.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow, bail};
use disk::{Disk, Error};
use vault::ids::SectionVersion;
use vault::text::path_shown;
use wire::courier::{CourierAnswer, MAX_ANSWER_FILE};

use super::args::Root;
use crate::bus::Bus;
use crate::bus::messages::{
    Bytes, CarriedAnswer, CourierRefusal, ExportEvidence, ImportAnswer, Imported, Vaults,
};
use crate::bus::{BusError, CallError};
use crate::paths;

/// zedagent may be at work on a line that is not there, and a TPM takes seconds.
const PATIENCE: Duration = Duration::from_secs(120);
/// How long vaultmgr is given to judge a section.
const JUDGING: Duration = Duration::from_secs(10);
const EVERY: Duration = Duration::from_millis(200);
/// Longest device certificate.
const MAX_CERT: usize = 64 << 10;

/// Takes a file of `evc export`.
pub(super) fn import(disk: &Disk, root: &Root, path: &Path) -> anyhow::Result<()> {
    let file = read(path, MAX_ANSWER_FILE)?;
    let answer = answer(&file).with_context(|| path_shown(path))?;
    let bus = root.bus();
    let taken = bus.call(&ImportAnswer(answer), PATIENCE);
    // A challenge of this controller's for this node is one for any session.
    if matches!(taken, Ok(_) | Err(CallError::Failed(CourierRefusal::OtherSession))) {
        keep(disk, root, &file)?;
    }
    let told = taken?;
    let words = match told.section {
        Some(section) => in_force(&bus, section, told.known)?,
        None => without_section(&told),
    };
    cli::say(&words)
}

fn answer(file: &[u8]) -> anyhow::Result<CarriedAnswer> {
    let read = CourierAnswer::decode(file);
    let CourierAnswer { certs, envelope } = read.context("give the file that `evc export` wrote")?;
    Ok(CarriedAnswer { envelope: Bytes(envelope), certs: Bytes(certs) })
}

/// For `eve export-evidence`, until the next boot.
fn keep(disk: &Disk, root: &Root, file: &[u8]) -> anyhow::Result<()> {
    let path = paths::courier(&root.root);
    let kept = disk.write_for_this_boot(&path, file, 0o600);
    kept.with_context(|| format!("can't keep the challenge in {}", path.display()))
}

/// Waits until vaultmgr has judged the section.
fn in_force(bus: &Bus, section: SectionVersion, known: bool) -> anyhow::Result<String> {
    let number = section.version;
    if known {
        return Ok(format!("the node already uses list {number} of its controller; see `eve vault list`\n"));
    }
    let begun = Instant::now();
    loop {
        let status = bus.call(&Vaults, PATIENCE)?;
        let accepted = status.accepted;
        if accepted.is_some_and(|it| it.incarnation == section.incarnation && it.version >= number) {
            return Ok(format!(
                "list of vaults {number} of the controller is in force; see `eve vault list`\n"
            ));
        }
        if begun.elapsed() >= JUDGING {
            let why = status.notes.first().cloned().unwrap_or_else(|| "its log says why".to_owned());
            bail!(
                "list of vaults {number} was given to vaultmgr, and is not in force: {why}\n  what to do: where the controller was not told what this node took before, bring it evidence of `eve export-evidence`; else see `eve status`"
            );
        }
        sleep(EVERY);
    }
}

fn without_section(told: &Imported) -> String {
    if told.orders > 0 {
        let why = if told.lacks.is_empty() { "its evidence" } else { &told.lacks };
        return format!(
            "the controller orders {} vaults to be locked, and sends no list ({why})\n",
            told.orders
        );
    }
    let device = told.device;
    let back = told.rescue.then(|| {
        format!("the controller gives the bundle of device {device} back from escrow: see `eve status` and `eve vault list` for what came back by it\n")
    });
    let asks = (told.asks || !told.rescue).then(|| {
        format!("the controller asks device {device} for evidence: write it with `eve export-evidence FILE`, and bring it there\n")
    });
    back.into_iter().chain(asks).collect()
}

/// Writes what this node answers to the file that was imported last.
pub(super) fn export(disk: &Disk, root: &Root, path: &Path, force: bool) -> anyhow::Result<()> {
    if !force && path != Path::new("-") && std::fs::symlink_metadata(path).is_ok() {
        return Err(taken(path));
    }
    let kept = paths::courier(&root.root);
    if std::fs::symlink_metadata(&kept).is_err() {
        bail!(
            "there is no challenge of a controller here since the last boot\n  what to do: take a file of `evc export` with `eve import` first"
        );
    }
    let answer = answer(&read(&kept, MAX_ANSWER_FILE)?)?;
    let device_cert = Bytes(read(&paths::device_cert(&root.root), MAX_CERT)?);
    let made = root.bus().call(&ExportEvidence { answer, device_cert }, PATIENCE);
    let Bytes(file) = made.map_err(late)?;
    if path == Path::new("-") {
        return cli::write(&file).map(drop);
    }
    write(disk, path, &file, force)?;
    cli::say(&format!(
        "evidence of this start of the node is in {}: bring it to the controller, for `evc import`, before the node restarts; a challenge is good for one file: of several written for the same one, the first that is brought counts\n",
        path.display()
    ))
}

fn late(error: CallError<CourierRefusal>) -> anyhow::Error {
    let is_late = matches!(error, CallError::Bus(BusError::Late(_)));
    let error = anyhow::Error::new(error);
    if is_late { error.context("tpmmgr made no evidence in time; see `eve status`") } else { error }
}

fn write(disk: &Disk, path: &Path, bytes: &[u8], force: bool) -> anyhow::Result<()> {
    let words = || format!("can't write {}", path.display());
    if force {
        return disk.write(path, bytes, 0o600).with_context(words);
    }
    match disk.write_first(path, bytes, 0o600) {
        Err(Error::Io { source, .. }) if source.kind() == io::ErrorKind::AlreadyExists => Err(taken(path)),
        Err(error) => {
            // Whole, and not durable: it is told as not written, and is not to be in the way of whoever says the same again.
            if std::fs::read(path).is_ok_and(|there| there == bytes) {
                let _ = disk.unlink(path);
            }
            Err(error).with_context(words)
        }
        Ok(()) => Ok(()),
    }
}

fn taken(path: &Path) -> anyhow::Error {
    anyhow!(
        "{} is there already, and is not overwritten\n  what to do: name another file, or say --force",
        path.display()
    )
}

fn read(path: &Path, most: usize) -> anyhow::Result<Vec<u8>> {
    let words = || format!("can't read {}", path_shown(path));
    let from: Box<dyn Read> = if path == Path::new("-") {
        Box::new(io::stdin().lock())
    } else {
        Box::new(File::open(path).with_context(words)?)
    };
    let mut bytes = Vec::new();
    from.take(most as u64 + 1).read_to_end(&mut bytes).with_context(words)?;
    if bytes.len() > most {
        bail!(
            "{} is longer than such a file is ({most} bytes): give the one that `evc export` wrote",
            path_shown(path)
        );
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use disk::faulty::{Fault, Faults, Faulty};

    use super::*;

    /// A folder with a node's `run` in it; each fault at each operation of `work`, until it is not met. `mended` is told whether it was done.
    fn everywhere(
        faults: &[Fault],
        begin: impl Fn(&Root),
        work: impl Fn(&Disk, &Root) -> anyhow::Result<()>,
        mended: impl Fn(&Root, bool, &str),
    ) {
        for fault in faults.iter().copied() {
            let met = |nth: &usize| {
                let (dir, faults) = (tempfile::tempdir().expect("a folder"), Faults::default());
                let (root, mut done) = (Root { root: dir.path().to_owned() }, false);
                fs::create_dir_all(dir.path().join("run/eve")).expect("makes");
                begin(&root);
                let disk = Disk::through(Faulty::linux(&faults));
                let met = faults.during(fault, *nth, || done = work(&disk, &root).is_ok());
                assert!(met || done, "{fault:?} at {nth}: nothing fails, and it is done");
                mended(&root, done, &format!("{fault:?} at {nth}"));
                met
            };
            let operations = (0..100).find(|nth| !met(nth)).expect("it comes to an end");
            assert!(operations >= if fault == Fault::Full { 2 } else { 4 }, "{fault:?}: {operations}");
        }
    }

    fn is_private(path: &Path) -> bool {
        fs::metadata(path).expect("there").permissions().mode() & 0o077 == 0
    }

    /// Invariant 5: `eve import` keeps the challenge that it took last. Cut at any operation, or failed, the one before or the new one is there, whole;
    /// said again, it is the new one. A power cut takes it, with all that lies in `run`.
    #[test]
    fn a_challenge_whose_keeping_is_cut_anywhere_is_the_old_one_or_the_new_one() {
        let (old, new) = (b"of before".as_slice(), b"the one of now".as_slice());
        let kept = |root: &Root| fs::read(paths::courier(&root.root)).expect("there");
        everywhere(
            &[Fault::Cut, Fault::Tear, Fault::Full, Fault::Fails],
            |root| keep(&Disk::linux(), root, old).expect("kept"),
            |disk, root| keep(disk, root, new),
            |root, done, when| {
                assert!(kept(root) == new || !done && kept(root) == old, "{when}");
                keep(&Disk::linux(), root, new).expect("kept");
                assert!(kept(root) == new && is_private(&paths::courier(&root.root)), "{when}");
            },
        );
    }

    /// CO-3, invariant 5: the file of `eve export-evidence` is whole or not there, and what was told as not written is in the way of no second try.
    #[test]
    fn co3_evidence_whose_writing_is_cut_anywhere_is_written_by_saying_it_again() {
        let (old, new) = (b"of before".as_slice(), b"the evidence".as_slice());
        let stick = |root: &Root| root.root.join("evidence");
        for force in [false, true] {
            everywhere(
                &Fault::ALL,
                |root| {
                    if force {
                        fs::write(stick(root), old).expect("written")
                    }
                },
                |disk, root| write(disk, &stick(root), new, force),
                |root, done, when| {
                    let there = fs::read(stick(root)).ok();
                    assert!(
                        there.as_deref().is_none_or(|there| there == new || force && there == old),
                        "{when}"
                    );
                    assert!(there.is_some() || !force, "{when}: the old one is lost");
                    let is_told = ["Full", "Fails"].iter().any(|fault| when.starts_with(fault));
                    assert!(done || force || there.is_none() || !is_told, "{when}: told as not written");
                    write(&Disk::linux(), &stick(root), new, force || there.is_some()).expect("said again");
                    assert!(
                        fs::read(stick(root)).expect("there") == new && is_private(&stick(root)),
                        "{when}"
                    );
                    let left = disk::entries(&root.root).expect("lists").len();
                    assert_eq!(left, 2, "{when}: nothing is left beside it, and `run`");
                },
            );
        }
    }
}
