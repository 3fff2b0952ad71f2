//! The stamps that a move-in leaves until the plain files are wiped, damaged while the node is off, alone and with another file of ours.

use std::fs;

use vault::ids::{Generation, IMAGE_VAULT};
use vault::plan::StepKind;
use vault::report::State;

use super::super::jobs::{stopped, ticks, with_held};
use super::{Damage, Files, damage, key_files};

/// Invariant 4, DF-5: by the stamps it is told which of a plain file and its copy was written since. Whatever is done to them, and to another file beside:
/// the vault opens, has all that was moved in, and the plain files go, for bytes decide where no stamp does.
#[test]
fn df5_no_damage_to_stamps_loses_what_was_moved_in() {
    let damages = [Damage::Flipped(0), Damage::Flipped(30), Damage::Cut, Damage::Emptied, Damage::Removed];
    for (nth, what) in damages.into_iter().enumerate() {
        let mut node = with_held(StepKind::DropStaged);
        ticks(&mut node, "moved", |node| node.state(IMAGE_VAULT) == State::Unlocked);
        drop(stopped(&mut node).outcome);
        let [protector, policy, ..] = key_files(&node, IMAGE_VAULT);
        let [table, _] = node.paths.table(Generation::FIRST);
        let beside = [None, Some(&protector), Some(&policy), Some(&table)][nth % 4];
        let when = format!("{what:?}, and {beside:?}");
        assert!(node.paths.stamps(IMAGE_VAULT).exists(), "{when}");
        node.stop();
        node.disk.mount();
        damage(&node.paths.stamps(IMAGE_VAULT), what, &Files::new());
        beside.into_iter().for_each(|path| damage(path, Damage::Removed, &Files::new()));
        node.start();
        ticks(&mut node, &when, |node| !node.paths.staging(IMAGE_VAULT).exists());
        let status = node.status(IMAGE_VAULT);
        assert_eq!(status.state, State::Unlocked, "{when}: {status:?}");
        for number in 0..40 {
            let file = node.paths.vault(IMAGE_VAULT).join(format!("sub/{number}"));
            assert_eq!(fs::read(file).expect("there"), vec![7; 100_000], "{when}");
        }
        assert!(!node.paths.stamps(IMAGE_VAULT).exists(), "{when}");
        beside.into_iter().for_each(|path| assert!(path.exists(), "{when}: it is mended"));
    }
}
