//! What commands of the controller's write, with the power cut, a write torn, what was not synced lost, no room, and an error of the disk's, at
//! every operation: nothing that was good is lost, nothing lies open to others, and the same command said again succeeds (invariants 5, 6).

mod common;

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use common::couriered::{nonce, parts, read};
use common::{Device, Evc, section};
use disk::Disk;
use disk::faulty::{Fault, Faults, Faulty};
use serde_json::json;

const POLICY: &str = "kind: VaultPolicy\nname: p\ncustody: controller\n---\nkind: Vault\nname: own\ndevice: edge-1\npolicy: p\n";
/// More operations than any of these has.
const ENOUGH: usize = 50;

/// A command over a disk, with its `--data`; whether it succeeded.
fn said(disk: &Disk, data: &Path, args: &[&str]) -> bool {
    let words = ["evc"].iter().chain(args).map(OsString::from);
    evc::cli::main_on(disk, words.chain(["--data".into(), data.into()]).collect()).is_ok()
}

/// The same, with nothing in the way.
fn says(data: &Path, args: &[&str]) -> bool {
    said(&Disk::linux(), data, args)
}

/// Each fault at each operation of `work`, until it is not met. `mended` is told whether `work` said that it was done.
fn everywhere(mut work: impl FnMut(&Disk) -> bool, mut mended: impl FnMut(bool, &str)) {
    for fault in Fault::ALL {
        let mut met = |nth: &usize| {
            let (faults, mut done) = (Faults::default(), false);
            let disk = Disk::through(Faulty::linux(&faults));
            let met = faults.during(fault, *nth, || done = work(&disk));
            assert!(met || done, "{fault:?} at {nth}: nothing fails, and it is done");
            mended(done, &format!("{fault:?} at {nth}"));
            met
        };
        let operations = (0..ENOUGH).find(|nth| !met(nth)).expect("it comes to an end");
        assert!(operations >= if fault == Fault::Full { 2 } else { 4 }, "{fault:?}: {operations}");
    }
}

/// A controller as `evc serve` runs it: its address lies in its folder.
fn at_work() -> Evc {
    let evc = Evc::start();
    fs::write(evc.dir.path().join("url"), &evc.url).expect("written");
    evc
}

fn is_private(file: &Path) -> bool {
    fs::metadata(file).expect("there").permissions().mode() & 0o077 == 0
}

fn names(folder: &Path, part: &str) -> Vec<PathBuf> {
    let paths = fs::read_dir(folder).expect("lists").map(|entry| entry.expect("one").path());
    let mut named: Vec<_> = paths.filter(|path| path.to_string_lossy().contains(part)).collect();
    named.sort();
    named
}

/// Whether a file has a token that is good.
fn is_good(data: &Path, file: &Path) -> bool {
    says(data, &["get", "policies", "--token-file", file.to_str().expect("text")])
}

/// Seen by users 0.3: `evc token new`. A token that lies in its file is good, and so are those before it; if there is none, the same command
/// makes one.
#[test]
fn a_new_token_that_was_cut_anywhere_is_made_by_saying_it_again() {
    let evc = at_work();
    let data = evc.dir.path();
    let (file, first) = (data.join("operator.token"), data.join("first"));
    fs::rename(&file, &first).expect("moved");
    let new = ["token", "new"];
    everywhere(
        |disk| said(disk, data, &new),
        |done, when| {
            assert!(!done || file.exists(), "{when}: it is where it was said to be");
            assert!(names(data, "operator.token").iter().all(|file| is_private(file)), "{when}");
            let lacks = !file.exists();
            assert_eq!(says(data, &new), lacks, "{when}: said again");
            assert!(is_good(data, &file) && is_good(data, &first), "{when}: it is good, and so is the first");
            fs::remove_file(&file).expect("removed");
        },
    );
    assert!(says(data, &new));
    assert_eq!(names(data, "operator.token"), std::slice::from_ref(&file), "and nothing is left beside it");
}

/// The same of `evc token rotate`: the file holds a token that is good, whatever was cut; said again, all but a new one are ended.
#[test]
fn a_rotation_of_tokens_that_was_cut_anywhere_leaves_a_good_one() {
    let evc = at_work();
    let data = evc.dir.path();
    let (file, before) = (data.join("operator.token"), data.join("before"));
    let rotate = ["token", "rotate"];
    fs::copy(&file, &before).expect("copied");
    everywhere(
        |disk| said(disk, data, &rotate),
        |done, when| {
            assert!(is_good(data, &file), "{when}: whoever has the file is let in");
            assert_eq!(
                is_good(data, &before),
                !done,
                "{when}: the one before is good until it is said to be over"
            );
            assert!(names(data, "operator.token").iter().all(|file| is_private(file)), "{when}");
            let left = fs::read_to_string(&file).expect("a token");
            assert!(says(data, &rotate) && is_good(data, &file), "{when}: said again");
            assert!(!is_good(data, &before), "{when}: the one before is over");
            assert_ne!(fs::read_to_string(&file).expect("a token"), left, "{when}");
            assert_eq!(
                names(data, "operator.token"),
                std::slice::from_ref(&file),
                "{when}: nothing is left beside it"
            );
            fs::copy(&file, &before).expect("copied");
        },
    );
}

/// CO-3: `evc export`. Its file is whole or not there; the same command, or the same with `--force` where a cut left it, writes it. One that is to be
/// overwritten is the old one or the new one.
#[test]
fn co3_an_export_that_was_cut_anywhere_is_written_by_saying_it_again() {
    let evc = at_work();
    let (data, stick) = (evc.dir.path(), tempfile::tempdir().expect("a folder"));
    let _device = Device::onboarded(&evc, "edge-1");
    evc.apply(POLICY);
    let (file, old) = (stick.path().join("answer"), b"of before".as_slice());
    let is_answer = || {
        let bytes = fs::read(&file).expect("there");
        nonce(&read(&evc, &json!({ "file": STANDARD.encode(bytes) }))) != [0; 32]
    };
    let name = file.to_str().expect("text");
    for force in [false, true] {
        let plain = ["export", "edge-1", name];
        let forced = [plain.as_slice(), &["--force"]].concat();
        let command: &[&str] = if force { &forced } else { &plain };
        let begin = || if force { fs::write(&file, old) } else { fs::remove_file(&file) };
        let _ = begin();
        everywhere(
            |disk| said(disk, data, command),
            |done, when| {
                let there = fs::read(&file).ok();
                assert!(!done || there.as_deref().is_some_and(|there| there != old), "{when}");
                assert!(there.is_some() || !force, "{when}: the old one is lost");
                assert!(there.as_deref().is_none_or(|there| there == old || is_answer()), "{when}: whole");
                let was_told = !when.starts_with("Full") && !when.starts_with("Fails");
                let in_the_way = there.is_some() && !force;
                assert!(!in_the_way || done || was_told, "{when}: it was told as not written");
                assert!(says(data, if in_the_way { &forced } else { command }), "{when}: said again");
                assert!(is_answer() && is_private(&file), "{when}");
                assert_eq!(
                    names(stick.path(), "answer"),
                    std::slice::from_ref(&file),
                    "{when}: nothing beside it"
                );
                begin().expect("begun anew");
            },
        );
    }
}

/// CO-3: `evc import --answer`. Its evidence counts once; wherever the answer's file was cut, the same command gives it with the session's keys.
#[test]
fn co3_an_import_whose_answer_was_cut_anywhere_gives_it_again() {
    let evc = at_work();
    let (data, stick) = (evc.dir.path(), tempfile::tempdir().expect("a folder"));
    let device = Device::onboarded(&evc, "edge-1");
    evc.apply(POLICY);
    let [evidence, answer] = ["evidence", "answer"].map(|name| stick.path().join(name));
    let given = parts(&device, nonce(&read(&evc, &evc.act("POST", "/devices/edge-1/courier", "{}"))));
    fs::write(&evidence, given.encode().expect("fits")).expect("written");
    let text = |path: &PathBuf| path.to_str().expect("text").to_owned();
    let (from, into) = (text(&evidence), text(&answer));
    let (plain, forced) =
        (["import", &from, "--answer", &into], ["import", &from, "--answer", &into, "--force"]);
    everywhere(
        |disk| said(disk, data, &plain),
        |_, when| {
            let again: &[&str] = if answer.exists() { &forced } else { &plain };
            assert!(says(data, again), "{when}: said again");
            let file = STANDARD.encode(fs::read(&answer).expect("there"));
            let told = section(&read(&evc, &json!({ "file": file }))).expect("a section");
            assert!(device.keys(&told, "own").is_some(), "{when}: its keys");
            assert!(is_private(&answer), "{when}");
            fs::remove_file(&answer).expect("removed");
        },
    );
}

/// Where the controller's program writes to a disk, how often, and which test cuts each of these writes.
const WRITES: [(&str, usize, &str); 7] = [
    ("cli/courier.rs", 3, "tests/commands_cut.rs"),
    // One line that each start writes anew.
    ("cli/serve.rs", 1, "../disk/tests/faults.rs"),
    ("cli/token.rs", 6, "tests/commands_cut.rs"),
    ("custody/kek.rs", 1, "src/custody/kek_file.rs"),
    ("service/first.rs", 1, "tests/disk.rs"),
    ("service/folder.rs", 2, "tests/disk.rs"),
    ("store/sqlite/paired.rs", 1, "tests/gone_through.rs"),
];

/// By which a write is known.
const HOW: [&str; 8] = [
    "disk.write(",
    "disk.write_first(",
    "disk.write_for_this_boot(",
    "disk.rename(",
    "disk.exchange(",
    "disk.unlink(",
    "disk.make_folder(",
    "disk.rename_to_free(",
];

/// Invariant 5: a write that is new in this program stands in the table above, with a test that is there.
#[test]
fn each_write_of_the_controllers_is_cut_by_a_test() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    for file in sources(&here.join("src")) {
        let text = fs::read_to_string(&file).expect("text");
        let shipped = text.split("#[cfg(test)]").next().unwrap_or_default();
        let writes: usize = HOW.iter().map(|how| shipped.matches(how).count()).sum();
        let name = file.strip_prefix(here.join("src")).expect("under it").to_str().expect("text").to_owned();
        found.extend((writes > 0).then_some((name, writes)));
    }
    found.sort();
    let told: Vec<_> = WRITES.iter().map(|(file, writes, _)| ((*file).to_owned(), *writes)).collect();
    assert_eq!(found, told, "cut what is new by a test, and name it above");
    for (file, _, test) in WRITES {
        let text = fs::read_to_string(here.join(test)).expect(test);
        assert!(text.contains("Fault::ALL") || text.contains("for fault in"), "{file}: {test}");
    }
}

fn sources(folder: &Path) -> Vec<PathBuf> {
    let paths: Vec<_> = disk::entries(folder).expect("lists").iter().map(|entry| entry.path()).collect();
    let (folders, files): (Vec<_>, Vec<_>) = paths.into_iter().partition(|path| path.is_dir());
    files.into_iter().chain(folders.iter().flat_map(|folder| sources(folder))).collect()
}
