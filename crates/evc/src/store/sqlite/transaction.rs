//! One transaction on one connection; rolled back when dropped.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::Duration;

use async_trait::async_trait;
use rusqlite::{Params, Rows};
use tokio::task::coop::consume_budget;
use tokio::time::{sleep, timeout};
use vault::ids::{DeviceId, Project};

use super::PATIENCE;
use super::connections::{Connections, Durable, Lent, failed};
use super::others::{KeptOut, Others};
use super::read::{Count, FromRow, InColumn, There, whole};
use crate::store::{Around, Open, OrDamaged, Page, StoreError, Stored, Tx};

/// Between two questions whether another process has written to its end.
const PAUSE: Duration = Duration::from_millis(5);

/// A transaction, on the thread of whoever asks.
pub(super) struct SqliteTx {
    /// Ends before the connection is another's.
    writes: Option<KeptOut>,
    lent: Lent,
    /// Keys are deleted by it. With whom to leave word that the log has them still.
    erases: bool,
    erased: Option<Arc<AtomicBool>>,
}

#[async_trait]
impl Open for SqliteTx {
    async fn commit(self: Box<Self>) -> Stored<()> {
        let Self { writes, mut lent, erases, erased } = *self;
        let done = lent.commit();
        drop(writes);
        if let Some(erased) = erased.filter(|_| erases) {
            erased.store(true, SeqCst);
        }
        done
    }
}

#[async_trait]
impl Tx for SqliteTx {
    async fn around(&mut self, device: DeviceId) -> Stored<Around> {
        self.all_around(device).await
    }
}

impl SqliteTx {
    /// A view of one moment.
    pub(super) fn reading(mut lent: Lent) -> Stored<Self> {
        lent.refuse_mixture()?;
        lent.run("BEGIN", ())?;
        Ok(Self { writes: None, lent, erases: false, erased: None })
    }

    /// Takes the write lock at once: what is read next can't change before the commit.
    pub(super) async fn writing(
        connections: &Arc<Connections>,
        durable: Durable,
        (others, erased): (&Arc<Others>, &Arc<AtomicBool>),
    ) -> Stored<Self> {
        let begun = timeout(PATIENCE, async {
            let mut lent = connections.lend().await?;
            lent.be(durable)?;
            begin_alone(lent).await
        });
        connections.hold()?;
        connections.keep_room()?;
        let lent = begun.await.unwrap_or_else(|waited| Err(StoreError::Busy(waited.into())))?;
        Ok(Self { writes: Some(others.kept_out()), lent, erases: false, erased: Some(erased.clone()) })
    }

    /// Writes the file's number.
    pub(super) fn number(&mut self, number: u32) -> Stored<()> {
        // As it is stored, a number with a sign.
        let signed = i32::from_ne_bytes(number.to_ne_bytes());
        let written = self.lent.connection().pragma_update(None, "application_id", signed);
        self.lent.note(written.map_err(failed))
    }

    /// Who refers to a row refers to one again at the end of this transaction: until then that is not looked at.
    pub(super) fn defer_references(&mut self) -> Stored<()> {
        // Not by a statement that is kept: SQLite carries this one out when it reads it.
        let deferred = self.lent.connection().execute_batch("PRAGMA defer_foreign_keys = ON");
        self.lent.note(deferred.map_err(failed))
    }

    pub(super) async fn run(&mut self, statement: &str, values: impl Params + Send) -> Stored<usize> {
        give_way().await;
        self.lent.run(statement, values)
    }

    /// Deletes rows that have sealed keys. The pages are overwritten (`secure_delete`), in the file once the log is folded into it; that goes then,
    /// too.
    pub(super) async fn erase(&mut self, statement: &str, values: impl Params + Send) -> Stored<usize> {
        let deleted = self.run(statement, values).await?;
        self.erases |= deleted > 0;
        Ok(deleted)
    }

    /// Changes a row that was read in this transaction.
    pub(super) async fn change(&mut self, statement: &str, values: impl Params + Send) -> Stored<()> {
        match self.run(statement, values).await? {
            1 => Ok(()),
            _ => Err(StoreError::Damaged("a row that was read is not there".into())),
        }
    }

    /// Adds a row: its number.
    pub(super) async fn add(&mut self, statement: &str, values: impl Params + Send) -> Stored<i64> {
        self.run(statement, values).await?;
        Ok(self.lent.connection().last_insert_rowid())
    }

    /// The first row `from` somewhere.
    pub(super) async fn one<T: FromRow>(
        &mut self,
        from: &str,
        values: impl Params + Send,
    ) -> Stored<Option<T>> {
        give_way().await;
        self.look_up::<T, _>(from, values, next)
    }

    /// Every row `from` somewhere.
    pub(super) async fn all<T: FromRow>(&mut self, from: &str, values: impl Params + Send) -> Stored<Vec<T>> {
        give_way().await;
        self.look_up::<T, _>(from, values, |rows| std::iter::from_fn(|| next(rows).transpose()).collect())
    }

    /// A page of a list. Before the first come the rows of a table whose project does not read: they would be in no list.
    pub(super) async fn page<T: FromRow>(
        &mut self,
        (table, is_first): (&str, bool),
        from: &str,
        values: impl Params + Send,
    ) -> Stored<Vec<OrDamaged<T>>> {
        let mut rows = if is_first { self.of_no_project(table).await? } else { Vec::new() };
        rows.extend(self.all::<OrDamaged<T>>(from, values).await?);
        Ok(rows)
    }

    /// A page of those of a project by name.
    pub(super) async fn named<T: FromRow>(
        &mut self,
        table: &str,
        project: &Project,
        page: &Page,
    ) -> Stored<Vec<OrDamaged<T>>> {
        // A name that is nothing is damage, and no name comes before it.
        let is_first = page.after.is_empty();
        let after = if is_first { ">=" } else { ">" };
        let list = format!("FROM {table} WHERE project = ? AND name {after} ? ORDER BY name LIMIT ?");
        self.page((table, is_first), &list, (project.as_str(), &page.after, page.limit)).await
    }

    /// The projects of a table are told by its index: from one to the next.
    async fn of_no_project<T: FromRow>(&mut self, table: &str) -> Stored<Vec<OrDamaged<T>>> {
        let projects = format!(
            "FROM (WITH RECURSIVE known (project) AS (SELECT min(project) FROM {table} UNION ALL
               SELECT (SELECT min(project) FROM {table} WHERE project > known.project) FROM known WHERE known.project IS NOT NULL)
             SELECT project FROM known)"
        );
        let mut rows = Vec::new();
        for InColumn(project) in self.all(&projects, ()).await? {
            if let Some(project) = project.filter(|bytes| !is_project(bytes)) {
                // What is no text can be compared as bytes alone. It is looked through then.
                let of = format!("FROM {table} WHERE CAST(project AS BLOB) = ?");
                rows.extend(self.all::<OrDamaged<T>>(&of, (project,)).await?);
            }
        }
        Ok(rows)
    }

    /// How many rows are there.
    pub(super) async fn count(&mut self, from: &str, values: impl Params + Send) -> Stored<u64> {
        let count = self.one(from, values).await?;
        count.map(|Count(count)| count).ok_or_else(|| StoreError::Damaged("a count has no row".into()))
    }

    /// Whether any row is there.
    pub(super) async fn any(&mut self, from: &str, values: impl Params + Send) -> Stored<bool> {
        Ok(self.one::<There>(from, values).await?.is_some())
    }

    fn look_up<T: FromRow, R>(
        &mut self,
        from: &str,
        values: impl Params,
        read: impl FnOnce(&mut Rows<'_>) -> Stored<R>,
    ) -> Stored<R> {
        let question = format!("SELECT {} {from}", T::COLUMNS);
        let prepared = self.lent.connection().prepare_cached(&question);
        let found = prepared.map_err(failed).and_then(|mut statement| {
            let mut rows = statement.query(values).map_err(failed)?;
            read(&mut rows)
        });
        self.lent.note(found)
    }
}

fn is_project(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes).is_ok_and(|text| text.parse::<Project>().is_ok())
}

/// Another process may be writing: it's asked for until it ended, and no thread waits for it.
async fn begin_alone(mut lent: Lent) -> Stored<Lent> {
    loop {
        match lent.run("BEGIN IMMEDIATE", ()) {
            Err(StoreError::Busy(_)) => sleep(PAUSE).await,
            begun => return begun.map(|_| lent),
        }
    }
}

/// A body of many steps leaves its thread to others now and then, as everything does that really waits.
async fn give_way() {
    consume_budget().await;
}

fn next<T: FromRow>(rows: &mut Rows<'_>) -> Stored<Option<T>> {
    let row = rows.next().map_err(failed)?;
    row.map(whole).transpose()
}
