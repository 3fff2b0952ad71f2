//! Every way in which a folder's files are written, replaced and removed, with the power cut, a write torn, what was not synced
//! lost, no room, and an error of the disk's, at every operation by count.
#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use disk::faulty::{Fault, Faults, Faulty};
use disk::{Disk, Folder};

const OLD: &[u8] = b"what was there before";
const NEW: &[u8] = b"what is to be there, and longer";

fn names(path: &Path) -> Vec<String> {
    Disk::linux().folder(path).unwrap().names().unwrap()
}

/// Does `work` in a folder made by `prepare` with each fault at each operation; `after` looks at the folder. Returns how many
/// operations the work has.
fn everywhere(
    faults_of: &[Fault],
    prepare: impl Fn(&Folder),
    work: impl Fn(&Folder),
    after: impl Fn(&Path, &Folder, &str),
) -> usize {
    let lives = faults_of.iter().map(|fault| {
        let met = |nth: &usize| {
            let (faults, dir) = (Faults::default(), tempfile::tempdir().unwrap());
            let folder = Disk::through(Faulty::linux(&faults)).folder(dir.path()).unwrap();
            prepare(&folder);
            folder.sync().unwrap();
            let met = faults.during(*fault, *nth, || work(&folder));
            after(dir.path(), &folder, &format!("{fault:?} at {nth}"));
            met
        };
        (0..100).find(|nth| !met(nth)).expect("it comes to an end")
    });
    lives.min().unwrap()
}

/// A file is the old one or the new one, whole, whatever happens; done again it is the new one, and nothing is left beside it.
#[test]
fn a_file_is_the_old_one_or_the_new_one() {
    let write = |folder: &Folder| drop(folder.write("f", NEW, 0o600));
    let operations = everywhere(
        &Fault::ALL,
        |folder| folder.write("f", OLD, 0o600).unwrap(),
        write,
        |path, folder, when| {
            let found = fs::read(path.join("f")).unwrap();
            assert!(found == OLD || found == NEW, "{when}: {found:?}");
            write(folder);
            assert_eq!(fs::read(path.join("f")).unwrap(), NEW, "{when}");
            assert_eq!(names(path), ["f"], "{when}");
        },
    );
    assert_eq!(operations, 3, "room is needed to make, write and rename");
}

/// What need not outlive its boot waits for no disk, and a program that is killed in it leaves the old one or the new one, whole.
#[test]
fn a_file_for_this_boot_waits_for_no_disk() {
    let write = |folder: &Folder| drop(folder.write_for_this_boot("f", NEW, 0o600));
    everywhere(
        &[Fault::Cut, Fault::Tear, Fault::Full, Fault::Fails],
        |folder| folder.write("f", OLD, 0o600).unwrap(),
        write,
        |path, folder, when| {
            let found = fs::read(path.join("f")).unwrap();
            assert!(found == OLD || found == NEW, "{when}: {found:?}");
            write(folder);
            assert_eq!(fs::read(path.join("f")).unwrap(), NEW, "{when}");
            assert_eq!(names(path), ["f"], "{when}");
        },
    );
    let (faults, dir) = (Faults::default(), tempfile::tempdir().unwrap());
    let folder = Disk::through(Faulty::linux(&faults)).folder(dir.path()).unwrap();
    assert_eq!(faults.trace(|| write(&folder)), ["make file", "write", "rename"]);
}

/// A file that is never to be written over is absent or whole.
#[test]
fn a_first_file_is_absent_or_whole() {
    let write = |folder: &Folder| drop(folder.write_first("f", NEW, 0o600));
    everywhere(
        &Fault::ALL,
        |_| (),
        write,
        |path, folder, when| {
            let found = fs::read(path.join("f")).ok();
            assert!(found.as_deref().is_none_or(|found| found == NEW), "{when}: {found:?}");
            write(folder);
            assert_eq!(names(path), ["f"], "{when}");
            folder.write_first("f", OLD, 0o600).expect_err("there is one");
            assert_eq!(fs::read(path.join("f")).unwrap(), NEW, "{when}");
        },
    );
}

/// VC-2: a replaced file too; and its old bytes are overwritten by doing it again, or by the sweep, wherever it was cut.
#[test]
fn what_is_replaced_is_overwritten_wherever_it_was_cut() {
    let replace = |folder: &Folder| {
        let _ = folder.replace("f", NEW).and_then(|old| old.scrub());
    };
    for again in [true, false] {
        everywhere(
            &Fault::ALL,
            |folder| {
                folder.replace("f", OLD).unwrap().scrub().unwrap();
            },
            replace,
            |path, folder, when| {
                let found = fs::read(path.join("f")).unwrap();
                assert!(found == OLD || found == NEW, "{when}: {found:?}");
                // Whoever holds the old file open sees what becomes of its bytes.
                let held = names(path).into_iter().map(|name| fs::File::open(path.join(name)).unwrap());
                let held: Vec<fs::File> = held.collect();
                if again {
                    replace(folder);
                } else {
                    folder.sweep().unwrap();
                }
                assert_eq!(names(path), ["f"], "{when}");
                let in_force = fs::read(path.join("f")).unwrap();
                for file in held {
                    let bytes = std::io::read_to_string(file).unwrap().into_bytes();
                    let old = !bytes.is_empty() && (OLD.starts_with(&bytes) || NEW.starts_with(&bytes));
                    assert!(!old || in_force.starts_with(&bytes), "{when}: left {bytes:?}");
                }
            },
        );
    }
}

/// TH-6: what can't be overwritten, because it has another name, keeps nothing else from being swept.
#[test]
fn what_cannot_be_swept_holds_nothing_else_up() {
    let dir = tempfile::tempdir().unwrap();
    let folder = Disk::linux().folder(dir.path()).unwrap();
    let [held, other, elsewhere] =
        [".tmp-eve-old-a", ".tmp-eve-old-b", "elsewhere"].map(|n| dir.path().join(n));
    fs::write(&held, OLD).and_then(|()| fs::hard_link(&held, &elsewhere)).unwrap();
    fs::write(&other, OLD).unwrap();
    let mut swept = fs::File::open(&other).unwrap();
    assert!(matches!(folder.sweep(), Err(disk::Error::Unsafe { name }) if name == ".tmp-eve-old-a"));
    assert_eq!(names(dir.path()), [".tmp-eve-old-a", "elsewhere"]);
    let mut left = Vec::new();
    std::io::Read::read_to_end(&mut swept, &mut left).unwrap();
    assert_eq!(left, vec![0; OLD.len()], "overwritten");
    assert_eq!(fs::read(&elsewhere).unwrap(), OLD, "as it is");
}

/// TH-3: in a folder of all users' anybody may use our names for what is his: it is left alone, is nothing that is left of ours, and is in no write's way.
#[test]
fn what_others_have_under_our_names_is_left_alone_and_in_no_way() {
    type Made = fn(&Path);
    let file: Made = |at| {
        fs::write(at, "his").unwrap();
        std::os::unix::fs::chown(at, Some(4711), None).unwrap();
    };
    let folder: Made = |at| fs::create_dir(at).unwrap();
    let link: Made = |at| std::os::unix::fs::symlink("/nowhere", at).unwrap();
    let pipe: Made = |at| nix::unistd::mkfifo(at, nix::sys::stat::Mode::S_IRWXU).unwrap();
    for (what, make) in [("file", file), ("folder", folder), ("link", link), ("pipe", pipe)] {
        let dir = tempfile::tempdir().unwrap();
        let folder = Disk::linux().folder(dir.path()).unwrap();
        folder.replace("f", OLD).unwrap().scrub().unwrap();
        let his = [".tmp-eve-new-f", ".tmp-eve-new-f~1", ".tmp-eve-old-f"];
        his.iter().for_each(|name| make(&dir.path().join(name)));
        assert!(!folder.has_leftovers().unwrap(), "{what}");
        folder.sweep().unwrap();
        let mut held = fs::File::open(dir.path().join("f")).unwrap();
        folder.replace("f", NEW).unwrap().scrub().unwrap();
        assert_eq!(fs::read(dir.path().join("f")).unwrap(), NEW, "{what}");
        let mut old = Vec::new();
        std::io::Read::read_to_end(&mut held, &mut old).unwrap();
        assert_eq!(old, vec![0; OLD.len()], "{what}: it is overwritten");
        folder.retire("f").unwrap().scrub().unwrap();
        assert_eq!(names(dir.path()), his, "{what}");
    }
}

/// VC-2: what a cut left under a numbered name is found, and overwritten, by the sweep and by the next write.
#[test]
fn what_a_cut_left_under_a_numbered_name_is_swept() {
    for again in [false, true] {
        let dir = tempfile::tempdir().unwrap();
        let folder = Disk::linux().folder(dir.path()).unwrap();
        fs::write(dir.path().join("f"), OLD).unwrap();
        fs::create_dir(dir.path().join(".tmp-eve-new-f")).unwrap();
        drop(folder.replace("f", NEW).unwrap());
        assert_eq!(folder.leftovers().unwrap(), [(".tmp-eve-new-f~1".to_owned(), "f".to_owned())]);
        let mut held = fs::File::open(dir.path().join(".tmp-eve-new-f~1")).unwrap();
        if again {
            folder.replace("f", NEW).unwrap().scrub().unwrap();
        } else {
            folder.sweep().unwrap();
        }
        let mut old = Vec::new();
        std::io::Read::read_to_end(&mut held, &mut old).unwrap();
        assert_eq!(old, vec![0; OLD.len()], "again {again}");
        assert_eq!(names(dir.path()), [".tmp-eve-new-f", "f"], "again {again}");
    }
}

/// A removed file is there whole or gone, and never zeros under its name.
#[test]
fn a_removed_file_is_whole_or_gone() {
    everywhere(
        &Fault::ALL,
        |folder| folder.replace("f", OLD).unwrap().scrub().unwrap(),
        |folder| drop(folder.retire("f").and_then(|old| old.scrub())),
        |path, folder, when| {
            let found = fs::read(path.join("f")).ok();
            assert!(found.as_deref().is_none_or(|found| found == OLD), "{when}: {found:?}");
            folder.retire("f").unwrap().scrub().unwrap();
            folder.retire("f").expect("nothing there is success").scrub().unwrap();
            assert_eq!(names(path), [""; 0], "{when}");
        },
    );
}

#[test]
fn a_folder_is_made_for_good() {
    everywhere(
        &Fault::ALL,
        |_| (),
        |folder| drop(folder.make_folder("d", 0o711)),
        |path, folder, when| {
            folder.make_folder("d", 0o700).unwrap().write("f", NEW, 0o600).unwrap();
            assert_eq!(names(path), ["d"], "{when}");
        },
    );
}

/// The faults themselves: without them it is the disk, and each does what it says.
#[test]
fn a_fault_does_what_it_says() {
    let dir = tempfile::tempdir().unwrap();
    let faults = Faults::default();
    let folder = Disk::through(Faulty::linux(&faults)).folder(dir.path()).unwrap();
    let write = || folder.write("f", b"1234", 0o600).unwrap();
    let trace = ["make file", "write", "sync file", "rename", "sync folder"];
    assert_eq!(faults.trace(write), trace, "and no leftover to take away");
    fs::remove_file(dir.path().join("f")).unwrap();
    assert_eq!(faults.asked(write), [["unlink"].as_slice(), &trace].concat(), "which was looked for");
    fs::remove_file(dir.path().join("f")).unwrap();
    // The first of the six takes a leftover away, of which there is none.
    assert!(faults.during(Fault::Tear, 2, write), "the write");
    assert_eq!(fs::read(dir.path().join(".f.tmp")).unwrap(), b"12");
    assert!(faults.during(Fault::Lose, 6, write), "before the folder is synced");
    assert_eq!(names(dir.path()), [""; 0], "neither name was durable");
    assert!(faults.during(Fault::Cut, 5, write), "the same");
    assert_eq!(names(dir.path()), ["f"], "nothing was lost");
    assert!(!faults.during(Fault::Cut, 6, write), "there is no seventh");
    assert!(faults.during(Fault::Full, 1, || folder.write("f", b"other", 0o600).map(drop).unwrap_or(())));
    assert_eq!(fs::read(dir.path().join("f")).unwrap(), b"1234");
    assert_eq!(names(dir.path()), ["f"], "no half file fills the disk");
    let mut told = None;
    assert!(faults.during(Fault::Fails, 2, || told = folder.write("f", b"other", 0o600).err()), "the write");
    let told = std::io::Error::from(told.expect("it is told"));
    assert_eq!(told.raw_os_error(), Some(nix::libc::EIO), "{told}");
    assert_eq!(fs::read(dir.path().join("f")).unwrap(), b"1234");
    assert_eq!(
        names(dir.path()),
        ["f"],
        "what was half written is taken away: the operation after it goes well"
    );
}

#[test]
fn links_others_folders_and_long_files_are_told() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Disk::linux();
    std::os::unix::fs::symlink(dir.path(), dir.path().join("link")).unwrap();
    assert!(matches!(disk.folder(&dir.path().join("link")), Err(disk::Error::Unsafe { .. })));
    assert!(matches!(disk.folder(&dir.path().join("none")), Err(disk::Error::Absent { .. })));
    assert!(disk.make_folder(&dir.path().join("link"), 0o700).is_err());
    let folder = disk.folder(dir.path()).unwrap();
    assert!(matches!(folder.read("link", 9), Err(disk::Error::Unsafe { .. })));
    folder.write("f", b"1234", 0o640).unwrap();
    assert_eq!(folder.read("f", 3).unwrap(), b"123", "no more than asked for");
    assert_eq!(fs::metadata(dir.path().join("f")).unwrap().permissions().mode() & 0o777, 0o640);
    folder.check_ours("it").unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o777)).unwrap();
    assert!(matches!(folder.check_ours("it"), Err(disk::Error::Unsafe { .. })));
}
