//! An agent that is asked all the time has its own to do all the same.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use vault::ids::IMAGE_VAULT;
use vault::plan::StepKind;
use vault::report::State;

use super::controller::KEY;
use super::node::Node;
use super::pauseless::HereAtOnce;
use crate::agents::vaultmgr::agent;
use crate::agents::vaultmgr::belief::intake::TpmHeard;
use crate::agents::vaultmgr::generation::desk::Desk;
use crate::agents::vaultmgr::hands::kernel::Kernel;
use crate::agents::vaultmgr::manager::{Manager, Owner};
use crate::agents::vaultmgr::vault::jobs::{Jobs, Threads};
use crate::bus::messages::VaultStatus;
use crate::bus::{Agent, Bus};

/// Far below the time after which all vaults are looked at anyway.
const QUESTIONS: usize = 200;

/// What the agent works with, once the TPM was heard.
pub(super) fn started(node: &Node) -> Manager<Kernel> {
    let kernel = agent::open(&node.paths).expect("opens the filesystem");
    let desk: Box<dyn Desk> = Box::new(HereAtOnce(node.paths.clone(), node.nv.clone()));
    let jobs = Jobs::of(Box::new(Threads(Arc::new(node.work.clone()))));
    let owner = Owner { uid: 12345, gid: 12345 };
    let mut manager = Manager::start(node.paths.clone(), kernel, (desk, jobs), owner).expect("starts");
    manager.hear_tpm(TpmHeard::Ready { key: KEY, measured: true }, |_, _| ());
    manager.settle_all();
    manager
}

/// Requirement IF-2: whoever asks for the vaults more often than work is looked after keeps no vault from being made: what a job did is taken up.
#[test]
fn a_job_that_is_over_is_taken_up_though_somebody_asks_all_the_time() {
    let node = Node::fresh(true);
    std::fs::create_dir_all(node.paths.vault(IMAGE_VAULT)).expect("makes");
    std::fs::write(node.paths.vault(IMAGE_VAULT).join("plain"), "of before").expect("writes");
    let work = node.work.clone();
    work.hold(&[StepKind::MoveIn]);
    let manager = started(&node);
    assert!(manager.jobs.progress(IMAGE_VAULT).is_some(), "{:?}", manager.report(IMAGE_VAULT));
    let bus = Bus::join(&node.disk.root(), Agent::Vaultmgr).expect("joins");
    let is_open = |status: VaultStatus| {
        status.vaults.iter().any(|vault| vault.id == IMAGE_VAULT && vault.state == State::Unlocked)
    };
    agent::run_asked(manager, bus, move |ask| {
        assert!(!is_open(ask()), "it is held up");
        work.hold(&[]);
        let opened = (0..QUESTIONS).any(|_| {
            thread::sleep(Duration::from_millis(20));
            is_open(ask())
        });
        assert!(opened, "{:?}", ask());
    });
}
