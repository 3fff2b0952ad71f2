//! Plain files in a default vault's place before the node's first life: what of them comes over, and what is left alone.

use std::fs;
use std::os::unix::fs::{MetadataExt, chown};

use rustix::fs::{XattrFlags, getxattr, setxattr};
use vault::ids::{CONFIG_VAULT, IMAGE_VAULT};
use vault::report::State;

use super::node::Node;

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
