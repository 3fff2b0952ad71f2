//! Who waits for SQLite's one writer, and who does not: nobody's thread does.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use evc::store::{Scope, Store, StoreError};
use tokio::sync::oneshot;

use super::sqlite;

/// Begins a body that wrote and does not end until it is told to, or dropped.
async fn held(store: &Arc<Store>) -> (tokio::task::JoinHandle<Result<(), StoreError>>, oneshot::Sender<()>) {
    let ((told, here), (go, gone)) = (oneshot::channel(), oneshot::channel::<()>());
    let (store, once) = (store.clone(), std::sync::Mutex::new(Some((told, gone))));
    let task = tokio::spawn(async move {
        store
            .write(Scope::Fleet, |tx| {
                let (told, gone) = once.lock().expect("not poisoned").take().expect("it runs once");
                Box::pin(async move {
                    tx.put_meta("held", b"1").await?;
                    let _ = told.send(());
                    let _ = gone.await;
                    Ok(())
                })
            })
            .await
    });
    here.await.expect("it holds the writer");
    (task, go)
}

async fn kept(store: &Store, name: &str) -> bool {
    store.read(|tx| tx.meta(name)).await.expect("read").is_some()
}

fn put(store: &Arc<Store>) -> tokio::task::JoinHandle<Result<(), StoreError>> {
    let store = store.clone();
    tokio::spawn(async move { store.write(Scope::Clock, |tx| tx.put_meta("waited", b"1")).await })
}

/// On a runtime of one thread: whoever waits for the writer leaves the thread to readers, and to whoever has the writer.
#[tokio::test]
async fn a_writer_that_waits_for_its_turn_keeps_nobody_else_waiting() {
    let dir = tempfile::tempdir().expect("a folder");
    let store = Arc::new(Store::over(sqlite(dir.path()).await));
    let (holding, go) = held(&store).await;
    let waiting: Vec<_> = (0..8).map(|_| put(&store)).collect();
    tokio::task::yield_now().await;
    assert!(!kept(&store, "held").await && !kept(&store, "waited").await, "it is read, as it was");
    go.send(()).expect("it waits");
    holding.await.expect("ended").expect("written");
    for waiting in waiting {
        waiting.await.expect("ended").expect("written");
    }
    assert!(kept(&store, "held").await && kept(&store, "waited").await);
}

/// The same where the writer is another process, as `evc token new` beside a controller.
#[tokio::test]
async fn a_writer_of_another_process_keeps_no_thread_waiting() {
    let dir = tempfile::tempdir().expect("a folder");
    let store = Arc::new(Store::over(sqlite(dir.path()).await));
    let other = rusqlite::Connection::open(dir.path().join("evc.db")).expect("opened");
    other.execute_batch("BEGIN IMMEDIATE; INSERT INTO meta VALUES ('held', x'01')").expect("written");
    let waiting = put(&store);
    tokio::time::sleep(Duration::from_millis(20)).await;
    assert!(!kept(&store, "held").await && !waiting.is_finished());
    other.execute_batch("COMMIT").expect("committed");
    waiting.await.expect("ended").expect("written");
    assert!(kept(&store, "held").await);
}

/// A long body, as that of an `apply` of many documents, lets others run between its steps; on a runtime of one thread, too.
#[tokio::test]
async fn a_body_of_many_steps_gives_way_to_others() {
    let dir = tempfile::tempdir().expect("a folder");
    let store = Store::over(sqlite(dir.path()).await);
    let ran = Arc::new(AtomicBool::new(false));
    let other = tokio::spawn({
        let ran = ran.clone();
        async move { ran.store(true, Ordering::Relaxed) }
    });
    let many = store.read(|tx| {
        Box::pin(async move {
            for _ in 0..1000 {
                tx.meta("x").await?;
            }
            Ok::<_, StoreError>(())
        })
    });
    many.await.expect("read");
    assert!(ran.load(Ordering::Relaxed), "before the body ended");
    other.await.expect("ended");
}

/// A request that is given up in the middle of its body wrote nothing, and holds nobody up.
#[tokio::test]
async fn a_body_that_is_dropped_in_its_middle_never_was() {
    let dir = tempfile::tempdir().expect("a folder");
    let store = Arc::new(Store::over(sqlite(dir.path()).await));
    let (holding, _go) = held(&store).await;
    holding.abort();
    assert!(holding.await.expect_err("given up").is_cancelled());
    put(&store).await.expect("ended").expect("written");
    assert!(!kept(&store, "held").await);
}

/// Closing waits for what runs, and leaves one file: its log is folded into it.
#[tokio::test]
async fn a_closed_database_is_at_rest() {
    let dir = tempfile::tempdir().expect("a folder");
    let store = Arc::new(Store::over(sqlite(dir.path()).await));
    let (holding, go) = held(&store).await;
    let closing = tokio::spawn({
        let store = store.clone();
        async move { store.close().await }
    });
    tokio::task::yield_now().await;
    assert!(!closing.is_finished(), "somebody is at work");
    go.send(()).expect("it waits");
    holding.await.expect("ended").expect("written");
    closing.await.expect("closed");
    let left = std::fs::read_dir(dir.path()).expect("listed").map(|file| file.expect("one").file_name());
    let mut left: Vec<_> = left.collect();
    left.sort();
    assert_eq!(left, ["evc.db", "lock"]);
    assert!(store.read(|tx| tx.meta("held")).await.is_err(), "nobody is served any more");
}
