//! Who can still write to a plain file keeps it from being moved, or wiped.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{MetadataExt, lchown};
use std::process::Command;

use testkit::mapped::Mapped;

use super::{MoveError, Tree, Work, words};
use crate::agents::vaultmgr::hands::movein::settle::closed;
use crate::agents::vaultmgr::hands::tree::{Folder, wipe};

/// Nobody has it any more: nor has a child of another test's, which is just being started and has a copy of all that this process has open.
fn let_go(file: File) {
    drop(file);
    testkit::forks::settled().expect("other tests' children begin");
}

/// 0b.3: while a process has one of them open for writing nothing is moved, and it is said who; then all is.
#[test]
fn what_is_held_open_for_writing_is_not_moved() {
    let tree = Tree::new();
    let mut log = OpenOptions::new().append(true).open(tree.file()).expect("opens");
    let refused = words(&tree.move_in().expect_err("it is open"));
    let own = format!("process {} (", std::process::id());
    assert!(refused.contains(&own) && refused.contains("open for writing"), "{refused}");
    log.write_all(b"a line").expect("writes");
    let_go(log);
    let reader = File::open(tree.file()).expect("opens");
    tree.move_in().expect("who only reads holds nothing up");
    drop(reader);
    tree.settle().expect("wipes");
    assert!(fs::read(tree.file()).expect("reads").ends_with(b"a line"));
}

/// 0b.3: a process that stands in the folder writes by relative names, which no exchange leads elsewhere.
#[test]
fn who_stands_in_the_folder_is_named() {
    let tree = Tree::new();
    let mut there =
        Command::new("sleep").arg("600").current_dir(tree.places.place.join("a")).spawn().expect("starts");
    let before = tree.move_in();
    let moved = std::mem::replace(&mut there, Command::new("true").spawn().expect("starts"));
    let (pid, mut moved) = (moved.id(), moved);
    moved.kill().and_then(|()| moved.wait()).and_then(|_| there.wait()).expect("ends");
    let refused = words(&before.expect_err("somebody stands there"));
    assert!(refused.contains(&format!("process {pid} (sleep) holds its working directory")), "{refused}");
    tree.move_in().expect("moves");
    let mut there =
        Command::new("sleep").arg("600").current_dir(&tree.places.staging).spawn().expect("starts");
    let settled = tree.settle();
    there.kill().and_then(|()| there.wait()).expect("ends");
    assert!(words(&settled.expect_err("somebody stands there")).contains("(sleep)"));
    assert!(tree.original().exists(), "nothing is wiped");
    tree.settle().expect("wipes");
}

/// 0b.3: a process that mapped a file for writing and closed it writes by its memory alone, without an error: before the move and before
/// it is wiped it is named, and what it writes then is in the vault.
#[test]
fn what_is_mapped_for_writing_is_neither_moved_nor_wiped() {
    let tree = Tree::new();
    let named = |mapped: &Mapped, refused: MoveError| {
        let told = words(&refused);
        assert!(told.contains(&format!("process {} (perl) holds a mapped file", mapped.pid())), "{told}");
    };
    let mapped = Mapped::new(&tree.file()).expect("maps");
    named(&mapped, tree.move_in().expect_err("it is mapped"));
    mapped.write(b"before").expect("writes");
    tree.move_in().expect("nobody has it");
    let mapped = Mapped::new(&tree.original()).expect("maps");
    named(&mapped, tree.settle().expect_err("it is mapped"));
    assert!(fs::read(tree.original()).expect("kept").starts_with(b"before"), "nothing is wiped");
    mapped.write(b"after!").expect("writes");
    tree.settle().expect("nobody has it");
    assert!(tree.is_clean() && fs::read(tree.file()).expect("reads").starts_with(b"after!"));
}

/// 0b.3: a thread with a table of descriptors of its own has a file open for writing: no table but its own shows that.
#[test]
fn a_thread_with_descriptors_of_its_own_is_a_holder() {
    let (tree, (opened, is_open), (done, is_done)) =
        (Tree::new(), std::sync::mpsc::channel(), std::sync::mpsc::channel::<()>());
    let path = tree.file();
    let moved = std::thread::scope(|scope| {
        scope.spawn(move || {
            nix::sched::unshare(nix::sched::CloneFlags::CLONE_FILES).expect("a table of its own");
            // What other tests have open now would be held here too.
            let others = fs::read_dir("/proc/thread-self/fd").expect("lists").flatten();
            let others: Vec<i32> = others.filter_map(|fd| fd.file_name().to_str()?.parse().ok()).collect();
            for other in others.into_iter().filter(|fd| *fd > 2) {
                let _ = nix::unistd::close(other);
            }
            let held = OpenOptions::new().append(true).open(path).expect("opens");
            opened.send(()).expect("is heard");
            let _ = is_done.recv();
            drop(held);
        });
        is_open.recv().expect("is open");
        let moved = tree.move_in().map_err(|error| words(&error));
        done.send(()).expect("ends");
        moved
    });
    let told = moved.expect_err("is held");
    assert!(told.contains("open for writing"), "{told}");
    tree.move_in().expect("nobody holds it any more");
}

/// Issue 7, B: a descriptor in a socket's queue is nowhere in /proc. What can be written to by it is not wiped, and what was written
/// by it comes into the vault.
#[test]
fn what_a_descriptor_in_flight_can_write_to_is_not_wiped() {
    use nix::sys::socket::{
        AddressFamily, ControlMessage, MsgFlags, SockFlag, SockType, sendmsg, socketpair,
    };
    use std::os::fd::AsRawFd;

    let tree = Tree::new();
    let mut writer = OpenOptions::new().append(true).open(tree.file()).expect("opens");
    let (one, other) =
        socketpair(AddressFamily::Unix, SockType::Stream, None, SockFlag::SOCK_CLOEXEC).expect("a pair");
    let (bytes, rights) = ([std::io::IoSlice::new(b"x")], [writer.as_raw_fd()]);
    let flags = MsgFlags::empty();
    sendmsg::<()>(one.as_raw_fd(), &bytes, &[ControlMessage::ScmRights(&rights)], flags, None)
        .expect("sends");
    // A writer that /proc shows keeps it from being moved; the one in the queue is found before it is wiped.
    let told = words(&tree.move_in().expect_err("it is shown"));
    assert!(told.contains("open for writing"), "{told}");
    writer.write_all(b"a line").expect("writes");
    let_go(writer);
    tree.move_in().expect("nobody is seen");
    let told = words(&tree.settle().expect_err("it is held"));
    assert!(told.contains("new/a/b/file: was moved in") && told.contains("can still write to it"), "{told}");
    assert!(tree.original().exists() && !tree.places.arriving.exists());
    drop((one, other));
    // The kernel gives up what was in flight in its own time.
    let late = std::time::Instant::now() + std::time::Duration::from_secs(60);
    while let Err(held) = tree.settle() {
        assert!(std::time::Instant::now() < late, "nobody has it any more: {}", words(&held));
    }
    assert!(tree.is_clean() && fs::read(tree.file()).expect("reads").ends_with(b"a line"));
}

/// Opens anew for writing, as a user, what is open for reading: by the descriptor, whatever became of the name.
fn opened_anew(reader: &File) -> std::io::Result<File> {
    use std::os::fd::AsRawFd;

    let path = format!("/proc/self/fd/{}", reader.as_raw_fd());
    let as_user = move || {
        // Of this thread alone.
        nix::unistd::setfsuid(nix::unistd::Uid::from_raw(1000));
        OpenOptions::new().append(true).open(path)
    };
    std::thread::spawn(as_user).join().expect("opens or not")
}

/// Seen-by-users S3: who holds an original open for reading opens it for writing by that, until it is root's alone; and who did before is
/// found, and keeps his file as it was.
#[test]
fn what_is_read_through_a_descriptor_is_not_written_to_once_it_was_compared() {
    let tree = Tree::new();
    lchown(tree.file(), Some(1000), Some(1000)).expect("as root");
    let reader = File::open(tree.file()).expect("opens");
    tree.move_in().expect("a reader is in nobody's way");
    let entry = || {
        let folder = Folder::top(&tree.places.staging.join("a/b")).expect("there");
        folder.entry(c"file").expect("looks").expect("there")
    };
    let before = fs::metadata(tree.original()).expect("there");
    let unchanged = || {
        let now = fs::metadata(tree.original()).expect("there");
        assert_eq!((now.uid(), now.gid(), now.mode()), (before.uid(), before.gid(), before.mode()));
    };
    let compared = entry();
    let writer = opened_anew(&reader).expect("it is the user's");
    assert!(closed(&compared).expect_err("held").to_string().contains("can still write to it"));
    unchanged();
    (&writer).write_all(b"late").expect("writes");
    let_go(writer);
    assert!(closed(&compared).expect_err("written").to_string().contains("written to while"));
    unchanged();
    closed(&entry()).expect("nobody has it, and it is as it was compared");
    let refused = opened_anew(&reader).expect_err("it is root's");
    assert_eq!(refused.kind(), std::io::ErrorKind::PermissionDenied);
    tree.settle().expect("settles");
    assert!(tree.is_clean() && fs::read(tree.file()).expect("reads").ends_with(b"late"));
    assert_eq!(opened_anew(&reader).expect_err("wiped").kind(), std::io::ErrorKind::PermissionDenied);
}

/// The same where it was put away already, and by somebody whom no mode keeps out.
#[test]
fn what_can_be_written_to_is_not_wiped_where_it_was_put_away() {
    let dir = tempfile::tempdir().expect("a directory");
    let going = dir.path().join("going");
    fs::create_dir(&going).expect("makes");
    fs::write(going.join("7"), "of a user").expect("writes");
    let writer = OpenOptions::new().append(true).open(going.join("7")).expect("opens");
    let left = wipe(&going, &Work::default()).expect("walks").left;
    assert!(
        left.to_string().contains("going/7") && left.to_string().contains("can still write to it"),
        "{left}"
    );
    assert_eq!(fs::read_to_string(going.join("7")).expect("there"), "of a user");
    let_go(writer);
    assert!(wipe(&going, &Work::default()).expect("walks").left.is_empty());
    assert!(!going.exists());
}
