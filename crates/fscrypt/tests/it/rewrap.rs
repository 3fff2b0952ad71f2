//! Change Key on a disk (VC-2, VC-4): the old wrap is gone from the raw disk, and no power cut or full disk loses both.

use std::fs;
use std::io;

use disk::faulty::{Fault, Faults, Faulty};
use fscrypt::key_files::{open_protector, rewrap};
use fscrypt::{Iv, MetaDir, ProtectorFile, Residue, rewrap_both};

use crate::made::{Disk, NAME, files, protector, wrapping};

struct Copies {
    disk: Disk,
    faults: Faults,
    first: MetaDir,
    second: MetaDir,
}

impl Copies {
    fn new(disk: Disk) -> Self {
        let faults = Faults::default();
        let through = disk::Disk::through(Faulty::linux(&faults));
        let create = |name| MetaDir::create(&through, &disk.path(name)).unwrap();
        let (first, second) = (create(".fscrypt"), create("second"));
        let copies = Self { disk, faults, first, second };
        copies.both().into_iter().for_each(|copy| copy.write(&files(7)).unwrap());
        copies
    }

    fn both(&self) -> [&MetaDir; 2] {
        [&self.first, &self.second]
    }

    /// The keys that open each copy: 7 is the old one, 9 the new.
    fn open_under(&self) -> Vec<u8> {
        let of = files(7).protector.descriptor();
        let key = |copy: &MetaDir| {
            let file = copy.read_protector(of).expect("each copy is whole");
            [7, 9]
                .into_iter()
                .find(|key| open_protector(&file, &wrapping(*key)).is_ok())
                .expect("one of the keys")
        };
        self.both().map(key).to_vec()
    }
}

fn new_file() -> ProtectorFile {
    rewrap(&protector(7), &wrapping(9), NAME, Iv([3; 16]))
}

#[test]
fn after_a_rewrap_the_raw_disk_holds_no_old_wrap() {
    let old = *files(7).protector.ciphertext();
    let mut disk = Copies::new(Disk::new()).disk;
    disk.fs.unmount().unwrap();
    assert!(disk.fs.contains(&old).unwrap(), "the search finds what is there");
    disk.fs.mount().unwrap();
    let copies = Copies::new(disk);
    rewrap_both(&copies.both(), &new_file()).unwrap();
    assert_eq!(copies.open_under(), [9, 9]);
    let Copies { mut disk, first, second, .. } = copies;
    drop((first, second));
    disk.fs.unmount().unwrap();
    assert!(!disk.fs.contains(&old).unwrap(), "the old wrap is on the raw disk");
    assert!(disk.fs.contains(new_file().ciphertext()).unwrap());
}

/// VC-2: no old copy is overwritten before all new ones are in force on the disk.
#[test]
fn all_copies_are_written_before_the_first_is_scrubbed() {
    let copies = Copies::new(Disk::new());
    let trace = copies.faults.trace(|| assert_eq!(rewrap_both(&copies.both(), &new_file()).unwrap(), None));
    let place = |name| trace.iter().rposition(|done| *done == name).expect(name);
    let in_force = place("exchange");
    assert_eq!(trace[in_force + 1], "sync folder", "{trace:?}");
    let overwritten = trace.iter().position(|done| *done == "overwrite").expect("overwrites");
    assert!(overwritten > in_force + 1, "{trace:?}");
    assert_eq!(trace.iter().filter(|done| **done == "overwrite").count(), 2, "{trace:?}");
}

/// Invariant 5: cut at any operation, torn in it, or with what was not synced lost, each copy opens under the old key or the new; a
/// second try ends it, and no old wrap is left. The same where an operation fails.
#[test]
fn cut_anywhere_it_is_finished_by_doing_it_again() {
    for fault in [Fault::Cut, Fault::Tear, Fault::Lose, Fault::Fails] {
        let cut = |nth: &usize| {
            let copies = Copies::new(Disk::sized(4 << 20));
            let when = format!("{fault:?} at {nth}");
            let mut done = None;
            let work = || done = Some(rewrap_both(&copies.both(), &new_file()));
            let cut = copies.faults.during(fault, *nth, work);
            assert!(matches!(done, Some(Ok(None))) != cut, "{when}: {done:?}");
            let before = copies.open_under();
            copies.both().into_iter().for_each(|copy| copy.sweep().unwrap());
            assert_eq!(copies.open_under(), before, "{when}: sweeping spares what is in force");
            rewrap_both(&copies.both(), &new_file()).unwrap();
            assert_eq!(copies.open_under(), [9, 9], "{when}");
            let leftovers = |copy: &MetaDir| fs::read_dir(copy.path().join("protectors")).unwrap().count();
            assert_eq!(copies.both().map(leftovers), [1, 1], "{when}: nothing else is left");
            let Copies { mut disk, first, second, .. } = copies;
            drop((first, second));
            disk.fs.unmount().unwrap();
            let old = files(7);
            assert!(!disk.fs.contains(old.protector.ciphertext()).unwrap(), "{when}: an old wrap");
            cut
        };
        let operations = (0..100).find(|nth| !cut(nth)).expect("it comes to an end");
        assert!(operations > 15, "{operations}");
    }
}

/// VC-2, facts-node fault 3: nor on an ext4 that keeps small files in their inodes, or all data in its journal: where such a file
/// was written by another, as the `fscrypt` tool does, too.
#[test]
fn no_journal_keeps_an_old_wrap() {
    let inline = ["-O", "encrypt,inline_data", "-I", "512"].as_slice();
    // What the superblock says no table of mounts shows.
    let (journaled, by_words) = (["-o", "journal_data"], ["-E", "mount_opts=data=journal"]);
    for (mkfs, defaults, options, others) in [
        (inline, [].as_slice(), "loop", false),
        (inline, &[], "loop", true),
        (&[], &[], "loop,data=journal", false),
        (&[], &[], "loop,data=journal", true),
        (&[], &journaled, "loop", false),
        (&[], &by_words, "loop", false),
    ] {
        let when = format!("{mkfs:?} {defaults:?} {options}, written by another: {others}");
        let old = *files(7).protector.ciphertext();
        let mut disk = Disk::with(32 << 20, mkfs, options);
        disk.default_to(defaults);
        let copies = Copies::new(disk);
        if others {
            let path =
                copies.first.path().join("protectors").join(files(7).protector.descriptor().to_string());
            copies.first.remove_protector(files(7).protector.descriptor()).unwrap();
            fs::write(&path, files(7).protector.to_bytes()).unwrap();
            fs::File::open(&path).unwrap().sync_all().unwrap();
        }
        assert_eq!(rewrap_both(&copies.both(), &new_file()).unwrap(), None, "{when}");
        assert_eq!(copies.open_under(), [9, 9], "{when}");
        let Copies { mut disk, first, second, .. } = copies;
        drop((first, second));
        disk.fs.unmount().unwrap();
        assert!(!disk.fs.contains(&old).unwrap(), "{when}: an old wrap is on the raw disk");
    }
}

/// What can't be promised is said: this is no ext4.
#[test]
fn another_filesystem_leaves_copies_elsewhere() {
    let elsewhere = fs::File::open("/dev/shm").unwrap();
    assert_eq!(fscrypt::scrub::residue(&elsewhere), Some(Residue::Elsewhere));
    let ext4 = Disk::new();
    assert_eq!(fscrypt::scrub::residue(fs::File::open(ext4.path(".")).unwrap()), None);
}

#[test]
fn on_a_full_disk_the_old_key_stays_in_force() {
    let copies = Copies::new(Disk::sized(4 << 20));
    let filler = copies.disk.path("filler");
    let full = fs::write(&filler, vec![1; 8 << 20]).unwrap_err();
    assert_eq!(full.kind(), io::ErrorKind::StorageFull);
    rewrap_both(&copies.both(), &new_file()).expect_err("there is no place for a new file");
    assert_eq!(copies.open_under(), [7, 7]);
    fs::remove_file(filler).unwrap();
    rewrap_both(&copies.both(), &new_file()).unwrap();
    assert_eq!(copies.open_under(), [9, 9]);
}
