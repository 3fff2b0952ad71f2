//! A first start over a database that fails.

use evc::service::{start_over, token_hash};
use evc::store::Store;

use super::common::settings;
use super::engines::{Fault, Faults, Faulty, Memory};
use evc::clock::now;

/// A first start that fails at any step is begun again by the next one, and the operator's token is good.
#[test]
fn a_first_start_that_fails_at_any_step_is_begun_again() {
    let steps = first_start(None).1;
    assert!(steps > 10, "{steps}: a first start makes all");
    for step in 1..=steps {
        for fault in [Fault::Full(step), Fault::Gone(step), Fault::Lost(step), Fault::Again(step)] {
            let (failed, _) = first_start(Some(fault));
            assert_eq!(failed, !matches!(fault, Fault::Again(_)) && fails(fault, step, steps), "{fault:?}");
        }
    }
}

/// An answer can be lost of a commit alone, which is the last step.
fn fails(fault: Fault, step: usize, last: usize) -> bool {
    !matches!(fault, Fault::Lost(_)) || step == last
}

/// Starts with a fault, and once more without; whether the first one failed, and its steps.
fn first_start(fault: Option<Fault>) -> (bool, usize) {
    let (memory, faults) = (Memory::default(), Faults::default());
    let dir = tempfile::tempdir().expect("a folder");
    let settings = settings(dir.path());
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let start = |fault| {
        faults.set(fault);
        let store = Store::over(Faulty(memory.clone(), faults.clone()));
        (runtime.block_on(start_over(&disk::Disk::linux(), store, &settings, now())), faults.asked().steps)
    };
    let (first, steps) = start(fault);
    let second = start(None).0.expect("started");
    let token = std::fs::read_to_string(dir.path().join("operator.token")).expect("a token");
    let hash = token_hash(&token);
    let owner = runtime.block_on(second.store.read(|tx| tx.token(&hash))).expect("read");
    assert_eq!(owner.expect("let in").name, "first operator", "{fault:?}");
    if let Ok(first) = &first {
        assert_eq!(first.authority.root_pem, second.authority.root_pem, "{fault:?}");
    }
    (first.is_err(), steps)
}
