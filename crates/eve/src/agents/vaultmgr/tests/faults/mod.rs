//! vaultmgr cut at every operation on the disk and every step of the TPM in turn, with an error of the disk's at each, and on a disk that is
//! full from each of them on, at every kind of work (invariant 5): the next start, or the next try, mends what is there, and nothing that was kept is lost.

mod brought_back;
mod cut;
mod erasing;
mod escrow;
mod full;
mod kernel;
mod nv;
mod others;
mod recovery;
mod recreate;
mod seal;

use testkit::sample;
use vault::ids::{CONFIG_VAULT, IMAGE_VAULT};
use vault::section::Custody;

use super::controller::{BERLIN, Controller, Line};
use super::disk::write;
use super::node::Node;
use disk::faulty::Fault;

/// More operations than any of these has.
const ENOUGH: usize = 1000;

/// How a life ends in the middle of its work.
#[derive(Debug, Clone, Copy)]
enum Ending {
    /// `kill -9` before the operation: the kernel keeps keys and files.
    Killed,
    /// In the operation, which is half done if it is a write: what was not synced is lost, and the kernel's keys.
    PowerCut,
}

/// Does `work` on a node made by `prepare`, cut at the operation 0, 1, 2.. until it is not cut any more; each time the node
/// then starts anew and `mended` looks at it. The same where an operation fails and vaultmgr lives on. Returns how many operations the work has.
fn stopped_everywhere<P>(
    prepare: impl Fn() -> (Node, P),
    work: impl Fn(&mut Node, &mut P),
    mended: impl Fn(&mut Node, &mut P, &str),
) -> usize {
    failed_everywhere(&prepare, &work, &mended);
    cut_everywhere(prepare, work, mended)
}

/// The second half of that.
fn cut_everywhere<P>(
    prepare: impl Fn() -> (Node, P),
    work: impl Fn(&mut Node, &mut P),
    mended: impl Fn(&mut Node, &mut P, &str),
) -> usize {
    let lives = [(Ending::Killed, Fault::Cut), (Ending::PowerCut, Fault::Tear)].map(|(ending, fault)| {
        let cut = |nth: &usize| {
            let (mut node, mut with) = prepare();
            let faults = node.faults.clone();
            let cut = faults.during(fault, *nth, || work(&mut node, &mut with));
            start_again(&mut node, ending);
            mended(&mut node, &mut with, &format!("{ending:?} at operation {nth}"));
            cut
        };
        (0..ENOUGH).find(|nth| !cut(nth)).expect("it comes to an end")
    });
    assert_eq!(lives[0], lives[1], "the work has the same operations each time");
    lives[0]
}

/// Of the operations a sample, in which each follows on each other that it ever does.
fn failed_everywhere<P>(
    prepare: impl Fn() -> (Node, P),
    work: impl Fn(&mut Node, &mut P),
    mended: impl Fn(&mut Node, &mut P, &str),
) {
    let (mut node, mut with) = prepare();
    let asked = node.faults.clone().asked(|| work(&mut node, &mut with));
    let places =
        asked.iter().enumerate().map(|(nth, name)| (nth, *name, nth.checked_sub(1).map(|n| asked[n])));
    for (nth, name, _) in sample::of(places.collect(), |(_, name, before)| vec![(*before, *name)]) {
        let (mut node, mut with) = prepare();
        let faults = node.faults.clone();
        let when = format!("an error at operation {nth}, {name}");
        assert!(faults.during(Fault::Fails, nth, || work(&mut node, &mut with)), "{when}: it has fewer");
        // What failed is tried anew: folders at a look, and the rest when something is heard.
        node.manager().look_for_others_pausing(|_| ());
        node.hear_tpm();
        mended(&mut node, &mut with, &when);
    }
}

fn start_again(node: &mut Node, ending: Ending) {
    node.manager = None;
    if let Ending::PowerCut = ending {
        node.power_cut();
    }
    node.start();
}

fn both(epochs: (u64, u64)) -> Line {
    Line { epochs, ..Line::of(Custody::TpmAndController) }
}

/// A node with a vault that holds a file.
fn with_file(line: &Line) -> (Node, Controller) {
    let (mut node, mut controller) = (Node::new(true), Controller::new());
    node.hear(&mut controller, std::slice::from_ref(line));
    node.put(line.id, "file", "kept");
    node.disk.sync();
    (node, controller)
}

fn kept(node: &Node, line: &Line) -> bool {
    node.get(line.id, "file").as_deref() == Some("kept")
}

/// A node before its first boot, with plain files where its default vaults are to be.
fn with_plain_files() -> Node {
    let node = Node::fresh(true);
    for id in [CONFIG_VAULT, IMAGE_VAULT] {
        std::fs::create_dir_all(node.paths.vault(id).join("sub")).expect("makes");
        write(&node.paths.vault(id).join("plain"), "of before");
        write(&node.paths.vault(id).join("sub/plain"), "of before too");
    }
    node.disk.sync();
    node
}

fn plain_files_are_in(node: &Node) -> bool {
    [CONFIG_VAULT, IMAGE_VAULT].into_iter().all(|id| {
        node.get(id, "plain").as_deref() == Some("of before")
            && node.get(id, "sub/plain").as_deref() == Some("of before too")
            && !node.paths.staging(id).exists()
    })
}
