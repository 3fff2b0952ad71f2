//! TH-3, invariant 5: copies of the share table that go while eve runs are written anew from memory, as key files are; what can't be is told.

use std::fs;
use std::path::{Path, PathBuf};

use disk::faulty::Fault;
use vault::ids::{Generation, IMAGE_VAULT};
use vault::section::Seal;

use super::brought_back::{both, kept, with_data};
use super::controller::BERLIN;
use super::in_the_way::Over;
use super::node::Node;

fn looks(node: &mut Node) {
    node.manager().look_around_pausing(|_, _| ());
}

fn read(paths: &[PathBuf; 2]) -> [Vec<u8>; 2] {
    paths.each_ref().map(|path| fs::read(path).unwrap_or_default())
}

fn folder(path: &Path) -> PathBuf {
    path.parent().expect("one").to_owned()
}

#[test]
fn copies_of_the_share_table_that_go_while_eve_runs_are_written_anew() {
    type Harm = fn(&[PathBuf; 2]);
    let harms: [(&str, Harm); 4] = [
        ("one is gone", |paths| fs::remove_file(&paths[1]).expect("removes")),
        ("both are", |paths| paths.iter().for_each(|path| fs::remove_file(path).expect("removes"))),
        ("both are damaged", |paths| {
            paths.iter().for_each(|path| fs::write(path, "damage").expect("writes"))
        }),
        ("with their folders", |paths| {
            paths.iter().for_each(|path| fs::remove_dir_all(folder(path)).expect("removes"));
        }),
    ];
    for (what, harm) in harms {
        let line = both((1, 1));
        let (mut node, mut controller) = with_data(&line);
        let paths = node.paths.table(Generation::FIRST);
        let before = read(&paths);
        harm(&paths);
        looks(&mut node);
        assert_eq!(read(&paths), before, "{what}: {:?}", node.manager().notes());
        node.reboot();
        node.hear(&mut controller, std::slice::from_ref(&line));
        assert!(kept(&node, BERLIN) && kept(&node, IMAGE_VAULT), "{what}: {:?}", node.status(BERLIN));
    }
}

/// Invariant 5: what a change that failed half-way left, and that nobody wants again, is no table of the next boot's: at the next look both copies are what is at hand.
#[test]
fn a_change_that_failed_half_way_is_taken_back_at_a_look() {
    for nth in 0..1000 {
        let line = both((1, 1));
        let (mut node, mut controller) = with_data(&line);
        let (paths, faults) = (node.paths.table(Generation::FIRST), node.faults.clone());
        let mut is_done = false;
        let met = faults.during(Fault::Fails, nth, || {
            let (manager, at) = (node.manager.as_mut().expect("runs"), node.paths.clone());
            is_done = manager.shares.as_mut().expect("shares").remove(&at, BERLIN, Seal::Pcrs).is_ok();
        });
        if is_done {
            assert!(!met && nth > 3, "{nth}");
            return;
        }
        looks(&mut node);
        let [first, second] = read(&paths);
        assert!(first == second && !first.is_empty(), "{nth}: {:?}", node.manager().notes());
        node.reboot();
        node.hear(&mut controller, std::slice::from_ref(&line));
        assert!(kept(&node, BERLIN), "{nth}: {:?}", node.status(BERLIN));
    }
}

/// A newer table is somebody else's who wrote it after: it is not written over.
#[test]
fn a_newer_table_on_the_disk_stays() {
    let (mut node, mut controller) = with_data(&both((1, 1)));
    let (paths, image) = (node.paths.table(Generation::FIRST), node.disk.image());
    node.hear(&mut controller, &[both((1, 1)), super::controller::Line { id: IMAGE_VAULT, ..both((1, 1)) }]);
    let newer = read(&paths);
    node.stop();
    node.disk.put_back(&image);
    node.start();
    paths.iter().zip(&newer).for_each(|(path, bytes)| fs::write(path, bytes).expect("writes"));
    looks(&mut node);
    assert_eq!(read(&paths), newer);
}

/// Written under a mount it would be gone with that: it is told by path, nothing is written there, and the other copy is.
#[test]
fn a_mount_over_a_copy_of_the_share_table_is_told() {
    for which in [0, 1] {
        let (mut node, _) = with_data(&both((1, 1)));
        let paths = node.paths.table(Generation::FIRST);
        let before = read(&paths);
        let over = Over::new(folder(&paths[which]));
        fs::remove_file(&paths[1 - which]).expect("removes");
        looks(&mut node);
        let told = node.manager().notes().join("; ");
        assert!(
            told.contains("something is mounted over") && told.contains(&over.at.display().to_string()),
            "{told}"
        );
        assert_eq!(fs::read_dir(&over.at).expect("lists").count(), 0);
        assert_eq!(fs::read(&paths[1 - which]).expect("is written anew"), before[1 - which]);
        drop(over);
        looks(&mut node);
        assert!(!node.says("share table"), "{:?}", node.manager().notes());
        assert_eq!(read(&paths), before);
    }
}
