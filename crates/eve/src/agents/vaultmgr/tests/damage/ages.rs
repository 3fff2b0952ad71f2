//! The age files that a vault's recovery key lies in, in both places, damaged while the node is off.

use vault::section::Custody;

use super::super::controller::BERLIN;
use super::super::recovery::{is_ready, kept, key, line, node, recover, says};
use super::{DAMAGES, Damage, Files, damage};
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

/// What is damaged beside age files, with the places of it.
#[derive(Debug, Clone, Copy)]
enum Beside {
    /// The protector that the custody opens.
    Protector(&'static [usize]),
    Policy(&'static [usize]),
    Table(&'static [usize]),
}

impl Beside {
    fn paths(self, node: &Node) -> Vec<std::path::PathBuf> {
        let [first, second] =
            [node.paths.persist().join(".fscrypt"), node.paths.metas().join(BERLIN.to_string())];
        let named = |kind: &str, is: &dyn Fn(&[u8]) -> bool| {
            let all = std::fs::read_dir(second.join(kind)).expect("lists").flatten();
            let one = all.into_iter().find(|entry| is(&std::fs::read(entry.path()).expect("reads")));
            let name = std::path::Path::new(kind).join(one.expect("one").file_name());
            [first.join(&name), second.join(name)]
        };
        let of_custody = |bytes: &[u8]| {
            fscrypt::ProtectorFile::parse(bytes).is_ok_and(|file| !file.name().contains(" recovery-"))
        };
        let (both, places) = match self {
            Self::Protector(places) => (named("protectors", &of_custody), places),
            Self::Policy(places) => (named("policies", &|_| true), places),
            Self::Table(places) => (node.paths.table(vault::ids::Generation::FIRST), places),
        };
        places.iter().map(|place| both[*place].clone()).collect()
    }
}

/// Invariants 4 and 5, UC-E: age files and other files of ours damaged together. While a good one of each other kind is left the vault opens, and all is
/// made whole; where the custody's own way in is gone, an operator who opened an age file before opens it, and a live list gives it a way in again.
#[test]
fn an_age_file_and_another_file_in_pairs() {
    let both = &[0, 1][..];
    for (ages, beside, opens, recovers) in [
        (&[0][..], Beside::Protector(&[0]), true, true),
        (both, Beside::Protector(&[1]), true, true),
        (both, Beside::Policy(&[0]), true, true),
        (&[1], Beside::Table(&[0]), true, true),
        (both, Beside::Protector(both), false, true),
        (both, Beside::Table(both), false, true),
        (&[0], Beside::Policy(both), false, false),
    ] {
        for (this, that) in [
            (Damage::Removed, Damage::Removed),
            (Damage::Flipped(40), Damage::Removed),
            (Damage::Cut, Damage::Emptied),
        ] {
            let when = format!("{this:?} in {ages:?}, {beside:?} {that:?}");
            let line = line(Custody::Tpm, &[0]);
            let (mut node, mut controller) = node(&line);
            node.hear(&mut controller, std::slice::from_ref(&line));
            let given = key(&node);
            let (paths, others) = (age_files(&node), beside.paths(&node));
            node.stop();
            node.disk.mount();
            ages.iter().for_each(|place| damage(&paths[*place], this, &Files::new()));
            others.iter().for_each(|path| damage(path, that, &Files::new()));
            node.start();
            assert_eq!(kept(&node), opens, "{when}: {:?}", node.status(BERLIN));
            let recovered = recover(&mut node, &given);
            assert_eq!((recovered.is_ok(), kept(&node)), (recovers, recovers), "{when}: {recovered:?}");
            node.hear(&mut controller, std::slice::from_ref(&line));
            assert_eq!(kept(&node), recovers, "{when}, heard: {:?}", node.status(BERLIN));
            if !recovers {
                assert!(says(&mut node, "missing: "), "{when}: {:?}", node.status(BERLIN));
                continue;
            }
            // A lost table is begun anew by an order alone.
            if !matches!(beside, Beside::Table(places) if places == both) {
                is_ready(&mut node, &when);
                node.reboot();
                assert!(kept(&node), "{when}, healed: {:?}", node.status(BERLIN));
            }
        }
    }
}
