//! What was written meanwhile, on either side, when the originals are settled: carried over, or kept and named.

use std::collections::BTreeSet;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};

use super::{Tree, words};

/// 0b.3: a process that appends by the file's name and never stops: every line that it was told is written is in the vault, or in
/// the original, which then is kept and named.
#[test]
fn no_line_of_an_appender_is_lost() {
    for _ in 0..5 {
        let tree = Tree::new();
        fs::write(tree.file(), "").expect("writes");
        let ended = AtomicBool::new(false);
        let lines = std::thread::scope(|scope| {
            let append = || {
                let mut lines = 0;
                while !ended.load(Ordering::Relaxed) {
                    let file = OpenOptions::new().append(true).create(true).open(tree.file());
                    lines += usize::from(file.is_ok_and(|mut file| writeln!(file, "line {lines}").is_ok()));
                }
                lines
            };
            let appender = scope.spawn(append);
            let tried = (0..10).any(|_| tree.move_in().is_ok() || !tree.places.staging.exists());
            let _ = tried.then(|| tree.settle());
            ended.store(true, Ordering::Relaxed);
            appender.join().expect("runs")
        });
        let originals = fs::read_to_string(tree.original()).unwrap_or_default();
        let all = fs::read_to_string(tree.file()).expect("reads") + &originals;
        let all: BTreeSet<&str> = all.lines().collect();
        for line in 0..lines {
            assert!(all.contains(&*format!("line {line}")), "line {line} of {lines} is lost");
        }
    }
}

/// 0b.3: what is written between the last look and the exchange is carried over, where nobody wrote to the copy.
#[test]
fn what_was_written_in_the_last_moment_is_carried_over() {
    let tree = Tree::new();
    let fresh = tree.places.place.join("a/untouched");
    fs::write(&fresh, "as it was").expect("writes");
    tree.move_in().expect("moves");
    fs::write(tree.original(), "later").expect("writes");
    fs::write(tree.places.staging.join("a/new"), "new").expect("writes");
    tree.settle().expect("carries over and wipes");
    assert!(tree.is_clean());
    let read = |name: &str| fs::read_to_string(tree.places.place.join(name)).expect("there");
    assert_eq!(
        (read("a/b/file"), read("a/new"), read("a/untouched")),
        ("later".into(), "new".into(), "as it was".into())
    );
    assert_eq!(fs::read_dir(tree.places.place.join("a/b")).expect("lists").count(), 2, "nothing beside");
}

/// 0b.3: written to on both sides, the original is kept and named; all others go. A vault that was only used since is no conflict.
#[test]
fn what_was_written_on_both_sides_is_kept_and_named() {
    let tree = Tree::new();
    for name in ["used", "removed"] {
        fs::write(tree.places.place.join(name), "at first").expect("writes");
    }
    tree.move_in().expect("moves");
    fs::write(tree.places.place.join("used"), "by the app since").expect("writes");
    fs::remove_file(tree.places.place.join("removed")).expect("removes");
    fs::write(tree.original(), "old side").expect("writes");
    fs::write(tree.file(), "new side").expect("writes");
    let told = words(&tree.settle().expect_err("both"));
    assert!(told.contains(&tree.original().display().to_string()) && told.contains("1 of them"), "{told}");
    assert_eq!(fs::read_to_string(tree.original()).expect("kept"), "old side");
    assert_eq!(fs::read_to_string(tree.file()).expect("kept"), "new side");
    assert_eq!(fs::read_to_string(tree.places.place.join("used")).expect("kept"), "by the app since");
    assert!(!tree.places.place.join("removed").exists() && !tree.places.staging.join("used").exists());
    fs::remove_file(tree.original()).expect("removes");
    tree.settle().expect("a person has decided");
    assert!(tree.is_clean());
}

/// Without what was written down, bytes alone decide: an original that the vault has goes, another is kept.
#[test]
fn without_stamps_what_differs_is_kept() {
    let tree = Tree::new();
    fs::write(tree.places.place.join("used"), "at first").expect("writes");
    tree.move_in().expect("moves");
    fs::remove_file(&tree.places.stamps).expect("removes");
    fs::write(tree.places.place.join("used"), "since").expect("writes");
    let told = words(&tree.settle().expect_err("nobody knows which is newer"));
    assert!(told.contains("new/used") && !tree.original().exists(), "{told}");
}

type Change<'a> = &'a dyn Fn(&[u8]) -> Vec<u8>;

/// Invariant 4: what was written down of a move may be damaged in any way: of what was written on either side nothing
/// is lost. What is not clear any more is kept, and named.
#[test]
fn no_damage_to_the_stamps_loses_what_was_written() {
    let cut = |bytes: &[u8]| bytes[..bytes.len() / 2].to_vec();
    let flipped = |at: usize| {
        move |bytes: &[u8]| bytes.iter().enumerate().map(|(n, byte)| byte ^ u8::from(n == at)).collect()
    };
    let kinds: [(&str, Change<'_>); 6] = [
        ("cut", &cut),
        ("emptied", &|_| Vec::new()),
        ("its header flipped", &flipped(3)),
        ("its count flipped", &flipped(16)),
        ("an inode flipped", &flipped(24)),
        ("a stamp flipped", &flipped(32)),
    ];
    for (what, change) in kinds {
        let tree = Tree::new();
        fs::write(tree.places.place.join("used"), "at first").expect("writes");
        tree.move_in().expect("moves");
        fs::write(tree.places.place.join("used"), "by the app since").expect("writes");
        fs::write(tree.original(), "later").expect("writes");
        let bytes = fs::read(&tree.places.stamps).expect("reads");
        fs::write(&tree.places.stamps, change(&bytes)).expect("writes");
        let settled = tree.settle();
        let reads = |path: std::path::PathBuf| fs::read_to_string(path).ok();
        let used = reads(tree.places.place.join("used"));
        assert_eq!(used.as_deref(), Some("by the app since"), "{what}");
        let later = [reads(tree.file()), reads(tree.original())];
        assert!(later.iter().flatten().any(|text| text == "later"), "{what}: {later:?}");
        assert!(settled.is_ok() == tree.is_clean(), "{what}: what is kept is told");
        if let Err(error) = settled {
            let told = words(&error);
            let names = [tree.original(), tree.places.staging.join("used")];
            assert!(names.iter().any(|path| told.contains(&path.display().to_string())), "{what}: {told}");
        }
    }
}
