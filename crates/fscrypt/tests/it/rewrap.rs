//! Change Key on a disk (VC-2, VC-4): the old wrap is gone from the raw disk, and no power cut or full disk loses both.

use std::fs;
use std::io;

use fscrypt::key_files::{open_protector, rewrap};
use fscrypt::meta_dir::rewrap_both_with;
use fscrypt::{Iv, MetaDir, ProtectorFile, Step, rewrap_both};

use crate::made::{Disk, NAME, files, protector, wrapping};

struct Copies {
    disk: Disk,
    first: MetaDir,
    second: MetaDir,
}

impl Copies {
    fn new(disk: Disk) -> Self {
        let first = disk.meta();
        let second = MetaDir::create(&disk.path("second")).unwrap();
        let copies = Self { disk, first, second };
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
    let Copies { mut disk, first, second } = copies;
    drop((first, second));
    disk.fs.unmount().unwrap();
    assert!(!disk.fs.contains(&old).unwrap(), "the old wrap is on the raw disk");
    assert!(disk.fs.contains(new_file().ciphertext()).unwrap());
}

/// Invariant 5: stopped after any step, each copy opens under the old key or the new; a second try ends it.
#[test]
fn stopped_anywhere_it_is_finished_by_doing_it_again() {
    use Step::{InForce, NewWritten, OldKept, OldOverwritten, OldUnlinked, Renamed};
    let mut steps: Vec<Step> = Vec::new();
    rewrap_both_with(&Copies::new(Disk::new()).both(), &new_file(), &mut |step| {
        steps.push(step);
        Ok(())
    })
    .unwrap();
    let (replace, scrub) = ([NewWritten, OldKept, Renamed, InForce], [OldOverwritten, OldUnlinked]);
    let expected = [replace.repeat(2), scrub.repeat(2)].concat();
    assert_eq!(steps, expected, "no old copy is overwritten before all new ones are in force");
    for stop in 0..steps.len() {
        let copies = Copies::new(Disk::new());
        let mut left = stop;
        let cut = rewrap_both_with(&copies.both(), &new_file(), &mut |_| {
            left = left.checked_sub(1).ok_or(io::Error::other("the power is cut"))?;
            Ok(())
        });
        assert!(cut.is_err(), "stopped at {stop}");
        let before = copies.open_under();
        copies.both().into_iter().for_each(|copy| copy.sweep().unwrap());
        assert_eq!(copies.open_under(), before, "sweeping after a stop at {stop} spares what is in force");
        rewrap_both(&copies.both(), &new_file()).unwrap();
        assert_eq!(copies.open_under(), [9, 9], "after a stop at {stop}");
        let leftovers = |copy: &MetaDir| fs::read_dir(copy.path().join("protectors")).unwrap().count();
        assert_eq!(copies.both().map(leftovers), [1, 1], "nothing else is left");
        let Copies { mut disk, first, second } = copies;
        drop((first, second));
        disk.fs.unmount().unwrap();
        assert!(
            !disk.fs.contains(files(7).protector.ciphertext()).unwrap(),
            "an old wrap after a stop at {stop}"
        );
    }
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
