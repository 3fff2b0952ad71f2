//! The store: one contract, kept by every engine.

mod contract;
#[path = "../engines/mod.rs"]
mod engines;
#[path = "../kept/mod.rs"]
mod kept;
mod turns;

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use engines::{Fault, Faults, Faulty, Memory};
use evc::store::sqlite::{Lock, SqliteStore};
use evc::store::{Scope, Store, StoreError};
use vault::ids::DeviceId;
use vault::ids::Project;
use vault::ledger::Ledger;

async fn sqlite(folder: &Path) -> SqliteStore {
    SqliteStore::open(Lock::of(folder).expect("nobody else's")).await.expect("opened")
}

#[tokio::test]
async fn sqlite_keeps_the_contract() {
    let dir = tempfile::tempdir().expect("a folder");
    let store = Store::over(sqlite(dir.path()).await);
    contract::all(&store).await;
    contract::no_more_vaults_that_were_than_there_is_room_for(&store).await;
}

#[tokio::test]
async fn an_engine_in_memory_keeps_the_contract() {
    let store = Store::over(Memory::default());
    contract::all(&store).await;
    contract::no_more_vaults_that_were_than_there_is_room_for(&store).await;
}

/// Whatever step fails, or asks for another run: what is said again until it is done comes out the same. Not too often: a body of many steps that
/// fails at one in twelve is run again for a minute.
#[tokio::test(start_paused = true)]
async fn engines_that_fail_now_and_then_keep_the_contract() {
    for seed in 1..=40 {
        let faults = Faults::default();
        faults.set(Some(Fault::Chance { one_in: 30, seed: 0x9E37_79B9_7F4A_7C15_u64.wrapping_mul(seed) }));
        contract::all(&Store::over(Faulty(Memory::default(), faults))).await;
    }
}

/// The same of SQLite, which then rolls back what was not committed. More seldom: each run takes longer.
#[tokio::test]
async fn sqlite_that_fails_now_and_then_keeps_the_contract() {
    let (dir, faults) = (tempfile::tempdir().expect("a folder"), Faults::default());
    let engine = Faulty(sqlite(dir.path()).await, faults.clone());
    faults.set(Some(Fault::Chance { one_in: 40, seed: 20_261_128 }));
    contract::all(&Store::over(engine)).await;
}

/// A body that always meets another is given up, with an error that says that the store is busy, after a bounded number of runs.
#[tokio::test(start_paused = true)]
async fn a_body_is_run_again_and_not_for_ever() {
    let faults = Faults::default();
    let store = Store::over(Faulty(Memory::default(), faults.clone()));
    let put = || store.write(Scope::Clock, |tx| tx.put_meta("x", b"1"));
    faults.set(Some(Fault::Again(3)));
    put().await.expect("its commit was to be run again");
    assert_eq!(faults.asked().steps, 6, "begun, put, committed; twice");
    faults.set(Some(Fault::Chance { one_in: 1, seed: 1 }));
    assert!(put().await.is_err());
    assert_eq!(faults.asked().steps, 1, "a disk that is full is not asked again");
}

/// Whoever else writes at the same time: nothing that was kept is lost.
async fn none_is_lost_of_many_at_the_same_time(store: Arc<Store>) {
    const MANY: u8 = 40;
    let tasks: Vec<_> = (0..MANY).map(|_| tokio::spawn(one_more(store.clone()))).collect();
    for task in tasks {
        task.await.expect("ended");
    }
    assert_eq!(store.read(|tx| tx.meta("count")).await.expect("read"), Some(vec![MANY]));
}

/// Adds one, and asks again where the store says that it is busy.
async fn one_more(store: Arc<Store>) {
    let add = || {
        store.write(Scope::Clock, |tx| {
            Box::pin(async move {
                let count = tx.meta("count").await?.map_or(0, |count| count[0]);
                tokio::task::yield_now().await;
                tx.put_meta("count", &[count + 1]).await
            })
        })
    };
    while let Err(error) = add().await {
        assert!(matches!(error, StoreError::Again | StoreError::Busy(_)), "{error:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_at_the_same_time_lose_nothing_of_each_other() {
    let dir = tempfile::tempdir().expect("a folder");
    none_is_lost_of_many_at_the_same_time(Arc::new(Store::over(sqlite(dir.path()).await))).await;
    none_is_lost_of_many_at_the_same_time(Arc::new(Store::over(Memory::default()))).await;
}

/// A device of this number.
async fn added(store: &Store, number: u8) -> DeviceId {
    let row = contract::device(number);
    store.write(Scope::Onboarding, |tx| tx.add_device(&row)).await.expect("added");
    row.id
}

/// Invariant 6: whatever becomes of a commit, and of who waits for it: what was read before it is not good after it. Of others it is.
#[tokio::test]
async fn what_was_read_before_a_commit_is_not_good_after_it() {
    let faults = Faults::default();
    let store = Store::over(Faulty(Memory::default(), faults.clone()));
    let (one, other) = (added(&store, 1).await, added(&store, 2).await);
    let lose = |scope| store.write(scope, move |tx| tx.set_lost(one, Some(7)));
    for (fault, kept) in [(None, true), (Some(Fault::Lost(3)), false), (Some(Fault::Full(3)), false)] {
        let then = store.as_of();
        assert!(store.unchanged_since(then, one));
        faults.set(fault);
        assert_eq!(lose(Scope::Device(one)).await.is_ok(), kept, "{fault:?}");
        assert!(!store.unchanged_since(then, one), "{fault:?}: who knows");
        assert!(store.unchanged_since(then, other), "{fault:?}: not its own");
        assert!(store.unchanged_since(store.as_of(), one), "{fault:?}: what is read from now on");
    }
    let then = store.as_of();
    faults.set(Some(Fault::Full(2)));
    lose(Scope::Device(one)).await.expect_err("full");
    faults.set(None);
    store.rehearse(Scope::Fleet, |tx| tx.set_lost(one, None)).await.expect("rehearsed");
    assert!(store.unchanged_since(then, one), "nothing came to its commit");
    lose(Scope::Onboarding).await.expect("kept");
    assert!(!store.unchanged_since(then, other), "what is not of one device is of all");
}

/// Waits for what others do on this runtime, by looking.
async fn until_so(what: &str, holds: impl Fn() -> bool) {
    let patience = Instant::now() + Duration::from_secs(60);
    while !holds() {
        assert!(Instant::now() < patience, "waited in vain for: {what}");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// Whoever waited for a commit may be gone: a view that does not have it yet is not good once it has ended.
#[tokio::test]
async fn a_commit_that_nobody_waits_for_any_more_is_counted_when_it_ends() {
    let faults = Faults::default();
    let store = Arc::new(Store::over(Faulty(Memory::default(), faults.clone())));
    let id = added(&store, 1).await;
    faults.set(Some(Fault::Waits(3)));
    let writes = store.clone();
    let write =
        tokio::spawn(async move { writes.write(Scope::Device(id), |tx| tx.set_lost(id, Some(7))).await });
    until_so("the body to be in its third step", || faults.asked().steps >= 3).await;
    write.abort();
    assert!(write.await.is_err(), "gone");
    let then = store.as_of();
    let lost = || async { store.read(|tx| tx.device(id)).await.expect("read").expect("there").lost_at };
    assert_eq!(lost().await, None, "not kept yet");
    assert!(store.unchanged_since(then, id));
    faults.set(None);
    until_so("the commit to be counted", || !store.unchanged_since(then, id)).await;
    assert_eq!(lost().await, Some(7), "it was kept all the same");
    assert!(!store.unchanged_since(then, id), "and what was read before is not good");
    assert!(store.unchanged_since(store.as_of(), id), "what is read from now on is");
}

/// A commit whose end nobody can see: nothing that was read is good again.
#[tokio::test]
async fn a_commit_that_panics_leaves_nothing_to_be_believed() {
    let faults = Faults::default();
    let store = Arc::new(Store::over(Faulty(Memory::default(), faults.clone())));
    let id = added(&store, 1).await;
    let write = |fault| {
        faults.set(Some(fault));
        let writes = store.clone();
        tokio::spawn(async move { writes.write(Scope::Device(id), |tx| tx.set_lost(id, Some(7))).await })
    };
    let then = store.as_of();
    assert!(write(Fault::Panics(2)).await.is_err(), "in the body");
    assert!(store.unchanged_since(then, id), "which is rolled back");
    assert!(write(Fault::Panics(3)).await.is_err(), "in the commit");
    faults.set(None);
    assert!(!store.unchanged_since(then, id) && !store.unchanged_since(store.as_of(), id));
}

/// Every file of the database is for its owner only, the log beside it too.
#[tokio::test]
async fn sqlite_files_are_private() {
    let dir = tempfile::tempdir().expect("a folder");
    let store = Store::over(sqlite(dir.path()).await);
    store.write(Scope::Clock, |tx| tx.put_meta("x", b"1")).await.expect("put");
    let files: Vec<_> =
        std::fs::read_dir(dir.path()).expect("listed").map(|entry| entry.expect("entry")).collect();
    assert!(files.len() >= 2, "the log is there too");
    for file in files {
        let mode = file.metadata().expect("there").permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{}", file.path().display());
    }
}

/// Invariant 4: a database of commit de4fa5e, which knew no chain of sections (`vectors/README.md`). How it goes on with its node is in
/// `tests/tests/thread/carried_over.rs`.
#[tokio::test]
async fn a_device_of_before_the_chain_may_have_accepted_what_it_was_sent_then() {
    let dir = tempfile::tempdir().expect("a folder");
    kept::unpack("de4fa5e", dir.path());
    let store = Store::over(sqlite(dir.path()).await);
    let here = Project::default();
    let row = store.read(|tx| tx.device_by_name(&here, "edge-1")).await.expect("read").expect("known");
    assert_eq!(row.section_version, 5);
    assert_eq!(row.ledger, Ledger { before_chain: Some(5), ..Ledger::default() });
}

/// A migration that was applied is never edited: builds of before noted the SHA-384 of each in the databases that they left.
#[test]
fn migrations_are_what_they_were_when_they_were_applied() {
    for commit in ["de4fa5e", "b641c2c"] {
        let dir = tempfile::tempdir().expect("a folder");
        kept::unpack(commit, dir.path());
        let file = rusqlite::Connection::open(dir.path().join("evc.db")).expect("opened");
        let mut list =
            file.prepare("SELECT version, description, checksum FROM _sqlx_migrations").expect("asked");
        let row = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?));
        let noted: Vec<(i64, String, Vec<u8>)> =
            list.query_map((), row).expect("listed").collect::<Result<_, _>>().expect("rows");
        assert!(noted.len() >= 2, "{commit}: {noted:?}");
        for (number, what, then) in noted {
            let name = format!("migrations/sqlite/{number:04}_{}.sql", what.replace(' ', "_"));
            let now = std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join(&name)).expect(&name);
            let now = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA384, &now);
            assert_eq!(now.as_ref(), then, "{commit}: {name}");
        }
    }
}
