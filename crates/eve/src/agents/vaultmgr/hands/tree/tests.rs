//! Trees removed and wiped, whatever is in them.

use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::{CWD, RenameFlags};

use super::*;

/// Does `act` while another thread exchanges a folder with a link to `other`, all the time.
pub(crate) fn while_exchanged<T>(folder: &Path, other: &Path, act: impl FnOnce() -> T) -> T {
    exchanged(folder, other, usize::MAX, act)
}

/// The same, at most so many times: then he gives up. It begins when he has begun.
pub(crate) fn exchanged<T>(folder: &Path, other: &Path, most: usize, act: impl FnOnce() -> T) -> T {
    let (link, ended) = (folder.with_file_name("exchanged"), AtomicBool::new(false));
    let begun = Barrier::new(2);
    symlink(other, &link).expect("links");
    std::thread::scope(|scope| {
        scope.spawn(|| {
            begun.wait();
            for _ in (0..most).take_while(|_| !ended.load(Ordering::Relaxed)) {
                let _ = rustix::fs::renameat_with(CWD, folder, CWD, &link, RenameFlags::EXCHANGE);
            }
        });
        begun.wait();
        let done = act();
        ended.store(true, Ordering::Relaxed);
        done
    })
}

fn removed(path: &Path) {
    remove(path, &Work::default()).expect("removes");
}

fn wiped(path: &Path) -> wipe::Wiped {
    let wiped = wipe(path, &Work::default()).expect("wipes");
    assert!(wiped.left.is_empty(), "{}", wiped.left);
    wiped
}

#[test]
fn a_link_is_removed_and_not_followed() {
    let dir = tempfile::tempdir().expect("a directory");
    let (real, link) = (dir.path().join("real"), dir.path().join("link"));
    fs::create_dir_all(real.join("inner")).expect("makes");
    symlink(&real, &link).expect("links");
    removed(&link);
    assert!(real.join("inner").exists() && !link.exists());
    removed(&dir.path().join("absent"));
}

/// vaultmgr's own capabilities are enough to delete what other users wrote into a vault.
#[test]
fn other_users_files_go_too() {
    let dir = tempfile::tempdir().expect("a directory");
    for name in ["removed", "wiped"] {
        let sub = dir.path().join(name).join("sub");
        fs::create_dir_all(&sub).expect("makes");
        fs::write(sub.join("file"), b"x").expect("writes");
        fs::set_permissions(sub.join("file"), fs::Permissions::from_mode(0o400)).expect("sets");
        std::os::unix::fs::chown(sub.join("file"), Some(12345), Some(12345)).expect("as root");
        fs::set_permissions(&sub, fs::Permissions::from_mode(0o500)).expect("sets");
        std::os::unix::fs::chown(&sub, Some(12345), Some(12345)).expect("as root");
    }
    let (removed, wiped) = (dir.path().join("removed"), dir.path().join("wiped"));
    // Capabilities are a thread's own.
    let without = std::thread::spawn(move || {
        caps::drop(None, caps::CapSet::Effective, caps::Capability::CAP_DAC_OVERRIDE).expect("drops");
        (remove(&removed, &Work::default()), wipe(&wiped, &Work::default()))
    });
    let (removal, wipe) = without.join().expect("runs");
    removal.and(wipe.map(drop)).expect("both go");
    assert_eq!(fs::read_dir(dir.path()).expect("lists").count(), 0);
}

#[test]
fn a_wiped_file_is_zeros_for_whoever_kept_it_open() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("secret");
    fs::write(&path, vec![7; 100_000]).expect("writes");
    let mut kept = File::open(&path).expect("opens");
    wiped(dir.path());
    let mut bytes = Vec::new();
    kept.read_to_end(&mut bytes).expect("reads");
    assert_eq!(bytes, vec![0; 100_000]);
    assert!(!dir.path().exists());
}

/// Of a file with a name outside the tree nothing is touched: neither its data nor its owner and mode.
#[test]
fn what_has_a_name_elsewhere_stays_and_the_last_name_wipes() {
    let dir = tempfile::tempdir().expect("a directory");
    let (outside, tree) = (dir.path().join("outside"), dir.path().join("tree"));
    fs::create_dir(&tree).expect("makes");
    fs::write(&outside, "precious").expect("writes");
    fs::hard_link(&outside, tree.join("linked")).expect("links");
    fs::write(tree.join("one"), "twice").expect("writes");
    fs::hard_link(tree.join("one"), tree.join("two")).expect("links");
    let mut twice = File::open(tree.join("one")).expect("opens");
    assert_eq!(wiped(&tree).elsewhere, [tree.join("linked")]);
    assert!(!tree.exists());
    assert_eq!(fs::read_to_string(&outside).expect("reads"), "precious");
    let mut bytes = Vec::new();
    twice.read_to_end(&mut bytes).expect("reads");
    assert_eq!(bytes, [0; 5]);
}

/// seen-by-users 0.4, 0b.4: what was never written is not written to, however long the file is.
#[test]
fn a_sparse_file_is_wiped_where_it_has_anything() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("tree/disk.raw");
    fs::create_dir(dir.path().join("tree")).expect("makes");
    let sparse = File::create(&path).expect("creates");
    sparse.write_all_at(b"secret", 100 << 30).expect("writes");
    sparse.set_len(200 << 30).expect("sets");
    sparse.sync_all().expect("syncs");
    let (kept, before) = (File::open(&path).expect("opens"), fs::metadata(&path).expect("there").blocks());
    drop(sparse);
    wiped(&dir.path().join("tree"));
    let mut bytes = [1; 6];
    kept.read_exact_at(&mut bytes, 100 << 30).expect("reads");
    assert_eq!(bytes, [0; 6]);
    assert!(kept.metadata().expect("there").blocks() <= before, "it took more room");
}

/// seen-by-users 0.4: what can't be wiped is named with its path and what to do, and all else goes.
#[test]
fn what_cannot_be_wiped_is_named() {
    let dir = tempfile::tempdir().expect("a directory");
    let tree = dir.path().join("tree");
    fs::create_dir_all(tree.join("sub")).expect("makes");
    for name in ["one", "sub/fixed", "two"] {
        fs::write(tree.join(name), "plain").expect("writes");
    }
    let chattr = |change: &str| {
        let done = std::process::Command::new("chattr").arg(change).arg(tree.join("sub/fixed")).status();
        assert!(done.expect("runs chattr").success());
    };
    chattr("+i");
    let left = wipe(&tree, &Work::default()).expect("walks").left.to_string();
    let removal = remove(&tree, &Work::default()).map_err(|error| error.to_string());
    chattr("-i");
    assert!(
        left.contains("1 of them") && left.contains("tree/sub/fixed") && left.contains("chattr -i"),
        "{left}"
    );
    assert!(!tree.join("one").exists() && !tree.join("two").exists());
    assert!(removal.is_err_and(|words| words.contains("sub/fixed") && words.contains("chattr -i")));
    wiped(&tree);
    assert!(!tree.exists());
}

/// 0b.2: while somebody exchanges folders of the tree with links to another all the time, nothing of the other is removed or wiped.
#[test]
fn nothing_beyond_the_tree_goes_while_folders_are_exchanged() {
    for act in
        [|path: &Path| drop(remove(path, &Work::default())), |path: &Path| drop(wipe(path, &Work::default()))]
    {
        let dir = tempfile::tempdir().expect("a directory");
        let (other, tree) = (dir.path().join("other"), dir.path().join("tree"));
        fs::create_dir(&other).expect("makes");
        fs::write(other.join("file"), "precious").expect("writes");
        for _ in 0..50 {
            fs::create_dir_all(tree.join("folder")).expect("makes");
            fs::write(tree.join("folder/file"), "x").expect("writes");
            while_exchanged(&tree.join("folder"), &other, || act(&tree));
            assert_eq!(fs::read_to_string(other.join("file")).expect("there"), "precious");
            let _ = fs::remove_dir_all(&tree);
        }
    }
}

/// Deeper than any path, and than a stack.
#[test]
fn a_tree_is_removed_however_deep() {
    let dir = tempfile::tempdir().expect("a directory");
    let tree = dir.path().join("tree");
    fs::create_dir(&tree).expect("makes");
    let mut folder = fs::File::open(&tree).expect("opens");
    for _ in 0..6000 {
        rustix::fs::mkdirat(&folder, c"d", rustix::fs::Mode::RWXU).expect("makes");
        let flags = rustix::fs::OFlags::RDONLY | rustix::fs::OFlags::DIRECTORY;
        folder = rustix::fs::openat(&folder, c"d", flags, rustix::fs::Mode::empty()).expect("opens").into();
    }
    drop(folder);
    remove(&tree, &Work::default()).expect("removed");
    assert!(!tree.exists());
}

/// Requirement IF-2: whoever makes long names neither fills the log with them nor hides what is to be done.
#[test]
fn however_long_a_path_is_what_is_said_of_it_is_read() {
    let deep: std::path::PathBuf = std::iter::repeat_n("\u{1b}".repeat(255), 310).collect();
    let said = super::Trouble::new(&Path::new("/persist/img").join(deep), "move it elsewhere").to_string();
    assert!(said.starts_with("/persist/img/") && said.ends_with(": move it elsewhere"), "{said}");
    assert!(said.len() < 300, "{} bytes", said.len());
    assert_eq!(super::shown(Path::new("/persist/img/a")), "/persist/img/a");
}
