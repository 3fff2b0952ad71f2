//! An agent that is asked all the time has its own to do all the same.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use vault::ids::{IMAGE_VAULT, VaultId};
use vault::plan::StepKind;
use vault::report::State;
use vault::section::Custody;
use vault::wanted::Authority;

use super::controller::{Controller, KEY, Line, certs};
use super::node::Node;
use super::pauseless::HereAtOnce;
use crate::agents::vaultmgr::agent::{self, Came};
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

const MANY: u128 = 50;

fn many() -> Vec<Line> {
    let line = |n| Line { id: VaultId(uuid::Uuid::from_u128(0x3000 + n)), ..Line::of(Custody::Tpm) };
    (0..MANY).map(line).collect()
}

/// A node that heard of them, and has made none yet.
fn heard(node: &Node) -> Manager<Kernel> {
    let mut manager = started(node);
    let section = Controller::new().section(manager.session_key(), &many());
    manager.hear_config(Authority::Live, &section, &certs());
    manager
}

/// How many of them are told, and how many as open.
fn open_of(status: &VaultStatus) -> (usize, usize) {
    let lines = many();
    let told = || status.vaults.iter().filter(|vault| lines.iter().any(|line| line.id == vault.id));
    (told().count(), told().filter(|vault| vault.state == State::Unlocked).count())
}

/// Seen-by-users 0.17: who asks while many vaults are made is answered between two of them, and not once all are made.
#[test]
fn who_asks_while_many_vaults_are_made_is_answered() {
    let node = Node::fresh(true);
    let manager = heard(&node);
    let bus = Bus::join(&node.disk.root(), Agent::Vaultmgr).expect("joins");
    let all = many().len();
    agent::run_asked(manager, bus, move |ask| {
        assert_eq!(open_of(&ask()), (all, 0), "before the first is made");
        let answers = || open_of(&ask()).1;
        let answers: Vec<usize> = std::iter::repeat_with(answers).take_while(|open| *open < all).collect();
        assert!(answers.iter().any(|open| *open > 0), "some open and some not: {answers:?}");
    });
}

/// The same while what several of them write becomes durable at once: no order is carried out then.
#[test]
fn who_asks_while_vaults_are_written_together_is_answered() {
    let node = Node::fresh(true);
    let (mut manager, disk) = (heard(&node), node.paths.disk().clone());
    let bus = Bus::join(&node.disk.root(), Agent::Vaultmgr).expect("joins");
    let (mut came, answer) = Came::asking(bus);
    disk.together(|| came.pause(&mut manager)).expect("syncs");
    let status = answer.try_recv().expect("is answered").expect("the vaults");
    assert_eq!(open_of(&status), (many().len(), 0));
}
