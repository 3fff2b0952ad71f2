//! Every agent under a bus that cuts (invariant 6): at the n-th frame of each link between two of them at once, for every n. Each then
//! goes on, or ends with an error that it told and comes back; nothing false is told; and the node gets to open vaults.
#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

mod broker;
mod house;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use broker::Fault;
use house::House;
use testkit::Evc;

/// Nodes that live side by side: most of the time they wait.
const SIDE_BY_SIDE: usize = 12;
/// Up to this frame each fault is tried; of those after it, which say the same again, one each.
const NEW: usize = 12;
/// More frames than any link has before the vaults are open, on a machine that is not slow.
const MOST: usize = 80;

type Plan = Option<(Fault, usize)>;

struct Scene {
    dir: tempfile::TempDir,
    evc: Evc,
    tpm: bool,
}

impl Scene {
    fn new(tpm: bool) -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::set_permissions(dir.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        let evc = Evc::new(&dir.path().join("evc")).unwrap();
        Self { dir, evc, tpm }
    }

    fn live(&self, plan: Plan) -> (usize, usize) {
        let name = plan.map_or("whole".to_owned(), |(fault, nth)| format!("{fault:?}-{nth}").to_lowercase());
        let dir = self.dir.path().join(&name);
        let seen = House::new(&dir, &name, &self.evc, self.tpm, plan).live(&self.evc);
        // The disks of all would be many.
        std::fs::remove_dir_all(dir).unwrap();
        seen
    }

    /// Lives under each of these plans; says on how many links a fault was met in all.
    fn live_all(&self, plans: &[(Fault, usize)]) -> usize {
        let (next, met) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let work = || {
            while let Some(plan) = plans.get(next.fetch_add(1, Ordering::SeqCst)) {
                met.fetch_add(self.live(Some(*plan)).1, Ordering::SeqCst);
            }
        };
        thread::scope(|scope| (0..SIDE_BY_SIDE).for_each(|_| drop(scope.spawn(work))));
        met.into_inner()
    }
}

/// Every fault at this frame, or one of them.
fn at(nth: usize) -> Vec<(Fault, usize)> {
    let all = Fault::ALL.map(|fault| (fault, nth));
    if nth < NEW { all.to_vec() } else { vec![all[nth % all.len()]] }
}

/// Invariant 6, AC-2, AC-6: onboarding, evidence, release and status of a node without a TPM.
#[test]
fn ac2_a_bus_that_cuts_at_any_frame_keeps_no_node_closed() {
    let scene = Scene::new(false);
    let (frames, _) = scene.live(None);
    assert!(frames > NEW, "{frames}");
    let plans: Vec<_> = (0..frames.min(MOST)).flat_map(at).collect();
    let met = scene.live_all(&plans);
    assert!(met > 2 * plans.len(), "on several links each time: {met} of {}", plans.len());
}

/// KO-2: roots of a TPM that are defined, read and told of, and whose answers are lost; the vaults are the TPM's.
#[test]
fn ko2_a_bus_that_cuts_at_any_frame_loses_no_root() {
    let scene = Scene::new(true);
    let plans = (0..NEW).flat_map(|nth| [Fault::Close, Fault::ALL[1 + nth % 4]].map(|fault| (fault, nth)));
    let plans: Vec<_> = plans.collect();
    let met = scene.live_all(&plans);
    assert!(met > 2 * plans.len(), "on several links each time: {met} of {}", plans.len());
}
