//! The model check: one node, one controller, and a network that loses, delays, repeats and reorders, with restarts on both sides and with
//! older disks and databases put back; every state that these can reach, up to a bound on each. The steps are the shipped ones: `belief`,
//! `plan`, `life`, `draft`, `decide`, `challenge` and `ledger` decide, and here is only what carries out and what is in between. The node is that of
//! the random worlds (`tests/plan/world`). Never sleeps, draws nothing at random, and looks at no real disk.

mod controller;
mod guards;
mod search;
mod state;
#[path = "../plan/world/mod.rs"]
#[allow(dead_code, reason = "what the random worlds alone use")]
mod world;

use guards::Guard;
use search::{Broken, Found, search};
use state::{Action, Budget, Scenario};
use vault::section::{Custody, Seal};

const BOTH: Custody = Custody::TpmAndController;
/// Most states of each kind of run: in `cargo test`, and in the long form.
const SHORT: usize = 1200;
const LONG: usize = 150_000;
/// A guard that is missing is noticed within so many.
const NOTICED: usize = 40_000;

fn both(budget: Budget) -> Scenario {
    Scenario::new(BOTH, Seal::Tpm, budget)
}

fn alone(budget: Budget) -> Scenario {
    Scenario::new(Custody::Controller, Seal::Tpm, budget)
}

/// Runs of one kind each: what is put back, what is lost, and what the operator does meanwhile.
fn runs() -> Vec<(&'static str, Scenario)> {
    let none = Budget::default();
    let net = Budget { losses: 1, repeats: 1, reorders: 1, ..none };
    let by_itself = |budget| Scenario::new(Custody::Tpm, Seal::Tpm, budget);
    vec![
        ("a bad network", both(Budget { rotations: 1, ..net })),
        ("a bad network, and two rotations", both(Budget { rotations: 2, ..net }).made()),
        ("power cuts while it is made", Scenario::new(BOTH, Seal::Pcrs, Budget { cuts: 2, ..none })),
        ("power cuts, and two rotations", both(Budget { cuts: 2, rotations: 2, ..none }).made()),
        (
            "an older disk, and a removal",
            both(Budget { images: 1, rotations: 1, deletions: 1, ..none }).made(),
        ),
        ("an older disk, and two rotations", alone(Budget { images: 1, rotations: 2, ..none }).made()),
        ("an older disk of before it was made", both(Budget { images: 1, cuts: 1, ..none })),
        ("an older database, and rotations", both(Budget { databases: 1, rotations: 2, ..none }).made()),
        (
            "an older database, and a removal",
            alone(Budget { databases: 1, deletions: 1, undos: 1, ..none }).made(),
        ),
        ("an older database, and a late record", alone(Budget { databases: 1, unread: 1, doors: 1, ..none })),
        (
            "an older database, and no record",
            both(Budget { databases: 1, records: 1, rotations: 1, ..none }).made(),
        ),
        (
            "an old request, sent again",
            both(Budget { polls: 3, forgets: 1, doors: 2, rotations: 1, ..none }).made(),
        ),
        (
            "an older disk and an old request, of long ago",
            both(Budget { polls: 1, images: 1, moves_out: 2, rotations: 1, ..none }).made(),
        ),
        (
            "an old request, an older database, and a removal",
            alone(Budget { polls: 2, forgets: 1, databases: 1, deletions: 1, doors: 1, ..none }).made(),
        ),
        (
            "a removal, and power cuts",
            both(Budget { cuts: 1, losses: 1, deletions: 1, undos: 1, ..none }).made(),
        ),
        (
            "a vault that is retained, and used again",
            both(Budget { retains: 1, undos: 1, cuts: 1, rotations: 1, ..none }).made(),
        ),
        (
            "a vault that is retained, and an older database or disk",
            alone(Budget { retains: 1, deletions: 1, undos: 1, databases: 1, images: 1, ..none }).made(),
        ),
        (
            "other software, and a lost device",
            both(Budget { unmeasured: 1, doors: 1, losts: 1, ..net }).made(),
        ),
        ("a lost device that opens by itself", by_itself(Budget { unmeasured: 1, losts: 1, ..net }).made()),
        (
            "another custody",
            both(Budget { custodies: 1, cuts: 1, rotations: 1, ..none }).made().then(Custody::Controller),
        ),
        (
            "a wider custody",
            by_itself(Budget { custodies: 1, cuts: 1, rotations: 1, ..none }).made().then(BOTH),
        ),
        (
            "a controller that ends",
            both(Budget { controller_restarts: 2, forced: 1, rotations: 1, cuts: 1, ..none }).made(),
        ),
    ]
}

/// Where each guard is needed.
fn needs() -> Vec<(Guard, Scenario, &'static str)> {
    let none = Budget::default();
    let removal = Budget { deletions: 1, undos: 1, ..none };
    vec![
        (Guard::Appraisal, both(Budget { unmeasured: 1, ..none }), "without good evidence"),
        (Guard::Lost, both(Budget { losts: 1, ..none }), "to a lost device"),
        (Guard::TwoEpochs, both(Budget { rotations: 2, ..none }).made(), "a key that is over"),
        (Guard::RotationWaits, both(Budget { rotations: 2, cuts: 1, ..none }).made(), "at rest as locked"),
        (Guard::Ledger, both(Budget { databases: 1, doors: 1, ..none }).made(), "at rest as locked"),
        (
            Guard::Marked,
            alone(Budget { polls: 1, databases: 1, deletions: 1, doors: 1, ..none }).made(),
            "showed that it is ahead",
        ),
        (
            Guard::MarkEnds,
            alone(Budget { polls: 1, forgets: 1, doors: 2, ..none }).made(),
            "it never was ahead",
        ),
        (
            Guard::SentBefore,
            alone(Budget { polls: 1, moves_out: 1, doors: 1, ..none }).made(),
            "by what this database sent",
        ),
        (Guard::Again, alone(Budget { polls: 2, doors: 2, ..none }).made(), "numbered twice"),
        (Guard::Absence, both(Budget { doors: 1, ..none }).made(), "data is lost"),
        (Guard::Grace, both(removal).made(), "data is lost"),
        (Guard::Retained, both(Budget { retains: 1, ..none }).made(), "data is lost"),
        (Guard::Remembered, both(removal).made(), "removed, and"),
        (Guard::Astray, both(Budget { losses: 1, reorders: 1, rotations: 1, ..none }), "at rest as waiting"),
        (
            Guard::Orders,
            Scenario::new(Custody::Tpm, Seal::Tpm, Budget { unmeasured: 1, losts: 1, ..none }).made(),
            "to be locked",
        ),
        (Guard::Follows, alone(Budget { databases: 1, unread: 1, ..removal }).made(), "data is lost"),
        (Guard::LastSent, alone(Budget { databases: 1, unread: 1, ..none }), "at rest as waiting"),
        (Guard::Proof, both(Budget { rotations: 1, cuts: 1, ..none }).made(), "told as changed"),
        (Guard::Dropped, both(Budget { unmeasured: 1, ..removal }).made(), "told as erased"),
        (Guard::KernelKey, both(none), "does not come to rest"),
    ]
}

fn told(Broken { why, trace, mending }: &Broken<Action>) -> String {
    format!("{why}\n  by {trace:?}\n  and without faults {mending:?}")
}

fn hold(most: usize) {
    let mut all = 0;
    for (name, scenario) in runs() {
        let found = search(&scenario, most).unwrap_or_else(|broken| panic!("{name}: {}", told(&broken)));
        let Found { states, transitions, depth, whole } = found;
        let end = if whole { "all" } else { "the first" };
        println!("| {name} | {end} {states} | {transitions} | {depth} |");
        all += states;
    }
    println!("| together | {all} | | |");
}

/// Invariants 2, 4, 5 and 6, and that every state converges once faults stop.
#[test]
fn no_vault_is_lost_and_no_key_goes_astray() {
    hold(SHORT);
}

/// The same of many more states: `cargo xtask soak`, which says at compile time of how many.
#[test]
#[ignore = "the long form: minutes"]
fn the_long_form() {
    hold(option_env!("EVE_VAULT_MODEL_STATES").map_or(LONG, |states| states.parse().expect("a number")));
}

/// Each guard is needed: without it alone the check fails, by the invariant that it serves.
#[test]
fn without_any_one_guard_it_fails() {
    for (guard, scenario, why) in needs() {
        let broken =
            search(&scenario.without(guard), NOTICED).expect_err(&format!("{guard:?} is not missed"));
        assert!(broken.why.contains(why), "{guard:?}: {}", told(&broken));
    }
}
