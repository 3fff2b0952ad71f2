//! Stopped by a kill or a power cut.

use vault::ids::{CONFIG_VAULT, IMAGE_VAULT, VaultId};
use vault::report::State;
use vault::section::{Operation, Seal};

use super::*;

/// Invariant 5, DF-5: root definition, share table, default vaults, move-in.
#[test]
fn a_first_boot_is_mended() {
    let steps = cut_everywhere(
        || (with_plain_files(), ()),
        |node, ()| node.start(),
        |node, (), when| {
            for id in [CONFIG_VAULT, IMAGE_VAULT] {
                assert_eq!(node.state(id), State::Unlocked, "{when}: {:?}", node.status(id));
            }
            assert!(plain_files_are_in(node), "{when}");
        },
    );
    assert!(steps > 30, "{steps}");
}

/// Invariant 5, IF-5: a vault of each custody.
#[test]
fn the_making_of_a_vault_is_mended() {
    for custody in [Custody::Tpm, Custody::Controller, Custody::TpmAndController] {
        let steps = stopped_everywhere(
            || (Node::new(true), Controller::new()),
            |node, controller| node.hear(controller, &[Line::of(custody)]),
            |node, controller, when| {
                node.hear(controller, &[Line::of(custody)]);
                let status = node.status(BERLIN);
                assert_eq!((status.state, status.created), (State::Unlocked, true), "{when}: {status:?}");
                node.put(BERLIN, "file", "kept");
                node.reboot();
                node.hear(controller, &[Line { created: true, ..Line::of(custody) }]);
                assert!(kept(node, &Line::of(custody)), "{when}: {:?}", node.status(BERLIN));
            },
        );
        assert!(steps > 6, "{custody:?}: {steps}");
    }
}

/// Invariant 5, IF-5: several vaults that are made in step, of all custodies.
#[test]
fn the_making_of_several_is_mended() {
    let custodies = [Custody::Tpm, Custody::Controller, Custody::TpmAndController];
    let lines: Vec<Line> = (0x2000..)
        .zip(custodies)
        .map(|(n, custody)| Line { id: VaultId(uuid::Uuid::from_u128(n)), ..Line::of(custody) })
        .collect();
    stopped_everywhere(
        || (Node::new(true), Controller::new()),
        |node, controller| node.hear(controller, &lines),
        |node, controller, when| {
            node.hear(controller, &lines);
            for line in &lines {
                let status = node.status(line.id);
                assert_eq!((status.state, status.created), (State::Unlocked, true), "{when}: {status:?}");
                node.put(line.id, "file", "kept");
            }
            node.reboot();
            let created = lines.iter().map(|line| Line { created: true, ..line.clone() }).collect::<Vec<_>>();
            node.hear(controller, &created);
            assert!(lines.iter().all(|line| kept(node, line)), "{when}");
        },
    );
}

/// DF-3: the default vaults of a node without a TPM, at first contact.
#[test]
fn df3_a_first_contact_without_a_tpm_is_mended() {
    let lines = || [CONFIG_VAULT, IMAGE_VAULT].map(|id| Line { id, ..Line::of(Custody::Controller) });
    stopped_everywhere(
        || (Node::new(false), Controller::new()),
        |node, controller| node.hear(controller, &lines()),
        |node, controller, when| {
            // The record may be in the Config Vault, which opens by the first: the second follows it.
            node.hear(controller, &lines());
            node.hear(controller, &lines());
            for id in [CONFIG_VAULT, IMAGE_VAULT] {
                assert_eq!(node.state(id), State::Unlocked, "{when}: {:?}", node.status(id));
            }
        },
    );
}

/// VC-2, VC-4, VC-6, DF-4: stopped anywhere in a rotation, a change of custody or to a looser seal, the vault opens by the keys of before
/// or after, and ends changed.
#[test]
fn vc2_a_change_is_mended() {
    let pcrs = Line { seal: Seal::Pcrs, ..Line::of(Custody::Tpm) };
    for (before, change) in [
        (both((1, 1)), both((2, 1))),
        (Line::of(Custody::Tpm), both((1, 1))),
        (both((1, 1)), Line { leaving: true, ..Line::of(Custody::Tpm) }),
        (both((1, 1)), Line::of(Custody::Controller)),
        (Line::of(Custody::Controller), both((1, 1))),
        (pcrs, Line::of(Custody::Tpm)),
    ] {
        changes(&before, &change);
    }
}

/// DF-4: the same of the Config Vault, which holds the record of sections.
#[test]
fn df4_a_change_of_the_config_vault_is_mended() {
    let config = |line: Line| Line { id: CONFIG_VAULT, ..line };
    changes(&config(Line::of(Custody::Tpm)), &config(both((1, 1))));
    changes(&config(both((1, 1))), &config(both((2, 1))));
    changes(&config(both((1, 1))), &config(Line { leaving: true, ..Line::of(Custody::Tpm) }));
}

fn changes(before: &Line, change: &Line) {
    let hear = |node: &mut Node, controller: &mut Controller, line: &Line| {
        node.hear(controller, std::slice::from_ref(line));
    };
    let steps = stopped_everywhere(
        || with_file(before),
        |node, controller| hear(node, controller, change),
        |node, controller, when| {
            let no_contact = (before.custody, change.custody) == (Custody::Tpm, Custody::Tpm);
            assert!(!no_contact || kept(node, change), "{when}: opens without the controller");
            hear(node, controller, change);
            if change.id == CONFIG_VAULT && node.says("does not follow") {
                // The section before was accepted, and that is told once the record was read: the next one follows it.
                hear(node, controller, change);
            }
            let status = node.status(change.id);
            assert_eq!(status.state, State::Unlocked, "{when}: {status:?}");
            assert!(kept(node, change), "{when}");
            let epoch = change.custody.needs_controller().then_some(change.epochs.0);
            assert_eq!(status.epoch.map(|epoch| epoch.0), epoch, "{when}");
        },
    );
    assert!(steps > 0);
}

/// KO-2, KO-3: stopped anywhere in a boot and an unlock.
#[test]
fn an_unlock_is_mended() {
    let line = both((1, 1));
    stopped_everywhere(
        || with_file(&line),
        |node, controller| {
            node.reboot();
            node.hear(controller, std::slice::from_ref(&line));
        },
        |node, controller, when| {
            node.hear(controller, std::slice::from_ref(&line));
            assert!(kept(node, &line), "{when}: {:?}", node.status(BERLIN));
        },
    );
}

/// VC-2: stopped anywhere in a lock, it ends locked and opens again.
#[test]
fn vc2_a_lock_is_mended() {
    let lock = Line { operation: Operation::Lock, ..both((1, 1)) };
    stopped_everywhere(
        || with_file(&both((1, 1))),
        |node, controller| node.hear(controller, std::slice::from_ref(&lock)),
        |node, controller, when| {
            node.hear(controller, std::slice::from_ref(&lock));
            assert_eq!((node.state(BERLIN), kept(node, &lock)), (State::Locked, false), "{when}");
            node.hear(controller, &[both((1, 1))]);
            assert!(kept(node, &lock), "{when}");
        },
    );
}

/// IF-5: stopped anywhere in a deletion, it ends deleted by the next section, and what is half deleted is never made anew.
#[test]
fn if5_a_deletion_is_mended() {
    for custody in [Custody::Tpm, Custody::TpmAndController] {
        let steps = stopped_everywhere(
            || with_file(&Line::of(custody)),
            |node, controller| node.hear(controller, &[]),
            |node, controller, when| {
                assert_ne!(node.state(BERLIN), State::Creating, "{when}");
                node.hear(controller, &[]);
                assert_eq!(node.state(BERLIN), State::Removed, "{when}: {:?}", node.status(BERLIN));
                node.reboot();
                let traces = [node.paths.vault(BERLIN), node.paths.metas().join(BERLIN.to_string())];
                assert!(traces.iter().all(|path| !path.exists()), "{when}");
            },
        );
        assert!(steps > 6, "{custody:?}: {steps}");
    }
}
