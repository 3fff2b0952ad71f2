//! Plain files in a default vault's place before the node's first life: what of them comes over, and what is left alone.

use std::fs;
use std::os::unix::fs::{MetadataExt, chown};
use std::process::Command;

use rustix::fs::{XattrFlags, getxattr, setxattr};
use vault::ids::{CONFIG_VAULT, IMAGE_VAULT};
use vault::report::State;

use super::node::Node;
use crate::agents::vaultmgr::hands::movein::{Places, move_in, settle};
use crate::agents::vaultmgr::hands::tree::Work;

/// DF-5: moved in with its attributes, and wiped only where nobody else names the data.
#[test]
fn df5_attributes_come_over_and_what_has_a_name_outside_stays_there() {
    let mut node = Node::fresh(true);
    let (image, outside) = (node.paths.vault(IMAGE_VAULT), node.paths.persist().join("backup"));
    fs::create_dir_all(&image).expect("makes");
    fs::write(&outside, "precious data outside").expect("writes");
    fs::hard_link(&outside, image.join("linked")).expect("links");
    fs::write(image.join("noted"), "wiped from the disk").expect("writes");
    for (name, value) in [("user.note", "kept"), ("trusted.overlay.opaque", "y")] {
        for path in [image.join("noted"), image.clone()] {
            setxattr(path, name, value.as_bytes(), XattrFlags::CREATE).expect("sets");
        }
    }
    node.start();
    assert_eq!(node.state(IMAGE_VAULT), State::Unlocked, "{:?}", node.status(IMAGE_VAULT));
    assert_eq!(node.get(IMAGE_VAULT, "linked").as_deref(), Some("precious data outside"));
    let detail = node.status(IMAGE_VAULT).detail.concat();
    assert!(detail.contains("plain text left") && detail.contains("another name outside"), "{detail}");
    let number = std::os::unix::fs::MetadataExt::ino(&fs::metadata(&outside).expect("there"));
    let finds = format!("`find {} -xdev -inum {number}`", node.disk.persist().display());
    for words in [image.join("linked").display().to_string(), finds] {
        assert!(detail.contains(&words), "{words}: {detail}");
    }
    assert_eq!(fs::read_to_string(&outside).expect("reads"), "precious data outside");
    for path in [image.join("noted"), image.clone()] {
        for (name, value) in [("user.note", "kept"), ("trusted.overlay.opaque", "y")] {
            let mut got = [0; 16];
            let length = getxattr(&path, name, &mut got).expect(name);
            assert_eq!(&got[..length], value.as_bytes(), "{name}");
        }
    }
    node.stop();
    assert!(!node.disk.contains(b"wiped from the disk"));
    assert!(node.disk.contains(b"precious data outside"));
}

/// Threats, disk: who owned the plain directory owns nothing of the Config Vault.
#[test]
fn the_config_vault_is_roots_whosever_the_plain_directory_was() {
    let mut node = Node::fresh(true);
    let (config, own) = (node.paths.vault(CONFIG_VAULT), node.paths.own_folder());
    fs::create_dir_all(&own).expect("makes");
    for path in [&config, &own] {
        chown(path, Some(1000), Some(1000)).expect("as root");
    }
    node.start();
    assert_eq!(node.state(CONFIG_VAULT), State::Unlocked);
    for path in [&config, &own] {
        let found = fs::metadata(path).expect("there");
        assert_eq!((found.uid(), found.gid()), (0, 0), "{}", path.display());
    }
    let zedagents = fs::metadata(node.paths.zedagent_folder()).expect("there");
    assert_eq!((zedagents.uid(), zedagents.mode() & 0o777), (12345, 0o700));
}

/// seen-by-users 0.4, 0b.4: sparse files far larger than the disk are moved in, and the disk is no fuller than it was.
#[test]
fn sparse_files_larger_than_the_disk_do_not_fill_it() {
    let mut node = Node::fresh(true);
    let image = node.paths.vault(IMAGE_VAULT);
    fs::create_dir_all(&image).expect("makes");
    for (name, length) in [("disk.raw", 1 << 30), ("huge.raw", 200 << 30)] {
        fs::File::create(image.join(name)).and_then(|file| file.set_len(length)).expect("creates");
    }
    let free = |node: &Node| nix::sys::statvfs::statvfs(&node.disk.persist()).expect("asks").blocks_free();
    node.disk.sync();
    let before = free(&node);
    node.start();
    assert_eq!(node.state(IMAGE_VAULT), State::Unlocked, "{:?}", node.status(IMAGE_VAULT));
    assert!(!node.paths.staging(IMAGE_VAULT).exists(), "{:?}", node.status(IMAGE_VAULT));
    assert_eq!(fs::metadata(image.join("huge.raw")).expect("there").len(), 200 << 30);
    node.disk.sync();
    assert!(before - free(&node) < 256, "{} blocks", before - free(&node));
}

/// seen-by-users 0b.3, 0.4: while a plain file is open for writing its vault waits and says for whom; and what can't be wiped once
/// it is moved counts as plain text left, with its path.
#[test]
fn what_keeps_plain_text_on_the_disk_is_told() {
    let mut node = Node::fresh(true);
    let image = node.paths.vault(IMAGE_VAULT);
    fs::create_dir_all(&image).expect("makes");
    let mut log = fs::File::create(image.join("log")).expect("creates");
    node.start();
    let status = node.status(IMAGE_VAULT);
    let error = status.last.and_then(|last| last.error).expect("an error");
    assert!(
        error.contains(&format!("process {} (", std::process::id())) && error.contains("open for writing"),
        "{error}"
    );
    assert_eq!(node.get(IMAGE_VAULT, "log").as_deref(), Some(""), "as it was");
    std::io::Write::write_all(&mut log, b"to the last line").expect("writes");
    drop(log);
    node.hear_tpm();
    assert_eq!(node.state(IMAGE_VAULT), State::Unlocked, "{:?}", node.status(IMAGE_VAULT));
    assert_eq!(node.get(IMAGE_VAULT, "log").as_deref(), Some("to the last line"));
    let left = node.paths.going(IMAGE_VAULT).join("7");
    fs::create_dir(left.parent().expect("one")).and_then(|()| fs::write(&left, "plain")).expect("writes");
    let chattr = |change: &str| Command::new("chattr").arg(change).arg(&left).status().expect("runs chattr");
    chattr("+i");
    node.restart();
    let status = node.status(IMAGE_VAULT);
    chattr("-i");
    assert_eq!(status.state, State::Unlocked);
    let told = status.detail.iter().find(|line| line.starts_with("plain text left")).expect("a line");
    assert!(told.contains(&left.display().to_string()) && told.contains("chattr -i"), "{told}");
    node.hear_tpm();
    let status = node.status(IMAGE_VAULT);
    assert!(!left.exists() && !status.detail.concat().contains("plain text left"), "{status:?}");
}

/// A move whose settling was stopped after a file was carried over, and the places of it.
fn settling_stopped(node: &Node) -> Places {
    let at = |name: &str| node.disk.persist().join(name);
    let places = Places {
        disk: ::disk::Disk::linux(),
        place: at("place"),
        staging: at("new"),
        going: at("new.going"),
        arriving: at("new.arriving"),
        stamps: at("new.stamps"),
    };
    [&places.place, &places.staging]
        .into_iter()
        .for_each(|path| std::fs::create_dir_all(path).expect("makes"));
    std::fs::write(places.place.join("a"), vec![1; 300_000]).expect("writes");
    for number in 0..1500 {
        std::fs::write(places.place.join(format!("b{number:04}")), "b").expect("writes");
    }
    node.disk.sync();
    move_in(&places, &Work::default()).expect("moves");
    std::fs::write(places.staging.join("a"), vec![9; 300_000]).expect("the last moment");
    let work = Work::default();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !std::fs::read_dir(&places.going).is_ok_and(|mut names| names.next().is_some()) {
                std::hint::spin_loop();
            }
            work.stop();
        });
        // It may be over before it is stopped: then there is nothing to resume.
        let _ = settle(&places, true, &work);
    });
    places
}

/// Invariant 5: settling that is resumed while somebody holds another file wipes nothing whose copy a power cut could take.
#[test]
fn what_was_carried_over_outlasts_a_power_cut_after_its_original_is_wiped() {
    let mut node = Node::fresh(true);
    let places = settling_stopped(&node);
    assert_eq!(std::fs::read(places.place.join("a")).expect("reads"), vec![9; 300_000], "carried over");
    let held = std::fs::OpenOptions::new().append(true).open(places.staging.join("b1499"));
    let _ = settle(&places, true, &Work::default());
    drop(held);
    node.power_cut();
    assert!(std::fs::read(places.place.join("a")).expect("reads") == vec![9; 300_000], "lost");
}

/// Issue 7, B: what plain files were called is nowhere on the disk after they were moved in, neither in freed folders nor in the journal.
#[test]
fn names_of_plain_files_are_nowhere_on_the_disk_afterwards() {
    let mut node = Node::fresh(true);
    let folder = node.paths.vault(IMAGE_VAULT).join("secretly-outer/secretly-inner");
    fs::create_dir_all(&folder).expect("makes");
    // So many that the folder has more blocks than one.
    for number in 0..300 {
        fs::write(folder.join(format!("secretly-named-{number:04}")), "text").expect("writes");
    }
    std::os::unix::fs::symlink("secretly-linked", folder.join("secretly-link")).expect("links");
    node.disk.sync();
    node.disk.unmount();
    assert!(node.disk.contains(b"secretly-named-"), "the search finds them");
    node.disk.mount();
    node.start();
    assert_eq!(node.state(IMAGE_VAULT), State::Unlocked, "{:?}", node.status(IMAGE_VAULT));
    assert!(node.paths.vault(IMAGE_VAULT).join("secretly-outer/secretly-inner/secretly-named-0007").exists());
    node.stop();
    for name in ["secretly-named-", "secretly-inner", "secretly-outer", "secretly-link"] {
        assert!(!node.disk.contains(name.as_bytes()), "{name}");
    }
}

/// DF-5: on a whole node, a folder of a user's own under his own key, which is not there, among the plain files of the Image Vault. It holds links and folders alone.
#[test]
fn a_users_locked_folder_is_not_moved_as_it_looks() {
    use fscrypt::{Claims, ContentKey, KeyIdentifier, Modes, Policy, add_key, remove_key, set_policy};
    let mut node = Node::fresh(true);
    let image = node.paths.vault(IMAGE_VAULT);
    let private = image.join("private");
    std::fs::create_dir_all(&private).expect("makes");
    std::fs::write(image.join("plain"), "kept").expect("writes");
    let mount = std::fs::File::open(node.disk.persist()).expect("opens");
    let key = ContentKey::init(crate::agents::vaultmgr::generation::shares::random).expect("a key");
    let of = KeyIdentifier::of(&key);
    add_key(&mount, &key).expect("adds");
    set_policy(
        std::fs::File::open(&private).expect("opens"),
        &Policy { identifier: of, modes: Modes::AES_256_XTS },
    )
    .expect("encrypts");
    std::os::unix::fs::symlink("/where/the/money/is", private.join("link")).expect("links");
    rustix::fs::syncfs(&mount).expect("syncs");
    remove_key(&mount, of, Claims::All).expect("locks");
    drop(mount);
    node.start();
    let told = format!("{:?}", node.status(IMAGE_VAULT));
    assert!(told.contains(&*private.to_string_lossy()) && told.contains("encrypted"), "{told}");
    let mount = std::fs::File::open(node.disk.persist()).expect("opens");
    add_key(&mount, &key).expect("adds it again");
    let there = std::fs::read_link(private.join("link")).ok();
    assert_eq!(there.as_deref(), Some(std::path::Path::new("/where/the/money/is")), "{told}");
}
