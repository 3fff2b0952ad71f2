//! Every agent under a bus that cuts (invariant 6): at the n-th frame of each link between two of them at once, for every n. Each then
//! goes on, or ends with an error that it told and comes back; nothing false is told; and the node gets to open vaults.
#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

mod broker;
mod by_root;
mod house;
mod later;

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};
use std::thread;

use broker::Fault;
use house::House;
use testkit::{Evc, sample};

/// Nodes that live side by side: most of the time they wait.
const SIDE_BY_SIDE: usize = 12;
/// The same of all tests together: agents of one name have one user, whose threads are bounded.
const AT_ONCE: usize = 18;
/// Up to this frame each fault is tried; of those after it, which say the same again, one each.
const NEW: usize = 12;
/// Of a vault's life, which is long, so many frames evenly; and of one on a node without a TPM.
const LIVES: usize = 36;
const LIVES_WITHOUT_TPM: usize = 12;
/// Of what root does, which is a few frames on each link of root's, each of them once.
const ORDERS: usize = 15;
/// More frames than any link has before the vaults are open, on a machine that is not slow.
const MOST: usize = 80;

type Plan = Option<(Fault, usize)>;

static TAKEN: Mutex<usize> = Mutex::new(0);
static LEFT: Condvar = Condvar::new();

/// One of the places for nodes, until it goes.
struct Place;

impl Place {
    fn taken() -> Self {
        let taken = TAKEN.lock().unwrap_or_else(PoisonError::into_inner);
        let full = |taken: &mut usize| *taken >= AT_ONCE;
        *LEFT.wait_while(taken, full).unwrap_or_else(PoisonError::into_inner) += 1;
        Self
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        *TAKEN.lock().unwrap_or_else(PoisonError::into_inner) -= 1;
        LEFT.notify_one();
    }
}

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
        self.with_house(plan, |name, dir| House::new(dir, name, &self.evc, self.tpm, plan).live(&self.evc))
    }

    /// A life whose first minutes are whole, and what comes then is cut.
    fn live_on(&self, plan: Plan) -> (usize, usize) {
        self.with_house(plan, |name, dir| {
            let mut house = House::new(dir, name, &self.evc, self.tpm, None);
            house.live(&self.evc);
            house.live_on(&self.evc, self.tpm, plan)
        })
    }

    /// The same, with what root does cut.
    fn live_by_root(&self, plan: Plan) -> (usize, usize) {
        self.with_house(plan, |name, dir| {
            let mut house = House::new(dir, name, &self.evc, self.tpm, None);
            house.live(&self.evc);
            house.live_by_root(&self.evc, dir, plan)
        })
    }

    fn with_house<T>(&self, plan: Plan, life: impl FnOnce(&str, &Path) -> T) -> T {
        let name = plan.map_or("whole".to_owned(), |(fault, nth)| format!("{fault:?}-{nth}").to_lowercase());
        let dir = self.dir.path().join(&name);
        let _place = Place::taken();
        let seen = life(&name, &dir);
        // The disks of all would be many.
        std::fs::remove_dir_all(dir).unwrap();
        seen
    }

    /// Lives under each of these plans; says on how many links a fault was met in all.
    fn live_all(&self, plans: &[(Fault, usize)], live: fn(&Self, Plan) -> (usize, usize)) -> usize {
        let (next, met) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let work = || {
            while let Some(plan) = plans.get(next.fetch_add(1, Ordering::SeqCst)) {
                met.fetch_add(live(self, Some(*plan)).1, Ordering::SeqCst);
            }
        };
        thread::scope(|scope| (0..SIDE_BY_SIDE).for_each(|_| drop(scope.spawn(work))));
        met.into_inner()
    }
}

/// Every fault at this frame, or one of them. `cargo xtask soak frames` takes every one at each.
fn at(nth: usize) -> Vec<(Fault, usize)> {
    let all = Fault::ALL.map(|fault| (fault, nth));
    if nth < NEW || sample::is_whole() { all.to_vec() } else { vec![all[nth % all.len()]] }
}

/// So many of so many frames, evenly, with one fault each, in turn; or all of them with each.
fn some(frames: usize, lives: usize) -> Vec<(Fault, usize)> {
    if sample::is_whole() {
        return (0..frames).flat_map(at).collect();
    }
    let each = frames.div_ceil(lives);
    let nth = |life: usize| life * each + life % each;
    (0..lives).map(|life| (Fault::ALL[life % Fault::ALL.len()], nth(life))).collect()
}

/// Every frame that a link has in a whole life, and each fault at it.
fn cut_everywhere(tpm: bool) {
    let scene = Scene::new(tpm);
    let (frames, _) = scene.live(None);
    assert!(frames > NEW, "{frames}");
    let plans: Vec<_> = (0..frames.min(MOST)).flat_map(at).collect();
    let met = scene.live_all(&plans, Scene::live);
    assert!(met > 2 * plans.len(), "on several links each time: {met} of {}", plans.len());
}

/// Invariant 6, AC-2, AC-6: onboarding, evidence, release and status of a node without a TPM.
#[test]
fn ac2_a_bus_that_cuts_at_any_frame_keeps_no_node_closed() {
    cut_everywhere(false);
}

/// KO-2: roots of a TPM that are defined, read and told of, and whose answers are lost; the vaults are the TPM's.
#[test]
fn ko2_a_bus_that_cuts_at_any_frame_loses_no_root() {
    cut_everywhere(true);
}

fn cut_later(tpm: bool, lives: usize) {
    let scene = Scene::new(tpm);
    let (frames, _) = scene.live_on(None);
    assert!(frames > NEW, "{frames}");
    let plans = some(frames, lives);
    let met = scene.live_all(&plans, Scene::live_on);
    assert!(met > plans.len() / 2, "{met} of {} in {frames} frames", plans.len());
}

/// Invariants 4 and 6, IF-2: a user's vault made, locked and opened by root, re-keyed and deleted, with root's own links cut too. One
/// fault each, in turn.
#[test]
fn a_bus_that_cuts_at_any_frame_of_a_vaults_life_loses_none_and_tells_nothing_false() {
    cut_later(true, LIVES);
}

/// DF-3: the same of a vault that the controller's word alone opens.
#[test]
fn df3_a_bus_that_cuts_at_any_frame_of_a_vaults_life_without_a_tpm_loses_none() {
    cut_later(false, LIVES_WITHOUT_TPM);
}

/// Invariants 4 and 6, IF-2: evidence carried by files, another controller accepted, a vault recovered and one made anew. One fault each, in turn.
#[test]
fn a_bus_that_cuts_at_any_frame_of_what_root_does_is_told_and_the_order_given_again() {
    let scene = Scene::new(true);
    scene.live_by_root(None);
    let plans = some(ORDERS, ORDERS);
    let met = scene.live_all(&plans, Scene::live_by_root);
    assert!(met > plans.len() / 2, "{met} of {}", plans.len());
}
