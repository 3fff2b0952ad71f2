use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt, lchown, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::{XattrFlags, lgetxattr, lsetxattr};

use super::arriving::Arriving;
use super::settle::closed;
use super::*;
use crate::agents::vaultmgr::hands::tree::Folder;
use crate::agents::vaultmgr::hands::tree::tests::while_exchanged;
use crate::bus::Agent;

/// A tree of plain files, and the places of its move.
struct Tree {
    dir: tempfile::TempDir,
    places: Places,
}

impl Tree {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let at = |name: &str| dir.path().join(name);
        let places = Places {
            disk: disk::Disk::linux(),
            place: at("place"),
            staging: at("new"),
            going: at("new.going"),
            arriving: at("new.arriving"),
            stamps: at("new.stamps"),
        };
        fs::create_dir_all(places.place.join("a/b")).expect("makes");
        fs::create_dir(&places.staging).expect("makes");
        let tree = Self { dir, places };
        fs::write(tree.file(), vec![3; 200_000]).expect("writes");
        fs::set_permissions(tree.file(), fs::Permissions::from_mode(0o640)).expect("sets");
        symlink("file", tree.places.place.join("a/b/link")).expect("links");
        tree
    }
    fn file(&self) -> PathBuf {
        self.places.place.join("a/b/file")
    }
    fn original(&self) -> PathBuf {
        self.places.staging.join("a/b/file")
    }
    /// A refused move leaves nothing of its copy: each begins with an empty folder, as its step does.
    fn move_in(&self) -> Result<(), MoveError> {
        fs::create_dir_all(&self.places.staging).expect("makes");
        move_in(&self.places, &Work::default())
    }
    fn settle(&self) -> Result<Vec<String>, MoveError> {
        settle(&self.places, true, &Work::default())
    }
    /// Nothing of the originals, nor of what was written down about them.
    fn is_clean(&self) -> bool {
        let Places { staging, going, arriving, stamps, .. } = &self.places;
        [staging, going, arriving, stamps].into_iter().all(|path| !path.exists())
    }
}

fn words(error: &MoveError) -> String {
    crate::agents::vaultmgr::chain(error)
}

/// DF-5: everything comes over: contents, modes, links; and nothing is left.
#[test]
fn df5_all_is_moved_and_wiped() {
    let tree = Tree::new();
    let mut kept = File::open(tree.file()).expect("opens");
    tree.move_in().expect("moves");
    assert_eq!(fs::read(tree.original()).expect("the originals are here now"), vec![3; 200_000]);
    assert_eq!(tree.settle().expect("wipes"), Vec::<String>::new());
    assert!(tree.is_clean());
    assert_eq!(fs::read(tree.file()).expect("reads"), vec![3; 200_000]);
    assert_eq!(fs::metadata(tree.file()).expect("there").mode() & 0o777, 0o640);
    assert_eq!(fs::read_link(tree.places.place.join("a/b/link")).expect("a link"), Path::new("file"));
    let mut bytes = Vec::new();
    std::io::Read::read_to_end(&mut kept, &mut bytes).expect("reads");
    assert_eq!(bytes, vec![0; 200_000], "whoever kept the original open reads zeros");
}

/// 0b.2: a user who owns a folder among the plain files exchanges it with a link to another vault all the time. Nothing of that
/// vault is ever copied, and what he has is moved or stays.
#[test]
fn tha_nothing_of_another_vault_is_copied_while_folders_are_exchanged() {
    let mut moved = 0;
    for _ in 0..40 {
        let tree = Tree::new();
        let other = tree.dir.path().join("other");
        fs::create_dir(&other).expect("makes");
        fs::write(other.join("file"), "of another vault").expect("writes");
        let result = while_exchanged(&tree.places.place.join("a/b"), &other, || tree.move_in());
        let found = Command::new("grep")
            .args(["-r", "of another vault"])
            .args([&tree.places.place, &tree.places.staging])
            .output();
        assert_eq!(String::from_utf8_lossy(&found.expect("runs grep").stdout), "");
        assert_eq!(fs::read_to_string(other.join("file")).expect("there"), "of another vault");
        moved += usize::from(result.is_ok());
        if let Err(error) = result {
            assert!(!words(&error).contains("os error 2)"), "{}", words(&error));
        }
    }
    println!("moved {moved} of 40");
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
    drop(log);
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

/// A difference is found, and the file copied anew.
#[test]
fn a_difference_is_found() {
    let tree = Tree::new();
    let (from, to) =
        (Folder::top(&tree.places.place).expect("opens"), Folder::top(&tree.places.staging).expect("opens"));
    let (mut stamps, work) = (Stamps::default(), Work::default());
    let mut round = |change: &dyn Fn()| {
        copy::tree(&from, &to, &mut stamps, &work).expect("copies");
        change();
        compare(&from, &to, &mut stamps, Look::Bytes, &work).expect("compares")
    };
    assert_eq!(round(&|| ()), None);
    let differs = Some(tree.file());
    assert_eq!(round(&|| fs::write(tree.original(), vec![3; 199_999]).expect("writes")), differs);
    assert_eq!(round(&|| fs::remove_file(tree.original()).expect("removes")), differs);
    assert_eq!(round(&|| fs::write(tree.file(), vec![4; 200_000]).expect("writes")), differs, "the original");
    assert_eq!(round(&|| lchown(tree.original(), Some(1), Some(1)).expect("as root")), differs);
    assert_eq!(
        round(&|| lsetxattr(tree.original(), "user.note", b"x", XattrFlags::CREATE).expect("sets")),
        None,
        "more is no loss"
    );
    let set = |path: &Path| lsetxattr(path, "user.note", b"lost", XattrFlags::empty()).expect("sets");
    assert_eq!(
        round(&|| set(&tree.places.place.join("a"))),
        Some(tree.places.place.join("a")),
        "a folder's too"
    );
    assert_eq!(round(&|| ()), None, "and all is mended by the next round");
}

/// What can't be moved is named with its path and what to do, escaped, and stays where it is (seen-by-users 0.4).
#[test]
fn what_cannot_be_moved_is_named_and_stays() {
    let tree = Tree::new();
    let pipe = tree.places.place.join("a/pi\x1bpe");
    nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).expect("makes a pipe");
    let told = words(&tree.move_in().expect_err("a pipe"));
    assert!(
        told.contains(r"place/a/pi\u{1b}pe: is a device or a pipe") && told.contains("move it away"),
        "{told}"
    );
    fs::remove_file(&pipe).expect("there");
    let chattr =
        |change: &str| Command::new("chattr").arg(change).arg(tree.file()).status().expect("runs chattr");
    chattr("+a");
    let told = tree.move_in().map_err(|error| words(&error));
    chattr("-a");
    let told = told.expect_err("marked");
    assert!(
        told.contains("place/a/b/file: is marked immutable or append-only") && told.contains("chattr"),
        "{told}"
    );
    assert_eq!(fs::read(tree.file()).expect("there"), vec![3; 200_000]);
}

/// seen-by-users 0.4, 0b.4: holes are neither copied, nor compared, nor wiped, however long the file.
#[test]
fn holes_stay_holes() {
    let tree = Tree::new();
    let path = tree.places.place.join("sparse");
    let sparse = File::create(&path).expect("creates");
    sparse.write_all_at(b"first", 1 << 20).expect("writes");
    sparse.write_all_at(b"last", 150 << 30).expect("writes");
    sparse.set_len(200 << 30).expect("sets");
    drop(sparse);
    tree.move_in().expect("moves");
    tree.settle().expect("wipes");
    let copy = fs::metadata(&path).expect("there");
    assert_eq!(copy.len(), 200 << 30);
    assert!(copy.blocks() * 512 < 1 << 20, "{} blocks", copy.blocks());
    let mut last = [0; 4];
    File::open(&path).and_then(|file| file.read_exact_at(&mut last, 150 << 30)).expect("reads");
    assert_eq!(&last, b"last");
}

/// As vaultmgr does it, with its own capabilities; those are a thread's own.
fn as_vaultmgr(tree: &Tree) -> Result<(), MoveError> {
    std::thread::scope(|scope| {
        let moving = scope.spawn(|| {
            let own = Agent::Vaultmgr.row().caps.iter().copied().collect();
            caps::set(None, caps::CapSet::Effective, &own).expect("drops");
            tree.move_in()?;
            tree.settle().map(drop)
        });
        moving.join().expect("runs")
    })
}

/// DF-5: other users' files come over with attributes and owners, links too; and vaultmgr's own capabilities are enough for all of it.
#[test]
fn df5_other_users_files_keep_owner_mode_and_attributes() {
    let tree = Tree::new();
    let (file, link) = (tree.file(), tree.places.place.join("a/b/link"));
    lsetxattr(&file, "user.note", b"kept", XattrFlags::CREATE).expect("sets");
    lsetxattr(&link, "trusted.note", b"a link's", XattrFlags::CREATE).expect("sets");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o400)).expect("sets");
    for path in [&file, &link, &tree.places.place.join("a/b")] {
        lchown(path, Some(12345), Some(12345)).expect("as root");
    }
    fs::set_permissions(tree.places.place.join("a/b"), fs::Permissions::from_mode(0o500)).expect("sets");
    as_vaultmgr(&tree).expect("moves and wipes");
    let copy = fs::metadata(&file).expect("there");
    assert_eq!((copy.uid(), copy.gid(), copy.mode() & 0o777), (12345, 12345, 0o400));
    let folder = fs::metadata(tree.places.place.join("a/b")).expect("there");
    assert_eq!((folder.uid(), folder.mode() & 0o777), (12345, 0o500));
    for (path, name, value) in [(&file, "user.note", &b"kept"[..]), (&link, "trusted.note", b"a link's")] {
        let mut got = [0; 16];
        let length = lgetxattr(path, name, &mut got).expect("has it");
        assert_eq!(&got[..length], value);
    }
    assert_eq!(fs::symlink_metadata(&link).expect("there").uid(), 12345);
}

/// What can't be given is told and stays plain: file capabilities are not vaultmgr's to give.
#[test]
fn an_attribute_that_cannot_be_given_keeps_the_file_where_it_is() {
    let tree = Tree::new();
    // VFS_CAP_REVISION_2, of CAP_NET_RAW.
    let capability = [[0, 0, 0, 2], [0, 32, 0, 0], [0; 4], [0; 4], [0; 4]].concat();
    lsetxattr(tree.file(), "security.capability", &capability, XattrFlags::CREATE).expect("sets");
    let told = words(&as_vaultmgr(&tree).expect_err("refuses"));
    assert!(
        told.contains("place/a/b/file: has an extended attribute") && told.contains("move the file away"),
        "{told}"
    );
    assert!(tree.file().exists());
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

/// A file moved in whose original was written to in the last moment, in a folder that is a user's; and root's file beside it.
fn written_at_last(length: usize) -> (Tree, PathBuf, File) {
    let tree = Tree::new();
    for path in [tree.places.place.join("a/b"), tree.file()] {
        std::os::unix::fs::chown(path, Some(1000), Some(1000)).expect("as root");
    }
    tree.move_in().expect("moves");
    let secret = tree.file().with_file_name("secret");
    fs::write(&secret, "root's alone").expect("writes");
    let held = File::open(&secret).expect("opens");
    fs::write(tree.original(), vec![7; length]).expect("writes");
    (tree, secret, held)
}

/// Settles while somebody does something over and over in the folder of the file that is carried over.
fn settle_while(tree: &Tree, act: impl Fn() + Sync) {
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                act();
            }
        });
        let _ = tree.settle();
        over.store(true, Ordering::Relaxed);
    });
}

fn exchange_names(one: &Path, other: &Path) -> bool {
    use rustix::fs::{CWD, RenameFlags};
    rustix::fs::renameat_with(CWD, one, CWD, other, RenameFlags::EXCHANGE).is_ok()
}

/// 0b.2: who may write in the vault's folder puts root's file in the place of whatever arrives there. It gets neither his owner nor
/// mode, and is never removed.
#[test]
fn what_is_put_in_the_place_of_what_arrives_is_neither_given_away_nor_removed() {
    let (tree, secret, held) = written_at_last(64 << 20);
    let ours = ["file", "link", "secret"];
    settle_while(&tree, || {
        for name in fs::read_dir(tree.places.place.join("a/b")).expect("lists").flatten() {
            if !ours.iter().any(|known| name.file_name() == *known) {
                exchange_names(&secret, &name.path());
            }
        }
    });
    let held = held.metadata().expect("there");
    assert_eq!((held.uid(), held.nlink()), (0, 1), "root's, and it has its name");
    assert_eq!(fs::metadata(tree.file()).expect("there").len(), 64 << 20, "what was written is in the vault");
}

/// Somebody exchanges the name in the vault between our two exchanges: what is with us then is his, and he gets it back, beside.
#[test]
fn what_came_out_of_the_vault_by_an_exchange_is_given_back() {
    let (tree, secret, held) = written_at_last(4096);
    let work = Work::default();
    let (vault, originals) = (
        Folder::top(&tree.places.place.join("a/b")).expect("opens"),
        Folder::top(&tree.places.staging.join("a/b")).expect("opens"),
    );
    let arriving = Arriving::of(&tree.places, &vault, &Stamps::default(), &work).expect("makes");
    let original = originals.entry(c"file").expect("looks").expect("there");
    let arrived = arriving.take_in(&original, &work).expect("copies").expect("whole");
    let number = arrived.stat.stx_ino.to_string();
    assert!(exchange_names(&secret, &tree.places.arriving.join(&number)));
    arriving.give_up(&arrived, &vault, c"file", &work).expect("gives back");
    assert_eq!((held.metadata().expect("there").nlink(), held.metadata().expect("there").uid()), (1, 0));
    let back = fs::read_to_string(tree.file().with_file_name(format!("file.{number}")));
    assert_eq!(back.expect("it is where its owner finds it"), "root's alone");
    arriving.end(&tree.places).expect("ends");
    assert!(!tree.places.arriving.exists());
}

/// What a power cut left on its way into the vault goes; what had come out of it by an exchange is another's, stays and is named.
#[test]
fn what_a_life_before_left_on_its_way_is_cleared_and_anothers_is_named() {
    let (tree, ..) = written_at_last(4096);
    let arriving = &tree.places.arriving;
    fs::create_dir(arriving).expect("makes");
    fs::write(arriving.join("new"), "half").expect("writes");
    fs::write(arriving.join("1"), "another's").expect("writes");
    let told = words(&tree.settle().expect_err("another's"));
    assert!(told.contains("new.arriving/1") && told.contains("move it"), "{told}");
    assert!(tree.original().exists() && !arriving.join("new").exists());
    fs::rename(arriving.join("1"), tree.dir.path().join("back")).expect("moves");
    tree.settle().expect("settles");
    assert!(tree.is_clean());
    assert_eq!(fs::metadata(tree.file()).expect("there").len(), 4096);
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
    drop(writer);
    tree.move_in().expect("nobody is seen");
    let told = words(&tree.settle().expect_err("it is held"));
    assert!(told.contains("new/a/b/file: was moved in") && told.contains("can still write to it"), "{told}");
    assert!(tree.original().exists() && !tree.places.arriving.exists());
    drop((one, other));
    tree.settle().expect("nobody has it any more");
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
    drop(writer);
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
    let left = crate::agents::vaultmgr::hands::tree::wipe(&going, &Work::default()).expect("walks").left;
    assert!(
        left.to_string().contains("going/7") && left.to_string().contains("can still write to it"),
        "{left}"
    );
    assert_eq!(fs::read_to_string(going.join("7")).expect("there"), "of a user");
    drop(writer);
    assert!(
        crate::agents::vaultmgr::hands::tree::wipe(&going, &Work::default()).expect("walks").left.is_empty()
    );
    assert!(!going.exists());
}
