//! Invariant 4: what was missing, and was put back since it was looked at last, is found before anything is made anew in its place.

use std::path::Path;

use vault::ids::{CONFIG_VAULT, Generation, IMAGE_VAULT};
use vault::report::State;
use vault::section::Custody;

use super::controller::{BERLIN, Controller, Line};
use super::keeper::Keeper;
use super::node::Node;
use crate::bus::messages::Hope;

fn line() -> Line {
    Line { created: true, ..Line::of(Custody::Tpm) }
}

/// A node with data, stopped.
fn stopped() -> (Node, Controller) {
    let (mut node, mut controller) = (Node::new(true), Controller::new());
    node.hear(&mut controller, &[Line::of(Custody::Tpm)]);
    node.put(BERLIN, "file", "kept");
    node.put(CONFIG_VAULT, "file", "kept");
    node.tell_head(&mut controller);
    node.stop();
    node.disk.mount();
    (node, controller)
}

fn away(path: &Path) {
    std::fs::rename(path, path.with_extension("away")).expect("moves");
}

fn put_back(path: &Path) {
    std::fs::rename(path.with_extension("away"), path).expect("puts it back");
}

/// Root's order, and that of the controller, begin no table beside the one that is back.
#[test]
fn a_share_table_that_was_put_back_is_not_begun_anew() {
    let (mut node, mut controller) = stopped();
    let tables = node.paths.table(Generation::FIRST);
    tables.iter().for_each(|table| away(table));
    node.start();
    assert_eq!(node.state(CONFIG_VAULT), State::Missing, "it is gone");
    put_back(&tables[0]);
    drop(node.manager().order_recreate(CONFIG_VAULT, &"config".parse().expect("a name"), Hope::GivenUp));
    node.hear(&mut controller, &[line()]);
    let states = [CONFIG_VAULT, IMAGE_VAULT, BERLIN].map(|id| node.state(id));
    assert_eq!(states, [State::Unlocked; 3], "{:?}", node.status(BERLIN));
    for id in [CONFIG_VAULT, BERLIN] {
        assert_eq!(node.get(id, "file").as_deref(), Some("kept"), "{id}");
    }
}

/// Nor does one of them make a vault anew whose key files are back.
#[test]
fn a_vault_whose_key_files_were_put_back_is_not_made_anew() {
    for (by_root, is_second) in [true, false].into_iter().flat_map(|by| [true, false].map(|it| (by, it))) {
        let (mut node, mut controller) = stopped();
        let second = node.paths.metas().join(BERLIN.to_string());
        let first = node.disk.persist().join(".fscrypt");
        let name = |kind: &str| {
            let entry = std::fs::read_dir(second.join(kind)).expect("lists").flatten().next().expect("one");
            first.join(kind).join(entry.file_name())
        };
        let first = [name("protectors"), name("policies")];
        first.iter().for_each(|path| away(path));
        away(&second);
        node.start();
        node.hear(&mut controller, &[line()]);
        assert_eq!(node.state(BERLIN), State::Missing, "{:?}", node.status(BERLIN));
        // An order of the controller's waits for its word on the bundle: it holds none.
        Keeper::default().settles(&mut node);
        if is_second {
            put_back(&second);
        } else {
            first.iter().for_each(|path| put_back(path));
        }
        if by_root {
            let name = "berlin".parse().expect("a name");
            node.manager().order_recreate(BERLIN, &name, Hope::GivenUp).expect_err("it is there");
        } else {
            node.hear(&mut controller, &[Line { recreate: true, ..line() }]);
        }
        assert_eq!(
            node.get(BERLIN, "file").as_deref(),
            Some("kept"),
            "{by_root} {is_second}: {:?}",
            node.status(BERLIN)
        );
        assert!(second.exists() && first.iter().all(|path| path.exists()), "both copies are there again");
    }
}
