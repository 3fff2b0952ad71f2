//! The age files that a vault's recovery key lies in, in both places, damaged while the node is off.

use vault::section::Custody;

use super::super::controller::BERLIN;
use super::super::recovery::{is_ready, kept, key, line, node, recover, says};
use super::{DAMAGES, Files, damage};
use crate::agents::vaultmgr::tests::node::Node;

/// The one age file in each place.
fn age_files(node: &Node) -> [std::path::PathBuf; 2] {
    node.paths.recoveries().map(|folder| {
        let all = std::fs::read_dir(folder).expect("lists").flatten().map(|entry| entry.path());
        all.into_iter().find(|path| path.extension().is_some_and(|kind| kind == "age")).expect("one")
    })
}

/// Invariant 5: whatever is done to either age file, or to both, the vault opens by its custody, it is told, and a key that opens takes
/// its place.
#[test]
fn no_age_file_closes_a_vault_and_each_is_replaced() {
    let line = line(Custody::Tpm, &[0]);
    let (mut node, mut controller) = node(&line);
    let older = age_files(&node).map(|path| std::fs::read(path).expect("reads"));
    node.hear(&mut controller, &[line_of_two()]);
    node.hear(&mut controller, std::slice::from_ref(&line));
    for what in DAMAGES {
        for places in [&[0][..], &[1], &[0, 1]] {
            let when = format!("{what:?} in {places:?}");
            let paths = age_files(&node);
            let before: Files = paths.iter().cloned().zip(older.clone()).collect();
            node.stop();
            node.disk.mount();
            places.iter().for_each(|place| damage(&paths[*place], what, &before));
            node.start();
            assert!(kept(&node), "{when}: {:?}", node.status(BERLIN));
            assert!(says(&mut node, "recovery:"), "{when}: {:?}", node.status(BERLIN));
            node.hear(&mut controller, std::slice::from_ref(&line));
            is_ready(&mut node, &when);
            let recovery = key(&node);
            recover(&mut node, &recovery).unwrap_or_else(|error| panic!("{when}: {error}"));
            node.hear(&mut controller, std::slice::from_ref(&line));
        }
    }
}

fn line_of_two() -> super::Line {
    line(Custody::Tpm, &[0, 1])
}
