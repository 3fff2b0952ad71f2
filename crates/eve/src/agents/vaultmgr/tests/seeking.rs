//! TH-3: how long it takes to look for who holds a vault's files is up to any user. No lock and no order waits for it.

use std::fs::File;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use vault::ids::VaultId;
use vault::ordered::Ordered;
use vault::plan::StepKind;
use vault::report::State;
use vault::section::{Custody, Operation};

use super::controller::{BERLIN, Controller, Line};
use super::node::Node;
use super::pauseless::AtOnce;
use crate::agents::vaultmgr::belief::orders::Order;
use crate::agents::vaultmgr::vault::jobs::{Job, Jobs, Taken, Workers};
use crate::agents::vaultmgr::vault::seeking::{HANGS, SOUGHT, Search, Sought};
use crate::bus::messages::OrderError;

/// Searches end when they are let go, and not before. All else is done at once.
#[derive(Default, Clone)]
struct Endless(Arc<AtomicBool>);

impl Workers for Endless {
    fn take(&self, kind: StepKind, job: Job) -> Taken {
        AtOnce.take(kind, job)
    }
    fn seek(&self, search: Search) -> Sought {
        let over = Arc::clone(&self.0);
        Sought::UnderWay(thread::spawn(move || {
            while !over.load(Ordering::SeqCst) {
                thread::sleep(Duration::from_millis(5));
            }
            search.run()
        }))
    }
}

/// Held until let go, or the test failed.
impl Drop for Endless {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.store(true, Ordering::SeqCst);
        }
    }
}

/// The first of them hang, until they are let go; each that is begun is counted.
#[derive(Clone)]
struct Hanging {
    first: usize,
    begun: Arc<AtomicUsize>,
    endless: Endless,
}

impl Hanging {
    fn first(first: usize) -> Self {
        Self { first, begun: Arc::default(), endless: Endless::default() }
    }
    fn let_go(&self) {
        self.endless.0.store(true, Ordering::SeqCst);
    }
}

impl Workers for Hanging {
    fn take(&self, kind: StepKind, job: Job) -> Taken {
        AtOnce.take(kind, job)
    }
    fn seek(&self, search: Search) -> Sought {
        let begun = self.begun.fetch_add(1, Ordering::SeqCst);
        if begun < self.first { self.endless.seek(search) } else { AtOnce.seek(search) }
    }
}

const OTHER: VaultId = VaultId(uuid::Uuid::from_u128(0x2001));
const LAST: VaultId = VaultId(uuid::Uuid::from_u128(0x2002));

fn lines(operation: Operation) -> Vec<Line> {
    [BERLIN, OTHER, LAST].map(|id| Line { id, operation, ..Line::of(Custody::Tpm) }).into()
}

/// As the agent does, until something has come true.
fn ticks(node: &mut Node, what: &str, mut is: impl FnMut(&mut Node) -> bool) {
    let late = Instant::now() + Duration::from_secs(120);
    while !is(node) {
        assert!(Instant::now() < late, "{what}: {:?}", node.status(BERLIN));
        thread::sleep(Duration::from_millis(5));
        node.manager().take_up_holders(Instant::now());
        // No search that is let go is given up because this clock is ahead.
        if node.manager().jobs.again().is_none() {
            node.manager().tick(Instant::now() + Duration::from_secs(60));
        }
    }
}

/// Three vaults, of each of which this process has a file open.
fn held() -> (Node, Controller, Vec<File>) {
    let (mut node, mut controller) = (Node::new(true), Controller::new());
    node.hear(&mut controller, &lines(Operation::Unlock));
    let files = [BERLIN, OTHER, LAST].map(|id| {
        node.put(id, "file", "kept");
        File::open(node.paths.vault(id).join("file")).expect("opens")
    });
    (node, controller, files.into())
}

/// A search of the first vault that never ends keeps no key in the kernel, no order waiting, and is told; then who was found is told.
#[test]
fn th3_no_vault_stays_open_while_holders_are_looked_for() {
    let (mut node, mut controller, files) = held();
    let endless = Endless::default();
    node.manager().jobs = Jobs::of(Box::new(endless.clone()));
    node.hear(&mut controller, &lines(Operation::Lock));
    for id in [BERLIN, OTHER, LAST] {
        let status = node.status(id);
        assert_eq!(status.state, State::LockIncomplete, "{status:?}");
        assert!(status.detail.iter().any(|line| line == SOUGHT), "{status:?}");
        let error = status.last.and_then(|last| last.error).expect("not locked yet");
        assert!(error.contains("is being looked for"), "{error}");
    }
    let ordered = |node: &mut Node, ago| node.manager().obey(&Order::Lock(LAST), ago, &mut |_| ());
    let waits = ordered(&mut node, Duration::ZERO);
    assert!(matches!(waits, Err(OrderError::UnderWay { .. })), "it may be known soon: {waits:?}");
    let told = node
        .manager()
        .has_become(LAST, Ordered::Locked, Duration::from_secs(60))
        .expect("answered all the same");
    assert_eq!(told.state, State::LockIncomplete);
    endless.0.store(true, Ordering::SeqCst);
    let own = format!("process {} ", std::process::id());
    for id in [BERLIN, OTHER, LAST] {
        ticks(&mut node, "found", |node| node.status(id).detail.concat().contains(&own));
        let error = node.status(id).last.and_then(|last| last.error).expect("not locked yet");
        assert!(error.contains(&own) && error.contains("locked by itself"), "{error}");
    }
    drop(files);
    ticks(&mut node, "locked", |node| {
        [BERLIN, OTHER, LAST].iter().all(|id| node.state(*id) == State::Locked)
    });
}

fn tells(node: &mut Node, id: VaultId, words: &str) -> bool {
    let status = node.status(id);
    let error = status.last.and_then(|last| last.error).unwrap_or_default();
    error.contains(words) && status.detail.concat().contains(words)
}

/// A search that hangs in the kernel is given up, and not before its time: its vault's status says what is the matter, and the next one's holders are
/// looked for.
#[test]
fn th3_a_search_that_hangs_is_given_up_and_the_next_begins() {
    let (mut node, mut controller, files) = held();
    let hanging = Hanging::first(1);
    node.manager().jobs = Jobs::of(Box::new(hanging.clone()));
    node.hear(&mut controller, &lines(Operation::Lock));
    let now = Instant::now();
    node.manager().take_up_holders(now);
    assert!([BERLIN, OTHER, LAST].iter().all(|id| node.status(*id).detail.concat().contains(SOUGHT)));
    node.manager().take_up_holders(now + Duration::from_secs(60));
    assert!(tells(&mut node, BERLIN, HANGS), "{:?}", node.status(BERLIN));
    let own = format!("process {} ", std::process::id());
    assert!([OTHER, LAST].iter().all(|id| tells(&mut node, *id, &own)), "{:?}", node.status(LAST));
    hanging.let_go();
    drop(files);
    ticks(&mut node, "locked", |node| node.state(BERLIN) == State::Locked);
}

/// Where each search hangs a few are begun, and no more, however often a lock is tried: the rest is told without. Once they are over it is looked for
/// again.
#[test]
fn no_more_than_a_few_searches_hang_at_once() {
    let (mut node, mut controller, files) = held();
    let hanging = Hanging::first(usize::MAX);
    node.manager().jobs = Jobs::of(Box::new(hanging.clone()));
    node.hear(&mut controller, &lines(Operation::Lock));
    for minute in 1..20 {
        node.manager().tick(Instant::now() + Duration::from_secs(60 * minute));
    }
    assert_eq!(hanging.begun.load(Ordering::SeqCst), 3);
    assert!([BERLIN, OTHER, LAST].iter().all(|id| tells(&mut node, *id, HANGS)), "{:?}", node.status(LAST));
    hanging.let_go();
    let own = format!("process {} ", std::process::id());
    ticks(&mut node, "found", |node| [BERLIN, OTHER, LAST].iter().all(|id| tells(node, *id, &own)));
    drop(files);
}

/// Who was found stays told while he is looked for again.
#[test]
fn who_was_found_is_told_until_the_next_search_is_over() {
    let (mut node, mut controller, files) = held();
    node.hear(&mut controller, &lines(Operation::Lock));
    node.manager().jobs = Jobs::of(Box::new(Endless::default()));
    node.manager().order_lock(BERLIN).expect("tried again");
    let status = node.status(BERLIN);
    let own = format!("process {} ", std::process::id());
    assert!(node.manager().jobs.seeks(BERLIN) && status.detail.concat().contains(&own), "{status:?}");
    drop(files);
}

/// A vault that is to be locked is, before anything else is done, whatever their order.
#[test]
fn what_is_to_be_locked_is_locked_before_others_are_opened() {
    let (mut node, mut controller) = (Node::new(true), Controller::new());
    let first = VaultId(uuid::Uuid::from_u128(1));
    assert!(first < BERLIN);
    let both = [first, BERLIN].map(|id| Line { id, ..Line::of(Custody::Tpm) });
    node.hear(&mut controller, &both);
    node.manager().order_lock(first).expect("locks");
    node.manager().belief.orders().release(first);
    node.manager().belief.orders().lock(BERLIN);
    let mut seen = None;
    node.manager().settle_all_pausing(|manager, _| {
        seen.get_or_insert_with(|| [first, BERLIN].map(|id| manager.report(id).state));
    });
    let [before, locked] = seen.expect("a pause");
    assert_ne!(before, State::Unlocked, "its turn came later");
    // A child of another test's may have a file open for a moment.
    assert!(matches!(locked, State::Locked | State::LockIncomplete), "{locked:?}");
    assert_eq!(node.state(first), State::Unlocked);
}
